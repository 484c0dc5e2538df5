/*
 * connection -- the inside of struct prefork_connection, for this room only.
 *
 * It is driven by one thread at a time, but while a service's callback runs one
 * thread may read and another write. Who waits for it is the strategy's
 * business; what it waits for is kept here.
 */
#ifndef WORKER_CONNECTION_H
#define WORKER_CONNECTION_H

#include <prefork/service.h>

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct prefork_worker;

/* How bytes travel: the seam for TLS. Nothing here blocks or raises a signal.
 * Each returns a count, or a negative errno: -EAGAIN when it cannot go on now. */
struct pfi_transport {
	ptrdiff_t (*receive)(struct prefork_connection *connection, void *bytes, size_t size);
	ptrdiff_t (*send)(struct prefork_connection *connection, const struct iovec *pieces, int count);
	ptrdiff_t (*send_file)(struct prefork_connection *connection, int fd, int64_t *offset, size_t size);
	int (*end_output)(struct prefork_connection *connection);
};

/* The socket as it is. */
extern const struct pfi_transport pfi_transport_plain;

/* Bytes [start, end) wait for the client. */
struct pfi_output {
	char *bytes;
	size_t start;
	size_t end;
	size_t capacity;
};

union pfi_peer_address { /* no longer than needed: a unix client's name is of no use to us */
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

struct prefork_connection {
	struct prefork_worker *worker;
	const struct pfi_transport *transport;
	int fd;
	bool accepted;     /* `accepted` was called                               */
	bool ends_output;  /* shut our side once the output is written            */
	bool end_follows;  /* what is sent may leave with the end                 */
	bool read_drained;      /* the last read took all that was there               */
	_Atomic bool received;    /* the client has said something                   */
	_Atomic bool responded; /* and nothing more since it was last spoken to    */
	_Atomic bool peer_closed;    /* the client has ended its side, or is gone       */
	bool lingering;      /* it is to be closed; what still comes is dropped     */
	bool output_stalled;     /* its deadline has passed while output was pending    */
	bool peer_known;   /* peer and port are filled in                         */
	uint8_t requested;     /* enum prefork_next: what the service asked for last  */
	unsigned port;
	size_t listener;
	uint64_t deadline_ms;
	uint64_t drain_until_ms; /* the worker leaves, and waits for it until then; 0: not so far */
	void *user;
	void *driver;
	int error;                   /* of sending what was pending: it cannot be sent any more */
	bool watched;                /* for reading, and stays so while it is taken      */
	prefork_work_function *work; /* NULL unless offloaded                            */
	void *work_user;
	struct pfi_output output;
	size_t pending_at_deadline;               /* of the exit message, when their deadline was set; 0: it is the service's */
	struct prefork_connection *next; /* in one of the worker's lists          */
	union pfi_peer_address address;       /* as accept4(2) told it                 */
	char peer[INET6_ADDRSTRLEN];
};

static inline bool pfi_connection_has_output(const struct prefork_connection *connection)
{
	return connection->output.end > connection->output.start;
}

/* Take over `fd`; NULL when memory ran out, and `fd` stays the caller's. First thread. */
struct prefork_connection *pfi_connection_create(struct prefork_worker *worker, int fd, size_t listener);

/* Give back what was offloaded, from a thread of the offload pool. A connection that only waits for
 * its client, and is watched for that, need not wake the loop: the client will, and the loop
 * looks by itself before long as long as anything is offloaded. */
void pfi_connection_resume_offloaded(struct prefork_connection *connection, enum prefork_next next);

/* The next one that was given back, NULL: none. First thread. */
struct prefork_connection *pfi_connection_take_resumed(struct prefork_worker *worker);

/* Until no other thread is inside prefork_connection_resume(). */
void pfi_connection_await_resumers(struct prefork_worker *worker);

/* Free the pool. */
void pfi_connection_pool_finish(struct prefork_worker *worker);

/* What a callback has answered, as it will be obeyed: what is no enum prefork_next is logged, and means
 * PREFORK_CLOSE. `last` is the last value that is one here. */
enum prefork_next pfi_connection_checked(struct prefork_connection *connection, enum prefork_next next,
                                         enum prefork_next last);

/* Send what waits. 0: nothing is left; -EAGAIN: some is; or what send says. */
int pfi_connection_flush(struct prefork_connection *connection);

#endif
