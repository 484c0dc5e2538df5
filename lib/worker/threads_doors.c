/* How the strategy threads lets clients in. The doors have a lock of their own; the
 * other one is not held here. */
#include "os/clock.h"
#include "worker/threads.h"

#include <prefork/listener.h>

#include <errno.h>
#include <poll.h>

enum {
	RETRY_MS = 500, /* when memory ran out                                      */
	BELIEFS = 8,    /* clients of a crowd, from one look at the door to the next */
};

/* Whether another client waits. Where one did it is believed for a while that others do: if not,
 * the next accept will tell. */
static bool has_more(struct pfi_threads *threads, size_t index, bool accepted)
{
	const struct prefork_listener *const listener = prefork_worker_listener(threads->worker, index);
	struct pollfd door = { .fd = prefork_listener_fd(listener), .events = POLLIN };

	if (accepted && threads->beliefs > 0) {
		threads->beliefs--;
		return true;
	}
	const bool more = poll(&door, 1, 0) > 0;
	threads->beliefs = more ? BELIEFS : 0;
	return more;
}

int pfi_threads_accept(struct pfi_threads *threads, size_t index, struct prefork_connection **ret, bool *ret_more)
{
	(void)pthread_mutex_lock(&threads->door_lock);
	const bool is_open = !threads->doors.held && !threads->doors.closed;
	const int r = is_open ? pfi_doors_accept(&threads->doors, index, ret) : -EAGAIN;
	const bool full = pfi_doors_full(&threads->doors);

	if (full)
		pfi_doors_hold(&threads->doors, true);
	if (full || (r < 0 && r != -EAGAIN))
		atomic_store(&threads->doors_wait, true);
	/* -EAGAIN does not say that nobody is there: it may have been this client's fault. */
	*ret_more = (r == 0 || r == -EAGAIN) && !full && is_open && has_more(threads, index, r == 0);
	(void)pthread_mutex_unlock(&threads->door_lock);
	return r;
}

uint64_t pfi_threads_rest_doors(struct pfi_threads *threads)
{
	(void)pthread_mutex_lock(&threads->door_lock);
	pfi_doors_hold(&threads->doors, true);
	atomic_store(&threads->doors_wait, true);
	(void)pthread_mutex_unlock(&threads->door_lock);
	return pfi_now_ms() + RETRY_MS;
}

void pfi_threads_look_at_doors(struct pfi_threads *threads)
{
	(void)pthread_mutex_lock(&threads->door_lock);
	pfi_doors_look(&threads->doors);
	(void)pthread_mutex_unlock(&threads->door_lock);
}

uint64_t pfi_threads_mind_doors(struct pfi_threads *threads)
{
	atomic_thread_fence(memory_order_seq_cst);
	if (!atomic_load(&threads->doors_wait))
		return 0;
	(void)pthread_mutex_lock(&threads->door_lock);
	const bool full = pfi_doors_full(&threads->doors);

	pfi_doors_hold(&threads->doors, full);
	const uint64_t again_ms = pfi_doors_refresh(&threads->doors);
	atomic_store(&threads->doors_wait, full || again_ms > 0);
	(void)pthread_mutex_unlock(&threads->door_lock);
	return again_ms;
}
