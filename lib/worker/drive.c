/*
 * The steps of a connection under every strategy: its stages (stage.h), then pending output is sent, then the callback
 * of the service is called, with the request deadline set.
 */
#include "worker/connection.h"
#include "base/required.h"
#include "base/times.h"
#include "model/drain.h"
#include "model/library_options.h"
#include "os/clock.h"
#include "worker/own_fds.h"
#include "worker/worker.h"

#include <prefork/strategy.h>

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

enum {
	LINGER_TURN_BYTES = 64 * 1024, /* input dropped by a lingering close before other connections continue */
	DRAIN_INPUTS_MAX = 16,         /* callbacks for a client that sends without pause to a draining worker */
};

typedef enum prefork_next (*callback)(struct prefork_worker *worker, struct prefork_connection *connection,
                                      void *user);

static void drop_output(struct prefork_connection *connection)
{
	connection->output.start = connection->output.end = 0;
	atomic_store_explicit(&connection->transport_output, 0, memory_order_relaxed);
}

static void set_output_deadline(struct prefork_connection *connection)
{
	connection->deadline_ms = pfi_now_ms() + PFI_LAST_OUTPUT_MS;
	connection->pending_at_deadline = prefork_connection_pending(connection);
}

/* Whether unread data is in the receive buffer. Not at end of file. */
static bool has_input(const struct prefork_connection *connection)
{
	char byte;

	return recv(connection->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* The end of the output may not have found space in the socket. It is tried again with each input: while the client
 * sends, it may not read. */
static enum prefork_next linger(struct prefork_connection *connection)
{
	char bytes[16 * 1024];

	if (pfi_connection_transport_has_output(connection))
		(void)connection->transport->flush(connection);
	for (size_t turn = 0; turn < LINGER_TURN_BYTES;) {
		/* From the socket, not through the transport: what is dropped need not be decrypted. */
		const ptrdiff_t n = prefork_socket_receive(connection, bytes, sizeof bytes);

		if (n == -EAGAIN)
			return PREFORK_WAIT_READABLE;
		if (n <= 0)
			return PREFORK_CLOSE;
		turn += (size_t)n;
	}
	return PREFORK_AGAIN;
}

/* All output has been passed to the kernel. If input is unread, close(2) would reset the connection, and the client
 * could lose the end of the response (RFC 9112 9.6). */
static enum prefork_next close_or_linger(struct prefork_connection *connection)
{
	if (atomic_load_explicit(&connection->peer_closed, memory_order_relaxed) ||
	    (connection->worker->service.traits & PREFORK_SERVICE_NO_LINGER) || !has_input(connection) ||
	    connection->transport->end_output(connection) < 0)
		return PREFORK_CLOSE;
	connection->lingering = true;
	connection->deadline_ms = pfi_now_ms() + PFI_LINGER_CLOSE_MS;
	return linger(connection);
}

/* Out of line: see after_callback(). */
__attribute__((noinline)) static enum prefork_next after_callback_slow(struct prefork_connection *connection,
                                                                       enum prefork_next next)
{
	const bool output_stalled = connection->output_stalled;

	next = pfi_connection_checked(connection, next, PREFORK_AGAIN);
	connection->requested = (uint8_t)next;
	connection->output_stalled = false;
	if (connection->error < 0 || (output_stalled && next == PREFORK_CLOSE)) {
		drop_output(connection);
		return PREFORK_CLOSE;
	}
	if (!pfi_connection_has_output(connection)) {
		if (next == PREFORK_WAIT_READABLE && connection->input_buffered)
			return PREFORK_AGAIN; /* no event would come for what the transport holds */
		return next == PREFORK_CLOSE ? close_or_linger(connection) : next;
	}
	if (next == PREFORK_CLOSE && connection->deadline_ms == 0)
		set_output_deadline(connection);
	return PREFORK_WAIT_WRITABLE;
}

/* What the strategy polls for after the service has returned `next`. The usual case, without pending output and
 * errors, is inlined. */
static inline enum prefork_next after_callback(struct prefork_connection *connection, enum prefork_next next)
{
	if ((unsigned)next > PREFORK_AGAIN || connection->error < 0 || connection->input_buffered ||
	    pfi_connection_has_output(connection) ||
	    (next == PREFORK_CLOSE && !(connection->worker->service.traits & PREFORK_SERVICE_NO_LINGER)))
		return after_callback_slow(connection, next);
	connection->requested = (uint8_t)next;
	connection->output_stalled = false;
	return next;
}

/* A service in the middle of a response is called once more if sending has failed: see prefork_connection_proceed(). */
static enum prefork_next after_resume(struct prefork_connection *connection)
{
	if (connection->error < 0 && connection->requested == PREFORK_WAIT_WRITABLE && !connection->error_reported)
		return PREFORK_AGAIN;
	return after_callback(connection, (enum prefork_next)connection->requested);
}

struct prefork_connection *prefork_worker_take_resumed(struct prefork_worker *worker, enum prefork_next *ret_next)
{
	PFI_RETURN_IF_NULL(worker, NULL);
	PFI_RETURN_IF_NULL(ret_next, NULL);

	struct prefork_connection *const connection = pfi_connection_take_resumed(worker);

	if (connection)
		*ret_next = after_resume(connection);
	return connection;
}

/* After PREFORK_SUSPENDED another thread may be using the connection. */
static enum prefork_next call(callback function, struct prefork_connection *connection)
{
	struct prefork_worker *const worker = connection->worker;

	prefork_worker_busy(worker);
	const enum prefork_next next = function(worker, connection, worker->context->user);
	if (worker->strategy.traits & PREFORK_STRATEGY_TURNS)
		pfi_own_fds_defer_check(worker);
	else
		prefork_worker_idle(worker);
	return next == PREFORK_SUSPENDED ? next : after_callback(connection, next);
}

enum prefork_next prefork_connection_proceed(struct prefork_connection *connection)
{
	PFI_RETURN_IF_NULL(connection, PREFORK_CLOSE);

	const struct prefork_service *const service = &connection->worker->service;

	connection->read_drained = false;
	if (connection->lingering)
		return linger(connection);
	if (connection->stage) {
		const enum prefork_next next = pfi_stage_proceed(connection);

		if (next != PREFORK_AGAIN)
			return next;
	}
	if (pfi_connection_has_output(connection)) {
		const int r = pfi_connection_flush(connection);

		if (r == -EAGAIN)
			return PREFORK_WAIT_WRITABLE;
		/* A service in the middle of a response finds prefork_connection_error() set, and ends its work. */
		if (r < 0 && connection->requested == PREFORK_WAIT_WRITABLE) {
			connection->error_reported = true; /* `ready` may suspend it, and is not called again then */
			return call(service->ready, connection);
		}
		if (r < 0)
			return after_callback(connection, PREFORK_CLOSE);
		if (connection->requested == PREFORK_WAIT_READABLE && !connection->input_buffered)
			return PREFORK_WAIT_READABLE; /* this event was EPOLLOUT; input is reported by the next poll */
	}
	if (connection->requested == PREFORK_CLOSE)
		return close_or_linger(connection);
	if (!connection->accepted) {
		connection->accepted = true;
		if (service->accepted) {
			const enum prefork_next next = call(service->accepted, connection);

			if (next != PREFORK_AGAIN)
				return next;
		}
	}
	return call(service->ready, connection);
}

/* Whether the event that the connection waits for has happened by now. If all threads were busy until after the
 * deadline, a request that arrived in time is served. */
static bool is_ready(const struct prefork_connection *connection)
{
	const bool writes = connection->requested == PREFORK_WAIT_WRITABLE || pfi_connection_has_output(connection);
	struct pollfd pollfd = { .fd = connection->fd, .events = writes ? POLLOUT : POLLIN };

	return (writes || connection->requested == PREFORK_WAIT_READABLE) && poll(&pollfd, 1, 0) > 0;
}

static bool has_expired(const struct prefork_connection *connection, enum prefork_next next)
{
	return (next == PREFORK_WAIT_READABLE || next == PREFORK_WAIT_WRITABLE) && connection->deadline_ms > 0 &&
	       connection->deadline_ms <= pfi_now_ms();
}

enum prefork_next prefork_connection_expire(struct prefork_connection *connection)
{
	PFI_RETURN_IF_NULL(connection, PREFORK_CLOSE);

	const callback timed_out = connection->worker->service.timed_out;

	if (connection->lingering)
		return PREFORK_CLOSE;
	if (is_ready(connection)) {
		const enum prefork_next next = prefork_connection_proceed(connection);

		if (!has_expired(connection, next)) /* which is false for PREFORK_SUSPENDED, and reads nothing */
			return next;
	}
	if (connection->stage)
		return pfi_stage_expire(connection);
	const bool drain_is_over = connection->drain_until_ms > 0 && connection->deadline_ms == connection->drain_until_ms;
	connection->deadline_ms = 0;
	if (connection->requested != PREFORK_CLOSE && timed_out && !drain_is_over) {
		/* If output was pending already, a PREFORK_CLOSE of `timed_out` drops it: the client has stalled. */
		connection->output_stalled = pfi_connection_has_output(connection);
		return call(timed_out, connection);
	}
	if (prefork_connection_pending(connection) < connection->pending_at_deadline) {
		set_output_deadline(connection); /* the client is slow, but has read some of it */
		return PREFORK_WAIT_WRITABLE;
	}
	drop_output(connection);
	return PREFORK_CLOSE;
}

/* The first call for a connection in a drain starts its wait for one more request. An orphan does not wait: its kill
 * timer runs. */
static void begin_drain(struct prefork_connection *connection, uint64_t wait_ms)
{
	const struct prefork_worker *const worker = connection->worker;

	if (connection->drain_until_ms > 0)
		return;
	connection->drain_until_ms = pfi_drain_until_ms(pfi_now_ms(), worker->orphan ? 0 : wait_ms,
							atomic_load(&worker->drain_end_ms));
}

uint64_t prefork_connection_drain_ms(struct prefork_connection *connection)
{
	PFI_RETURN_IF_NULL(connection, 0);

	const enum prefork_directive directive = pfi_worker_directive(connection->worker);

	if (directive != PREFORK_DRAIN)
		return directive == PREFORK_CONTINUE ? UINT64_MAX : 0;
	begin_drain(connection, pfi_worker_settings(connection->worker)->drain_idle_ms);
	const uint64_t now_ms = pfi_now_ms();
	return connection->drain_until_ms > now_ms ? connection->drain_until_ms - now_ms : 0;
}

/* For a service without the callback `draining`. A connection between two requests counts as one that has not been
 * responded to from now on: so the next response closes it, and it is not kept again. */
static void begin_default_drain(struct prefork_connection *connection)
{
	const uint64_t idle_ms = pfi_worker_settings(connection->worker)->drain_idle_ms;
	const bool is_between = atomic_load_explicit(&connection->responded, memory_order_relaxed);

	if (connection->drain_until_ms > 0)
		return;
	begin_drain(connection, is_between ? idle_ms : PFI_LAST_REQUEST_MS);
	atomic_store_explicit(&connection->responded, false, memory_order_relaxed);
}

/* Until the connection has been responded to, a request may be in flight. If the service has set an earlier deadline,
 * that one is kept. */
static bool may_wait_for_request(struct prefork_connection *connection)
{
	if (connection->responded || connection->requested != PREFORK_WAIT_READABLE ||
	    connection->drain_until_ms <= pfi_now_ms())
		return false;
	if (connection->deadline_ms == 0 || connection->deadline_ms > connection->drain_until_ms)
		connection->deadline_ms = connection->drain_until_ms;
	return true;
}

/* A connection without a request yet waits as long as the service says, but not until the arbiter aborts the worker.
 * What the service does with other connections is its own decision. */
static enum prefork_next limit_first_wait(struct prefork_connection *connection, enum prefork_next next)
{
	if (next != PREFORK_WAIT_READABLE || connection->received)
		return next;
	const uint64_t end_ms = atomic_load(&connection->worker->drain_end_ms);

	if (end_ms < UINT64_MAX && (connection->deadline_ms == 0 || connection->deadline_ms > end_ms))
		connection->deadline_ms = end_ms;
	return next;
}

enum prefork_next prefork_connection_drain(struct prefork_connection *connection)
{
	PFI_RETURN_IF_NULL(connection, PREFORK_CLOSE);

	const callback draining = connection->worker->service.draining;

	if (connection->lingering)
		return PREFORK_WAIT_READABLE;
	if (connection->stage)
		return pfi_stage_drain(connection);
	if (connection->requested != PREFORK_CLOSE && draining)
		return limit_first_wait(connection, call(draining, connection));
	begin_default_drain(connection);
	for (int i = 0; i < DRAIN_INPUTS_MAX; i++) {
		if (connection->requested != PREFORK_WAIT_READABLE ||
		    !(connection->input_buffered || has_input(connection)))
			break;

		const enum prefork_next next = prefork_connection_proceed(connection);

		if (next != PREFORK_WAIT_READABLE)
			return next;
	}
	return may_wait_for_request(connection) ? PREFORK_WAIT_READABLE : after_callback(connection, PREFORK_CLOSE);
}
