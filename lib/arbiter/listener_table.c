/*
 * Where clients come in, over all pools and generations.
 *
 * An listener is opened once, however many pools and generations name it, and
 * closed with the last of them. What came with the environment is taken by
 * the addresses and names that the settings give, and as a whole by pools for
 * which the operator said nothing.
 */
#include "arbiter/arbiter.h"

#include "listener/listener.h"
#include "model/library_options.h"

#include <prefork/error.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool has(const struct pfi_listener_list *some, const struct pfi_listener_entry *entry)
{
	for (size_t i = 0; i < some->count; i++) {
		if (some->list[i] == entry)
			return true;
	}
	return false;
}

static int append(struct pfi_listener_list *some, struct pfi_listener_entry *entry)
{
	struct pfi_listener_entry **const more = realloc(some->list, (some->count + 1) * sizeof *more);

	if (more == NULL)
		return prefork_fail(-ENOMEM, "no memory for a listener");
	some->list = more;
	more[some->count++] = entry;
	return 0;
}

static void take_out(struct pfi_listener_list *some, const struct pfi_listener_entry *entry)
{
	size_t kept = 0;

	for (size_t i = 0; i < some->count; i++) {
		if (some->list[i] != entry)
			some->list[kept++] = some->list[i];
	}
	some->count = kept;
}

static bool is_at(const struct pfi_listener_entry *entry, const struct pfi_address *address)
{
	struct sockaddr_storage bound = { 0 };
	socklen_t size = sizeof bound;

	if (address->kind == PFI_ADDRESS_FD)
		return prefork_listener_fd(entry->listener) == address->fd;
	return address->socket_size > 0 &&
	       getsockname(prefork_listener_fd(entry->listener), (struct sockaddr *)&bound, &size) == 0 &&
	       pfi_address_equal(&bound, size, &address->socket, address->socket_size);
}

/* Port 0 is a new port for each that asks: for each pool with addresses of its own, and
 * for all others together. Is this one of them? */
static bool is_shareable(const struct prefork_arbiter *arbiter, const struct pfi_listener_entry *entry,
			 unsigned pool)
{
	for (size_t i = 0; i < arbiter->generation_count; i++) {
		for (unsigned p = 0; p < arbiter->pool_count; p++) {
			if ((p == pool || (!arbiter->pools[p].has_bind && !arbiter->pools[pool].has_bind)) &&
			    has(&arbiter->generations[i].listeners[p], entry))
				return true;
		}
	}
	return false;
}

/* One that is open already, and that this pool has not got yet. */
static struct pfi_listener_entry *find(const struct prefork_arbiter *arbiter, const struct pfi_generation *generation,
				 unsigned pool, const char *text, const struct pfi_address *address)
{
	const bool takes_any_port = address->kind == PFI_ADDRESS_TCP && address->port == 0;

	for (size_t i = 0; i < arbiter->listeners.count; i++) {
		struct pfi_listener_entry *const entry = arbiter->listeners.list[i];

		if (has(&generation->listeners[pool], entry) || entry->listener->is_refusing ||
		    (takes_any_port && !is_shareable(arbiter, entry, pool)))
			continue;
		if (strcmp(prefork_listener_name(entry->listener), text) == 0 || is_at(entry, address))
			return entry;
	}
	return NULL;
}

/* Takes `listener`, which one pool is about to use. */
static int keep(struct prefork_arbiter *arbiter, struct prefork_listener *listener, bool inherited,
		struct pfi_listener_entry **ret)
{
	struct pfi_listener_entry *const entry = calloc(1, sizeof *entry);
	int r = entry == NULL ? prefork_fail(-ENOMEM, "no memory for a listener") : 0;

	if (r == 0) {
		*entry = (struct pfi_listener_entry){ .listener = listener, .inherited = inherited,
						   .number = ++arbiter->last_listener };
		pfi_listener_set_owner(listener, arbiter->id);
		r = append(&arbiter->listeners, entry);
	}
	if (r < 0) {
		pfi_listener_close(listener);
		free(entry);
		return r;
	}
	prefork_log_printf(arbiter->log, PREFORK_LOG_INFO, "arbiter", "Listening at: %s (%d)%s%s",
			prefork_listener_address(listener), (int)getpid(), inherited ? ", handed over as " : "",
			inherited ? prefork_listener_name(listener) : "");
	*ret = entry;
	return 0;
}

