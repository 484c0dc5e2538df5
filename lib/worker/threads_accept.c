/* How the strategy threads lets clients in. The listeners have a lock of their own; the
 * other one is not held here. */
#include "os/clock.h"
#include "worker/threads.h"

#include <prefork/listener.h>

#include <errno.h>
#include <poll.h>

enum {
	RETRY_MS = 500, /* when memory ran out                                      */
	ASSUMED_MAX = 8,    /* clients of a crowd, from one look at the waiting to the next */
};

/* Whether another client waits. Where one did it is believed for a while that others do: if not,
 * the next accept will tell. */
static bool has_more(struct pfi_threads *threads, size_t index, bool accepted)
{
	const struct prefork_listener *const listener = prefork_worker_listener(threads->worker, index);
	struct pollfd waiting = { .fd = prefork_listener_fd(listener), .events = POLLIN };

	if (accepted && threads->assumed_more > 0) {
		threads->assumed_more--;
		return true;
	}
	const bool more = poll(&waiting, 1, 0) > 0;
	threads->assumed_more = more ? ASSUMED_MAX : 0;
	return more;
}

/* Whether a connection may be accepted, though the worker may be at its limit. While it is not in the accept set
 * the kernel wakes siblings; but each of its threads may have been woken before, for a connection of its own:
 *
 *     connection 1 -> wakes thread 1              thread 1 accepts it: the worker is at its limit
 *     connection 2 -> wakes thread 2, no sibling  thread 2 must accept it, or no worker does
 *
 * (Or thread 1 does, if thread 2 found that the event was delivered already.) So the number of threads is the bound
 * above the limit. */
static bool may_accept(const struct pfi_threads *threads)
{
	const struct pfi_accept_set *const accept_set = &threads->accept_set;

	if (accept_set->closed || (accept_set->paused && !pfi_accept_set_full(accept_set))) /* memory ran out */
		return false;
	return prefork_worker_connections(threads->worker) < accept_set->connections_max + threads->count;
}

int pfi_threads_accept(struct pfi_threads *threads, size_t index, struct prefork_connection **ret, bool *ret_more)
{
	(void)pthread_mutex_lock(&threads->accept_lock);
	const bool is_open = may_accept(threads);
	const int r = is_open ? pfi_accept_set_accept(&threads->accept_set, index, ret) : -EAGAIN;
	const bool full = pfi_accept_set_full(&threads->accept_set);

	if (full)
		pfi_accept_set_pause(&threads->accept_set, true);
	if (full || (r < 0 && r != -EAGAIN))
		atomic_store(&threads->accept_paused, true);
	/* -EAGAIN does not say that nobody is there: it may have been this client's fault. */
	*ret_more = (r == 0 || r == -EAGAIN) && is_open && may_accept(threads) && has_more(threads, index, r == 0);
	(void)pthread_mutex_unlock(&threads->accept_lock);
	return r;
}

uint64_t pfi_threads_pause_accept(struct pfi_threads *threads)
{
	(void)pthread_mutex_lock(&threads->accept_lock);
	pfi_accept_set_pause(&threads->accept_set, true);
	atomic_store(&threads->accept_paused, true);
	(void)pthread_mutex_unlock(&threads->accept_lock);
	return pfi_now_ms() + RETRY_MS;
}

void pfi_threads_rearm_listeners(struct pfi_threads *threads)
{
	(void)pthread_mutex_lock(&threads->accept_lock);
	pfi_accept_set_rearm(&threads->accept_set);
	(void)pthread_mutex_unlock(&threads->accept_lock);
}

uint64_t pfi_threads_refresh_accept(struct pfi_threads *threads)
{
	atomic_thread_fence(memory_order_seq_cst);
	if (!atomic_load(&threads->accept_paused))
		return 0;
	(void)pthread_mutex_lock(&threads->accept_lock);
	const bool full = pfi_accept_set_full(&threads->accept_set);

	pfi_accept_set_pause(&threads->accept_set, full);
	const uint64_t again_ms = pfi_accept_set_refresh(&threads->accept_set);
	atomic_store(&threads->accept_paused, full || again_ms > 0);
	(void)pthread_mutex_unlock(&threads->accept_lock);
	return again_ms;
}
