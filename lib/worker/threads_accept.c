/*
 * How the strategy threads accepts. `accept_lock` is taken here; `lock` is not held.
 */
#include "os/clock.h"
#include "worker/threads.h"

#include <prefork/listener.h>

#include <errno.h>
#include <poll.h>

enum {
	RETRY_MS = 500,       /* after an accept without memory for a connection state    */
	ACCEPTS_PER_POLL = 8, /* successful accepts after one poll(2) that found a backlog */
};

/* Whether the backlog has more connections. After one poll(2) that found some, the next accepts
 * assume that there are: a wrong assumption costs one accept4 that returns EAGAIN, a poll(2) costs
 * one system call per connection. */
static bool has_more(struct pfi_threads *threads, size_t index, bool accepted)
{
	const struct prefork_listener *const listener = prefork_worker_listener(threads->worker, index);
	struct pollfd pending = { .fd = prefork_listener_fd(listener), .events = POLLIN };

	if (accepted && threads->accepts_until_poll > 0) {
		threads->accepts_until_poll--;
		return true;
	}
	const bool more = poll(&pending, 1, 0) > 0;
	threads->accepts_until_poll = more ? ACCEPTS_PER_POLL : 0;
	return more;
}

/* Whether a connection may be accepted, even if the worker is at its limit (worker_connections).
 * While the worker is not in the accept set, the kernel wakes other workers, but it may have woken
 * several threads of this one before:
 *
 *     connection 1 -> wakes thread 1              thread 1 accepts it: the worker is at its limit
 *     connection 2 -> wakes thread 2 only         thread 2 must accept it, or no worker does
 *
 * (Or thread 1 does, if epoll_wait has delivered both events to it.) So the limit is exceeded by at
 * most the number of threads. */
static bool may_accept(const struct pfi_threads *threads)
{
	const struct pfi_accept_set *const accept_set = &threads->accept_set;

	if (accept_set->closed || (accept_set->paused && !pfi_accept_set_full(accept_set))) /* paused for lack of memory */
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
	/* -EAGAIN does not mean that the backlog is empty: prefork_worker_accept() returns it
	 * after errors of single connections, too, and an edge-triggered listener is not
	 * reported again. */
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
	/* This thread has closed a connection before; a thread that pauses because the worker is
	 * full stores accept_paused and then counts the connections here. With the fence, one of
	 * the two sees the other. */
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
