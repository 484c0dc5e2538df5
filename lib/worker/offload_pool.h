/*
 * offload pool -- the pool of threads to which an event loop hands what may block.
 *
 * A connection has at most one work at a time, so the queue is a list through
 * the connections themselves: handing over allocates nothing, cannot fail, and
 * is bounded by the number of connections. Where that is too far, whoever
 * answers the client looks at the length of the queue first.
 *
 * A thread takes the oldest work, runs it with its own deadline around it, and
 * gives the connection back with what the work answered. A thread is woken for
 * each work only while one sleeps; how the loop is woken is its own affair
 * (prefork_connection_resume()).
 *
 * Threads: open and close by the first thread, submit and queued by any.
 */
#ifndef WORKER_OFFLOAD_POOL_H
#define WORKER_OFFLOAD_POOL_H

#include "worker/worker_threads.h"

#include <prefork/service.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct pfi_offload_pool {
	struct prefork_worker *worker; /* borrowed */
	struct pfi_worker_threads threads;
	pthread_mutex_t lock;
	pthread_cond_t work_cond; /* a work, or the end */
	struct prefork_connection *first, **last;
	unsigned asleep;
	_Atomic unsigned working; /* threads that have something in hand: the others are on their way to take some */
	bool stopping;
	_Atomic size_t queued;
};

/* A new offload pool of `count` threads in `*ret`. 0, or a negative errno with its error message. */
int pfi_offload_pool_open(struct prefork_worker *worker, unsigned count, struct pfi_offload_pool **ret);

/* Wait until every thread is done with what it has in hand; works that nobody has begun
 * give their connections back to be closed. NULL is fine. */
void pfi_offload_pool_close(struct pfi_offload_pool *pool);

/* `connection` has its work in it, and is not the caller's any more. */
void pfi_offload_pool_submit(struct pfi_offload_pool *pool, struct prefork_connection *connection);

#endif
