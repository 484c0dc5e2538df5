/*
 * own_fds -- the descriptors that a worker needs to serve and to be stopped.
 *
 * An application may close descriptors that are not its own (os.closerange(3, 256), as in recipes for
 * daemons). The kernel then removes the entry from epoll sets without an event, and poll(2) of a closed
 * descriptor returns at once: the worker would miss requests and messages, or use all of a core, and
 * would not be replaced. So the worker checks its descriptors after callbacks, at most every
 * PFI_OWN_FDS_MS, and when one of its polls fails. If one is closed, the worker exits at once. The
 * reason is in the exit note of the scoreboard, not in a message or a log line: the numbers of the
 * channel and the log may refer to files of the application by now.
 *
 * Threads: pfi_own_fds_add() and pfi_own_fds_clear() by the first thread while no other thread is in a
 * callback; the rest by any thread.
 */
#ifndef WORKER_OWN_FDS_H
#define WORKER_OWN_FDS_H

#include "worker/worker.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Lists the descriptors of the spawn context, of the control events, the listeners, and the logs. 0 or -ENOMEM. */
int pfi_own_fds_open(struct prefork_worker *worker);

/* Lists one more. `name` ("epoll set") is static. If the list is full, the descriptor is not checked. */
void pfi_own_fds_add(struct prefork_worker *worker, int fd, const char *name);

/* The worker exits and closes them itself: check none from now on. */
void pfi_own_fds_clear(struct prefork_worker *worker);
void pfi_own_fds_close(struct prefork_worker *worker);

/* 0, or -EBADF with an error message that names what is closed. */
int pfi_own_fds_verify(const struct prefork_worker *worker);

/* Checks all, and exits the worker if one is closed. Standard descriptors that are closed become
 * /dev/null. */
void pfi_own_fds_check_now(struct prefork_worker *worker);
enum { PFI_OWN_FDS_MS = 100 };

static inline bool pfi_own_fds_check_is_deferred(const struct prefork_worker *worker)
{
	return atomic_load_explicit(&worker->own_fds.check_deferred, memory_order_relaxed);
}

static inline void pfi_own_fds_defer_check(struct prefork_worker *worker)
{
	if (!pfi_own_fds_check_is_deferred(worker)) /* without a store if it is set: threads share the cache line */
		atomic_store_explicit(&worker->own_fds.check_deferred, true, memory_order_relaxed);
}

/* As pfi_own_fds_check_now(), unless another thread has started a check since `before_ms` was read. */
void pfi_own_fds_check_once(struct prefork_worker *worker, uint64_t before_ms, uint64_t since_ms);

/* The check after work that began at `since_ms`. If the last check was less than PFI_OWN_FDS_MS ago, it is
 * deferred (only after a callback): the thread that polls next polls for at most PFI_OWN_FDS_MS, and checks
 * if nothing was readable. */
static inline void pfi_own_fds_check(struct prefork_worker *worker, uint64_t since_ms, bool was_callback)
{
	const uint64_t before_ms = atomic_load_explicit(&worker->own_fds.checked_ms, memory_order_relaxed);

	if (since_ms - before_ms >= PFI_OWN_FDS_MS)
		pfi_own_fds_check_once(worker, before_ms, since_ms);
	else if (was_callback)
		pfi_own_fds_defer_check(worker);
}

/* A poll of the worker's own descriptors has failed, or a check has found one closed: exit. Other threads have
 * 1 s to return from their callbacks. */
_Noreturn void pfi_own_fds_lost(struct prefork_worker *worker);

/* Stores `text` in the scoreboard. The arbiter uses it as the reason of the exit if the worker has sent none. */
void pfi_exit_note(struct prefork_worker *worker, const char *text);

#endif
