/*
 * prefork/host_loop.h -- a worker inside the event loop of the application: GLib, libuv, an
 * interpreter's loop, or any other that can watch a descriptor.
 *
 * `run` of a strategy of the application (<prefork/strategy.h>) opens the worker's loop, adds one
 * descriptor to its own loop, and runs that:
 *
 *     int r = prefork_worker_poll_open(worker, NULL, NULL);
 *
 *     if (r < 0)
 *             return r;
 *     my_loop_watch(loop, prefork_worker_poll_fd(worker), on_readable);
 *     my_loop_run(loop);
 *     prefork_worker_poll_close(worker);
 *
 * `on_readable` calls prefork_worker_dispatch(), and ends the loop when that returns 0.
 *
 * Accepting, connections, deadlines, drains and messages of the arbiter are the library's, as under
 * libev: prefork_worker_dispatch() calls prefork_worker_check(), and the application does not.
 * Callbacks of the service run inside of prefork_worker_dispatch() and must not block;
 * prefork_connection_offload() calls work in tasks, or in threads if the setting threads is not 0. Traits of the
 * strategy: PREFORK_STRATEGY_REPORTS_READY and PREFORK_STRATEGY_TURNS, not
 * PREFORK_STRATEGY_MAY_BLOCK. docs/loops.md has examples.
 *
 * Tasks: if the loop has coroutines, it gives the library three functions, and work that is
 * offloaded, as handlers of HTTP, runs in tasks of the loop. Where a thread would block
 * (prefork_connection_wait(), prefork_request_read(), prefork_response_write()), the task is
 * suspended; the library waits for the client and for the time.
 *
 *     submit(connection)    a new task calls prefork_connection_work(connection)
 *     park(wait)            called by a task: switch away until unpark(wait)
 *     unpark(wait)          switch to that task
 *
 * Several tasks may use one connection; each wait has its own struct prefork_wait. All tasks share the
 * first thread and its error message (prefork_error()): a message is valid until the task waits, other
 * than in functions of the library. The deadline of the thread is that of a turn of the loop, not of a
 * request; the log names the request of a task that hangs, if the library has switched to it, and else
 * the one that began last.
 *
 * Threads: everything here is for the first thread of the worker. Fork: in a process that the
 * application forks from the worker, prefork_worker_dispatch() returns 0 and changes nothing, and
 * the other functions do nothing.
 */
#ifndef PREFORK_HOST_LOOP_H
#define PREFORK_HOST_LOOP_H

#include <prefork/export.h>

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct prefork_connection;
struct prefork_wait;
struct prefork_worker;

enum prefork_loop_flags {
	PREFORK_LOOP_REPORTS_IDLE = 1u << 0, /* calls prefork_worker_idle() just before each wait of the loop
						and prefork_worker_busy() just after it */
};

/**
 * The application's loop. Each member but the first may be 0 or NULL.
 *
 * flags              of enum prefork_loop_flags. With REPORTS_IDLE, the request timeout (setting
 *                    timeout) is the deadline of one turn of the loop, callbacks of the application
 *                    included. Without it, the library cannot see when the loop waits: a callback of
 *                    the application may take between 1 and 1.5 times the timeout, soft_timeout may
 *                    count from up to half of it before the callback began, the worker never counts
 *                    as idle, and it wakes up at least twice per timeout. Callbacks of the service
 *                    have the exact timeout either way.
 * submit             start a task that calls prefork_connection_work() once, now or later. Inside of
 *                    prefork_worker_dispatch(), on the stack of the loop: it may switch to the task,
 *                    if that switches back when it waits for the first time or ends. 0, or a
 *                    negative errno; then the task is not started, and the client of an HTTP service
 *                    gets 503. `submit`, `park` and `unpark` are given together, or none of them.
 * park               suspend the running task until `unpark`. Called by the task. It may return
 *                    early, and a negative errno if the task is wanted for something else: its wait
 *                    then ends with -ECANCELED.
 * unpark             let the task go on that has called `park` with this wait, now or later. On the
 *                    stack of the loop. A task may have left `park` already, early or with an error:
 *                    then do nothing.
 * cancel_tasks       ask all tasks to end, for instance by an exception. They have half of
 *                    abort_timeout when the worker quits, and the last second of graceful_timeout
 *                    when it drains. Called once, on the stack of the loop. May be NULL.
 * listeners_closing  the listeners are closed next: stop watching them now, by the loop's own
 *                    function. Required for prefork_worker_adopt_listeners(). Called once, inside of
 *                    prefork_worker_dispatch() or prefork_worker_poll_close(). Since 0.1.
 */
