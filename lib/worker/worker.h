/*
 * worker -- the inside of struct prefork_worker, for lib/worker only.
 *
 * One per process, created by pfi_worker_main() in the child. Members that several
 * threads access are atomic; the rest belongs to the first thread.
 */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

#include "base/log_limit.h"
#include "base/networks.h"
#include "worker/spawn_context.h"
#include "worker/connection_watch.h"
#include "worker/liveness.h"
#include "worker/stage.h"

#include <prefork/log.h>
#include <prefork/transport.h>
#include <prefork/worker.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The worker's view of a listener. */
struct pfi_worker_listener {
	struct prefork_listener *listener; /* borrowed; NULL: closed                             */
	bool broken;         /* accept(2) failed with an error that no retry repairs             */
	bool is_counted;     /* the worker drains the backlog, and `left` was set from its length */
	uint32_t left;       /* connections still to accept from the backlog                     */
};

/* See own_fds.h. The first thread writes the list before other threads start. */
struct pfi_own_fd {
	int fd;
	const char *name;
	bool is_log;   /* the program may close a log of its own by prefork_log_destroy() */
	ino_t inode;   /* of the socket of a log; 0: no socket                            */
};

struct pfi_own_fds {
	struct pfi_own_fd *list;
	size_t count, capacity;
	_Atomic uint64_t checked_ms;
	_Atomic bool check_deferred; /* a callback has returned since the last check */
	_Atomic bool lost;           /* a thread writes the exit note, or has written it */
	_Atomic bool noted;          /* it has written it */
};

struct ev_loop;
struct pfi_library_settings;
struct pfi_poll;
struct pfi_offload_pool;
struct pfi_tasks;

struct prefork_worker {
	const struct pfi_spawn_context *context;
	struct prefork_service service; /* callbacks that the application's struct_size does not cover are NULL */
	struct prefork_strategy strategy;
	void *user;
	struct prefork_transport transport; /* of all connections, after a PROXY header; all zero: the socket */
	const struct prefork_transport *transport_given;
	void *transport_user;
	const struct pfi_connection_stage *stages[PFI_STAGES_MAX + 1]; /* of each connection, before the service; ends with NULL */

	struct pfi_networks proxy_peers; /* that may send a PROXY header; see proxy_stage.h           */
	struct pfi_log_limit proxy_peer_refused, proxy_refused, proxy_late;

	int fd;                /* epoll set: signal pipe, control channel, arbiter's pidfd, wake_fd */
	int wake_fd;           /* eventfd: a connection is resumed, wants_retire, or check() must run again */
	int quit_fd;           /* eventfd: stays readable once `directive` is PREFORK_QUIT          */
	_Atomic int directive; /* enum prefork_directive; only grows                                */
	_Atomic uint64_t drain_end_ms; /* see model/drain.h; stored before `directive`; 0: not draining */
	_Atomic bool wants_retire;      /* prefork_worker_retire() was called                       */
	bool is_limited;                /* by max_requests: retires when requests_left is 0         */
	_Atomic int64_t requests_left;
	_Atomic bool counts_requests;   /* the service counts requests: closed connections do not count */
	bool retire_announced;          /* the arbiter was sent PFI_MESSAGE_RETIRING                */
	_Atomic bool is_ready;
	bool orphan;                    /* the arbiter has exited; its descriptors are polled no more */
	_Atomic bool empties_queues;    /* this drain accepts the backlog before it closes the listeners */

	struct pfi_poll *poll; /* of prefork_worker_poll_open(), until the end of the process */
	struct ev_loop *loop; /* of the strategy libev, created by the first prefork_worker_loop() */
	struct pfi_tasks *tasks; /* of a loop of the application that runs them, or NULL */
	struct pfi_offload_pool *offload_pool; /* of an event loop with the setting threads, or NULL */
	void (*wake)(void *user);   /* called by any thread when it has resumed a connection; NULL: pfi_worker_wake() */
	void *wake_user;
	_Atomic bool wake_for_all;  /* every resumption wakes, see pfi_connection_resume_offloaded() */
	size_t offloaded;           /* connections queued for or held by the offload pool; first thread */

	struct pfi_liveness liveness;
	unsigned threads;    /* highest thread number                                     */
	_Atomic pid_t *tids; /* by number; 0: no such thread yet                          */

	struct pfi_worker_listener *listeners;
	size_t listener_count;
	uint64_t paused_until_ms; /* do not accept before this; 0: not paused; see shortage.h    */
	_Atomic int shortage;     /* value of PFI_MESSAGE_SHORTAGE, 0: none                         */
	_Atomic bool shortage_unreported; /* the arbiter does not have the current value         */
	_Atomic bool poll_requested; /* by the arbiter: connections may be pending              */
	struct pfi_own_fds own_fds;

