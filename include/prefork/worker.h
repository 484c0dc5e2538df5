/*
 * prefork/worker.h -- what a worker knows and says.
 *
 * A worker is the child side of the arbiter's fork. There is one
 * `struct prefork_worker` per worker process, made by the library before any
 * callback of the child runs, gone with the process.
 *
 * Threads: functions that say "any thread" may be called from every thread of
 * the worker, the rest from its first thread only. None may be called from a
 * signal handler unless it says so. Fork: a child of a worker must not use it.
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

/* A worker whose own descriptors the program has closed (its control channel, an epoll set, a timer, a
 * listener) ends at once with status 1, without worker_stop; the arbiter says which one. Looked at after
 * callbacks, at most every 100 ms. */

/* Exit statuses of a worker are a protocol; any other is a crash. */
enum prefork_exit {
	PREFORK_EXIT_RECYCLE = 0, /* done: replace me                                      */
	PREFORK_EXIT_BOOT = 3,    /* could not start; before ready only                    */
	PREFORK_EXIT_APP = 4,     /* the application did not load; before ready only       */
	PREFORK_EXIT_SICK = 75,   /* short of something: replace me, but slowly            */
	PREFORK_EXIT_FATAL = 78,  /* will never work: do not replace me; with the last of  */
	                          /* all workers gone so, the server stops               */
};

/* What the arbiter, or a signal, wants of this worker. */
enum prefork_directive {
	PREFORK_CONTINUE,  /* go on                                                      */
	PREFORK_DRAIN, /* finish what you have, take nothing new, return from run    */
	PREFORK_QUIT,  /* return from run at once                                    */
};

/** The settings this worker was born with, frozen; the pool's own values are in
 *  them. Borrowed for the life of the worker. Any thread. Since 0.1. */
PREFORK_API const struct prefork_settings *prefork_worker_settings(const struct prefork_worker *worker);

/** The arbiter's log. Borrowed. Any thread. Since 0.1. */
PREFORK_API struct prefork_log *prefork_worker_log(const struct prefork_worker *worker);

/** The name of the pool. Borrowed. Any thread. Since 0.1. */
PREFORK_API const char *prefork_worker_pool(const struct prefork_worker *worker);

/** The slot in the pool, as the log and ps name it: 0 to workers_max - 1 of that pool and a few
 *  more for replacements; stable for the life of a worker, reused afterwards. Two pools both
 *  have a slot 0. Any thread. Since 0.1. */
PREFORK_API unsigned prefork_worker_slot(const struct prefork_worker *worker);

/** Which reload this worker was born after, from 1. Any thread. Since 0.1. */
PREFORK_API unsigned prefork_worker_generation(const struct prefork_worker *worker);

/** The host's own pointer for this worker, NULL at first. Since 0.1. */
PREFORK_API void prefork_worker_set_user(struct prefork_worker *worker, void *user);
PREFORK_API void *prefork_worker_user(const struct prefork_worker *worker);

/** How many listeners this worker accepts from. Any thread. Since 0.1. */
PREFORK_API size_t prefork_worker_listeners(const struct prefork_worker *worker);

/** Listener `index`, borrowed, or NULL beyond the last. Any thread. Since 0.1. */
PREFORK_API struct prefork_listener *prefork_worker_listener(const struct prefork_worker *worker, size_t index);

/** One descriptor to poll for reading: it has something when the arbiter or a
 *  signal wants something, when the arbiter is gone, or when a connection was
 *  given back. Call prefork_worker_check() then. Owned by the library. Since 0.1. */
PREFORK_API int prefork_worker_fd(const struct prefork_worker *worker);

/** Look at what has come and say whether to stay. Never blocks. The answer
 *  never goes back towards PREFORK_CONTINUE. Since 0.1. */
PREFORK_API enum prefork_directive prefork_worker_check(struct prefork_worker *worker);

/** The last answer of prefork_worker_check(), without looking. Any thread. Since 0.1. */
PREFORK_API enum prefork_directive prefork_worker_directive(const struct prefork_worker *worker);

/** The event loop of the worker, for watchers of the host's own, under the
 *  strategy libev; NULL under every other, in a library built without libev, and
 *  when memory ran out. Start watchers in `worker_start` or in any callback of the
 *  first thread, stop them by `worker_stop`: the loop belongs to the library, which
 *  runs it and destroys it afterwards. It is no default loop: child watchers need
 *  one, and signals that the library takes (docs/signals.md) are not for ev_signal.
 *  Leave its userdata and its release callbacks as they are.
 *
 *  Watchers' callbacks must not block: every connection waits meanwhile. The time
 *  from one wait of the loop to the next has the request timeout as its deadline;
 *  a callback that needs longer says so by prefork_worker_busy(), which begins the
 *  deadline anew. A worker that was asked to leave ends when its last connection
 *  has, whatever else is started. Since 0.1. */
