/*
 * accept_set -- the epoll entries by which a worker waits for new connections.
 *
 * With EPOLLEXCLUSIVE (Linux 4.5) each connection wakes one idle worker, always the first one in the listener's
 * wait queue: on its own that gives one worker nearly every connection. So each worker removes and adds its
 * entries again after every PFI_REQUEUE_AFTER connections, which moves it to the end of the queue.
 *
 * Threads: the caller serialises all calls but pfi_accept_set_full().
 */
#ifndef WORKER_ACCEPT_SET_H
#define WORKER_ACCEPT_SET_H

#include "worker/worker.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct prefork_connection;

enum {
	PFI_REQUEUE_AFTER = 16,    /* connections */
	PFI_ACCEPT_SET_MAX = 4093, /* listeners; as event data, values up to 4095 are no pointers: page 0 is never mapped */
};

struct pfi_accept_set {
	struct prefork_worker *worker;
	int epoll;
	uint32_t traits;
	const uint64_t *keys; /* by index of the listener: the data of its events; NULL: the index     */
	size_t count;
	unsigned since_requeue; /* connections accepted since the entries were added again             */
	bool has_backlog;       /* the last check found a second connection pending                    */
	bool *watched;          /* by index of the listener: it has an entry                           */
	bool needs_refresh;     /* entries are missing that pfi_accept_set_refresh() adds              */
	bool paused;            /* by pfi_accept_set_pause()                                           */
	bool closed;
	size_t connections_max; /* the setting worker_connections */
};

/* Add every listener to `epoll`, which is borrowed. Events of listener `index` carry data.u64 == index, which is
 * less than PFI_ACCEPT_SET_MAX. `traits` is 0, or EPOLLET if several threads poll the set. 0 or a negative errno. */
int pfi_accept_set_open(struct pfi_accept_set *accept_set, struct prefork_worker *worker, int epoll, uint32_t traits);

/* Remove all entries; the next refresh adds them to `epoll`, which must not contain any of the listeners. Events
 * carry `keys[index]` then, or the index if `keys` is NULL. `keys` is borrowed. */
void pfi_accept_set_move(struct pfi_accept_set *accept_set, int epoll, const uint64_t *keys);

/* The epoll set was replaced: nothing is in it. */
void pfi_accept_set_forget(struct pfi_accept_set *accept_set);
void pfi_accept_set_finish(struct pfi_accept_set *accept_set);

/* Accept one connection from listener `index`; returns as prefork_worker_accept(). */
int pfi_accept_set_accept(struct pfi_accept_set *accept_set, size_t index, struct prefork_connection **ret);

/* How many connections to accept from a readable listener before the next wait. One, because the next connection
 * wakes an idle sibling. But if connections are queued, all siblings are busy and the waits are wasted: then more.
 * A batch of two from time to time finds out. Report how many were accepted. */
unsigned pfi_accept_set_batch(const struct pfi_accept_set *accept_set);
void pfi_accept_set_note_batch(struct pfi_accept_set *accept_set, unsigned count);

/* Whether this worker has worker_connections connections. Any thread. */
static inline bool pfi_accept_set_full(const struct pfi_accept_set *accept_set)
{
	return atomic_load_explicit(&accept_set->worker->connections, memory_order_relaxed) >=
	       accept_set->connections_max;
}

/* Pause accepting: remove the entries now. Resume: the next refresh adds them. */
void pfi_accept_set_pause(struct pfi_accept_set *accept_set, bool paused);

/* If the arbiter has sent PFI_MESSAGE_POLL, add the entries again: epoll_ctl(2) reports what is pending. */
void pfi_accept_set_rearm(struct pfi_accept_set *accept_set);

/* As pfi_accept_set_refresh(), without its check whether there is something to do. */
uint64_t pfi_accept_set_restore(struct pfi_accept_set *accept_set);

/* Add missing entries, and rearm. Call it before each wait. Returns when to call it again, in ms of
 * CLOCK_MONOTONIC; 0: not needed. */
static inline uint64_t pfi_accept_set_refresh(struct pfi_accept_set *accept_set)
{
	const bool poll_requested = atomic_load_explicit(&accept_set->worker->poll_requested, memory_order_relaxed);

	return accept_set->needs_refresh || poll_requested ? pfi_accept_set_restore(accept_set) : 0;
}

/* Remove the entries and close the worker's listeners. */
void pfi_accept_set_close(struct pfi_accept_set *accept_set);

#endif
