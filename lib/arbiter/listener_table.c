/* Opens each listener once for all pools and generations that name it, and closes it with its last user. Also
 * refuses new connections during a stop. */
#include "arbiter/listener_table.h"

#include "arbiter/arbiter.h"
#include "arbiter/fd_store.h"
#include "arbiter/listener_options.h"
#include "arbiter/queues.h"
#include "arbiter/reuseport_sets.h"
#include "listener/listener.h"

#include <prefork/error.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int append(struct pfi_listener_list *list, struct pfi_listener_entry *entry)
{
	struct pfi_listener_entry **const more = realloc(list->list, (list->count + 1) * sizeof *more);

	if (more == NULL)
		return prefork_fail(-ENOMEM, "no memory for a listener");
	list->list = more;
	more[list->count++] = entry;
	return 0;
}

static void remove_from(struct pfi_listener_list *list, const struct pfi_listener_entry *entry)
{
	size_t kept = 0;

	for (size_t i = 0; i < list->count; i++) {
		if (list->list[i] != entry)
			list->list[kept++] = list->list[i];
	}
	list->count = kept;
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

/* Whether the entry, which was opened for port 0, is that of `pool`: each pool that has its own bind gets a new port,
 * and all other pools together get one. */
static bool is_shareable(const struct prefork_arbiter *arbiter, const struct pfi_listener_entry *entry,
			 unsigned pool)
{
	for (size_t i = 0; i < arbiter->generation_count; i++) {
		for (unsigned p = 0; p < arbiter->pool_count; p++) {
			if ((p == pool || (!arbiter->pools[p].has_bind && !arbiter->pools[pool].has_bind)) &&
			    pfi_listener_list_has(&arbiter->generations[i].listeners[p], entry))
				return true;
		}
	}
	return false;
}

/* Find a listener that is open already and that this pool does not have yet. */
static struct pfi_listener_entry *find(const struct prefork_arbiter *arbiter, const struct pfi_generation *generation,
				       unsigned pool, const char *text, const struct pfi_address *address)
{
	const bool takes_any_port = address->kind == PFI_ADDRESS_TCP && address->port == 0;

	for (size_t i = 0; i < arbiter->listeners.count; i++) {
		struct pfi_listener_entry *const entry = arbiter->listeners.list[i];

		if (pfi_listener_list_has(&generation->listeners[pool], entry) || entry->listener->is_refusing ||
		    (takes_any_port && !is_shareable(arbiter, entry, pool)))
			continue;
		if (strcmp(prefork_listener_name(entry->listener), text) == 0 || is_at(entry, address))
			return entry;
	}
	return NULL;
}

/* Add `listener` to the table. Takes it, also on failure. */
static int add(struct prefork_arbiter *arbiter, struct prefork_listener *listener, bool inherited,
	       struct pfi_listener_entry **ret)
{
	struct pfi_listener_entry *const entry = calloc(1, sizeof *entry);
	const char *const address = prefork_listener_address(listener), *const name = prefork_listener_name(listener);
	int r = entry == NULL ? prefork_fail(-ENOMEM, "no memory for a listener") : 0;

	if (r == 0) {
		*entry = (struct pfi_listener_entry){ .listener = listener, .inherited = inherited,
						      .number = ++arbiter->last_listener };
		pfi_listener_set_owner(listener, arbiter->id);
		if (inherited && pfi_fd_store_is_ours(name)) {
			listener->held_by = (listener->held_by & ~(unsigned)PFI_HELD_BY_STARTER) | PFI_HELD_BY_STORE;
			entry->is_stored = !arbiter->predecessor.is_upgrade;
			pfi_listener_allow(listener);
		}
		r = append(&arbiter->listeners, entry);
	}
	if (r < 0) {
		pfi_listener_close(listener);
		free(entry);
		return r;
	}
	pfi_arbiter_log(arbiter, PREFORK_LOG_INFO, "listen",
			PFI_PAIRS(PREFORK_TEXT("address", address), PREFORK_TEXT("inherited", inherited ? "yes" : "no")),
			"Listening at: %s (%d)%s%s", address, (int)getpid(), inherited ? ", inherited as " : "",
			inherited ? name : "");
	*ret = entry;
	return 0;
}

/* A reload has dropped the address: for the other arbiter of an upgrade the socket is its own now, which it may refuse
 * connections on while workers of this one still accept. */
static void report_unused(struct prefork_arbiter *arbiter, const struct prefork_listener *listener)
{
	if (arbiter->supervisor.phase != PFI_PHASE_RUNNING || listener->held_by == 0)
		return;
	pfi_processes_expect_refusal(arbiter);
	if (listener->held_by & PFI_HELD_BY_PARENT)
		pfi_predecessor_report_unused(arbiter, listener->fd);
	if (listener->held_by & PFI_HELD_BY_CHILD)
		pfi_upgrade_report_unused(arbiter, listener->fd);
}

/* Remove one user of the listener, and close the listener with its last user. */
static void unuse(struct prefork_arbiter *arbiter, struct pfi_listener_entry *entry)
{
	if (--entry->users > 0)
		return;
	remove_from(&arbiter->listeners, entry);
	for (unsigned i = 0; i < entry->listener->socket_count; i++)
		pfi_queue_forget(arbiter, entry, i);
	/* A stop leaves it in the store, for the next start. */
	if ((entry->listener->held_by & PFI_HELD_BY_STORE) && arbiter->supervisor.phase == PFI_PHASE_RUNNING)
		pfi_fd_store_remove(arbiter, entry);
	report_unused(arbiter, entry->listener);
	pfi_shared_paths_take(arbiter, entry->listener);
	pfi_listener_close(entry->listener);
	pfi_reuseport_tables_free(entry);
	free(entry);
}

static int use(struct prefork_arbiter *arbiter, struct pfi_listener_list *list, struct pfi_listener_entry *entry)
{
	entry->users++;

	const int r = append(list, entry);

	if (r < 0)
		unuse(arbiter, entry);
	return r;
}

/* At the start the arbiter may wait for a name server. For a reload lookups.c has looked up all names before. */
static int resolve(const struct prefork_arbiter *arbiter, struct pfi_generation *generation,
		   struct pfi_address *address)
{
	const struct pfi_lookup_result *const known = pfi_names_find(&generation->names, address->host);
	struct pfi_lookup_result result;
	int r;

	if (!pfi_address_needs_lookup(address))
		return 0;
	if (known)
		return pfi_address_apply(address, known);
	if (arbiter->last_generation != 0)
		return prefork_fail(-EAGAIN, "the host name %s was not looked up", address->host);
	pfi_lookup_host(address->host, &result);
	r = pfi_address_apply(address, &result);
	return r == 0 ? pfi_names_add(&generation->names, address->host, &result) : r;
}

/* The listener for one item of bind: open already, inherited, or new. */
static int open_item(struct prefork_arbiter *arbiter, struct pfi_generation *generation, unsigned pool,
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
	/* Compare names first, since that needs no name server. */
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
		return r < 0 ? r : add(arbiter, listener, true, ret);
	pfi_listener_options_read(arbiter, generation, pool, text, &options);
	if ((r = pfi_listener_open_at(&address, text, &options, &listener)) < 0)
		return r;
	return add(arbiter, listener, false, ret);
}

static int open_bind(struct prefork_arbiter *arbiter, struct pfi_generation *generation, unsigned pool)
{
	const struct prefork_list *const bind = &pfi_library_settings(generation->of_pool[pool])->bind;
	struct pfi_listener_entry *entry;
	int r = 0;

	for (size_t i = 0; r == 0 && i < bind->count; i++) {
		r = open_item(arbiter, generation, pool, bind->items[i], &entry);
		if (r == 0)
			r = use(arbiter, &generation->listeners[pool], entry);
	}
	return r;
}

/* bind is not set for this pool: it gets all inherited sockets except those that another pool names or, if there are
 * none, the default address. */
static int open_default(struct prefork_arbiter *arbiter, struct pfi_generation *generation, unsigned pool,
			const struct pfi_listener_list *named)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < arbiter->listeners.count; i++) {
		struct pfi_listener_entry *const entry = arbiter->listeners.list[i];

		if (entry->inherited && !pfi_listener_list_has(named, entry))
			r = use(arbiter, &generation->listeners[pool], entry);
	}
	if (r == 0 && generation->listeners[pool].count == 0)
		r = open_bind(arbiter, generation, pool);
	return r;
}

