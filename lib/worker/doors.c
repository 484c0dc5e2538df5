#include "worker/doors.h"

#include "listener/listener.h"
#include "os/clock.h"
#include "worker/shortage.h"
#include "worker/worker.h"

#include <prefork/error.h>
#include <prefork/listener.h>
#include <prefork/strategy.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

enum {
	RETRY_MS = 500, /* when the kernel had no memory for another watch */
	CONNECTIONS_MAX = 1000, /* without settings */
	SHARE_MAX = 8, /* of a crowd: those that were let in before want their turn, too */
};

static int door_fd(const struct pfi_doors *doors, size_t index)
{
	return prefork_listener_fd(prefork_worker_listener(doors->worker, index));
}

static int show(struct pfi_doors *doors, size_t index)
{
	/* A set of lanes is this worker's alone, and the kernel would not take the flag for it. */
	const bool is_shared = !prefork_worker_listener(doors->worker, index)->lanes;
	struct epoll_event event = {
		.events = (is_shared ? EPOLLIN | EPOLLEXCLUSIVE : EPOLLIN) | doors->traits,
		.data.u64 = doors->keys ? doors->keys[index] : index,
	};

	if (doors->watched[index])
		return 0;
	if (epoll_ctl(doors->epoll, EPOLL_CTL_ADD, door_fd(doors, index), &event) < 0)
		return prefork_fail(-errno, "cannot watch a listener: %s", strerror(errno));
	doors->watched[index] = true;
	return 0;
}

/* Before the descriptor is closed: its siblings' copies would keep it in the set. */
static void hide(struct pfi_doors *doors, size_t index)
{
	if (doors->watched[index])
		(void)epoll_ctl(doors->epoll, EPOLL_CTL_DEL, door_fd(doors, index), NULL);
	doors->watched[index] = false;
}

/* Whether any was in the set. */
static bool hide_all(struct pfi_doors *doors)
{
	bool any = false;

	for (size_t i = 0; i < doors->count; i++) {
		any |= doors->watched[i];
		hide(doors, i);
	}
	return any;
}

int pfi_doors_open(struct pfi_doors *doors, struct prefork_worker *worker, int epoll, uint32_t traits)
{
	*doors = (struct pfi_doors){
		.worker = worker, .epoll = epoll, .traits = traits, .count = prefork_worker_listeners(worker),
		.connections_max = (size_t)pfi_worker_number(worker, "worker_connections", CONNECTIONS_MAX),
	};
	if (doors->count > PFI_DOORS_MAX)
		return prefork_fail(-E2BIG, "%zu listeners, more than %d", doors->count, (int)PFI_DOORS_MAX);
	doors->watched = calloc(doors->count + 1, sizeof *doors->watched);
	if (!doors->watched)
		return prefork_fail(-ENOMEM, "no memory for %zu listeners", doors->count);
	for (size_t i = 0; i < doors->count; i++) {
		const int r = show(doors, i);

		if (r < 0) {
			pfi_doors_finish(doors);
			return r;
		}
	}
	return 0;
}

void pfi_doors_forget(struct pfi_doors *doors)
{
	for (size_t i = 0; i < doors->count; i++)
		doors->watched[i] = false;
	doors->incomplete = true;
}

void pfi_doors_move(struct pfi_doors *doors, int epoll, const uint64_t *keys)
{
	(void)hide_all(doors);
	doors->epoll = epoll;
	doors->keys = keys;
	doors->incomplete = true;
}

void pfi_doors_finish(struct pfi_doors *doors)
{
	if (doors->watched && !doors->closed)
		(void)hide_all(doors);
	free(doors->watched);
	doors->watched = NULL;
	doors->count = 0;
}

/* To the back of the queue of every listener. */
static void queue_again(struct pfi_doors *doors)
{
	doors->turn = 0;
	for (size_t i = 0; i < doors->count; i++) {
		if (!doors->watched[i])
			continue;
		hide(doors, i);
		if (show(doors, i) < 0)
			doors->incomplete = true;
	}
}

int pfi_doors_accept(struct pfi_doors *doors, size_t index, struct prefork_connection **ret)
{
	const int r = prefork_worker_accept(doors->worker, index, ret);

	switch (r) {
	case 0:
		if (++doors->turn >= PFI_DOORS_TURN)
			queue_again(doors);
		break;
	case -EAGAIN:
		break;
	case -EBUSY:
		/* The kernel has woken no sibling for what this one was woken for: the arbiter has them look,
		 * once nothing more can wake this one. */
		if (hide_all(doors))
			pfi_shortage_publish(doors->worker);
		doors->incomplete = true;
		break;
	default:
		hide(doors, index);
		break;
	}
	return r;
}

unsigned pfi_doors_share(const struct pfi_doors *doors)
{
	const bool looks = doors->turn == 0;

	return doors->crowded ? SHARE_MAX : looks ? 2 : 1;
}

void pfi_doors_took(struct pfi_doors *doors, unsigned count)
{
	doors->crowded = count > 1;
}

bool pfi_doors_full(const struct pfi_doors *doors)
{
	return prefork_worker_connections(doors->worker) >= doors->connections_max;
}

void pfi_doors_hold(struct pfi_doors *doors, bool held)
{
	if (doors->held == held || doors->closed)
		return;
	doors->held = held;
	doors->incomplete = true;
	if (held)
		(void)hide_all(doors);
}

void pfi_doors_look(struct pfi_doors *doors)
{
	/* What is put into the set is looked at by the kernel, whomever it has woken before. */
	if (atomic_exchange(&doors->worker->must_look, false) && !doors->closed)
		queue_again(doors);
}

uint64_t pfi_doors_refresh(struct pfi_doors *doors)
{
	if (atomic_load_explicit(&doors->worker->must_look, memory_order_relaxed))
		pfi_doors_look(doors);
	if (!doors->incomplete || doors->held || doors->closed)
		return 0;
	const uint64_t now_ms = pfi_now_ms();
	if (pfi_shortage_lasts(doors->worker, now_ms))
		return prefork_worker_rest_ms(doors->worker);
	doors->incomplete = false;
	for (size_t i = 0; i < doors->count; i++) {
		if (show(doors, i) < 0)
			doors->incomplete = true;
	}
	return doors->incomplete ? now_ms + RETRY_MS : 0;
}

void pfi_doors_close(struct pfi_doors *doors)
{
	if (doors->closed)
		return;
	(void)hide_all(doors);
	doors->closed = true;
	prefork_worker_close_listeners(doors->worker);
}
