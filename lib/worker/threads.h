/*
 * threads -- internal header of the strategy threads.
 *
 *     threads_first.c   the first thread: control events, deadlines, start and drain
 *     threads_serve.c   the serving threads: poll, run jobs
 *     threads_queue.c   the job queue, and wake-ups
 *     threads_accept.c  the listeners in the epoll set
 *
 * Connections, listeners and `wake_fd` are in one edge-triggered epoll set, in which idle
 * threads wait. A connection stays in the set from one request to the next without a system
 * call. An event that arrives during its callback sets `missed_event`; if a callback has
 * left input unread, EPOLL_CTL_MOD makes the kernel report the input again.
 *
 * Locks: `accept_lock` guards the accept set, `lock` everything else. Only begin_drain()
 * holds both; it takes `accept_lock` first. No callback runs under `lock`, and no system
 * call that can block under either. A connection with the status RUNNING belongs to its
 * thread: other threads only set its flags, under `lock`.
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

/* What a job does with its connection or listener. */
enum pfi_task {
	PFI_TASK_PROCEED,
	PFI_TASK_EXPIRE,
	PFI_TASK_DRAIN,
	PFI_TASK_RESUME,
	PFI_TASK_CLOSE,
	PFI_TASK_ACCEPT,
};

/* Which part of the strategy refers to a connection. Only under `lock`:
 *
 *     POLLED -- event, deadline, drain --> QUEUED -- a thread takes the job --> RUNNING
 *     RUNNING -- callback returned --> POLLED, QUEUED (PREFORK_AGAIN), SUSPENDED, or FREE (closed)
 *     SUSPENDED -- prefork_connection_resume() --> QUEUED
 *
 * FREE: the connection is closed, but an event that a thread has received from epoll_wait may
 * still refer to the state. */
enum pfi_connection_status {
	PFI_CONNECTION_FREE,
	PFI_CONNECTION_POLLED,
	PFI_CONNECTION_QUEUED,
	PFI_CONNECTION_RUNNING,
	PFI_CONNECTION_SUSPENDED,
};

struct pfi_job {
	struct pfi_ring link; /* in `queue` or `pending_accepts` */
	enum pfi_task task;
};

struct pfi_connection_state {
	struct pfi_job job;
	enum pfi_connection_status status;
	bool missed_event;      /* an event arrived while the status was not POLLED               */
	bool peer_closed;       /* EPOLLRDHUP, EPOLLHUP or EPOLLERR was reported                  */
	bool resumed_early;     /* resumed before its thread stored SUSPENDED                     */
	enum prefork_next next; /* argument of prefork_connection_resume()                        */
	uint32_t events;        /* in the epoll set; 0: not in the set                            */
	struct prefork_connection *connection;
	struct pfi_deadline deadline;
	struct pfi_ring link; /* in `connections` or `free_connections` */
};

struct pfi_accept_job {
	struct pfi_job job;
	size_t index; /* of the listener */
	bool queued;
};

struct pfi_serving_thread {
	bool in_callback;
	bool uncounted; /* in a callback that is not part of `running` */
	uint64_t since_us;
};

struct pfi_threads {
	struct prefork_worker *worker;
	unsigned count;
	int epoll;
	int wake_fd; /* eventfd in the epoll set: wakes one polling thread */
	int timer;   /* timerfd: wakes the first thread                    */
	struct pfi_worker_threads group;

	pthread_mutex_t accept_lock;
	struct pfi_accept_set accept_set;
	unsigned accepts_until_poll; /* accepts left that assume a backlog, without poll(2)      */
	_Atomic bool accept_paused;  /* a listener has left the accept set and must be re-added  */

