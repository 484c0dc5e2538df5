/*
 * prefork/service.h -- what a host does with its clients.
 *
 * A service is a table of callbacks about connections. The same service runs
 * under every strategy: the strategy decides who waits for what, the service
 * only says, each time it is called, what the connection waits for next.
 *
 * Ownership: a connection belongs to the library. A service may keep the
 * pointer until `closed` returns. Everything here runs in a worker.
 *
 * Threads: callbacks for one connection never overlap, but under the threads
 * strategy two connections may be served at the same time, and one connection
 * by a different thread each time. Unless said otherwise a function that takes
 * a connection may only be called by the thread that is in a callback for it,
 * or that has taken it (PREFORK_SUSPENDED). Fork: a service must not fork without
 * exec; see docs/fork-safety.md.
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

/* What a connection waits for after a callback. One that is to be closed has until the deadline that was
 * set for it to take the rest, or without one as long as it takes some of it every ten seconds. If the client has
 * sent something that was not read, a close would reset the connection, and the client might never see the last
 * answer: our side is ended instead, and for up to two seconds what the client sends is read and dropped (RFC 9112
 * 9.6, lingering close). While a connection is taken nothing of its pending output is sent. Any other number is an
 * error of the service: the log says so, at level ERROR, and the connection is closed. */
enum prefork_next {
	PREFORK_CLOSE,         /* nothing: write out what is buffered, then close it   */
	PREFORK_WAIT_READABLE, /* bytes from the client, or its end                    */
	PREFORK_WAIT_WRITABLE, /* room for more bytes to the client                    */
	PREFORK_AGAIN,         /* nothing: call `ready` again once the others had turn */
	PREFORK_SUSPENDED,         /* nobody may touch it until it is given back           */
};

enum prefork_service_traits {
	PREFORK_SERVICE_CLIENT_FIRST = 1u << 0, /* its clients speak before they are spoken to */
	PREFORK_SERVICE_NO_LINGER = 1u << 1,    /* PREFORK_CLOSE closes at once, even if that resets the connection */
	PREFORK_SERVICE_COUNTS = 1u << 2,       /* it calls prefork_worker_count_request() by itself */
};

/* What prefork_connection_offload() has done elsewhere. */
typedef enum prefork_next prefork_work_function(struct prefork_worker *worker,
                                                struct prefork_connection *connection, void *user);

/**
 * The callbacks, filled in by the host with designated initialisers. Only
 * `ready` must be there. The table and `user` are borrowed until the arbiter
 * is destroyed; after fork each worker has its own copy.
 *
 * traits        of enum prefork_service_traits. Where clients speak first the
 *               setting defer_accept, unless it says otherwise, lets the
 *               kernel hold back those that have not. Where the service counts
 *               requests by itself, closed connections are not counted for it.
 * worker_start  once per worker before the first connection; a negative
 *               answer is a boot failure (PREFORK_EAPP: of the application).
 * accepted      a client has come. NULL means PREFORK_AGAIN: try `ready` at
 *               once, since the first bytes are often there already.
 * ready         what the connection waited for has come, or may have: a read
 *               can still say -EAGAIN. Under strategies that may block
 *               (prefork_connection_may_block()) it may take its time, up to
 *               the request timeout.
 * timed_out     the deadline that the service set has passed, and what the
 *               connection waited for has not come; it is cleared. NULL means
 *               PREFORK_CLOSE.
 * leaving       the worker was asked to leave and the connection is waiting.
 *               Answer PREFORK_CLOSE where nothing is under way, else what it
 *               waits for. NULL means PREFORK_CLOSE once what the client
 *               has sent is read and what it was sent is written; but a client
 *               that was not heard yet, or not answered since, may go on for
 *               two seconds, since the rest may be on its way.
 * closed        the last call for this connection, whoever ended it; its
 *               socket is still open, its user pointer still set.
 * worker_stop   once, after the last connection was closed, unless the worker
 *               died. Since 0.1.
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
};

/** Read at most `size` bytes. Never blocks. Returns how many were read, 0 when
 *  the client has ended its side, or a negative errno: -EAGAIN when nothing is
 *  there yet, -ECONNRESET and the like when the connection is lost.
 *  read(2), recv(2). Since 0.1. */
