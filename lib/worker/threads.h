/*
 * threads -- the inside of the strategy threads: what its files share.
 *
 *     threads_first.c  the first thread, and the beginning and end of all
 *     threads_serve.c  the threads that serve
 *     threads_queue.c  what is to be done, and who is called to do it
 *     threads_listeners.c  how clients are let in
 *
 * The set is edge-triggered: a connection stays in it from one request to the
 * next, without a system call, though several threads wait there. What comes
 * while it is in a callback is remembered (`fresh`), and one that was not read
 * to the end is put in anew.
 *
 * `lock` guards everything here but the listeners, which have their own; no system
 * call that can wait and no callback is made under either. A client in the state
 * RUNNING belongs to its thread: others may only leave a word (fresh, returned).
 */
#ifndef WORKER_THREADS_H
#define WORKER_THREADS_H

#include "worker/deadline_heap.h"
#include "worker/accept_set.h"
#include "worker/worker_threads.h"
#include "worker/wake_policy.h"
#include "worker/ring.h"

#include <prefork/strategy.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct epoll_event;

/* What is to be done next with a client, or by a listener. */
enum pfi_task { PFI_TASK_PROCEED, PFI_TASK_EXPIRE, PFI_TASK_DRAIN, PFI_TASK_RESUME, PFI_TASK_CLOSE, PFI_TASK_ACCEPT };

/* Where a client is. WAITING: in the set. TAKEN: until it is given back. */
enum pfi_connection_place { PFI_PLACE_NONE, PFI_PLACE_WAITING, PFI_PLACE_QUEUED, PFI_PLACE_RUNNING, PFI_PLACE_SUSPENDED };

struct pfi_job {
	struct pfi_ring link; /* in the queue */
	enum pfi_task task;
};

struct pfi_connection_state {
	struct pfi_job job;
	enum pfi_connection_place place;
	bool missed_event;    /* something came while nobody waited for it             */
	bool peer_closed;    /* the other end: what it sent before must not hide that */
	bool resumed_early; /* given back before its thread knew that it was taken   */
	enum prefork_next next; /* what was said when it was given back         */
	uint32_t events;        /* what the set watches for; 0: it is not in it */
	struct prefork_connection *connection;
	struct pfi_deadline deadline;
	struct pfi_ring all;
};

struct pfi_accept_job {
	struct pfi_job job;
	size_t index;
	bool queued;
};

/* A thread that serves. */
struct pfi_serving_thread {
	bool in_callback;       /* it is in a callback                                */
	bool uncounted; /* and not counted in `running`: others go on without */
	uint64_t since_us;
};

struct pfi_threads {
	struct prefork_worker *worker;
	unsigned count;
	int epoll;
	int wake_fd; /* wakes one thread that waits at the set */
	int timer;   /* wakes the first thread                 */
	struct pfi_worker_threads group;

	pthread_mutex_t accept_lock;
	struct pfi_accept_set accept_set;
	unsigned assumed_more;        /* how often it is not looked whether another client waits */
	_Atomic bool accept_paused; /* some listener is to come back into the set */

	pthread_mutex_t lock;
	pthread_cond_t wake_cond; /* where threads sleep that nobody needs   */
	unsigned asleep;
	unsigned polling;  /* threads that wait at the set             */
	bool wake_pending;   /* one was called, and none has come since  */
	unsigned running; /* in callbacks, not written off            */
	uint64_t calls;   /* begun and ended, to see that some do     */
	uint64_t calls_seen;
	bool runner_watched;     /* the watch is set for the one that is alone */
	uint64_t timer_at_ms; /* what the watch is set for; 0: nothing  */
	bool draining;
	bool stopping;
	struct pfi_wake_policy wake_policy;
	unsigned in_callbacks;        /* in callbacks, written off or not                        */
	unsigned accepting;      /* at a listener                                               */
	size_t queued;           /* jobs in `queue`                                         */
	struct pfi_ring queue;   /* jobs that somebody was woken for, or is awake for       */
	struct pfi_ring unaccepted; /* listeners that may have clients, for who has nothing to do */
	struct pfi_ring all;
	struct pfi_ring spare;
	struct pfi_deadline_heap deadlines;
	struct pfi_serving_thread *serving_threads; /* by number */
	struct pfi_accept_job *accept_jobs;  /* by index of the listener */
};

/* The data of an event of wake_fd: no listener's, no pointer. */
enum { PFI_THREADS_WAKE = PFI_ACCEPT_SET_MAX };

static inline void pfi_threads_lock(struct pfi_threads *threads)
{
	(void)pthread_mutex_lock(&threads->lock);
}

static inline void pfi_threads_unlock(struct pfi_threads *threads)
{
	(void)pthread_mutex_unlock(&threads->lock);
}

/* The body of each thread that serves. */
void pfi_threads_work(void *threads, unsigned number);

/* The lock is held in these. */

/* Have the first thread look after things at `at_ms`, or before; 0: no need. */
void pfi_threads_wake_first(struct pfi_threads *threads, uint64_t at_ms);

/* Whoever serves alone has come back since the last look, or had nothing to do, or is
 * stuck: then others go on. */
void pfi_threads_check_runner(struct pfi_threads *threads, uint64_t now_ms);

/* A connection state for a new connection, in the hands of the caller; NULL when memory ran out. */
struct pfi_connection_state *pfi_threads_new_connection(struct pfi_threads *threads);

/* Its connection is closed. */
void pfi_threads_drop_connection(struct pfi_threads *threads, struct pfi_connection_state *state);

/* Something is to be done with a connection state that is in nobody's hands but the caller's. */
void pfi_threads_push(struct pfi_threads *threads, struct pfi_connection_state *state, enum pfi_task task);

/* One of the set's events: something may be to be done. */
void pfi_threads_event(struct pfi_threads *threads, const struct epoll_event *event);

/* What is to be done next, NULL: nothing. */
struct pfi_job *pfi_threads_next_job(struct pfi_threads *threads);

/* Somebody is to look at the queue, or at the set. One who is on the way is enough: it calls
 * the next when there is more than it can take. */
void pfi_threads_wake_one(struct pfi_threads *threads);

/* The first thread has pushed: see to it that somebody looks. */
void pfi_threads_announce(struct pfi_threads *threads);

/* The lock is not held in these. */

/* Wake one that waits at the set. */
void pfi_threads_wake(struct pfi_threads *threads);

/* Accept one client, when there still is one: as prefork_worker_accept(). *ret_more tells
 * whether there are others. */
int pfi_threads_accept(struct pfi_threads *threads, size_t index, struct prefork_connection **ret,
                       bool *ret_more);

/* Accept nobody for a while: there is no memory for a client. Answers as the next. */
uint64_t pfi_threads_pause_accept(struct pfi_threads *threads);

/* Do what the arbiter has asked for, if it has: as pfi_accept_set_rearm(). */
void pfi_threads_rearm_listeners(struct pfi_threads *threads);

/* See whether listeners that were taken out of the set can come back; answers when to
 * ask again, 0: no need. Called after each close, and after what takes them out, so that
 * of two threads that meet here one sees what the other did. */
uint64_t pfi_threads_refresh_accept(struct pfi_threads *threads);

#endif
