/*
 * connection -- the inside of struct prefork_connection, for lib/worker only.
 *
 * One thread at a time drives a connection, but while a callback of the service runs, one thread may
 * read and another one write. The strategy polls; what to poll for is kept here.
 */
#ifndef WORKER_CONNECTION_H
#define WORKER_CONNECTION_H

#include "worker/connection_watch.h"
#include "worker/peer.h"
#include "worker/stage.h"

#include <prefork/service.h>
#include <prefork/transport.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pfi_loop_task;
struct prefork_worker;
struct pfi_proxy;

/* The socket itself. */
extern const struct prefork_transport pfi_transport_plain;

/* Pending output: bytes [start, end). */
struct pfi_output {
	char *bytes;
	size_t start;
	size_t end;
	size_t capacity;
};

struct prefork_connection {
	struct prefork_worker *worker;
	const struct prefork_transport *transport;
	const struct pfi_connection_stage *const *stage; /* in worker->stages; NULL: the service is called    */
	int fd;
	bool accepted;            /* the callback `accepted` was called                            */
	bool ends_output;         /* shut down the output after the pending output                 */
	bool end_follows;         /* send with MSG_MORE                                            */
	bool read_drained;        /* the last read emptied the receive buffer                      */
	bool input_buffered;      /* the transport holds input that pollers do not see             */
	_Atomic bool received;    /* data has been received                                        */
	_Atomic bool responded;   /* data has been sent, and none received after it                */
	_Atomic bool peer_closed; /* a read or write has found the connection closed by the client */
	bool lingering;           /* lingering close: input is dropped                             */
	bool output_stalled;      /* the deadline has passed while output was pending              */
	bool error_reported;      /* `ready` was called after sending has failed                   */
	bool peer_known;          /* `peer` and `port` are filled in                               */
	uint8_t requested;        /* enum prefork_next: the last one that the service returned     */
	unsigned port;
	size_t listener;
	uint64_t deadline_ms;
	uint64_t drain_until_ms;  /* end of its wait for a request in a drain; 0: no drain so far  */
	void *user;
	void *driver;
	int error;                /* negative errno with which sending pending output failed       */
	bool watched;             /* polled for reading, also while it is suspended                */
	bool is_watched;          /* `watch` is in use: prefork_connection_watch(), under its lock     */
	prefork_work_function *work; /* NULL unless offloaded, and in a task until it begins       */
	void *work_user;
	struct pfi_loop_task *task;  /* tasks.h; NULL: none                                        */
	struct pfi_output output;
	_Atomic size_t transport_output; /* bytes that the transport has taken, and the socket has not yet */
	void *transport_data;
	struct pfi_proxy *proxy;  /* own; NULL: no PROXY header */
	size_t pending_at_deadline; /* bytes pending when the library set the deadline; 0: the service's deadline */
	struct prefork_connection *next; /* in one of the worker's lists                           */
	union pfi_peer_address address;  /* of the client. Not cleared from here on, see pfi_connection_create() */
	char peer[INET6_ADDRSTRLEN];
	struct pfi_watch_entry watch;
};

/* Whether output is pending that the transport has not taken yet. */
static inline bool pfi_connection_has_queue(const struct prefork_connection *connection)
{
	return connection->output.end > connection->output.start;
}

/* Whether the transport holds output that the socket has not taken yet. */
static inline bool pfi_connection_transport_has_output(const struct prefork_connection *connection)
{
	return atomic_load_explicit(&connection->transport_output, memory_order_relaxed) > 0;
}

/* Whether output is pending: in the queue, or in the transport. */
static inline bool pfi_connection_has_output(const struct prefork_connection *connection)
{
	return pfi_connection_has_queue(connection) || pfi_connection_transport_has_output(connection);
}

/* Takes `fd`. NULL if memory is exhausted: then `fd` is still the caller's. First thread, or the thread that
 * accepts. */
struct prefork_connection *pfi_connection_create(struct prefork_worker *worker, int fd, size_t listener);

/* Resume an offloaded connection, in a thread of the offload pool. If it has no output and its loop already polls
 * it for input, the loop is not woken: the client's next data does that, and meanwhile the loop checks for resumed
 * connections at least every OFFLOADED_POLL_MS (ev.c). */
void pfi_connection_resume_offloaded(struct prefork_connection *connection, enum prefork_next next);

/* The next resumed connection, or NULL. First thread. */
struct prefork_connection *pfi_connection_take_resumed(struct prefork_worker *worker);

/* Wait until no other thread is inside prefork_connection_resume(). */
void pfi_connection_await_resumers(struct prefork_worker *worker);

/* Free the connections of the free lists. */
void pfi_connection_pool_finish(struct prefork_worker *worker);

/* `next`, or PREFORK_CLOSE with a log line if it is greater than `last`: a callback may return any number. */
enum prefork_next pfi_connection_checked(struct prefork_connection *connection, enum prefork_next next,
                                         enum prefork_next last);

/* Send pending output. 0: all is sent; -EAGAIN: some is left; or the negative errno of sending. */
int pfi_connection_flush(struct prefork_connection *connection);

#endif