PREFORK_API ptrdiff_t prefork_connection_read(struct prefork_connection *connection, void *bytes, size_t size);

/** Write all of `size` bytes: what the client cannot take now is copied and
 *  sent by the strategy before `ready` is called again. Never blocks. Returns
 *  what the connection waits for next, made for `return`:
 *  PREFORK_WAIT_READABLE, or PREFORK_CLOSE when the client is gone or memory
 *  ran out (prefork_error() has the error message). Since 0.1. */
PREFORK_API enum prefork_next prefork_connection_write(struct prefork_connection *connection, const void *bytes,
                                                       size_t size);

/** Send what the socket takes of `count` pieces, without copying the rest.
 *  Never blocks. Returns the number of bytes taken (0 is possible), -EAGAIN
 *  when there is no room now, also while bytes of prefork_connection_write()
 *  are still pending, or the negative errno of sendmsg(2). Since 0.1. */
PREFORK_API ptrdiff_t prefork_connection_send(struct prefork_connection *connection, const struct iovec *pieces,
                                              int count);

/** Like prefork_connection_send(), but `size` bytes from `offset` of the file
 *  `fd`, by sendfile(2) where the transport allows. Moves `*offset` on.
 *  Returns bytes taken, 0 at the end of the file, -EAGAIN, or a negative errno.
 *  The descriptor is borrowed. Since 0.1. */
PREFORK_API ptrdiff_t prefork_connection_send_file(struct prefork_connection *connection, int fd, int64_t *offset,
                                                   size_t size);

/** Bytes of prefork_connection_write() that the client has not taken yet. Since 0.1. */
PREFORK_API size_t prefork_connection_pending(const struct prefork_connection *connection);

/** 0, or the negative errno that has ended the sending of what was pending: the
 *  client is gone. If the connection waited to be writable, `ready` is called once
 *  more, so that what was under way can be ended where it may block
 *  (prefork_connection_offload()); whatever it answers, the connection is closed. Since 0.1. */
PREFORK_API int prefork_connection_error(const struct prefork_connection *connection);

/** Whether a callback for this connection may block: true under sync and
 *  threads and in a thread that has taken the connection, false in an event
 *  loop. Since 0.1. */
PREFORK_API bool prefork_connection_may_block(const struct prefork_connection *connection);

/** Block until the client can be read (PREFORK_WAIT_READABLE) or written
 *  (PREFORK_WAIT_WRITABLE), at most `timeout_ms` (0: no limit). The time spent
 *  here does not count against the request timeout: it is the client's.
 *  Returns 0, -ETIMEDOUT, -EINTR when the worker must end at once, -EINVAL
 *  where blocking is not allowed, or the negative errno of poll(2). Since 0.1. */
PREFORK_API int prefork_connection_wait(struct prefork_connection *connection, enum prefork_next event,
                                        uint64_t timeout_ms);

/** Have `timed_out` called `after_ms` from now unless another deadline is set
 *  first; 0 means never. A connection has one deadline. It does not pass while
 *  a callback runs or the connection is taken. The time in which pending output is sent counts: a service that
 *  gives its client a time to answer sets the deadline when prefork_connection_pending() is 0. Since 0.1. */
PREFORK_API void prefork_connection_set_deadline(struct prefork_connection *connection, uint64_t after_ms);

/** What is sent from now on may wait for the end of the connection, which follows at once,
 *  and leave together with it: one packet less on either side. If the end does not
 *  follow, the kernel waits 200 ms at most. Since 0.1. */
PREFORK_API void prefork_connection_end_follows(struct prefork_connection *connection);

/** End our side (shutdown(2) with SHUT_WR) after what is pending, so that the
 *  client can read a last answer to its end. Reading goes on. Since 0.1. */
