/*
 * prefork/worker.h -- a worker: its settings, directive, deadlines and threads.
 *
 * A worker is the child side of the arbiter's fork. Each worker process has one
 * `struct prefork_worker`, created by the library before it calls any callback
 * in the child, and freed at the end of the process.
 *
 * Threads: functions marked "any thread" may be called from every thread of the
 * worker, the others from its first thread only. A function may be called from
 * a signal handler only if its comment says so. Fork: a child of a worker must
 * not use it.
 */
#ifndef PREFORK_WORKER_H
#define PREFORK_WORKER_H

#include <prefork/export.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ev_loop;
struct prefork_listener;
struct prefork_log;
struct prefork_settings;
struct prefork_worker;

/* If the application closes a descriptor that the worker needs (control channel, epoll set, timer,
 * listener), the worker exits at once with status 1, without calling worker_stop, and the arbiter logs
 * which descriptor. The worker checks after callbacks, at most every 100 ms. */

/* Exit statuses of a worker that the arbiter interprets; any other is a crash. */
enum prefork_exit {
	PREFORK_EXIT_RECYCLE = 0, /* done: replace at once                                        */
	PREFORK_EXIT_BOOT = 3,    /* failed to start; before ready only                           */
	PREFORK_EXIT_APP = 4,     /* the application failed to load; before ready only            */
	PREFORK_EXIT_SICK = 75,   /* out of a resource: replace with backoff                      */
	PREFORK_EXIT_FATAL = 78,  /* cannot work: do not replace; when all workers have exited    */
	                          /* with this status, the server stops                           */
};

/* What the arbiter or a signal requests of this worker. Grows only. */
enum prefork_directive {
	PREFORK_CONTINUE, /* serve                                                           */
	PREFORK_DRAIN,    /* close the listeners, finish open connections, return from `run` */
	PREFORK_QUIT,     /* return from `run` at once                                       */
};

/** The settings of this worker: those of its pool and generation, frozen before the fork. Borrowed
 *  for the life of the worker. Any thread. Since 0.1. */
PREFORK_API const struct prefork_settings *prefork_worker_settings(const struct prefork_worker *worker);

/** The arbiter's log. Borrowed. Any thread. Since 0.1. */
PREFORK_API struct prefork_log *prefork_worker_log(const struct prefork_worker *worker);

/** The name of the pool. Borrowed. Any thread. Since 0.1. */
PREFORK_API const char *prefork_worker_pool(const struct prefork_worker *worker);

/** The slot of the pool, as log lines and the process title show it: 0 to workers_max - 1, and a
 *  few more for replacements that overlap. Constant for the life of a worker, reused afterwards.
 *  Two pools both have a slot 0. The environment variable PREFORK_SLOT has it, too, from the fork on,
 *  and so have programs that the worker starts. Any thread. Since 0.1. */
PREFORK_API unsigned prefork_worker_slot(const struct prefork_worker *worker);

/** The generation: 1 after the start, one more after each reload. Any thread. Since 0.1. */
PREFORK_API unsigned prefork_worker_generation(const struct prefork_worker *worker);

/** The application's pointer for this worker, NULL at first. Since 0.1. */
PREFORK_API void prefork_worker_set_user(struct prefork_worker *worker, void *user);
PREFORK_API void *prefork_worker_user(const struct prefork_worker *worker);

/** The number of listeners that this worker accepts from. Any thread. Since 0.1. */
PREFORK_API size_t prefork_worker_listeners(const struct prefork_worker *worker);

/** Listener `index`, borrowed, or NULL beyond the last. Any thread. Since 0.1. */
PREFORK_API struct prefork_listener *prefork_worker_listener(const struct prefork_worker *worker, size_t index);

/** A descriptor to poll for reading. It becomes readable when a message or a signal arrives, when
 *  the arbiter exits, when a suspended connection is resumed, and for the events of
 *  prefork_connection_watch(). Call prefork_worker_check() then. Owned by the library. Since 0.1. */
PREFORK_API int prefork_worker_fd(const struct prefork_worker *worker);

/** Handle pending messages and signals, and return the directive. Never blocks. The directive only
 *  moves forward: never back to PREFORK_CONTINUE, never from PREFORK_QUIT to PREFORK_DRAIN. Since
 *  0.1. */
PREFORK_API enum prefork_directive prefork_worker_check(struct prefork_worker *worker);

/** The directive that prefork_worker_check() returned last, without handling anything. Any thread.
 *  Since 0.1. */
PREFORK_API enum prefork_directive prefork_worker_directive(const struct prefork_worker *worker);

