/*
 * own_fds -- the descriptors without which a worker can neither serve nor be stopped.
 *
 * An application may close descriptors that are not its own (os.closerange(3, 256) of a recipe for
 * daemons). epoll drops a descriptor that is closed without a word, and a poll of a closed one
 * returns at once: such a worker would be deaf, or burn a core, and never be replaced. So the
 * worker looks at them after callbacks, at most every 100 ms, and where its own wait fails; when
 * one is gone the worker ends at once, and the arbiter finds the reason in the shared page.
 * It is not told by a message or a log line: those numbers may be the application's by now.
 *
 * Threads: add and clear by the first thread while no other calls back; the rest by any.
 */
#ifndef WORKER_OWN_FDS_H
#define WORKER_OWN_FDS_H

#include "worker/worker.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Descriptors that this worker has from its birth, and listeners. 0 or -ENOMEM. */
int pfi_own_fds_open(struct prefork_worker *worker);

/* One more; `name` ("epoll set") lives as long as the program. Beyond a bound it is not looked at. */
void pfi_own_fds_add(struct prefork_worker *worker, int fd, const char *name);

/* From here on they may be closed: the worker ends. */
void pfi_own_fds_clear(struct prefork_worker *worker);
void pfi_own_fds_close(struct prefork_worker *worker);

/* 0, or -EBADF with a message that names what is closed. */
int pfi_own_fds_verify(const struct prefork_worker *worker);

/* The check itself. */
void pfi_own_fds_check_now(struct prefork_worker *worker);
enum { PFI_OWN_FDS_MS = 100 };

static inline bool pfi_own_fds_check_is_deferred(const struct prefork_worker *worker)
{
	return atomic_load_explicit(&worker->own_fds.check_deferred, memory_order_relaxed);
}

static inline void pfi_own_fds_defer_check(struct prefork_worker *worker)
{
	if (!pfi_own_fds_check_is_deferred(worker)) /* threads share the line */
		atomic_store_explicit(&worker->own_fds.check_deferred, true, memory_order_relaxed);
}

/* The same, unless another thread is doing it: the last check was at `before_ms`. */
void pfi_own_fds_check_once(struct prefork_worker *worker, uint64_t before_ms, uint64_t since_ms);

/* After work that began at `since_ms`: look, and end the worker if one is gone. Standard descriptors
 * that are closed become /dev/null again. Where another look was less than PFI_OWN_FDS_MS ago there is
 * none, and if there was a callback it is put off: who waits next waits for so long at most, and looks if
 * nothing has come. */
static inline void pfi_own_fds_check(struct prefork_worker *worker, uint64_t since_ms, bool was_callback)
{
	const uint64_t before_ms = atomic_load_explicit(&worker->own_fds.checked_ms, memory_order_relaxed);

	if (since_ms - before_ms >= PFI_OWN_FDS_MS)
		pfi_own_fds_check_once(worker, before_ms, since_ms);
	else if (was_callback)
		pfi_own_fds_defer_check(worker);
}

/* A wait of the worker's own has failed: end it. Other threads that are in a callback have a second to
 * come back, and whatever else is lost with the process. */
_Noreturn void pfi_own_fds_lost(struct prefork_worker *worker);

/* Leave `text` for the arbiter, which reads it when this worker is dead and has said nothing else. */
void pfi_exit_note(struct prefork_worker *worker, const char *text);

#endif
