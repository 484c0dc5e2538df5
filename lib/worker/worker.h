/*
 * worker -- the inside of struct prefork_worker, for this room only.
 *
 * One per process, made by pfi_worker_main() in the child. What several threads
 * may touch is atomic; the rest belongs to the first thread.
 */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

#include "worker/spawn_context.h"
#include "worker/liveness.h"

#include <prefork/worker.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A listener as this worker sees it. */
struct pfi_worker_listener {
	struct prefork_listener *listener; /* borrowed; NULL: closed                  */
	bool broken; /* accept(2) said something that no waiting will mend           */
	bool is_counted;   /* the worker drains_queue the queue: so many are left to come */
	uint32_t left;
};

/* See own_fds.h. The first thread writes the list, before others run. */
struct pfi_own_fd {
	int fd;
	const char *name;
};

struct pfi_own_fds {
	struct pfi_own_fd *list;
	size_t count, capacity;
	_Atomic uint64_t checked_ms;
	_Atomic bool check_deferred; /* a callback has ended since then */
	_Atomic bool lost;
};

struct ev_loop;
struct pfi_offload_pool;

struct prefork_worker {
	const struct pfi_spawn_context *context;
	struct prefork_service service; /* as far as the host knows it, the rest NULL */
	struct prefork_strategy strategy;
	void *user;

	int fd;           /* epoll: signal pipe, control channel, parent-death watch, wake_fd                     */
	int wake_fd;      /* eventfd: given back, wants_retire, or check() has more to say */
	int quit_fd;      /* eventfd: readable for ever once `stay` is PREFORK_QUIT      */
	_Atomic int directive; /* enum prefork_directive; only ever grows                          */
	_Atomic bool wants_retire; /* prefork_worker_retire() was called              */
	bool is_limited;          /* to so many requests, after which it wants to   */
	_Atomic int64_t requests_left;
	_Atomic bool counts_requests; /* the service itself does: not its connections */
	bool retire_announced;       /* that it wants to: the arbiter knows            */
	_Atomic bool is_ready;
	bool orphan;         /* the arbiter is gone; nothing of it is polled any more */
	_Atomic bool empties_queues;

	struct ev_loop *loop; /* of the strategy libev, once somebody asked for it */
	struct pfi_offload_pool *offload_pool; /* where an event loop offloads to, or NULL            */
	void (*wake)(void *user); /* one was given back, after none; any thread; NULL: pfi_worker_wake() */
	void *wake_user;
	_Atomic bool wake_for_all; /* nudge for every one, see pfi_connection_resume_offloaded()                        */
	size_t offloaded;       /* connections, those that wait for a thread too; first thread             */

	struct pfi_liveness liveness;
	unsigned threads; /* numbers that may be given: 0 to threads */
	_Atomic pid_t *tids; /* by number; 0: nobody                 */

	struct pfi_worker_listener *listeners;
	size_t listener_count;
	uint64_t paused_until_ms; /* 0: descriptors and memory suffice, as far as we know; see shortage.h */
	_Atomic int shortage;   /* value of PFI_MESSAGE_SHORT, 0: none                  */
	_Atomic bool shortage_unreported; /* the arbiter is to be told of it               */
	_Atomic bool poll_requested; /* the arbiter says: connections may be pending         */
	struct pfi_own_fds own_fds;

	_Atomic size_t connections;
	_Atomic size_t queued; /* as the strategy says, where there is no offload pool */
	_Atomic bool is_full;  /* so does this                                 */
	struct prefork_connection *free; /* pool: taken from and refilled by the first thread */
	_Atomic(struct prefork_connection *) freed;      /* pool: put back by any thread      */
	struct prefork_connection *resumed_fifo;                /* in the order of giving back       */
	_Atomic(struct prefork_connection *) resumed; /* newest first, by any thread       */
	_Atomic unsigned resumers; /* threads that give one back just now                       */
};

/* A connection is closed: one request more, of a service that does not count by itself. */
void pfi_thread_status_count_closed(struct prefork_worker *worker);

/* A number of the settings, or `fallback` where there are no settings (in tests)
 * or no such row. */
uint64_t pfi_worker_number(const struct prefork_worker *worker, const char *setting, uint64_t fallback);

/* Whether prefork_worker_take_resumed() has one. First thread. */
static inline bool pfi_worker_has_resumed(struct prefork_worker *worker)
{
	return worker->resumed_fifo || atomic_load(&worker->resumed);
}

/* check.c: open worker->fd and take the signals; 0 or a negative errno. */
int pfi_check_open(struct prefork_worker *worker);
void pfi_check_close(struct prefork_worker *worker);

/* Look at what has come, except at connections that were given back. */
void pfi_check_poll(struct prefork_worker *worker);

/* Make worker->fd readable. Any thread, signal handlers. */
void pfi_worker_wake(struct prefork_worker *worker);

/* accept.c: look up the descriptors of the listeners; 0 or -ENOMEM. */
int pfi_worker_listeners_open(struct prefork_worker *worker);
void pfi_worker_listeners_close(struct prefork_worker *worker);

/* ev.c: the event loop, NULL when nobody asked for it. */
void pfi_ev_loop_close(struct ev_loop *loop);

/* thread status.c: number the first thread, and size the table of the others. 0 or -ENOMEM. */
int pfi_thread_status_open(struct prefork_worker *worker);
void pfi_thread_status_close(struct prefork_worker *worker);

/* abort.c: have SIGABRT say what this worker was at before it kills it. */
void pfi_abort_arm(struct prefork_worker *worker);
void pfi_abort_disarm(void);

/* A child of this process that is no worker gives the signals back, where nobody has changed them
 * since. Async-signal-safe. */
void pfi_abort_forget(void);
void pfi_check_forget(void);

#endif
