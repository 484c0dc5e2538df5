#include "arbiter/resource_limits.h"

#include "arbiter/arbiter.h"
#include "listener/listener.h"
#include "os/fd.h"
#include "os/spawn.h"

#include <prefork/error.h>

#include <errno.h>
#include <string.h>

/* Workers inherit the limit. A worker that reaches it pauses accepting, so a low limit is a warning, not an error. */
static void reserve_for_connections(const struct prefork_arbiter *arbiter, uint64_t base)
{
	uint64_t limit = 0, most = 0;

	for (unsigned i = 0; i < arbiter->pool_count; i++) {
		const uint32_t connections = pfi_library_settings(arbiter->generations[0].of_pool[i])->worker_connections;

		if (pfi_pool_has_listeners(&arbiter->pools[i]) && connections > most)
			most = connections;
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

int pfi_resource_limits_reserve(const struct prefork_arbiter *arbiter)
{
	uint64_t limit = 0;
	/* Per worker a pidfd, a control channel, a watchdog timer, and one to spare; 64 for everything else. */
	uint64_t wanted = 64 + 4 * (uint64_t)arbiter->processes_max;

	for (size_t i = 0; i < arbiter->listeners.count; i++) {
		const struct prefork_listener *const listener = arbiter->listeners.list[i]->listener;

		if (listener->sockets != NULL) /* the sockets, and an epoll set of them for each worker */
			wanted += arbiter->processes_max + listener->socket_count;
	}

	const int r = pfi_fd_reserve(wanted, &limit);

	if (r < 0 && r != -EMFILE) /* most likely by a seccomp filter: the limit is not known */
		return prefork_fail(r, "the limit of open files (RLIMIT_NOFILE) cannot be read, getrlimit is refused: %s",
				    strerror(-r));
	if (r < 0)
		return prefork_fail(r,
				    "RLIMIT_NOFILE is %llu, but the arbiter needs %llu descriptors for workers_max workers: "
				    "raise the limit (ulimit -n, LimitNOFILE= of systemd) or lower workers_max",
				    (unsigned long long)limit, (unsigned long long)wanted);
	reserve_for_connections(arbiter, wanted);
	return 0;
}

void pfi_resource_limits_check_threads(const struct prefork_arbiter *arbiter)
{
	const int threads = pfi_thread_count();

	if (threads > 1)
		pfi_arbiter_log(arbiter, PREFORK_LOG_WARNING, "threads", PFI_PAIRS(PREFORK_NUMBER("threads", threads)),
				"Forking with %d threads running: a lock that another thread holds stays locked in the workers "
				"(docs/fork-safety.md)", threads);
}
