/*
 * prefork/strategy.h -- how a worker waits: for authors of worker strategies.
 *
 * A strategy is the loop of a worker. sync, threads and libev are written
 * against this header and nothing else. A strategy for clients does, in its
 * own way: wait for prefork_worker_fd(), for the listeners and for its
 * connections; accept; hand each connection to prefork_connection_proceed()
 * and do with it what the answer says. A strategy without clients just runs,
 * and looks at prefork_worker_check() now and then.
 *
 * Threads: a connection is driven by one thread at a time; handing it from one
 * thread to another is the strategy's business (with a lock or a queue, which
 * also orders memory). The worker functions are for the first thread, unless they
 * say otherwise.
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
	PREFORK_STRATEGY_MAY_BLOCK = 1u << 0,  /* callbacks may block                       */
	PREFORK_STRATEGY_REPORTS_READY = 1u << 1, /* `run` calls prefork_worker_ready() itself */
	PREFORK_STRATEGY_NO_SERVICE = 1u << 2, /* runs without a service: jobs              */
	PREFORK_STRATEGY_TURNS = 1u << 3, /* `run` calls prefork_worker_idle() itself, before each
	                                     wait: a deadline spans a turn of its loop */
};

/**
 * A strategy. `name` is what the setting worker_class calls it.
 *
 * check  in the arbiter, at the start and at each reload: 0, or a negative
 *        errno with prefork_fail() when these settings cannot be served. May
 *        be NULL.
 * run    in the worker, until it is told to leave; its answer is the exit
 *        status (enum prefork_exit), a negative errno is a crash. `user` is
 *        what the pool was added with. Since 0.1.
 */
struct prefork_strategy {
	size_t struct_size; /* sizeof(struct prefork_strategy) */
	const char *name;
	unsigned traits; /* of enum prefork_strategy_traits */
	int (*check)(const struct prefork_settings *settings);
	int (*run)(struct prefork_worker *worker, void *user);
};

/** Accept one client from listener `index`, non-blocking and close-on-exec.
 *  Returns 0 and a connection that the strategy drives until
 *  prefork_connection_close(); -EAGAIN when nobody waits; -EBUSY when this
 *  listener rests, because descriptors or memory ran out, or accept(2) is not permitted
 *  (the arbiter logs it, and has other workers look for what is pending): no
 *  listener is tried before prefork_worker_accept_retry_ms(); -EBADF when this listener will
 *  never work again (logged): do not poll it any more. Errors of single clients (ECONNABORTED
 *  and the like, accept(2)) are skipped. One thread at a time. Since 0.1. */
PREFORK_API int prefork_worker_accept(struct prefork_worker *worker, size_t index,
                                      struct prefork_connection **ret);

/** When the resting listeners are to be tried again, in ms of CLOCK_MONOTONIC,
 *  0 when none rests. While a listener rests the strategy must not poll it. Since 0.1. */
PREFORK_API uint64_t prefork_worker_accept_retry_ms(const struct prefork_worker *worker);

/** Close this worker's copies of its listeners: accept answers -EAGAIN from now
 *  on. Take them out of every poller first, since the descriptions live on in
 *  the siblings. Where prefork_worker_empties_queues() says so, a leaving
 *  strategy accepts until -EAGAIN before this. Not while another thread accepts. The
 *  arbiter takes it as a sign: from here on a worker in which nothing is left but stuck
 *  requests is ended at once, and before it is not. Since 0.1. */
PREFORK_API void prefork_worker_close_listeners(struct prefork_worker *worker);

/** Whether a leaving worker must empty the listeners' queues before it closes
 *  them: at a stop of the server nobody else will answer those clients. From then on
 *  prefork_worker_accept() answers -EAGAIN when it has given out as many as waited,
 *  whoever may come meanwhile. Any thread. Since 0.1. */
PREFORK_API bool prefork_worker_empties_queues(const struct prefork_worker *worker);

/** Go on with a connection, new or whose wait is over: sends what is pending,
 *  then calls the service (`accepted` the first time, `ready` afterwards), with
 *  the request deadline of the calling thread around it. Returns what it waits
 *  for next; after PREFORK_CLOSE call prefork_connection_close(). Since 0.1. */
PREFORK_API enum prefork_next prefork_connection_proceed(struct prefork_connection *connection);

/** The deadline has passed: goes on if the connection can, and otherwise calls `timed_out`. Since 0.1. */
PREFORK_API enum prefork_next prefork_connection_expire(struct prefork_connection *connection);

/** The worker leaves and this connection is waiting: calls `leaving`. Since 0.1. */
PREFORK_API enum prefork_next prefork_connection_drain(struct prefork_connection *connection);

/** When to call prefork_connection_expire(), in ms of CLOCK_MONOTONIC; 0: never.
 *  It may have moved whenever a callback ran. Since 0.1. */
PREFORK_API uint64_t prefork_connection_deadline_ms(const struct prefork_connection *connection);

/** Call `closed`, close the socket, free the connection. Since 0.1. */
PREFORK_API void prefork_connection_close(struct prefork_connection *connection);

/** Whether prefork_connection_read(), last called since prefork_connection_proceed()
 *  began, took all that had come from the client: an edge-triggered poller will then
 *  tell of what comes next, and otherwise must be asked again. It does not tell
 *  whether the client has ended its side. Since 0.1. */
PREFORK_API bool prefork_connection_read_would_block(const struct prefork_connection *connection);

/** The strategy's own pointer, as the service has one of its own. Since 0.1. */
PREFORK_API void prefork_connection_set_driver(struct prefork_connection *connection, void *driver);
PREFORK_API void *prefork_connection_driver(const struct prefork_connection *connection);

/** The next connection that was given back, and what it waits for in
 *  `*ret_next`; NULL when there is none. Call it after prefork_worker_check().
 *  First thread. Since 0.1. */
PREFORK_API struct prefork_connection *prefork_worker_take_resumed(struct prefork_worker *worker,
                                                                 enum prefork_next *ret_next);

/** What prefork_worker_is_full() and prefork_worker_queued() are to answer, for strategies whose
 *  callbacks may block: whether all their threads are in one, and how many connections that have
 *  something to be done wait for that. A thread that calls this before its callback is answered, in that
 *  callback, with what it has said itself. Any thread. Since 0.1. */
PREFORK_API void prefork_worker_set_queued(struct prefork_worker *worker, bool is_full, size_t queued);

/** How many connections this worker has, taken ones too. Any thread. Since 0.1. */
PREFORK_API size_t prefork_worker_connections(const struct prefork_worker *worker);

#ifdef __cplusplus
}
#endif

#endif