	pthread_mutex_t lock;
	pthread_cond_t wake_cond; /* threads beside a single runner wait here                */
	unsigned asleep;          /* threads that wait on `wake_cond`                        */
	unsigned polling;         /* threads in epoll_wait                                   */
	bool wake_pending;        /* a thread was woken, and none has returned since         */
	unsigned running;         /* threads in callbacks, without the uncounted             */
	uint64_t progress;        /* begins and ends of callbacks                            */
	uint64_t progress_seen;   /* `progress` when the runner was checked                  */
	bool runner_watched;      /* the timer is armed to check the single runner           */
	uint64_t timer_at_ms;     /* when the timer expires; 0: not armed                    */
	bool draining;
	bool stopping;
	struct pfi_wake_policy wake_policy;
	unsigned in_callbacks;           /* threads in callbacks, with the uncounted              */
	unsigned accepting;              /* threads in accept_one()                               */
	size_t queued;                   /* connections in `queue`                                */
	struct pfi_ring queue;           /* if not empty, a thread runs or has been woken         */
	struct pfi_ring pending_accepts; /* listeners with a backlog; taken if `queue` is empty   */
	struct pfi_ring connections;
	struct pfi_ring free_connections;
	struct pfi_deadline_heap deadlines;
	struct pfi_serving_thread *serving_threads; /* by thread number     */
	struct pfi_accept_job *accept_jobs;         /* by index of listener */
};

/* Event data of wake_fd: neither the index of a listener nor a pointer. */
enum { PFI_THREADS_WAKE = PFI_ACCEPT_SET_MAX };

static inline void pfi_threads_lock(struct pfi_threads *threads)
{
	(void)pthread_mutex_lock(&threads->lock);
}

static inline void pfi_threads_unlock(struct pfi_threads *threads)
{
	(void)pthread_mutex_unlock(&threads->lock);
}

/* The body of each serving thread. */
void pfi_threads_loop(void *threads, unsigned number);

/* `lock` is held in the following functions. */

/* Wake the first thread at `at_ms` or earlier; 0: do nothing. */
void pfi_threads_arm_timer(struct pfi_threads *threads, uint64_t at_ms);

/* Check the single runner, if runner_watched is set. If it is stuck in a callback since the last
 * check, end the trial and wake another thread; if it has had no work, end the trial. */
void pfi_threads_check_runner(struct pfi_threads *threads, uint64_t now_ms);

/* The state of a new connection, with the status RUNNING: it belongs to the caller. NULL if
 * memory is exhausted. */
struct pfi_connection_state *pfi_threads_add_connection(struct pfi_threads *threads);

/* The connection is closed: keep its state for the next one. */
void pfi_threads_remove_connection(struct pfi_threads *threads, struct pfi_connection_state *state);

/* Append a job for a connection that belongs to the caller or is POLLED or SUSPENDED. Wakes no
 * thread. */
void pfi_threads_enqueue(struct pfi_threads *threads, struct pfi_connection_state *state,
                         enum pfi_task task);

/* Turn an event of the epoll set into a job. */
void pfi_threads_handle_event(struct pfi_threads *threads, const struct epoll_event *event);

/* Remove and return the next job; NULL: there is none. */
struct pfi_job *pfi_threads_next_job(struct pfi_threads *threads);

/* Whether a job is queued. A listener with a backlog counts: edge-triggered, it causes no event until
 * another connection arrives. */
bool pfi_threads_has_job(const struct pfi_threads *threads);

/* Wake one thread, unless a wake-up is pending: the woken thread wakes the next if more jobs are
 * queued than it can run. */
void pfi_threads_wake_one(struct pfi_threads *threads);

/* The first thread has queued jobs: wake a thread, unless one takes them anyway. */
void pfi_threads_wake_for_jobs(struct pfi_threads *threads);

/* `lock` is not held in the following functions. */

/* Wake one thread that polls. Also allowed with `lock` held. */
void pfi_threads_wake_poller(struct pfi_threads *threads);

/* prefork_worker_accept(), unless accepting is paused. *ret_more: whether more connections may
 * be pending. */
int pfi_threads_accept(struct pfi_threads *threads, size_t index, struct prefork_connection **ret,
                       bool *ret_more);

/* Stop accepting, because memory for a connection state is exhausted. Returns when to call
 * pfi_threads_refresh_accept(). */
uint64_t pfi_threads_pause_accept(struct pfi_threads *threads);

/* pfi_accept_set_rearm() under its lock. */
void pfi_threads_rearm_listeners(struct pfi_threads *threads);

/* Re-add listeners that have left the accept set, if that is possible now. Returns when to try
 * again, 0: not necessary. Call it after each close of a connection and after each accept: of two
 * threads that do so at the same time, at least one sees the effect of the other. */
uint64_t pfi_threads_refresh_accept(struct pfi_threads *threads);

#endif