	struct pfi_connection_watch watch;
	_Atomic bool has_abandoned; /* a connection: its memory is used until the process ends  */

	_Atomic size_t connections;
	_Atomic size_t queued; /* set by the strategy where there is no offload pool             */
	_Atomic bool is_full;  /* likewise                                                       */
	struct prefork_connection *free;            /* free list; first thread                   */
	_Atomic(struct prefork_connection *) freed; /* pushed by any thread, moved to `free` by the first */
	struct prefork_connection *resumed_fifo;    /* oldest first; first thread                */
	_Atomic(struct prefork_connection *) resumed; /* newest first; pushed by any thread      */
	_Atomic unsigned resumers;                  /* threads inside prefork_connection_resume() */
};

/* Call the hook `name`, which takes the worker and nothing else, in all sets. */
#define PFI_WORKER_HOOKS(worker, name)                                                                  \
	do {                                                                                            \
		const struct pfi_spawn_context *const pfi_context = (worker)->context;                  \
		for (size_t pfi_h = 0; pfi_h < pfi_context->hook_count; pfi_h++) {                      \
			const struct pfi_hook_set *const pfi_set = &pfi_context->hooks[pfi_h];           \
			if (pfi_set->hooks->name)                                                        \
				pfi_set->hooks->name(worker, pfi_set->user);                             \
		}                                                                                       \
	} while (0)

/* Write a log line that ends in event=EVENT and the keys of this worker. Any thread. */
void pfi_worker_log(const struct prefork_worker *worker, enum prefork_log_level level, const char *event,
		    const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Count a closed connection as one request, unless the service counts requests itself. */
void pfi_thread_status_count_closed(struct prefork_worker *worker);

/* The settings of the pool. Tests run workers without settings: then defaults. */
const struct pfi_library_settings *pfi_worker_settings(const struct prefork_worker *worker);

/* prefork_worker_directive(), without its check of `worker`. */
static inline enum prefork_directive pfi_worker_directive(const struct prefork_worker *worker)
{
	return (enum prefork_directive)atomic_load_explicit(&worker->directive, memory_order_relaxed);
}

/* One more than the number of the thread, so that 0 means none. Signal handlers read it, and must not allocate
 * the storage of a dynamic TLS model. */
#define PFI_STATIC_TLS __attribute__((tls_model("initial-exec")))
extern _Thread_local unsigned pfi_thread_number_plus_one PFI_STATIC_TLS;

/* prefork_worker_thread(), without its check of `worker`. */
static inline unsigned pfi_worker_thread(const struct prefork_worker *worker)
{
	(void)worker;
	return pfi_thread_number_plus_one - 1;
}

/* Whether prefork_worker_take_resumed() would return a connection. First thread. */
static inline bool pfi_worker_has_resumed(struct prefork_worker *worker)
{
	return worker->resumed_fifo || atomic_load(&worker->resumed);
}

/* Make worker->fd readable. Any thread, signal handlers. */
void pfi_worker_wake(struct prefork_worker *worker);

/* check.c: open worker->fd and install the signal handlers; 0 or a negative errno. */
int pfi_check_open(struct prefork_worker *worker);
void pfi_check_close(struct prefork_worker *worker);

/* Handle signals and messages, but leave wake_fd readable for the strategy. */
void pfi_check_poll(struct prefork_worker *worker);

/* accept.c: prepare the listeners' descriptors; 0 or -ENOMEM. */
int pfi_worker_listeners_open(struct prefork_worker *worker);
void pfi_worker_listeners_close(struct prefork_worker *worker);

/* ev.c: destroy the event loop; NULL is allowed. */
void pfi_ev_loop_close(struct ev_loop *loop);

/* poll.c: free what prefork_worker_poll_close() has left. */
void pfi_poll_finish(struct prefork_worker *worker);

/* thread_status.c: number the first thread, allocate the table of the others. 0 or -ENOMEM. */
int pfi_thread_status_open(struct prefork_worker *worker);
void pfi_thread_status_close(struct prefork_worker *worker);

/* abort.c: have SIGABRT log what each thread is doing before it ends the worker. */
void pfi_abort_arm(struct prefork_worker *worker);
void pfi_abort_disarm(void);

/* On the first thread: if SIGABRT has arrived, call the hook worker_abort, and end the process. */
void pfi_abort_continue(struct prefork_worker *worker);

/* In a forked child that is not a worker: restore the default disposition of each signal whose handler
 * is still ours. Async-signal-safe. */
void pfi_abort_forget(void);
void pfi_check_forget(void);

#endif