struct prefork_host_loop {
	size_t struct_size; /* sizeof(struct prefork_host_loop) */
	unsigned flags;
	int (*submit)(struct prefork_connection *connection, void *user);
	int (*park)(struct prefork_wait *wait, void *user);
	void (*unpark)(struct prefork_wait *wait, void *user);
	void (*cancel_tasks)(void *user);
	void (*listeners_closing)(void *user);
};

/** Open the worker's loop, and report the worker as ready. `host` is copied, NULL: no flags and no
 *  functions; `user` is passed to its functions. Once per worker, in `run`. Returns 0 or a negative
 *  errno with an error message: -EINVAL if the strategy may block, or for flags or members that this
 *  version does not have, or only some functions for tasks; -EALREADY after the first call; -ENOMEM, -EMFILE and
 *  others if the system refuses memory or descriptors. Since 0.1. */
PREFORK_API int prefork_worker_poll_open(struct prefork_worker *worker, const struct prefork_host_loop *host,
                                         void *user);

/** The descriptor to watch for input, level-triggered: an edge would be missed when
 *  prefork_worker_dispatch() leaves events for the next call. An epoll set, owned by the library.
 *  -EINVAL if the worker's loop is not open. Since 0.1. */
PREFORK_API int prefork_worker_poll_fd(struct prefork_worker *worker);

/** Handle what is ready: at most 64 events, and deadlines that have passed. Never blocks; callbacks
 *  of the service run in it. Returns 1; or 0 if the worker has drained or quits: stop watching the
 *  descriptor, which may stay readable, end the loop, and call prefork_worker_poll_close(). Called
 *  again after that, or inside of a callback of the service, or in a forked child, it does nothing;
 *  it returns 1 in the callback and 0 otherwise. Since 0.1. */
PREFORK_API int prefork_worker_dispatch(struct prefork_worker *worker);

/** Close all connections, without waiting for suspended ones, and the descriptor. Not inside of a
 *  callback of the service. All tasks have ended by then, or never run again. Since 0.1. */
PREFORK_API void prefork_worker_poll_close(struct prefork_worker *worker);

/** Share connections evenly among workers that share their listeners. Without this, the kernel wakes
 *  every idle worker for each connection, because it polls the descriptor of
 *  prefork_worker_poll_fd() in another epoll set; the first one accepts.
 *
 *  The application watches each listener (prefork_worker_listener(), prefork_listener_fd()) in its
 *  loop for input and calls prefork_worker_listener_ready(). When the loop has added them to its
 *  epoll set (libuv: after one turn), this function replaces their entries by exclusive ones with
 *  the same data, and moves them to the end of the kernel's wait queue after every 16 connections.
 *  It finds the entries in /proc/self/fdinfo.
 *
 *  Returns 0, also when called again, or a negative errno with an error message: -ENOENT if the loop
 *  has no epoll set with all listeners (poll(2), a watcher that is not added yet), -EEXIST if several
 *  contain them, the errno of /proc, -EINVAL without `listeners_closing`. After an error the
 *  application stops watching the listeners: connections are accepted all the same, but shared less
 *  evenly. The setting reuse_port shares them without this function. Since 0.1. */
PREFORK_API int prefork_worker_adopt_listeners(struct prefork_worker *worker);

/** The loop has found listener `index` readable: accept, and call the service. Does nothing when the
 *  listeners are closed. Since 0.1. */
PREFORK_API void prefork_worker_listener_ready(struct prefork_worker *worker, size_t index);

/** For a loop with a server of its own, which accepts connections that the library does not see: accept one from
 *  listener `index`. `*ret_fd` is its descriptor, which the caller owns, with O_NONBLOCK and close-on-exec set. With
 *  reuse_port, where prefork_listener_fd() is a set of sockets to poll, there is no other way. Returns 0 or the
 *  negative errno of accept(2), which the caller handles: -EAGAIN also if the listeners are closed; -EINVAL for
 *  NULL. Since 0.1. */
PREFORK_API int prefork_worker_accept_fd(struct prefork_worker *worker, size_t index, int *ret_fd);

/** Do the work of a connection that `submit` was called with. Once, in its task; the connection must not
 *  be used afterwards. May block as long as the task may. Since 0.1. */
PREFORK_API void prefork_connection_work(struct prefork_connection *connection);

/** The application's pointer for a wait, for instance the task that waits: NULL when `park` is called.
 *  The wait is valid from then until `park` returns, and in `unpark`. Since 0.1. */
PREFORK_API void prefork_wait_set_user(struct prefork_wait *wait, void *user);
PREFORK_API void *prefork_wait_user(const struct prefork_wait *wait);

#ifdef __cplusplus
}
#endif

#endif
