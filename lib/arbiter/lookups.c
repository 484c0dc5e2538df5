/*
 *   pfi_reload --> host names to look up? --no--> continue
 *                     | yes
 *                  helper runs --> exits: apply its results, continue
 *                     |--> time limit: killed; the reload fails if a name of bind has no address
 *                     '--> stop, another reload: killed, and the reload has its verdict
 */
#include "arbiter/lookups.h"

#include "arbiter/arbiter.h"
#include "base/required.h"
#include "config.h"
#include "listener/listener.h"
#include "model/settings.h"
#include "os/clock.h"
#include "os/spawn.h"

#include <prefork/error.h>

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HOSTS_MAX = PFI_POOLS_MAX * 64 }; /* bind has at most 64 items */

/* The arbiter reads after the helper's exit, so a pipe must hold all results: 64 KiB by default, pipe(7). */
static_assert(HOSTS_MAX * sizeof(struct pfi_lookup_result) <= 65536, "the results fit into a pipe");

const char *pfi_lookup_program = PREFORK_LOOKUP;

/* Open already under this very text: the listener table finds it without an address. */
static bool is_open(const struct prefork_arbiter *arbiter, const char *text, const struct pfi_address *address)
{
	for (size_t i = 0; address->port != 0 && i < arbiter->listeners.count; i++) {
		const struct prefork_listener *const listener = arbiter->listeners.list[i]->listener;

		if (!listener->is_refusing && strcmp(prefork_listener_name(listener), text) == 0)
			return true;
	}
	return false;
}

static int add_host(struct prefork_arbiter *arbiter, const char *host)
{
	struct pfi_lookup *const lookup = &arbiter->lookup;

	for (size_t i = lookup->required; i < lookup->count; i++) {
		if (strcmp(lookup->hosts[i], host) == 0)
			return 0;
	}
	if (lookup->count == HOSTS_MAX)
		return prefork_fail(-E2BIG, "more than %d host names", (int)HOSTS_MAX);
	char **const more = realloc(lookup->hosts, (lookup->count + 1) * sizeof *more);

	if (more == NULL)
		return prefork_fail(-ENOMEM, "no memory for host names");
	lookup->hosts = more;
	more[lookup->count] = strdup(host);
	return more[lookup->count] ? (lookup->count++, 0) : prefork_fail(-ENOMEM, "no memory for host names");
}

/* Add the names in bind of one pool that are not known yet. */
static int collect(struct prefork_arbiter *arbiter, const struct pfi_generation *generation, unsigned pool)
{
	const struct prefork_list *const bind = &pfi_library_settings(generation->of_pool[pool])->bind;
	struct pfi_address address;
	int r = 0;

	for (size_t i = 0; r == 0 && i < bind->count; i++) {
		const char *const text = bind->items[i];

		if (pfi_address_parse(text, &address) == 0 && pfi_address_needs_lookup(&address) &&
		    !pfi_names_find(&generation->names, address.host) && !is_open(arbiter, text, &address))
			r = add_host(arbiter, address.host);
	}
	return r;
}

/* Add the names of other programs, also those that are known: they may have moved. */
static int collect_peers(struct prefork_arbiter *arbiter, const struct pfi_generation *generation, unsigned pool)
{
	struct pfi_address address;
	const char *text;
	size_t row = 0;
	int r = 0;

	while (r == 0 && (text = pfi_settings_next_address(generation->of_pool[pool], &row)) != NULL) {
		if (pfi_address_parse_peer(text, &address) == 0 && pfi_address_needs_lookup(&address))
			r = add_host(arbiter, address.host);
	}
	return r;
}

/* Runs in the child. */
static int look_up(void *arg, int fd)
{
	const struct pfi_lookup *const lookup = arg;

	return pfi_lookup_all((const char *const *)lookup->hosts, lookup->count, fd) < 0;
}

/* With other threads running, a forked child can only exec: getaddrinfo(3) takes locks that a thread of the parent may
 * have held at the fork. */
static int start_program(struct prefork_arbiter *arbiter, int threads)
{
	struct pfi_lookup *const lookup = &arbiter->lookup;
	char **const argv = calloc(lookup->count + 2, sizeof *argv);

	if (argv == NULL)
		return prefork_fail(-ENOMEM, "no memory for host names");
	if (access(pfi_lookup_program, X_OK) < 0) {
		free(argv);
		return prefork_fail(-ENOENT, "there is the new host name %s, and nothing can look it up: a process with %d "
					     "threads needs %s for that (%s); use a numeric address, or restart",
				    lookup->hosts[0], threads, pfi_lookup_program, strerror(errno));
	}
	argv[0] = (char *)(uintptr_t)pfi_lookup_program;
	for (size_t i = 0; i < lookup->count; i++)
		argv[i + 1] = lookup->hosts[i];

	const int r = pfi_helper_exec(pfi_lookup_program, argv, &lookup->child.helper);

	free(argv);
	return r;
}