/** The libev loop of the worker, for watchers of the application. NULL under every other strategy,
 *  in a library built without libev, and when memory is exhausted. Start watchers in `worker_start`
 *  or in a callback of the first thread, and stop them by the end of `worker_stop`: the library
 *  owns the loop, runs it, and destroys it afterwards. It is not the default loop, so child
 *  watchers (ev_child) do not work on it. Do not use ev_signal for signals that the library handles
 *  (docs/signals.md). Do not change the loop's userdata or its release callbacks.
 *
 *  Callbacks of watchers must not block: every connection of the worker waits meanwhile. The
 *  request timeout is the deadline of one turn of the loop, from the end of a wait to the beginning
 *  of the next; a callback that needs longer calls prefork_worker_busy(), which restarts the
 *  deadline. A draining worker exits with its last connection, even if watchers of the application
 *  are active. Since 0.1. */
PREFORK_API struct ev_loop *prefork_worker_loop(struct prefork_worker *worker);

/** Ask to be replaced, as max_requests does. The arbiter starts a replacement at once. This worker
 *  keeps serving until the replacement is ready and the arbiter sends PREFORK_DRAIN
 *  (prefork_worker_check()). Any thread, and signal handlers. Since 0.1. */
PREFORK_API void prefork_worker_retire(struct prefork_worker *worker);

/** Report this worker as ready. The library does so before it calls `run`, unless the strategy has
 *  PREFORK_STRATEGY_REPORTS_READY and calls this itself. A second call does nothing. Any thread.
 *  Since 0.1. */
PREFORK_API void prefork_worker_ready(struct prefork_worker *worker);

/** This thread starts work. Unless prefork_worker_idle() or another prefork_worker_busy()
 *  follows within the request timeout (setting `timeout`), the worker counts as stuck. The
 *  library's strategies call it before every callback of a service. Any thread that has a number
 *  (prefork_worker_thread()). Since 0.1. */
PREFORK_API void prefork_worker_busy(struct prefork_worker *worker);

/** This thread waits for work, without a deadline. Any thread that has a number. Since 0.1. */
PREFORK_API void prefork_worker_idle(struct prefork_worker *worker);

/** A heartbeat, for event loops of the application and for long work in steps. If the thread is
 *  busy, restarts its deadline as prefork_worker_busy() does, unless prefork_request_extend() has
 *  set a later one; if it is idle, does nothing. Any thread that has a number. Since 0.1. */
PREFORK_API void prefork_worker_beat(struct prefork_worker *worker);

/** Set the deadline of the current request of this thread to `more_ms` from now; 0 removes it. Any
 *  thread that has a number. Since 0.1. */
PREFORK_API void prefork_request_extend(struct prefork_worker *worker, uint64_t more_ms);

/** Store in the scoreboard what this thread is doing, such as "GET /orders". The log shows it when
 *  the worker is stuck or has exited. Truncated to 95 bytes. Any thread that has a number. Since
 *  0.1. */
PREFORK_API void prefork_worker_set_activity(struct prefork_worker *worker, const char *bytes, size_t size);

/** Count one served request. After max_requests of them the worker asks for a replacement, as
 *  prefork_worker_retire() does. Until a service calls this for the first time, each closed
 *  connection counts as one request; from then on, or with PREFORK_SERVICE_COUNTS, only calls
 *  count. Any thread that has a number. Since 0.1. */
PREFORK_API void prefork_worker_count_request(struct prefork_worker *worker);

/** The number of the calling thread: 0 for the first thread, then 1 to `threads`. Each number has
 *  its own deadline in the scoreboard. UINT_MAX for a thread without a number. Any thread. Since
 *  0.1. */
PREFORK_API unsigned prefork_worker_thread(const struct prefork_worker *worker);

/** Give the calling thread the number `thread`, for strategies that create threads. Returns 0, or
 *  -ERANGE if `thread` exceeds the setting `threads`. Since 0.1. */
PREFORK_API int prefork_worker_set_thread(struct prefork_worker *worker, unsigned thread);

/** For a process that the application has forked itself, from a worker or from the arbiter's
 *  process, and that continues without exec: close every descriptor of the library (listeners,
 *  connections, control channels, timers; all except logs) and restore the default disposition of
 *  signals that the library handles. Otherwise the child would keep connections open and addresses
 *  in use. Call it first in the child, for instance in a child handler of pthread_atfork(3).
 *
 *  Afterwards the child may use its log (prefork_log_printf()) and start an arbiter of its own.
 *  Functions of a connection return -EBADF; the worker, its connections and the arbiter must not be
 *  used otherwise, and the child must not return into a callback of the library. Descriptors that
 *  the library does not open stay open: those of the application, and those of a libev loop, none
 *  of which is a connection. fork(2) waits until no thread is opening or closing a descriptor of
 *  the library; a fork that bypasses pthread_atfork(3), such as a raw clone(2), may leave one open.
 *
 *  Returns true; false in a child that the library forks, which becomes a worker and stays
 *  unchanged. Takes no lock, async-signal-safe. A second call does nothing. Since 0.1. */
PREFORK_API bool prefork_forget_in_child(void);

#ifdef __cplusplus
}
#endif

#endif
