/*
 * prefork/service.h -- the callbacks that serve connections.
 *
 * A service is a table of callbacks. The same service runs under every
 * strategy: the strategy polls, and each callback returns what its connection
 * waits for next.
 *
 * Ownership: the library owns a connection. A service may keep the pointer
 * until `closed` returns. Everything here runs in a worker.
 *
 * Threads: callbacks of one connection never overlap. Under the strategy
 * threads, callbacks of different connections run at the same time, and each
 * callback of a connection may run in another thread. Unless its comment says
 * otherwise, a function that takes a connection may only be called by the
 * thread that runs a callback of it or that works on it while it is suspended
 * (PREFORK_SUSPENDED). Fork: a service must not fork without exec; see
 * docs/fork-safety.md.
 */
#ifndef PREFORK_SERVICE_H
#define PREFORK_SERVICE_H

#include <prefork/export.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct iovec;
struct prefork_connection;
struct prefork_worker;

/* What a connection waits for after a callback.
 *
 * PREFORK_CLOSE: pending output is sent until the deadline of the connection, or, without a deadline,
 * as long as the client takes some of it every 10 s. If unread data is in the receive buffer, close(2)
 * would reset the connection, and the client could lose the end of the response: the library shuts down
 * the output instead, and reads and drops input for up to 2 s (lingering close, RFC 9112 section 9.6).
 * PREFORK_SUSPENDED: pending output is not sent meanwhile. Any other number is an error of the service:
 * it is logged at level ERROR, and the connection is closed. */
enum prefork_next {
	PREFORK_CLOSE,         /* nothing: send pending output, then close                         */
	PREFORK_WAIT_READABLE, /* input from the client, or end of file                            */
	PREFORK_WAIT_WRITABLE, /* space in the send buffer                                         */
	PREFORK_AGAIN,         /* nothing: call `ready` again after the other ready connections    */
	PREFORK_SUSPENDED,     /* prefork_connection_resume(): the library does not touch it until then */
};

enum prefork_service_traits {
	PREFORK_SERVICE_CLIENT_FIRST = 1u << 0, /* the client sends first, as in HTTP                      */
	PREFORK_SERVICE_NO_LINGER = 1u << 1,    /* PREFORK_CLOSE closes at once, even if that resets       */
	PREFORK_SERVICE_COUNTS = 1u << 2,       /* it calls prefork_worker_count_request() itself          */
};

/* What happens to a connection of prefork_connection_watch(). Since 0.1.
 *
 * PREFORK_WATCH_DRAIN_ENDS: three quarters of graceful_timeout have passed since the drain began; the rest is for the
 * exit of the worker, which the arbiter aborts at the end of graceful_timeout. Not if graceful_timeout is 0. */
enum prefork_watch_event {
	PREFORK_WATCH_HALF_CLOSED, /* the client has shut down its output; it may still read          */
	PREFORK_WATCH_CLOSED,      /* the connection is reset, or closed in both directions           */
	PREFORK_WATCH_TIMED_OUT,   /* the time limit of prefork_connection_watch() has passed         */
	PREFORK_WATCH_DRAIN_ENDS,  /* the worker leaves: respond, or call prefork_connection_abandon() */
	PREFORK_WATCH_WORKER_ENDS, /* before worker_stop: call prefork_connection_abandon()           */
};

/* Work for prefork_connection_offload(). */
typedef enum prefork_next prefork_work_function(struct prefork_worker *worker,
                                                struct prefork_connection *connection, void *user);

/**
 * The callbacks; fill them in with designated initialisers. Only `ready` is
 * required. The table and `user` are borrowed until the arbiter is destroyed;
 * after fork each worker has its own copy.
 *
 * traits        of enum prefork_service_traits. With CLIENT_FIRST and the
 *               setting defer_accept the kernel wakes a worker when the first
 *               data arrives, not when the connection is established
 *               (TCP_DEFER_ACCEPT, tcp(7)). With COUNTS, closed connections do
 *               not count towards max_requests.
 * worker_start  once per worker, before the first connection. A negative
 *               errno is a boot failure (PREFORK_EAPP: of the application).
 * accepted      a connection was accepted. NULL means PREFORK_AGAIN: `ready` is
 *               called at once, because the first data is often there already.
 * ready         the connection is readable, writable or called again, as it
 *               requested. Spurious calls are possible: a read may return
 *               -EAGAIN. Where prefork_connection_may_block() is true it may
 *               block, up to the request timeout.
 * timed_out     the deadline that the service set has passed before the
 *               connection became ready. The deadline is removed. NULL means
 *               PREFORK_CLOSE.
 * draining      the worker drains and the connection is waiting. Called again
 *               each time the connection waits after that. Return
 *               PREFORK_CLOSE if no request is in progress, else what it waits
 *               for; prefork_connection_drain_ms() says how long to wait for a
 *               request that may be in transit. NULL means PREFORK_CLOSE once
 *               received data is read and pending output is sent; a connection
 *               between two requests stays open for drain_idle, one without a
 *               request yet or with an incomplete one for up to 2 s, and the
 *               next response closes it.
 * closed        the last callback of a connection, whatever ended it. The
 *               socket is still open, the user pointer still set.
 * worker_stop   once, after the last connection is closed, unless the worker
 *               was killed or crashed. Since 0.1.
 * drain_begin   once, when the worker begins to drain or quits: its connections
 *               are drained afterwards, and suspended ones should be resumed
 *               soon. In the first thread, also while that waits in a callback
 *               (prefork_connection_wait()). Must not block. Since 0.1.
 * watched       an event of a connection of prefork_connection_watch(), in the
 *               first thread, while the connection is suspended or another
 *               thread runs a callback of it. Must not block, and must not use
 *               the connection in a way that the other thread does not expect.
 *               Returns 0, or in how many ms to call it again with the same
 *               event. Since 0.1.
 */