PREFORK_API struct ev_loop *prefork_worker_loop(struct prefork_worker *worker);

/** Ask to be replaced, as after so many requests. The arbiter starts another worker
 *  at once, this one goes on until that is ready, and is then asked to leave
 *  (prefork_worker_check()). Any thread, and signal handlers. Since 0.1. */
PREFORK_API void prefork_worker_retire(struct prefork_worker *worker);

/** Say that this worker serves. The library says it before the strategy's
 *  `run`, unless the strategy says it itself (PREFORK_STRATEGY_REPORTS_READY).
 *  Saying it again does nothing. Any thread. Since 0.1. */
PREFORK_API void prefork_worker_ready(struct prefork_worker *worker);

/** This thread has work in hand: unless prefork_worker_idle() or a new busy
 *  comes within the request timeout (setting `timeout`), the worker is stuck.
 *  The library's strategies call it around every callback of a service.
 *  Any thread that has a number (prefork_worker_thread()). Since 0.1. */
PREFORK_API void prefork_worker_busy(struct prefork_worker *worker);

/** This thread waits for work; it may do so for ever. Any thread that has a
 *  number. Since 0.1. */
PREFORK_API void prefork_worker_idle(struct prefork_worker *worker);

/** A sign of life, for loops of the host's own and for work of many steps: the same as busy again
 *  if the thread is busy, nothing otherwise. A deadline that lies further ahead
 *  (prefork_request_extend()) stays. Since 0.1. */
PREFORK_API void prefork_worker_beat(struct prefork_worker *worker);

/** Move the deadline of the request in this thread's hands to `more_ms` from
 *  now; 0 takes it away. Any thread that has a number. Since 0.1. */
PREFORK_API void prefork_request_extend(struct prefork_worker *worker, uint64_t more_ms);

/** Note in the shared page what this thread is at, such as "GET /orders": shown
 *  when the worker is stuck or dead. Cut to 95 bytes. Any thread that has a
 *  number. Since 0.1. */
PREFORK_API void prefork_worker_set_activity(struct prefork_worker *worker, const char *bytes, size_t size);

/** Count one more request served: the last that the setting max_requests allows asks for
 *  a replacement, as prefork_worker_retire() does. For a service that never calls it each
 *  connection that is closed counts as one; from the first call on, or with
 *  PREFORK_SERVICE_COUNTS, only calls do. Any thread that has a number. Since 0.1. */
PREFORK_API void prefork_worker_count_request(struct prefork_worker *worker);

/** The number of the calling thread: 0 for the first, then up to `threads`;
 *  each has its own deadline in the shared page; UINT_MAX for a thread that was
 *  given none. Any thread. Since 0.1. */
PREFORK_API unsigned prefork_worker_thread(const struct prefork_worker *worker);

/** Give the calling thread number `thread`, for strategies that make threads.
 *  Returns 0, or -ERANGE beyond the setting `threads`. Since 0.1. */
PREFORK_API int prefork_worker_set_thread(struct prefork_worker *worker, unsigned thread);

/** For a process that the program has forked by itself and that goes on without exec, from a
 *  worker or from the arbiter's process: close every descriptor that the library has open there
 *  (listeners, connections, control channels, timers, all but logs), so that no client waits for
 *  the end of this process and no address stays taken by it, and put back the signals that the
 *  library handles. Call it first in the child, for instance in a child handler of
 *  pthread_atfork(3).
 *
 *  Afterwards the child may use its log (prefork_log_printf()) and start an arbiter of its own.
 *  Connections answer -EBADF; the worker, its connections and the arbiter must not be used
 *  otherwise, and the child must not return into a callback of the library. Descriptors that the
 *  library does not open itself stay open: the program's own, and those of a libev loop, which
 *  reach no client. A fork waits until no thread is just opening or closing a descriptor of the
 *  library; one that goes past pthread_atfork(3), such as a raw clone(2), may leave one open.
 *
 *  True; false in a child that the library forks, which becomes a worker and is left alone. Takes no
 *  lock and is async-signal-safe. A second call does nothing. Since 0.1. */
PREFORK_API bool prefork_forget_in_child(void);

#ifdef __cplusplus
}
#endif

#endif
