/* Adds the listeners of a worker to its epoll set, with EPOLLEXCLUSIVE, and moves them to the end of the kernel's
 * wait queue. */
#include "worker/accept_set.h"

#include "listener/listener.h"
#include "model/library_options.h"
#include "os/clock.h"
#include "worker/accept_shortage.h"
#include "worker/worker.h"

#include <prefork/error.h>
#include <prefork/listener.h>
#include <prefork/strategy.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

enum {
	RETRY_MS = 500, /* after ENOMEM or ENOSPC of epoll_ctl(2) */
	BATCH_MAX = 8,  /* more would delay the connections that the worker already has */
};

static int listener_fd(const struct pfi_accept_set *accept_set, size_t index)
{
	return prefork_listener_fd(prefork_worker_listener(accept_set->worker, index));
}

static int watch(struct pfi_accept_set *accept_set, size_t index)
{
	/* The descriptor of a group of reuseport sockets is an epoll set that only this worker polls, and EPOLLEXCLUSIVE
	 * is EINVAL for an epoll set (epoll_ctl(2)). */
	const bool is_shared = !prefork_worker_listener(accept_set->worker, index)->sockets;
	struct epoll_event event = {
		.events = (is_shared ? EPOLLIN | EPOLLEXCLUSIVE : EPOLLIN) | accept_set->traits,
		.data.u64 = accept_set->keys ? accept_set->keys[index] : index,
	};

	if (accept_set->watched[index])
		return 0;
	if (epoll_ctl(accept_set->epoll, EPOLL_CTL_ADD, listener_fd(accept_set, index), &event) < 0)
		return prefork_fail(-errno, "adding a listener to the epoll set failed: %s", strerror(errno));
	accept_set->watched[index] = true;
	return 0;
}

/* Call it before the descriptor is closed: the entry would stay for as long as a sibling has a copy of the
 * open file description (epoll(7), Q6). */
static void unwatch(struct pfi_accept_set *accept_set, size_t index)
{
	if (accept_set->watched[index])
		(void)epoll_ctl(accept_set->epoll, EPOLL_CTL_DEL, listener_fd(accept_set, index), NULL);
	accept_set->watched[index] = false;
}

/* Returns whether any entry was there. */
static bool unwatch_all(struct pfi_accept_set *accept_set)
{
	bool any = false;

	for (size_t i = 0; i < accept_set->count; i++) {
		any |= accept_set->watched[i];
		unwatch(accept_set, i);
	}
	return any;
}

int pfi_accept_set_open(struct pfi_accept_set *accept_set, struct prefork_worker *worker, int epoll, uint32_t traits)
{
	*accept_set = (struct pfi_accept_set){
		.worker = worker, .epoll = epoll, .traits = traits, .count = prefork_worker_listeners(worker),
		.connections_max = pfi_worker_settings(worker)->worker_connections,
	};
	if (accept_set->count > PFI_ACCEPT_SET_MAX)
		return prefork_fail(-E2BIG, "%zu listeners, more than %d", accept_set->count, (int)PFI_ACCEPT_SET_MAX);
	accept_set->watched = calloc(accept_set->count + 1, sizeof *accept_set->watched);
	if (!accept_set->watched)
		return prefork_fail(-ENOMEM, "no memory for %zu listeners", accept_set->count);
	for (size_t i = 0; i < accept_set->count; i++) {
		const int r = watch(accept_set, i);

		if (r < 0) {
			pfi_accept_set_finish(accept_set);
			return r;
		}
	}
	return 0;
}

void pfi_accept_set_forget(struct pfi_accept_set *accept_set)
{
	for (size_t i = 0; i < accept_set->count; i++)
		accept_set->watched[i] = false;
	accept_set->needs_refresh = true;
}

void pfi_accept_set_move(struct pfi_accept_set *accept_set, int epoll, const uint64_t *keys)
{
	(void)unwatch_all(accept_set);
	accept_set->epoll = epoll;
	accept_set->keys = keys;
	accept_set->needs_refresh = true;
}

void pfi_accept_set_finish(struct pfi_accept_set *accept_set)
{
	if (accept_set->watched && !accept_set->closed)
		(void)unwatch_all(accept_set);
	free(accept_set->watched);
	accept_set->watched = NULL;
	accept_set->count = 0;
}

/* Move to the end of the wait queue of every listener. */
static void requeue(struct pfi_accept_set *accept_set)
{
	accept_set->since_requeue = 0;
	for (size_t i = 0; i < accept_set->count; i++) {
		if (!accept_set->watched[i])
			continue;
		unwatch(accept_set, i);
		if (watch(accept_set, i) < 0)
			accept_set->needs_refresh = true;
	}
}

int pfi_accept_set_accept(struct pfi_accept_set *accept_set, size_t index, struct prefork_connection **ret)
{
	const int r = prefork_worker_accept(accept_set->worker, index, ret);

	switch (r) {
	case 0:
		if (++accept_set->since_requeue >= PFI_REQUEUE_AFTER)
			requeue(accept_set);
		break;
	case -EAGAIN:
		break;
	case -EBUSY:
		/* The pending connection has woken this worker only. Once the entries are removed, no connection
		 * can wake it, and the arbiter makes the siblings check their listeners. See shortage.h. */
		if (unwatch_all(accept_set))
			pfi_shortage_publish(accept_set->worker);
		accept_set->needs_refresh = true;
		break;
	default:
		unwatch(accept_set, index);
		break;
	}
	return r;
}

unsigned pfi_accept_set_batch(const struct pfi_accept_set *accept_set)
{
	const bool checks_backlog = accept_set->since_requeue == 0;

	return accept_set->has_backlog ? BATCH_MAX : checks_backlog ? 2 : 1;
}

void pfi_accept_set_note_batch(struct pfi_accept_set *accept_set, unsigned count)
{
	accept_set->has_backlog = count > 1;
}

void pfi_accept_set_pause(struct pfi_accept_set *accept_set, bool paused)
{
	if (accept_set->paused == paused || accept_set->closed)
		return;
	accept_set->paused = paused;
	accept_set->needs_refresh = true;
	if (paused)
		(void)unwatch_all(accept_set);
}

void pfi_accept_set_rearm(struct pfi_accept_set *accept_set)
{
	/* EPOLL_CTL_ADD checks the listener's state, whether or not another worker was woken for it. */
	if (atomic_exchange(&accept_set->worker->poll_requested, false) && !accept_set->closed)
		requeue(accept_set);
}

uint64_t pfi_accept_set_restore(struct pfi_accept_set *accept_set)
{
	if (atomic_load_explicit(&accept_set->worker->poll_requested, memory_order_relaxed))
		pfi_accept_set_rearm(accept_set);
	if (!accept_set->needs_refresh || accept_set->paused || accept_set->closed)
		return 0;
	const uint64_t now_ms = pfi_now_ms();
	if (pfi_shortage_persists(accept_set->worker, now_ms))
		return prefork_worker_accept_retry_ms(accept_set->worker);
	accept_set->needs_refresh = false;
	for (size_t i = 0; i < accept_set->count; i++) {
		if (watch(accept_set, i) < 0)
			accept_set->needs_refresh = true;
	}
	return accept_set->needs_refresh ? now_ms + RETRY_MS : 0;
}

void pfi_accept_set_close(struct pfi_accept_set *accept_set)
{
	if (accept_set->closed)
		return;
	(void)unwatch_all(accept_set);
	accept_set->closed = true;
	prefork_worker_close_listeners(accept_set->worker);
}