/* Make listeners of all inherited sockets that no setting names. */
static int adopt_rest(struct prefork_arbiter *arbiter)
{
	struct prefork_listener *listener;
	struct pfi_listener_entry *entry;
	int r;

	while ((r = pfi_inherit_next(&arbiter->inherited, &listener)) == 0) {
		r = add(arbiter, listener, true, &entry);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : 0;
}

static bool has_bind(const struct prefork_arbiter *arbiter, const struct pfi_generation *generation,
		     unsigned pool)
{
	const struct prefork_settings *const settings = generation->of_pool[pool];
	enum prefork_origin origin = PREFORK_FROM_ROW;

	(void)prefork_settings_origin_of(settings, &pfi_library_settings(settings)->bind, &origin, NULL);
	return arbiter->pools[pool].has_bind || origin > PREFORK_FROM_HOST;
}

/* Close the listeners that were opened before a failure and that no pool has. */
static void close_unused(struct prefork_arbiter *arbiter)
{
	for (size_t i = arbiter->listeners.count; i-- > 0;) {
		struct pfi_listener_entry *const entry = arbiter->listeners.list[i];

		if (entry->users == 0) {
			entry->users = 1;
			unuse(arbiter, entry);
		}
	}
}

/* The pools that set bind come first: the others share the inherited sockets that are left. */
int pfi_listener_table_open(struct prefork_arbiter *arbiter, struct pfi_generation *generation)
{
	struct pfi_listener_list named = { 0 };
	bool all_named = true;
	int r = 0;

	for (unsigned p = 0; r == 0 && p < arbiter->pool_count; p++) {
		if (!pfi_pool_has_listeners(&arbiter->pools[p]))
			continue;
		if (has_bind(arbiter, generation, p))
			r = open_bind(arbiter, generation, p);
		else
			all_named = false;
	}
	if (r == 0 && !all_named)
		r = adopt_rest(arbiter);
	for (size_t i = 0; r == 0 && i < arbiter->listeners.count; i++) {
		if (pfi_generation_uses(generation, arbiter->listeners.list[i]))
			r = append(&named, arbiter->listeners.list[i]);
	}
	for (unsigned p = 0; r == 0 && p < arbiter->pool_count; p++) {
		if (pfi_pool_has_listeners(&arbiter->pools[p]) && !has_bind(arbiter, generation, p))
			r = open_default(arbiter, generation, p, &named);
	}
	free(named.list);
	if (r < 0)
		close_unused(arbiter);
	return r;
}

void pfi_listener_table_release(struct prefork_arbiter *arbiter, struct pfi_generation *generation)
{
	for (unsigned p = 0; p < PFI_POOLS_MAX; p++) {
		struct pfi_listener_list *const list = &generation->listeners[p];

		while (list->count > 0)
			unuse(arbiter, list->list[--list->count]);
		free(list->list);
		list->list = NULL;
	}
}

void pfi_listener_table_release_all(struct prefork_arbiter *arbiter)
{
	for (size_t i = 0; i < arbiter->generation_count; i++)
		pfi_listener_table_release(arbiter, &arbiter->generations[i]);
}

int pfi_listener_table_inherit(struct prefork_arbiter *arbiter)
{
	for (unsigned p = 0; p < arbiter->pool_count; p++) {
		if (!pfi_pool_has_listeners(&arbiter->pools[p]) || arbiter->has_environment)
			continue;
		arbiter->has_environment = true;
		return pfi_inherit_take(pfi_predecessor_pid(arbiter) != 0, &arbiter->inherited);
	}
	return 0; /* no pool has listeners: the sockets may be for another part of the application */
}

void pfi_listener_table_close_unused(struct prefork_arbiter *arbiter)
{
	for (size_t i = 0; i < arbiter->inherited.count; i++) {
		const struct pfi_inherited_socket *const socket = &arbiter->inherited.sockets[i];

		if (socket->fd >= 0 && (socket->is_stored || pfi_fd_store_is_ours(socket->name)))
			pfi_fd_store_remove_inherited(arbiter, socket); /* bind has changed since the last start */
		else if (socket->fd >= 0)
			pfi_arbiter_log(arbiter, PREFORK_LOG_WARNING, "inherited_unused",
					PFI_PAIRS(PREFORK_NUMBER("fd", socket->fd), PREFORK_TEXT("name", socket->name)),
					"Inherited socket fd %d (%s) is not listed in bind; closed", socket->fd, socket->name);
		if (socket->fd >= 0)
			pfi_predecessor_report_unused(arbiter, socket->fd);
	}
	pfi_inherit_finish(&arbiter->inherited);
}

/* Not while another process may serve the listener. Notify its workers before the listener refuses: from then on
 * they must reset an option of each connection that they accept (listener/refuse.c). */
static int refuse(struct prefork_arbiter *arbiter, const struct pfi_listener_entry *entry, uint64_t *ret_linger_ms)
{
	for (unsigned s = 0; s < arbiter->processes_max && entry->listener->held_by == 0; s++) {
		const struct prefork_process *const process = &arbiter->processes[s];
		const struct pfi_generation *const generation =
			process->pid != 0 ? pfi_generation_find(arbiter, process->generation) : NULL;

		if (generation != NULL && pfi_listener_list_has(&generation->listeners[process->pool], entry))
			atomic_store(&pfi_process_score(process)->shut, 1);
	}
	return pfi_listener_refuse(entry->listener, ret_linger_ms);
}

uint64_t pfi_listener_table_refuse(struct prefork_arbiter *arbiter)
{
	const int64_t setting_ms = pfi_library_settings(arbiter->settings)->stop_linger_ms; /* -1: automatic */
	uint64_t linger_ms = 0;

	if (setting_ms == 0)
		return 0;
	for (size_t i = 0; i < arbiter->listeners.count; i++) {
		struct prefork_listener *const listener = arbiter->listeners.list[i]->listener;
		uint64_t one_ms = 0;

		/* The new arbiter of an upgrade has closed it, and will remove it from the store. */
		if (arbiter->upgrade.pid != 0 && (listener->held_by & PFI_HELD_BY_CHILD) == 0)
			listener->held_by &= ~(unsigned)PFI_HELD_BY_STORE;
		if (refuse(arbiter, arbiter->listeners.list[i], &one_ms) == 0 && one_ms > linger_ms)
			linger_ms = one_ms;
	}
	return setting_ms > 0 && linger_ms > 0 ? (uint64_t)setting_ms : linger_ms;
}

/* Whether a worker other than `drained` serves the listener, or the current generation or a candidate names it. */
static bool is_served(const struct prefork_arbiter *arbiter, const struct pfi_listener_entry *entry,
		      const struct prefork_process *drained)
{
	const struct pfi_rollout *const rollout = &arbiter->supervisor.rollout;

	for (size_t i = 0; i < arbiter->generation_count; i++) {
		const struct pfi_generation *const generation = &arbiter->generations[i];

		if ((generation->number == rollout->desired || generation->number == rollout->candidate) &&
		    pfi_generation_uses(generation, entry))
			return true;
	}
	for (unsigned s = 0; s < arbiter->processes_max; s++) {
		const struct prefork_process *const other = &arbiter->processes[s];
		const struct pfi_generation *const generation =
			other->pid != 0 && other != drained
				? pfi_generation_find(arbiter, other->generation)
				: NULL;

		if (generation != NULL && pfi_process_slot(other)->state == PFI_STATE_SERVING &&
		    pfi_listener_list_has(&generation->listeners[other->pool], entry))
			return true;
	}
	return false;
}

bool pfi_listener_table_retire(struct prefork_arbiter *arbiter, const struct prefork_process *process,
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
		report_unused(arbiter, entry->listener);
		if (refuse(arbiter, entry, &one_ms) == 0 && one_ms > *ret_linger_ms)
			*ret_linger_ms = one_ms;
	}
	return any;
}

static bool pool_uses(const struct prefork_arbiter *arbiter, unsigned pool, const struct pfi_listener_entry *entry)
{
	for (size_t i = 0; i < arbiter->generation_count; i++) {
		if (pfi_listener_list_has(&arbiter->generations[i].listeners[pool], entry))
			return true;
	}
	return false;
}

/* Listeners that another process holds are not counted: that process accepts what is in their backlogs. */
void pfi_listener_table_count_pending(struct prefork_arbiter *arbiter)
{
	for (unsigned p = 0; p < arbiter->pool_count; p++)
		arbiter->models[p].pending_listeners = 0;
	for (size_t i = 0; i < arbiter->listeners.count; i++) {
		const struct pfi_listener_entry *const entry = arbiter->listeners.list[i];

		if (entry->listener->held_by != 0 ||
		    pfi_listener_has_pending(entry->listener) <= 0)
			continue;
		for (unsigned p = 0; p < arbiter->pool_count; p++)
			arbiter->models[p].pending_listeners += pool_uses(arbiter, p, entry);
	}
}