static void let_go(struct prefork_arbiter *arbiter, struct pfi_listener_entry *entry)
{
	if (--entry->users > 0)
		return;
	take_out(&arbiter->listeners, entry);
	for (unsigned i = 0; i < entry->listener->socket_count; i++)
		pfi_queue_forget(arbiter, entry, i);
	pfi_listener_close(entry->listener);
	pfi_listener_entry_forget_reuseport(entry);
	free(entry);
}

static int use(struct prefork_arbiter *arbiter, struct pfi_listener_list *mine, struct pfi_listener_entry *entry)
{
	entry->users++;

	const int r = append(mine, entry);

	if (r < 0)
		let_go(arbiter, entry);
	return r;
}

/* At the start a name server may be waited for. In a reload lookups.c has done that before. */
static int resolve(const struct prefork_arbiter *arbiter, struct pfi_generation *generation,
		   struct pfi_address *address)
{
	const struct pfi_lookup_answer *const known = pfi_names_find(&generation->names, address->host);
	struct pfi_lookup_answer answer;
	int r;

	if (!pfi_address_needs_lookup(address))
		return 0;
	if (known)
		return pfi_address_apply(address, known);
	if (arbiter->last_generation != 0)
		return prefork_fail(-EAGAIN, "the host name %s was not looked up", address->host);
	pfi_lookup_host(address->host, &answer);
	r = pfi_address_apply(address, &answer);
	return r == 0 ? pfi_names_add(&generation->names, address->host, &answer) : r;
}

/* The socket for one item of bind: open already, handed over, or new. */
static int open_one(struct prefork_arbiter *arbiter, struct pfi_generation *generation, unsigned pool,
		    const char *text, struct pfi_listener_entry **ret)
{
	struct prefork_listener *listener = NULL;
	struct pfi_listener_options options;
	struct pfi_address address;
	int r = pfi_address_parse(text, &address);

	if (r < 0)
		return r;
	*ret = find(arbiter, generation, pool, text, &address);
	if (*ret != NULL)
		return 0;
	/* By its name, before a name server is asked for it. */
	r = pfi_inherit_match(&arbiter->inherited, &address, text, &listener);
	if (r == 1) {
		if ((r = resolve(arbiter, generation, &address)) < 0)
			return r;
		*ret = find(arbiter, generation, pool, text, &address);
		if (*ret != NULL)
			return 0;
		r = pfi_inherit_match(&arbiter->inherited, &address, text, &listener);
	}
	if (r <= 0)
		return r < 0 ? r : keep(arbiter, listener, true, ret);
	pfi_listener_options_read(arbiter, generation, pool, text, &options);
	if ((r = pfi_listener_open_at(&address, text, &options, &listener)) < 0)
		return r;
	return keep(arbiter, listener, false, ret);
}

static int open_named(struct prefork_arbiter *arbiter, struct pfi_generation *generation, unsigned pool)
{
	const struct prefork_list *const bind = &pfi_library_settings(generation->of_pool[pool])->bind;
	struct pfi_listener_entry *entry;
	int r = 0;

	for (size_t i = 0; r == 0 && i < bind->count; i++) {
		r = open_one(arbiter, generation, pool, bind->items[i], &entry);
		if (r == 0)
			r = use(arbiter, &generation->listeners[pool], entry);
	}
	return r;
}

/* All that came along, but for what another pool has by name; where nothing did, the
 * address that is the default. */
static int open_unnamed(struct prefork_arbiter *arbiter, struct pfi_generation *generation, unsigned pool,
			const struct pfi_listener_list *named)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < arbiter->listeners.count; i++) {
		struct pfi_listener_entry *const entry = arbiter->listeners.list[i];

		if (entry->inherited && !has(named, entry))
			r = use(arbiter, &generation->listeners[pool], entry);
	}
	if (r == 0 && generation->listeners[pool].count == 0)
		r = open_named(arbiter, generation, pool);
	return r;
}