static int start_helper(struct prefork_arbiter *arbiter, const struct pfi_generation *generation, uint64_t now_ms)
{
	struct pfi_lookup *const lookup = &arbiter->lookup;
	const int threads = pfi_thread_count();
	int r;

	if (!pfi_limited_child_allowed(arbiter))
		return -EAGAIN;
	r = threads == 1 ? pfi_helper_fork(look_up, lookup, &lookup->child.helper) : start_program(arbiter, threads);
	if (r < 0)
		return r;
	lookup->generation = generation->number;
	return pfi_limited_child_watch(arbiter, &lookup->child,
				       (struct pfi_tag){ PFI_SOURCE_LOOKUP, 0, generation->number },
				       pfi_library_settings(generation->settings)->lookup_timeout_ms, now_ms);
}

static void log_start(struct prefork_arbiter *arbiter)
{
	const struct pfi_lookup *const lookup = &arbiter->lookup;

	pfi_arbiter_log(arbiter, PREFORK_LOG_INFO, "lookup",
			PFI_PAIRS(PREFORK_TEXT("host", lookup->hosts[0]), PREFORK_NUMBER("hosts", lookup->count)),
			"The reload looks up the host name %s%s, for %.1f s at most", lookup->hosts[0],
			lookup->count > 1 ? " and others" : "", (double)lookup->child.limit_ms / 1000);
}

void pfi_lookup_end(struct prefork_arbiter *arbiter)
{
	struct pfi_lookup *const lookup = &arbiter->lookup;

	pfi_limited_child_end(arbiter, &lookup->child);
	for (size_t i = 0; i < lookup->count; i++)
		free(lookup->hosts[i]);
	free(lookup->hosts);
	*lookup = (struct pfi_lookup){ .child = PFI_NO_LIMITED_CHILD };
}

/* Names from `first` on have no address: of other programs, without which this one serves. */
static void log_unknown(struct prefork_arbiter *arbiter, const struct pfi_generation *generation, size_t first,
			const char *why)
{
	const char *const host = arbiter->lookup.hosts[first];

	pfi_arbiter_log(arbiter, PREFORK_LOG_WARNING, "lookup_failed", PFI_PAIRS(PREFORK_TEXT("host", host)),
			"Host name %s has no address%s: %s; the next reload looks it up again", host,
			pfi_names_find(&generation->peers, host) ? " now, the earlier one stays in use" : "", why);
}

/* The names of the settings in force keep their addresses. Those of other programs do until they are looked up again. */
static int keep_names(const struct prefork_arbiter *arbiter, struct pfi_generation *generation)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < arbiter->generation_count; i++) {
		if (arbiter->generations[i].settings != arbiter->settings)
			continue;
		r = pfi_names_copy(&generation->names, &arbiter->generations[i].names);
		if (r == 0)
			r = pfi_names_copy(&generation->peers, &arbiter->generations[i].peers);
	}
	return r;
}

static int collect_all(struct prefork_arbiter *arbiter, const struct pfi_generation *generation)
{
	int r = 0;

	for (unsigned p = 0; r == 0 && p < arbiter->pool_count; p++) {
		if (pfi_pool_has_listeners(&arbiter->pools[p]))
			r = collect(arbiter, generation, p);
	}
	return r;
}

static int collect_all_peers(struct prefork_arbiter *arbiter, const struct pfi_generation *generation)
{
	int r = 0;

	arbiter->lookup.required = arbiter->lookup.count;
	for (unsigned p = 0; r == 0 && p < arbiter->pool_count; p++)
		r = collect_peers(arbiter, generation, p);
	return r;
}

int pfi_lookup_start(struct prefork_arbiter *arbiter, struct pfi_generation *generation, uint64_t now_ms)
{
	bool fails = true; /* the reload, not only the lookup */
	int r = keep_names(arbiter, generation);

	if (r == 0)
		r = collect_all(arbiter, generation);
	if (r == 0) {
		r = collect_all_peers(arbiter, generation);
		fails = arbiter->lookup.required > 0 || arbiter->lookup.count == 0;
	}
	if (r == 0 && arbiter->lookup.count == 0)
		return 0;
	if (r == 0)
		r = start_helper(arbiter, generation, now_ms);
	if (r == 0) {
		log_start(arbiter);
		return 1;
	}
	if (!fails)
		log_unknown(arbiter, generation, 0, prefork_error());
	pfi_lookup_end(arbiter);
	return fails ? r : 0;
}

/* Until the helper has exited, or its limit has expired: signals do not extend it. */
static void wait_for_helper(const struct pfi_limited_child *child)
{
	struct pollfd exited = { .fd = child->helper.pidfd, .events = POLLIN };
	int r = -1;

	for (uint64_t now_ms = pfi_now_ms(); r < 0 && now_ms < child->until_ms; now_ms = pfi_now_ms()) {
		r = poll(&exited, 1, (int)(child->until_ms - now_ms));
		if (r < 0 && errno != EINTR)
			break;
	}
}

