/*
 * offload pool -- threads that run callbacks that may block, beside an event loop.
 *
 * A connection has at most one work function at a time, so the queue is a list through the
 * connections: submitting allocates nothing, cannot fail, and the number of connections
 * bounds the queue. For a lower bound, the service reads prefork_worker_queued() before it
 * offloads.
 *
 * A thread takes the oldest connection, runs its work function with the request deadline of the
 * thread, and resumes the connection with what the function returns. A thread is signalled only
 * if one waits; pfi_connection_resume_offloaded() decides whether the loop is woken.
 *
 * Threads: the first thread opens, submits and closes.
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
	pthread_cond_t work_cond; /* the queue is not empty, or `stopping` is set */
	struct prefork_connection *first, **last; /* the queue; *last is its terminating NULL */
	unsigned asleep;                          /* threads that wait on `work_cond`         */
	_Atomic unsigned working; /* threads with a connection; the others wait, or are about to take one */
	bool stopping;
	_Atomic size_t queued; /* length of the queue */
};

/* A new offload pool of `count` threads in `*ret`. 0, or a negative errno with its error
 * message. */
int pfi_offload_pool_open(struct prefork_worker *worker, unsigned count, struct pfi_offload_pool **ret);

/* Resume the connections of the queue with PREFORK_CLOSE, and wait until the work functions that
 * have begun return. NULL is allowed. */
void pfi_offload_pool_close(struct pfi_offload_pool *pool);

/* Queue `connection`, whose work and work_user are set. It belongs to the pool until it is
 * resumed. */
void pfi_offload_pool_submit(struct pfi_offload_pool *pool, struct prefork_connection *connection);

#endif
