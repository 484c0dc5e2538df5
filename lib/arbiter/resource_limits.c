/* Checks at the start: raises RLIMIT_NOFILE to what arbiter and workers need, and warns if threads run before the
 * fork. */
#include "arbiter/resource_limits.h"

#include "arbiter/arbiter.h"
#include "listener/listener.h"
#include "os/fd.h"
#include "os/spawn.h"

#include <prefork/error.h>

#include <errno.h>
#include <string.h>

enum {
	FDS_PER_WORKER = 4, /* pidfd, control channel, watchdog timer, and a spare one             */
	FDS_TO_SPARE = 16,  /* while a worker is forked, for a reload, and of the application      */
	FDS_UNKNOWN = 48,   /* open at the start where /proc is missing                            */
};

/* Workers inherit the limit, unless their pool sets its own (rlimit_nofile). A worker that reaches it pauses accepting, so a low limit is a warning, not an error. */
static void reserve_for_connections(const struct prefork_arbiter *arbiter, uint64_t base)
{
	uint64_t limit = 0, most = 0;

	for (unsigned i = 0; i < arbiter->pool_count; i++) {
		const struct pfi_library_settings *const values = pfi_library_settings(arbiter->generations[0].of_pool[i]);

		if (values->rlimit_nofile == NULL && pfi_pool_has_listeners(&arbiter->pools[i]) &&
		    values->worker_connections > most)
			most = values->worker_connections;
	}
	if (most == 0)
		return;
	/* Two per connection: output for a slow client may go to a file. Without that file a thread waits instead. */
	(void)pfi_fd_reserve(base + 2 * most, &limit);
	if (limit < base + most)
		pfi_arbiter_log(arbiter, PREFORK_LOG_WARNING, "limit_nofile",
				PFI_PAIRS(PREFORK_NUMBER("limit", limit), PREFORK_NUMBER("wanted", base + most)),
				"RLIMIT_NOFILE is %llu: too low for %llu connections per worker (worker_connections); raise "
				"the limit (ulimit -n, LimitNOFILE= of systemd) or lower worker_connections",
				(unsigned long long)limit, (unsigned long long)most);
}

/* How many descriptors the arbiter needs with `more` workers beside those that are wanted now. During a reload `surge`
 * workers and a canary run beside them. */
static uint64_t count_needed(const struct prefork_arbiter *arbiter, uint64_t more)
{
	uint64_t workers = more, per_worker = FDS_PER_WORKER;

	for (unsigned i = 0; i < arbiter->pool_count; i++)
		workers += (uint64_t)arbiter->models[i].target + arbiter->models[i].policy.surge + 1;
	for (size_t i = 0; i < arbiter->listeners.count; i++)
		per_worker += arbiter->listeners.list[i]->listener->sockets != NULL; /* an epoll set of them */
	return arbiter->limits.fds_at_start + FDS_TO_SPARE + workers * per_worker;
}

static uint64_t count_workers(const struct prefork_arbiter *arbiter)
{
	uint64_t workers = 0;

	for (unsigned i = 0; i < arbiter->pool_count; i++)
		workers += arbiter->models[i].target;
	return workers;
}

int pfi_resource_limits_raise(const struct prefork_arbiter *arbiter, uint64_t more)
{
	const uint64_t needed = count_needed(arbiter, more);
	uint64_t limit = 0;
	const int r = pfi_fd_reserve(needed, &limit);

	if (r != -EMFILE)
		return r;
	return prefork_fail(r,
			    "RLIMIT_NOFILE is %llu, but the arbiter needs %llu descriptors for %llu workers: raise the limit "
			    "(ulimit -n, LimitNOFILE= of systemd) or run fewer workers",
			    (unsigned long long)limit, (unsigned long long)needed,
			    (unsigned long long)(count_workers(arbiter) + more));
}

int pfi_resource_limits_reserve(struct prefork_arbiter *arbiter)
{
	const int count = pfi_fd_count();
	int r;

	arbiter->limits.fds_at_start = count > 0 ? (unsigned)count : FDS_UNKNOWN;
	r = pfi_resource_limits_raise(arbiter, 0);
	if (r < 0 && r != -EMFILE) /* most likely by a seccomp filter: the limit is not known */
		return prefork_fail(r, "the limit of open files (RLIMIT_NOFILE) cannot be read, getrlimit is refused: %s",
				    strerror(-r));
	if (r == 0)
		reserve_for_connections(arbiter, count_needed(arbiter, 0));
	return r;
}

void pfi_resource_limits_check_threads(const struct prefork_arbiter *arbiter)
{
	const int threads = pfi_thread_count();

	if (threads > 1)
		pfi_arbiter_log(arbiter, PREFORK_LOG_WARNING, "threads", PFI_PAIRS(PREFORK_NUMBER("threads", threads)),
				"Forking with %d threads running: a lock that another thread holds stays locked in the workers "
				"(docs/fork-safety.md)", threads);
}
