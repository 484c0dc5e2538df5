/*
 *   pfi_reload --> new host names? --no--> continue
 *                     | yes
 *                  helper runs --> exits: apply its results, continue
 *                     '--> time limit, stop, another reload: killed, and the reload has its verdict
 */
#include "arbiter/lookups.h"

#include "arbiter/arbiter.h"
#include "config.h"
#include "listener/listener.h"
#include "os/reap.h"
#include "os/spawn.h"

#include <prefork/error.h>

#include <errno.h>
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

	for (size_t i = 0; i < lookup->count; i++) {
		if (strcmp(lookup->hosts[i], host) == 0)
			return 0;
	}
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
		return prefork_fail(-ENOENT, "bind has the new host name %s, and nothing can look it up: a process with %d "
					     "threads needs %s for that (%s); use a numeric address, or restart",
				    lookup->hosts[0], threads, pfi_lookup_program, strerror(errno));
	}
	argv[0] = (char *)(uintptr_t)pfi_lookup_program;
	for (size_t i = 0; i < lookup->count; i++)
		argv[i + 1] = lookup->hosts[i];

	const int r = pfi_helper_exec(pfi_lookup_program, argv, &lookup->helper);

	free(argv);
	return r;
}

static int start_helper(struct prefork_arbiter *arbiter, const struct pfi_generation *generation, uint64_t now_ms)
{
	struct pfi_lookup *const lookup = &arbiter->lookup;
	const int threads = pfi_thread_count();
	int r;

	if (!pfi_killed_has_space(arbiter))
		return prefork_fail(-EAGAIN, "too many children that were killed have not exited yet");
	r = threads == 1 ? pfi_helper_fork(look_up, lookup, &lookup->helper) : start_program(arbiter, threads);
	if (r < 0)
		return r;
	r = pfi_loop_add(arbiter, lookup->helper.pidfd,
			 (struct pfi_tag){ PFI_SOURCE_LOOKUP, 0, generation->number });
	if (r < 0)
		return r;
	lookup->limit_ms = pfi_library_settings(generation->settings)->lookup_timeout_ms;
	lookup->until_ms = now_ms + lookup->limit_ms;
	lookup->generation = generation->number;
	pfi_arbiter_log(arbiter, PREFORK_LOG_INFO, "lookup",
			PFI_PAIRS(PREFORK_TEXT("host", lookup->hosts[0]), PREFORK_NUMBER("hosts", lookup->count)),
			"The reload looks up the host name %s%s, for %.1f s at most", lookup->hosts[0],
			lookup->count > 1 ? " and others" : "", (double)lookup->limit_ms / 1000);
	return 0;
}

void pfi_lookup_end(struct prefork_arbiter *arbiter)
{
	struct pfi_lookup *const lookup = &arbiter->lookup;

	if (lookup->helper.pid != 0) {
		pfi_loop_remove(arbiter, lookup->helper.pidfd);
		if (lookup->helper.pidfd >= 0 && !lookup->has_exited)
			pfi_killed_add(arbiter, &lookup->helper.pidfd);
		pfi_helper_close(&lookup->helper);
	}
	for (size_t i = 0; i < lookup->count; i++)
		free(lookup->hosts[i]);
	free(lookup->hosts);
	*lookup = (struct pfi_lookup){ .helper = { .pidfd = -1, .fd = -1 } };
}

int pfi_lookup_start(struct prefork_arbiter *arbiter, struct pfi_generation *generation, uint64_t now_ms)
{
	int r = 0;

	/* The names of the settings in force keep their addresses. */
	for (size_t i = 0; r == 0 && i < arbiter->generation_count; i++) {
		if (arbiter->generations[i].settings == arbiter->settings)
			r = pfi_names_copy(&generation->names, &arbiter->generations[i].names);
	}
	for (unsigned p = 0; r == 0 && p < arbiter->pool_count; p++) {
		if (pfi_pool_has_listeners(&arbiter->pools[p]))
			r = collect(arbiter, generation, p);
	}
	if (r == 0 && arbiter->lookup.count == 0)
		return 0;
	if (r == 0)
		r = start_helper(arbiter, generation, now_ms);
	if (r < 0)
		pfi_lookup_end(arbiter);
	return r < 0 ? r : 1;
}

void pfi_lookup_child_event(struct prefork_arbiter *arbiter, uint32_t generation)
{
	struct pfi_lookup *const lookup = &arbiter->lookup;
	struct pfi_exit_status status;

	if (generation == lookup->generation && !lookup->has_exited)
		lookup->has_exited = pfi_reap(lookup->helper.pidfd, &status) != -EAGAIN;
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

int pfi_lookup_apply(struct prefork_arbiter *arbiter, struct pfi_generation *generation)
{
	const struct pfi_lookup *const lookup = &arbiter->lookup;
	struct pfi_address address = { .kind = PFI_ADDRESS_TCP };
	struct pfi_lookup_result result;
	int r = 0;

	for (size_t i = 0; r == 0 && i < lookup->count; i++) {
		if (pfi_helper_read(&lookup->helper, &result, sizeof result) != sizeof result ||
		    result.magic != PFI_LOOKUP_MAGIC)
			return prefork_fail(-EAGAIN, "the host name %s was not looked up: the child that should do it failed",
					    lookup->hosts[i]);
		address_of(generation, arbiter, lookup->hosts[i], &address);
		r = pfi_address_apply(&address, &result);
		if (r == 0)
			r = pfi_names_add(&generation->names, lookup->hosts[i], &result);
	}
	return r;
}

int pfi_lookup_timed_out(const struct prefork_arbiter *arbiter)
{
	return prefork_fail(-ETIMEDOUT, "no name server has responded for the host name %s within %.1f s (lookup_timeout); a "
					"numeric address needs none",
			    arbiter->lookup.hosts[0], (double)arbiter->lookup.limit_ms / 1000);
}