void pfi_lookup_peers(struct prefork_arbiter *arbiter, struct pfi_generation *generation)
{
	struct pfi_lookup *const lookup = &arbiter->lookup;
	int r = collect_all_peers(arbiter, generation);

	if (r == 0 && lookup->count > 0)
		r = start_helper(arbiter, generation, pfi_now_ms());
	if (r == 0 && lookup->count > 0) {
		wait_for_helper(&lookup->child);
		pfi_lookup_child_event(arbiter, generation->number);
		(void)pfi_lookup_apply(arbiter, generation);
	} else if (r < 0 && lookup->count > 0) {
		log_unknown(arbiter, generation, 0, prefork_error());
	}
	pfi_lookup_end(arbiter);
}

void pfi_lookup_child_event(struct prefork_arbiter *arbiter, uint32_t generation)
{
	if (generation == arbiter->lookup.generation)
		pfi_limited_child_event(&arbiter->lookup.child);
}

/* An address in bind that has the host name, for error messages. */
static void address_of(const struct pfi_generation *generation, const struct prefork_arbiter *arbiter, const char *host,
		       struct pfi_address *ret)
{
	for (unsigned p = 0; p < arbiter->pool_count; p++) {
		const struct prefork_list *const bind = &pfi_library_settings(generation->of_pool[p])->bind;

		for (size_t i = 0; i < bind->count; i++) {
			if (pfi_address_parse(bind->items[i], ret) == 0 &&
			    pfi_address_needs_lookup(ret) && strcmp(ret->host, host) == 0)
				return;
		}
	}
}

static int timed_out(const struct prefork_arbiter *arbiter, const char *host)
{
	return prefork_fail(-ETIMEDOUT, "no name server has responded for the host name %s within %.1f s (lookup_timeout); a "
					"numeric address needs none",
			    host, (double)arbiter->lookup.child.limit_ms / 1000);
}

/* The result for host `index`, in their order. */
static int read_result(struct prefork_arbiter *arbiter, size_t index, struct pfi_lookup_result *ret)
{
	const struct pfi_lookup *const lookup = &arbiter->lookup;

	if (pfi_helper_read(&lookup->child.helper, ret, sizeof *ret) == sizeof *ret && ret->magic == PFI_LOOKUP_MAGIC)
		return 0;
	if (!lookup->child.has_exited)
		return timed_out(arbiter, lookup->hosts[index]);
	return prefork_fail(-EAGAIN, "the host name %s was not looked up: the child that should do it failed",
			    lookup->hosts[index]);
}

static int apply_peers(struct prefork_arbiter *arbiter, struct pfi_generation *generation)
{
	const struct pfi_lookup *const lookup = &arbiter->lookup;
	struct pfi_lookup_result result;
	int r = 0;

	for (size_t i = lookup->required; r == 0 && i < lookup->count; i++) {
		r = read_result(arbiter, i, &result);
		if (r < 0)
			log_unknown(arbiter, generation, i, prefork_error());
		else if (result.error != 0)
			log_unknown(arbiter, generation, i, gai_strerror(result.error));
		else
			r = pfi_names_set(&generation->peers, lookup->hosts[i], &result);
	}
	return r == -ENOMEM ? r : 0;
}

int pfi_lookup_apply(struct prefork_arbiter *arbiter, struct pfi_generation *generation)
{
	const struct pfi_lookup *const lookup = &arbiter->lookup;
	struct pfi_address address = { .kind = PFI_ADDRESS_TCP };
	struct pfi_lookup_result result;
	int r = 0;

	for (size_t i = 0; r == 0 && i < lookup->required; i++) {
		r = read_result(arbiter, i, &result);
		if (r < 0)
			return r;
		address_of(generation, arbiter, lookup->hosts[i], &address);
		r = pfi_address_apply(&address, &result);
		if (r == 0)
			r = pfi_names_add(&generation->names, lookup->hosts[i], &result);
	}
	return r == 0 ? apply_peers(arbiter, generation) : r;
}

int prefork_process_peer(const struct prefork_process *process, const char *setting, void *address, size_t size)
{
	PFI_RETURN_IF_NULL(process, -EINVAL);
	PFI_RETURN_IF_NULL(setting, -EINVAL);
	PFI_RETURN_IF_NULL(address, -EINVAL);

	const struct pfi_generation *const generation = pfi_generation_find(process->arbiter, process->generation);
	const struct prefork_settings *const settings = generation != NULL ? generation->of_pool[process->pool] : NULL;
	const char *const text = settings != NULL ? prefork_settings_text(settings, setting) : NULL;
	const struct pfi_lookup_result *known;
	struct pfi_address peer;

	if (text == NULL)
		return -ENOENT;
	if (pfi_address_parse_peer(text, &peer) < 0)
		return -EINVAL;
	known = pfi_address_needs_lookup(&peer) ? pfi_names_find(&generation->peers, peer.host) : NULL;
	if (known != NULL && pfi_address_apply(&peer, known) < 0)
		return -EAGAIN;
	if (peer.socket_size == 0)
		return -EAGAIN;
	if (peer.socket_size > size)
		return -ENOSPC;
	memcpy(address, &peer.socket, peer.socket_size);
	return (int)peer.socket_size;
}
