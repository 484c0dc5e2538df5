/*
 * prefork/strategy.h -- the event loop of a worker: for authors of strategies.
 *
 * The built-in strategies sync, threads and libev use this header. A strategy
 * that serves connections polls prefork_worker_fd(), the listeners and its
 * connections, in any way; it accepts, calls prefork_connection_proceed() for
 * each connection that is ready, and does what the returned enum prefork_next
 * requests. A strategy without connections runs its jobs and calls
 * prefork_worker_check() from time to time.
 *
 * Threads: one thread at a time drives a connection. A strategy that passes a
 * connection to another thread orders memory, with a lock or a queue. Functions
 * of the worker are for the first thread unless their comment says otherwise.
 */
#ifndef PREFORK_STRATEGY_H
#define PREFORK_STRATEGY_H

#include <prefork/export.h>
#include <prefork/service.h>
#include <prefork/worker.h>

#ifdef __cplusplus
extern "C" {
#endif

struct prefork_settings;

enum prefork_strategy_traits {
	PREFORK_STRATEGY_MAY_BLOCK = 1u << 0,     /* callbacks may block                           */
	PREFORK_STRATEGY_REPORTS_READY = 1u << 1, /* `run` calls prefork_worker_ready() itself     */
	PREFORK_STRATEGY_NO_SERVICE = 1u << 2,    /* runs without a service: jobs                  */
	PREFORK_STRATEGY_TURNS = 1u << 3,         /* `run` calls prefork_worker_idle() itself, before each
						     wait: a deadline spans one turn of its loop */
};

/**
 * A strategy. `name` is its value of the setting worker_class.
 *
 * check  called in the arbiter at the start and at each reload: returns 0, or
 *        a negative errno with prefork_fail() if the strategy cannot run with
 *        these settings. May be NULL.
 * run    called in the worker; returns when the directive is PREFORK_DRAIN and
 *        the last connection is closed, or PREFORK_QUIT. Returns the exit
 *        status (enum prefork_exit); a negative errno counts as a crash.
 *        `user` is the pointer given with the pool. Since 0.1.
 */
struct prefork_strategy {
	size_t struct_size; /* sizeof(struct prefork_strategy) */
	const char *name;
	unsigned traits; /* of enum prefork_strategy_traits */
	int (*check)(const struct prefork_settings *settings);
	int (*run)(struct prefork_worker *worker, void *user);
};

/** Accept one connection from listener `index`, with O_NONBLOCK and close-on-exec set. Returns 0
 *  and a connection that the strategy drives until prefork_connection_close(); -EAGAIN if no
 *  connection is pending; -EBUSY if accepting is paused because descriptors or memory are exhausted
 *  or accept(2) is not permitted (the arbiter logs it, and other workers accept the pending
 *  connections): do not accept from any listener until prefork_worker_accept_retry_ms(); -EBADF if
 *  this listener has failed for good (logged): stop polling it. Errors of single connections
 *  (ECONNABORTED and others, accept(2)) are skipped. One thread at a time. Since 0.1. */
PREFORK_API int prefork_worker_accept(struct prefork_worker *worker, size_t index,
                                      struct prefork_connection **ret);

/** When to try to accept again, in ms of CLOCK_MONOTONIC; 0 if accepting is not paused. While it is
 *  paused the strategy must not poll the listeners. Since 0.1. */
PREFORK_API uint64_t prefork_worker_accept_retry_ms(const struct prefork_worker *worker);

/** Close this worker's copies of its listeners: prefork_worker_accept() returns -EAGAIN from now
 *  on. Remove them from every poller first, because epoll keeps watching the open file descriptions
 *  that other workers share (epoll(7), Q6). If prefork_worker_empties_queues() is true, a draining
 *  strategy accepts until -EAGAIN before it calls this. Not while another thread accepts. From this
 *  call on, and not earlier, the arbiter aborts a draining worker at once if only stuck requests
 *  are left in it. Since 0.1. */
PREFORK_API void prefork_worker_close_listeners(struct prefork_worker *worker);

/** Whether a draining worker must accept the listeners' backlog before it closes them: true at a
 *  stop of the server, where no other worker accepts these connections. prefork_worker_accept()
 *  then returns -EAGAIN once it has returned as many connections as were pending, even if more
 *  arrive meanwhile. Any thread. Since 0.1. */
PREFORK_API bool prefork_worker_empties_queues(const struct prefork_worker *worker);

/** Proceed with a connection that is new or whose wait is over: send pending output, then call the
 *  service (`accepted` the first time, `ready` afterwards), with the request deadline of the
 *  calling thread set. Returns what the connection waits for next; after PREFORK_CLOSE call
 *  prefork_connection_close(). Since 0.1. */
PREFORK_API enum prefork_next prefork_connection_proceed(struct prefork_connection *connection);

/** The deadline has passed. If the connection is readable or writable by now, as it waited for,
 *  proceeds with it; otherwise calls `timed_out`. Since 0.1. */
PREFORK_API enum prefork_next prefork_connection_expire(struct prefork_connection *connection);

/** The worker drains, and this connection is waiting: calls `draining`. Call it when the drain begins
 *  and each time that the connection waits afterwards. Since 0.1. */
PREFORK_API enum prefork_next prefork_connection_drain(struct prefork_connection *connection);

/** When to call prefork_connection_expire(), in ms of CLOCK_MONOTONIC; 0: never. Any callback may
 *  change it. Since 0.1. */
PREFORK_API uint64_t prefork_connection_deadline_ms(const struct prefork_connection *connection);

/** Call `closed`, close the socket, free the connection. Since 0.1. */
PREFORK_API void prefork_connection_close(struct prefork_connection *connection);

/** Whether the last prefork_connection_read() since the beginning of prefork_connection_proceed()
 *  emptied the receive buffer. If so, an edge-triggered poller reports the next data; if not, the
 *  strategy must poll again (EPOLL_CTL_MOD) to get an event. Says nothing about end of file. Since
 *  0.1. */
PREFORK_API bool prefork_connection_read_would_block(const struct prefork_connection *connection);

/** The strategy's pointer, beside the one of the service. Since 0.1. */
PREFORK_API void prefork_connection_set_driver(struct prefork_connection *connection, void *driver);
PREFORK_API void *prefork_connection_driver(const struct prefork_connection *connection);

/** The next connection that was resumed, and in `*ret_next` what it waits for; NULL if there is
 *  none. Call it after prefork_worker_check(). First thread. Since 0.1. */
PREFORK_API struct prefork_connection *prefork_worker_take_resumed(struct prefork_worker *worker,
                                                                 enum prefork_next *ret_next);

/** For strategies whose callbacks may block: set what prefork_worker_is_full() and
 *  prefork_worker_queued() return: whether all threads are in a callback, and how many ready
 *  connections wait for a thread. A thread that calls this before a callback gets its own values
 *  back inside that callback. Any thread. Since 0.1. */
PREFORK_API void prefork_worker_set_queued(struct prefork_worker *worker, bool is_full, size_t queued);

/** The number of open connections of this worker, suspended ones included. Any thread. Since 0.1. */
PREFORK_API size_t prefork_worker_connections(const struct prefork_worker *worker);

#ifdef __cplusplus
}
#endif

#endif
