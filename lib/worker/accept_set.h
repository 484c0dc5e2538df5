/*
 * listeners -- a worker's listeners in an epoll set, such that each client wakes
 * one idle worker and all of them get their share.
 *
 * EPOLLEXCLUSIVE keeps the herd asleep, but wakes the most recent waiter of
 * each listener first: left alone it gives one worker everything. So a worker
 * goes to the back of the queue every few clients, by leaving the set and
 * coming back.
 */
#ifndef WORKER_ACCEPT_SET_H
#define WORKER_ACCEPT_SET_H

#include "worker/worker.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct prefork_connection;

enum {
	PFI_ACCEPT_TURN = 16, /* clients between two visits to the back of the queue */
	PFI_ACCEPT_SET_MAX = 4095, /* what lies above is free for others: no object lives in the first page */
};

struct pfi_accept_set {
	struct prefork_worker *worker;
	int epoll;
	uint32_t traits;
	const uint64_t *keys; /* by index: the data of its events; NULL: the index */
	size_t count;
	unsigned since_requeue;      /* clients since the last visit                    */
	bool has_backlog;       /* when last looked for, a second client was waiting */
	bool *watched;      /* by index: in the set now                        */
	bool needs_refresh;    /* some listeners are not in the set and should be */
	bool paused;          /* the worker wants no clients for now             */
	bool closed;
	size_t connections_max; /* the setting worker_connections */
};

/* Events of listener `index` carry data.u64 == index, less than PFI_ACCEPT_SET_MAX. The set is
 * borrowed. `traits` is 0, or EPOLLET where several threads wait at the set. 0, or a
 * negative errno. */
int pfi_accept_set_open(struct pfi_accept_set *accept_set, struct prefork_worker *worker, int epoll, uint32_t traits);

/* Go to another set at the next refresh. None of the listeners may be in it; their events
 * will carry `keys`, borrowed, NULL: the index. */
void pfi_accept_set_move(struct pfi_accept_set *accept_set, int epoll, const uint64_t *keys);

/* The set is not there any more. */
void pfi_accept_set_forget(struct pfi_accept_set *accept_set);
void pfi_accept_set_finish(struct pfi_accept_set *accept_set);

/* Accept one client from listener `index`: answers as prefork_worker_accept(). */
int pfi_accept_set_accept(struct pfi_accept_set *accept_set, size_t index, struct prefork_connection **ret);

/* How many clients a worker takes from a listener that has some, before it waits again: one,
 * since the next wakes a sibling that has nothing to do. But where they stand in line all
 * siblings are busy, and a wait between two of them is in vain: whether they do is looked at
 * from time to time. Say how many there were. */
unsigned pfi_accept_set_batch(const struct pfi_accept_set *accept_set);
void pfi_accept_set_note_batch(struct pfi_accept_set *accept_set, unsigned count);

/* Whether this worker has as many connections as it may have. */
static inline bool pfi_accept_set_full(const struct pfi_accept_set *accept_set)
{
	return atomic_load_explicit(&accept_set->worker->connections, memory_order_relaxed) >=
	       accept_set->connections_max;
}

/* Keep clients away for a while: out of the set now, back in at the next refresh. */
void pfi_accept_set_pause(struct pfi_accept_set *accept_set, bool paused);

/* Have the kernel look at the listeners anew, if the arbiter has asked for that: one thread at a time. */
void pfi_accept_set_rearm(struct pfi_accept_set *accept_set);

/* Put back what should be in the set and is not, and do the above. Call it before each wait;
 * answers when to wake for the next try, 0: no need. */
uint64_t pfi_accept_set_restore(struct pfi_accept_set *accept_set);

static inline uint64_t pfi_accept_set_refresh(struct pfi_accept_set *accept_set)
{
	const bool poll_requested = atomic_load_explicit(&accept_set->worker->poll_requested, memory_order_relaxed);

	return accept_set->needs_refresh || poll_requested ? pfi_accept_set_restore(accept_set) : 0;
}

/* Out of the set and out of service, for good. */
void pfi_accept_set_close(struct pfi_accept_set *accept_set);

#endif