struct prefork_service {
	size_t struct_size; /* sizeof(struct prefork_service) */
	unsigned traits;
	int (*worker_start)(struct prefork_worker *worker, void *user);
	enum prefork_next (*accepted)(struct prefork_worker *worker, struct prefork_connection *connection,
	                              void *user);
	enum prefork_next (*ready)(struct prefork_worker *worker, struct prefork_connection *connection,
	                           void *user);
	enum prefork_next (*timed_out)(struct prefork_worker *worker, struct prefork_connection *connection,
	                               void *user);
	enum prefork_next (*draining)(struct prefork_worker *worker, struct prefork_connection *connection,
	                             void *user);
	void (*closed)(struct prefork_worker *worker, struct prefork_connection *connection, void *user);
	void (*worker_stop)(struct prefork_worker *worker, void *user);
	void (*drain_begin)(struct prefork_worker *worker, void *user);
	uint64_t (*watched)(struct prefork_worker *worker, struct prefork_connection *connection,
	                    enum prefork_watch_event event, void *user);
};

/** Read at most `size` bytes. Never blocks. Returns the number of bytes read, 0 at end of file, or
 *  a negative errno: -EAGAIN if no data is available, -ECONNRESET and others if the connection is
 *  lost. read(2), recv(2). Since 0.1. */
PREFORK_API ptrdiff_t prefork_connection_read(struct prefork_connection *connection, void *bytes, size_t size);

/** Write all `size` bytes: what the socket does not take now is copied, and the strategy sends it
 *  before it calls `ready` again. Never blocks. Returns what the connection waits for next, for use
 *  in `return`: PREFORK_WAIT_READABLE, or PREFORK_CLOSE if the client has closed the connection or
 *  memory is exhausted (prefork_error() has the error message). Since 0.1. */
PREFORK_API enum prefork_next prefork_connection_write(struct prefork_connection *connection, const void *bytes,
                                                       size_t size);

/** Send as much of `count` pieces as the socket takes, without copying the rest. Never blocks.
 *  Returns the number of bytes sent (0 is possible); -EAGAIN if the send buffer is full or output
 *  of prefork_connection_write() is pending; or the negative errno of sendmsg(2). Since 0.1. */
PREFORK_API ptrdiff_t prefork_connection_send(struct prefork_connection *connection, const struct iovec *pieces,
                                              int count);

/** Like prefork_connection_send(), for `size` bytes from `offset` of the file `fd`, with
 *  sendfile(2) where the transport allows it. Advances `*offset`. Returns the number of bytes sent,
 *  0 at the end of the file, -EAGAIN, or a negative errno. Borrows the descriptor. Since 0.1. */
PREFORK_API ptrdiff_t prefork_connection_send_file(struct prefork_connection *connection, int fd, int64_t *offset,
                                                   size_t size);

/** The number of bytes of prefork_connection_write() that are not sent yet. Since 0.1. */
PREFORK_API size_t prefork_connection_pending(const struct prefork_connection *connection);

/** 0, or the negative errno with which sending pending output failed: the connection is lost. If
 *  the connection waited to become writable, `ready` is called once more, so that the service can
 *  end its work where it may block (prefork_connection_offload()); the connection is closed
 *  whatever `ready` returns. Since 0.1. */
PREFORK_API int prefork_connection_error(const struct prefork_connection *connection);

/** Whether the caller may block for this connection: true under sync and threads, and in a thread
 *  that works on a suspended connection; false in an event loop. Since 0.1. */
PREFORK_API bool prefork_connection_may_block(const struct prefork_connection *connection);