/* Make listeners of all that is left: nobody asked for something else. */
static int adopt_rest(struct prefork_arbiter *arbiter)
{
	struct prefork_listener *listener;
	struct pfi_listener_entry *entry;
	int r;

	while ((r = pfi_inherit_next(&arbiter->inherited, &listener)) == 0) {
		r = keep(arbiter, listener, true, &entry);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : 0;
}

static bool is_said(const struct prefork_arbiter *arbiter, const struct pfi_generation *generation,
		    unsigned pool)
{
	const struct prefork_settings *const settings = generation->of_pool[pool];
	enum prefork_origin origin = PREFORK_FROM_ROW;

	(void)prefork_settings_origin_of(settings, &pfi_library_settings(settings)->bind, &origin, NULL);
	return arbiter->pools[pool].has_bind || origin > PREFORK_FROM_HOST;
}

int pfi_listener_table_open(struct prefork_arbiter *arbiter, struct pfi_generation *generation)
{
	struct pfi_listener_list named = { 0 };
	bool is_all_said = true;
	int r = 0;

	for (unsigned p = 0; r == 0 && p < arbiter->pool_count; p++) {
		if (!pfi_pool_has_listeners(&arbiter->pools[p]))
			continue;
		if (is_said(arbiter, generation, p))
			r = open_named(arbiter, generation, p);
		else
			is_all_said = false;
	}
	if (r == 0 && !is_all_said)
		r = adopt_rest(arbiter);
	for (size_t i = 0; r == 0 && i < arbiter->listeners.count; i++) {
		if (pfi_generation_uses(generation, arbiter->listeners.list[i]))
			r = append(&named, arbiter->listeners.list[i]);
	}
	for (unsigned p = 0; r == 0 && p < arbiter->pool_count; p++) {
		if (pfi_pool_has_listeners(&arbiter->pools[p]) && !is_said(arbiter, generation, p))
			r = open_unnamed(arbiter, generation, p, &named);
	}
	free(named.list);
	/* What was opened for nobody in the end. */
	for (size_t i = arbiter->listeners.count; r < 0 && i-- > 0;) {
		struct pfi_listener_entry *const entry = arbiter->listeners.list[i];

		if (entry->users == 0) {
			entry->users = 1;
			let_go(arbiter, entry);
		}
	}
	return r;
}

void pfi_listener_table_release(struct prefork_arbiter *arbiter, struct pfi_generation *generation)
{
	for (unsigned p = 0; p < PFI_POOLS_MAX; p++) {
		struct pfi_listener_list *const mine = &generation->listeners[p];

		while (mine->count > 0)
			let_go(arbiter, mine->list[--mine->count]);
		free(mine->list);
		mine->list = NULL;
	}
}

int pfi_listener_table_inherit(struct prefork_arbiter *arbiter)
{
	for (unsigned p = 0; p < arbiter->pool_count; p++) {
		if (!pfi_pool_has_listeners(&arbiter->pools[p]) || arbiter->has_environment)
			continue;
		arbiter->has_environment = true;
		return pfi_inherit_take(&arbiter->inherited);
	}
	return 0; /* they are for somebody else in this process */
}

void pfi_listener_table_drop_rest(struct prefork_arbiter *arbiter)
{
	for (size_t i = 0; i < arbiter->inherited.count; i++) {
		const struct pfi_inherited_socket *const socket = &arbiter->inherited.sockets[i];

		if (socket->fd >= 0)
			prefork_log_printf(arbiter->log, PREFORK_LOG_WARNING, "arbiter",
					"Descriptor %d (%s) was handed over, but bind does not name it: closed", socket->fd,
					socket->name);
	}
	pfi_inherit_finish(&arbiter->inherited);
}

/* Whoever serves it is told before. */
static int refuse(struct prefork_arbiter *arbiter, const struct pfi_listener_entry *entry, uint64_t *ret_linger_ms)
{
	for (unsigned s = 0; s < arbiter->processes_max; s++) {
		const struct prefork_process *const process = &arbiter->processes[s];
		const struct pfi_generation *const generation =
			process->pid != 0 ? pfi_generation_find(arbiter, process->generation) : NULL;

		if (generation != NULL && has(&generation->listeners[process->pool], entry))
			atomic_store(&pfi_process_score(process)->shut, 1);
	}
	return pfi_listener_refuse(entry->listener, ret_linger_ms);
}

/* Let nobody new in. How long clients may still come out of the kernel, 0 when
 * there is nothing to wait for. */
uint64_t pfi_listener_table_refuse(struct prefork_arbiter *arbiter)
{
	const int64_t said_ms = pfi_library_settings(arbiter->settings)->stop_linger_ms;
	uint64_t linger_ms = 0;

	if (said_ms == 0)
		return 0;
	for (size_t i = 0; i < arbiter->listeners.count; i++) {
		uint64_t one_ms = 0;

		if (refuse(arbiter, arbiter->listeners.list[i], &one_ms) == 0 && one_ms > linger_ms)
			linger_ms = one_ms;
	}
	return said_ms > 0 && linger_ms > 0 ? (uint64_t)said_ms : linger_ms;
}

/* Does anybody but `leaver` serve it, or will? */
static bool is_served(const struct prefork_arbiter *arbiter, const struct pfi_listener_entry *entry,
		      const struct prefork_process *leaver)
{
	const struct pfi_rollout *const rollout = &arbiter->supervisor.rollout;

	for (size_t i = 0; i < arbiter->generation_count; i++) {
		const struct pfi_generation *const generation = &arbiter->generations[i];

		if ((generation->number == rollout->wanted || generation->number == rollout->candidate) &&
		    pfi_generation_uses(generation, entry))
			return true;
	}
	for (unsigned s = 0; s < arbiter->processes_max; s++) {
		const struct prefork_process *const other = &arbiter->processes[s];
		const struct pfi_generation *const generation =
			other->pid != 0 && other != leaver
				? pfi_generation_find(arbiter, other->generation)
				: NULL;

		if (generation != NULL && pfi_process_slot(other)->state == PFI_STATE_SERVING &&
		    has(&generation->listeners[other->pool], entry))
			return true;
	}
	return false;
}

/* After a reload that names other addresses: close the listeners that nobody serves
 * when `process` has left to new clients. True when there are any; those on their
 * way come out of the kernel within *ret_linger_ms. */
bool pfi_listener_table_abandon(struct prefork_arbiter *arbiter, const struct prefork_process *process,
			   uint64_t *ret_linger_ms)
{
	const struct pfi_generation *const generation = pfi_generation_find(arbiter, process->generation);
	bool any = false;

	*ret_linger_ms = 0;
	for (size_t i = 0; generation != NULL && i < generation->listeners[process->pool].count; i++) {
		struct pfi_listener_entry *const entry = generation->listeners[process->pool].list[i];
		uint64_t one_ms = 0;

		if (is_served(arbiter, entry, process))
			continue;
		any = true;
		if (refuse(arbiter, entry, &one_ms) == 0 && one_ms > *ret_linger_ms)
			*ret_linger_ms = one_ms;
	}
	return any;
}

static bool pool_uses(const struct prefork_arbiter *arbiter, unsigned pool, const struct pfi_listener_entry *entry)
{
	for (size_t i = 0; i < arbiter->generation_count; i++) {
		if (has(&arbiter->generations[i].listeners[pool], entry))
			return true;
	}
	return false;
}

/* For the model: which pools have listeners with pending connections. Those of inherited
 * listeners stay with whoever handed the listener over. */
void pfi_listeners_count_queued(struct prefork_arbiter *arbiter)
{
	for (unsigned p = 0; p < arbiter->pool_count; p++)
		arbiter->models[p].queued = 0;
	for (size_t i = 0; i < arbiter->listeners.count; i++) {
		const struct pfi_listener_entry *const entry = arbiter->listeners.list[i];

		if (prefork_listener_is_inherited(entry->listener) ||
		    pfi_listener_has_pending(entry->listener) <= 0)
			continue;
		for (unsigned p = 0; p < arbiter->pool_count; p++)
			arbiter->models[p].queued += pool_uses(arbiter, p, entry);
	}
}

/* Our copies; the workers close theirs when they have emptied the queues. */
void pfi_listener_table_close(struct prefork_arbiter *arbiter)
{
	for (size_t i = 0; i < arbiter->generation_count; i++)
		pfi_listener_table_release(arbiter, &arbiter->generations[i]);
}