PREFORK_API void prefork_connection_end_output(struct prefork_connection *connection);

/** The service's own pointer, NULL at first. The library never touches what it
 *  points to. Since 0.1. */
PREFORK_API void prefork_connection_set_user(struct prefork_connection *connection, void *user);
PREFORK_API void *prefork_connection_user(const struct prefork_connection *connection);

/** The socket. It belongs to the library: do not close it, do not change its
 *  flags. After PREFORK_SUSPENDED it may be used freely until it is given back.
 *  Since 0.1. */
PREFORK_API int prefork_connection_fd(const struct prefork_connection *connection);

/** The worker that serves this connection. Since 0.1. */
PREFORK_API struct prefork_worker *prefork_connection_worker(const struct prefork_connection *connection);

/** The number of the listener it came by, as in prefork_worker_listener(). Since 0.1. */
PREFORK_API size_t prefork_connection_listener(const struct prefork_connection *connection);

/** The client's address as text without its port ("127.0.0.1", "::1", "" for a
 *  unix socket; a client of IPv4 at a dual-stack listener has its IPv4 address), owned by the connection; `*ret_port` gets the port or 0 and may
 *  be NULL. Asked of the kernel at most once. Since 0.1. */
PREFORK_API const char *prefork_connection_peer(struct prefork_connection *connection, unsigned *ret_port);

/** Do something that may block, wherever that is allowed: made for `return` in a callback.
 *  In an event loop with a pool of threads (setting threads) the connection is
 *  PREFORK_SUSPENDED, a thread of the pool calls `work`, and what that answers is
 *  what the connection waits for next. Everywhere else, also in an event loop without
 *  a pool, `work` is called at once and its answer returned.
 *  prefork_connection_may_block() tells `work` where it is. It has the request
 *  timeout from when it is called, not from when it was queued. It may
 *  answer PREFORK_SUSPENDED once more. Allocates nothing and never fails. Since 0.1. */
PREFORK_API enum prefork_next prefork_connection_offload(struct prefork_connection *connection,
                                                         prefork_work_function *work, void *user);

/** Whether some callback, or what it offloads, may block: false in an event loop without a pool.
 *  Where it is true a client can be waited for in a thread. Any thread. Since 0.1. */
PREFORK_API bool prefork_worker_may_block(const struct prefork_worker *worker);

/** Whether this is a thread beside an event loop: what prefork_connection_write()
 *  cannot send at once need not be waited for here, the loop sends it later. Since 0.1. */
PREFORK_API bool prefork_connection_is_offloaded(const struct prefork_connection *connection);

/** How many connections of this worker have something to be done and wait for a thread, because
 *  all of them are at work: offloaded ones in an event loop, and under threads those
 *  that the last free thread has found waiting. 0 without threads. Whoever would be one too many can be refused early. In a callback under
 *  threads it is the number behind this connection, as of when its thread took it up: each connection that is
 *  counted is taken up later, so that several threads that refuse at once do not refuse too many.
 *  Any thread. Since 0.1. */
PREFORK_API size_t prefork_worker_queued(const struct prefork_worker *worker);

/** Whether all threads that serve are in callbacks, the caller's included, so that nobody lets new clients in:
 *  they wait in the kernel. False in an event loop. Any thread. Since 0.1. */
PREFORK_API bool prefork_worker_is_full(const struct prefork_worker *worker);

/** Give a connection back that was PREFORK_SUSPENDED; `next` is what it waits for, which is not PREFORK_SUSPENDED.
 *  What prefork_connection_write() has kept meanwhile is sent from now on.
 *  May be called from any thread, once per taking; the connection must not be
 *  touched afterwards. A worker that must end at once (PREFORK_QUIT) does not wait for
 *  connections that are taken: the host's own threads that give back are stopped and joined in
 *  `worker_stop` at the latest, since after it the worker is freed. Since 0.1. */
PREFORK_API void prefork_connection_resume(struct prefork_connection *connection, enum prefork_next next);

#ifdef __cplusplus
}
#endif

#endif