/** Block until the connection is readable (PREFORK_WAIT_READABLE) or writable
 *  (PREFORK_WAIT_WRITABLE), at most `timeout_ms` (0: no limit), or for this time (PREFORK_AGAIN). The
 *  request deadline is paused meanwhile. A task (<prefork/host_loop.h>) is suspended instead, and the
 *  deadline stays that of the turn. Returns 0, -ETIMEDOUT, -EINTR if the worker must quit, -ECANCELED
 *  if the application wants the task for something else, or by prefork_connection_cancel_waits(),
 *  -ENOMEM in a task, -EINVAL if blocking is not allowed here, or the negative errno of poll(2) or
 *  epoll_ctl(2). Since 0.1. */
PREFORK_API int prefork_connection_wait(struct prefork_connection *connection, enum prefork_next event,
                                        uint64_t timeout_ms);

/** Set the deadline of the connection to `after_ms` from now: `timed_out` is called then. 0 removes
 *  it. A connection has one deadline; a later call replaces it. It does not fire while a callback
 *  runs or the connection is suspended. Time spent sending pending output counts: a service that
 *  gives its client time to respond sets the deadline when prefork_connection_pending() is 0. Since
 *  0.1. */
PREFORK_API void prefork_connection_set_deadline(struct prefork_connection *connection, uint64_t after_ms);

/** How much longer a connection between two requests may stay open in a drain, in ms: the setting
 *  drain_idle from the first call, but not beyond three quarters of graceful_timeout from the
 *  beginning of the drain. 0: close it. UINT64_MAX if the worker does not drain: no limit, as
 *  prefork_connection_set_deadline() takes it. For the callback `draining`. Since 0.1. */
PREFORK_API uint64_t prefork_connection_drain_ms(struct prefork_connection *connection);

/** The end of the connection follows at once: the kernel may hold back what is sent from now on and
 *  send it together with the FIN (MSG_MORE, send(2)), which saves a packet in each direction. If
 *  the end does not follow, the kernel sends after at most 200 ms. Since 0.1. */
PREFORK_API void prefork_connection_end_follows(struct prefork_connection *connection);

/** Shut down the output (shutdown(2), SHUT_WR) after the pending output, so that the client reads
 *  all of it and then end of file. Reading stays possible. Since 0.1. */
PREFORK_API void prefork_connection_end_output(struct prefork_connection *connection);

/** The service's pointer, NULL at first. The library does not use it. Since 0.1. */
PREFORK_API void prefork_connection_set_user(struct prefork_connection *connection, void *user);
PREFORK_API void *prefork_connection_user(const struct prefork_connection *connection);

/** The socket. The library owns it: do not close it and do not change its flags. While the
 *  connection is suspended (PREFORK_SUSPENDED) the application may use it freely. Since 0.1. */
PREFORK_API int prefork_connection_fd(const struct prefork_connection *connection);

/** The worker that serves this connection. Since 0.1. */
PREFORK_API struct prefork_worker *prefork_connection_worker(const struct prefork_connection *connection);

/** The index of the listener that accepted it, as in prefork_worker_listener(). Since 0.1. */
PREFORK_API size_t prefork_connection_listener(const struct prefork_connection *connection);

/** The address of the client as text without the port: "127.0.0.1", "::1", "" for a unix socket. An
 *  IPv4 client of a dual-stack listener has its IPv4 address. With the setting proxy_protocol, it is
 *  the client that the PROXY header names; prefork_connection_socket_peer() (proxy.h) is the proxy.
 *  Owned by the connection. `*ret_port` is set to the port or 0; it may be NULL. Since 0.1. */
PREFORK_API const char *prefork_connection_peer(struct prefork_connection *connection, unsigned *ret_port);

/** Whether the bytes of the connection are encrypted between the client and this server, as by
 *  <prefork/tls.h>. Since 0.1. */
PREFORK_API bool prefork_connection_is_secure(const struct prefork_connection *connection);

/** Call `work`, which may block, where blocking is allowed; for use in `return` of a callback. In
 *  an event loop with threads (setting threads) the connection becomes PREFORK_SUSPENDED, a thread
 *  of the offload pool calls `work`, and its return value is what the connection waits for next.
 *  Everywhere else, also in an event loop without threads, `work` is called at once and its value
 *  returned: prefork_connection_may_block() returns whether `work` may block. The request deadline
 *  starts when `work` is called, not when it is queued. `work` may return PREFORK_SUSPENDED.
 *  Allocates nothing and cannot fail. In a loop with tasks (<prefork/host_loop.h>) a task calls `work`;
 *  if none can be started, returns PREFORK_CLOSE. Since 0.1. */
PREFORK_API enum prefork_next prefork_connection_offload(struct prefork_connection *connection,
                                                         prefork_work_function *work, void *user);

