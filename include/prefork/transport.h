/*
 * prefork/transport.h -- how the bytes of connections travel: for authors of transports, such as TLS.
 *
 * By default a connection reads from and writes to its socket. A transport is a table of functions that takes the
 * place of the socket for all connections of a worker: it encrypts, and decrypts, between socket and service. Services
 * and strategies do not notice: they use the functions of <prefork/service.h> and <prefork/strategy.h>. Programs that
 * serve TLS use <prefork/tls.h>, which is made from this header.
 *
 *     accept -> PROXY header -> establish -> receive, send ... -> close
 *
 * Ownership: the worker borrows the table; the transport owns what it gives to prefork_transport_set_data(), and frees
 * it in `close`. Threads: `establish`, `timed_out` and `close` of a connection never overlap with other functions of
 * it. While a callback of the service runs, one thread may be in `receive` or `flush` and another one in `send`,
 * `send_file`, `flush` or `end_output` of the same connection. Fork: a child that the application forks must not use a
 * transport; prefork_socket_*() return -EBADF there.
 */
#ifndef PREFORK_TRANSPORT_H
#define PREFORK_TRANSPORT_H

#include <prefork/export.h>
#include <prefork/service.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct iovec;
struct prefork_connection;
struct prefork_worker;

enum prefork_transport_traits {
	PREFORK_TRANSPORT_SECURE = 1u << 0, /* it encrypts and authenticates: prefork_connection_is_secure() */
};

/**
 * A transport. No function blocks or raises a signal. Since 0.1.
 *
 * establish   the connection is new, or what it waited for has happened: continue
 *             the handshake. PREFORK_AGAIN: it is complete, and the service is
 *             called. PREFORK_WAIT_READABLE, PREFORK_WAIT_WRITABLE: call again
 *             then; calls without an event are possible. PREFORK_CLOSE: it has
 *             failed, and the transport has logged why. The setting
 *             handshake_timeout limits the time; the service is not called, and
 *             the connection counts as no request. NULL: there is no handshake
 * timed_out   handshake_timeout is over: log it. `close` follows. NULL: nothing
 * receive     as prefork_connection_read(): the number of bytes, 0 at end of file,
 *             or a negative errno, -EAGAIN if there are none. Ends with
 *             prefork_transport_set_input()
 * send        as much of `count` pieces as the transport takes: the number of
 *             bytes, or a negative errno, -EAGAIN if it takes none. Bytes that were
 *             taken but that the socket did not take are announced by
 *             prefork_transport_set_output()
 * send_file   the same for `size` bytes from `*offset` of `fd`; advances `*offset`;
 *             0 at the end of the file
 * flush       send what was announced by prefork_transport_set_output(): 0 once all
 *             of it is sent, -EAGAIN, or a negative errno. NULL: there is never any
 * end_output  the last byte was sent: tell the client, then shut down the output
 *             (shutdown(2), SHUT_WR). 0 or a negative errno
 * close       the last call, before close(2): also if `establish` was never called,
 *             or has failed. Output that cannot be sent now is lost. NULL: nothing
 */
struct prefork_transport {
	size_t struct_size; /* sizeof(struct prefork_transport) */
	unsigned traits;    /* of enum prefork_transport_traits */
	ptrdiff_t (*receive)(struct prefork_connection *connection, void *bytes, size_t size);
	ptrdiff_t (*send)(struct prefork_connection *connection, const struct iovec *pieces, int count);
	ptrdiff_t (*send_file)(struct prefork_connection *connection, int fd, int64_t *offset, size_t size);
	int (*end_output)(struct prefork_connection *connection);
	int (*flush)(struct prefork_connection *connection);
	enum prefork_next (*establish)(struct prefork_connection *connection);
	void (*timed_out)(struct prefork_connection *connection);
	void (*close)(struct prefork_connection *connection);
};

/** Have all connections of this worker use `transport`. Call it once, in the hook `worker_start`. Borrows `transport`
 *  and `user` for the life of the worker. Returns 0; -EINVAL: an argument is NULL, or a function besides flush,
 *  establish, timed_out and close; -EBUSY: the worker has a transport, or is ready; -ENOMEM. Since 0.1. */
PREFORK_API int prefork_worker_set_transport(struct prefork_worker *worker, const struct prefork_transport *transport,
                                             void *user);

/** The pointer given to prefork_worker_set_transport(). Any thread. Since 0.1. */
PREFORK_API void *prefork_transport_user(const struct prefork_connection *connection);

/** The transport's pointer for this connection, NULL at first. prefork_transport_data() returns NULL if the connection
 *  does not use `transport`. Since 0.1. */
PREFORK_API void prefork_transport_set_data(struct prefork_connection *connection, void *data);
PREFORK_API void *prefork_transport_data(const struct prefork_connection *connection,
                                         const struct prefork_transport *transport);

/** At the end of `receive`, and of `establish`: whether the transport holds input that the next `receive` returns
 *  without reading from the socket. Pollers do not see it, so that the service is called again instead of waiting.
 *  Since 0.1. */
PREFORK_API void prefork_transport_set_input(struct prefork_connection *connection, bool is_buffered);

/** How many bytes wait in the transport for the socket to take them: they count as pending output of the connection.
 *  In every function that has changed the number. Since 0.1. */
PREFORK_API void prefork_transport_set_output(struct prefork_connection *connection, size_t size);

/** The socket itself, for the functions of a transport: recv(2), send(2), shutdown(2). Results as of `receive`, `send`
 *  and `end_output`; prefork_connection_read_would_block() follows prefork_socket_receive(). Since 0.1. */
PREFORK_API ptrdiff_t prefork_socket_receive(struct prefork_connection *connection, void *bytes, size_t size);
PREFORK_API ptrdiff_t prefork_socket_send(struct prefork_connection *connection, const struct iovec *pieces, int count);
PREFORK_API ptrdiff_t prefork_socket_send_file(struct prefork_connection *connection, int fd, int64_t *offset, size_t size);
PREFORK_API int prefork_socket_end_output(struct prefork_connection *connection);

#ifdef __cplusplus
}
#endif

#endif