/** As prefork_connection_offload(), for services that respond if no task can be started. Returns 0 and
 *  what the connection waits for in `*ret_next`; or a negative errno with an error message: the one
 *  that `submit` of struct prefork_host_loop has returned, or -ENOMEM. `work` is not called then. In
 *  loops without tasks it cannot fail. Since 0.1. */
PREFORK_API int prefork_connection_try_offload(struct prefork_connection *connection, prefork_work_function *work,
                                               void *user, enum prefork_next *ret_next);

/** Whether the caller is a task (<prefork/host_loop.h>): prefork_connection_wait() suspends it, and
 *  a mutex may be locked by another task of this thread. Since 0.1. */
PREFORK_API bool prefork_connection_is_task(const struct prefork_connection *connection);

/** End the waits of other tasks for this connection with -ECANCELED. They go on when the caller waits
 *  (prefork_connection_wait()). Returns whether there were any; false if the caller is not a task. Since
 *  0.1. */
PREFORK_API bool prefork_connection_cancel_waits(struct prefork_connection *connection);

/** As prefork_worker_set_activity(), for a connection that may have a task: the log names this text if
 *  the thread hangs while the library has switched to that task. Since 0.1. */
PREFORK_API void prefork_connection_set_activity(struct prefork_connection *connection, const char *bytes,
                                                 size_t size);

/** Whether callbacks of this worker, or the work that they offload, may block: false in an event
 *  loop without threads and tasks. Any thread. Since 0.1. */
PREFORK_API bool prefork_worker_may_block(const struct prefork_worker *worker);

/** Whether the caller is a thread of the offload pool or a task: output that prefork_connection_write()
 *  cannot send at once need not be waited for there, because the event loop sends it later. Since
 *  0.1. */
PREFORK_API bool prefork_connection_is_offloaded(const struct prefork_connection *connection);

/** How many ready connections wait for a thread because all threads are busy: in an event loop the
 *  offloaded ones, with tasks those that have not begun, under threads those that the last free thread
 *  has found. 0 without threads. Use
 *  it to refuse requests early when the queue is too long. In a callback under threads it is the
 *  number behind this connection when its thread started it: each of these is started later, so
 *  that several threads that refuse at the same time do not refuse too many. Any thread. Since 0.1. */
PREFORK_API size_t prefork_worker_queued(const struct prefork_worker *worker);

/** Whether all serving threads are in callbacks, the caller included, so that new connections stay
 *  in the backlog. False in an event loop. Any thread. Since 0.1. */
PREFORK_API bool prefork_worker_is_full(const struct prefork_worker *worker);

/** Resume a connection that was PREFORK_SUSPENDED. `next` is what it waits for; PREFORK_SUSPENDED
 *  is not allowed. Output that prefork_connection_write() has copied meanwhile is sent from now on;
 *  if sending fails, prefork_connection_error() applies as to any connection.
 *  Call it from any thread, once per suspension, and do not touch the connection afterwards. A
 *  worker that quits (PREFORK_QUIT) does not wait for suspended connections: stop and join threads
 *  of the application that call this by the end of `worker_stop`, because the worker is freed after
 *  it. Since 0.1. */
PREFORK_API void prefork_connection_resume(struct prefork_connection *connection, enum prefork_next next);

/** Report events of a connection that is about to be suspended, or that has a callback that runs in
 *  another thread than the first, to the callback `watched`. The client is polled after 0.8 s, so
 *  that a short wait costs no system call, and a client that leaves is found within 1 s.
 *  `timeout_ms` is a time limit from now, at least 1 s; 0: none. A second call begins anew. Under
 *  sync the first thread runs callbacks, so that an event waits for the end of a callback. Call it
 *  in a callback of the connection. Returns 0; -EMFILE, -ENFILE or -ENOMEM: the connection is not
 *  watched. Since 0.1. */
PREFORK_API int prefork_connection_watch(struct prefork_connection *connection, uint64_t timeout_ms);

/** End it. If `watched` runs for this connection, waits until it has returned, except in the first
 *  thread. No effect if the connection is not watched; implied when it is closed. For the callback
 *  of the connection, after it was resumed. Since 0.1. */
PREFORK_API void prefork_connection_unwatch(struct prefork_connection *connection);

/** For the callback `watched`, if a suspended connection is not resumed by the end of the worker:
 *  the worker does not wait for it any more. The output is shut down (shutdown(2), SHUT_WR), and
 *  the memory of the connection and the worker stays valid until the process ends. The connection
 *  must not be resumed afterwards. Since 0.1. */
PREFORK_API void prefork_connection_abandon(struct prefork_connection *connection);

#ifdef __cplusplus
}
#endif

#endif
