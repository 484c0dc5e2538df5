/*
 * How a connection goes on: callbacks of the service with the request deadline
 * around them, and the output that is written before anything else happens.
 */
#include "worker/connection.h"
#include "base/required.h"
#include "base/times.h"
#include "os/clock.h"
#include "worker/own_fds.h"
#include "worker/worker.h"

#include <prefork/log.h>
#include <prefork/strategy.h>

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

/* So much of a connection that is to be closed is read before other connections have a turn. */
enum { LINGER_TURN = 64 * 1024 };

/* How often one that talks without a pause is still heard when its worker leaves. */
enum { LAST_INPUTS_MAX = 16 };

typedef enum prefork_next (*callback)(struct prefork_worker *worker, struct prefork_connection *connection,
                                      void *user);

static void drop_output(struct prefork_connection *connection)
{
	connection->output.start = connection->output.end = 0;
}

static void give_time(struct prefork_connection *connection)
{
	connection->deadline_ms = pfi_now_ms() + PFI_LAST_OUTPUT_MS;
	connection->unsaid = prefork_connection_pending(connection);
}

enum prefork_next pfi_connection_checked(struct prefork_connection *connection, enum prefork_next next,
                                         enum prefork_next last)
{
	if ((unsigned)next <= (unsigned)last)
		return next;
	prefork_log_printf(connection->worker->context->log, PREFORK_LOG_ERROR, "service",
	                "A callback of the service answered %d, which says nothing of what its connection waits for: closed",
	                (int)next);
	return PREFORK_CLOSE;
}

/* What came and was not read yet. */
static bool has_input(const struct prefork_connection *connection)
{
	char byte;

	return recv(connection->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static enum prefork_next linger(struct prefork_connection *connection)
{
	char bytes[16 * 1024];

	for (size_t turn = 0; turn < LINGER_TURN;) {
		const ptrdiff_t n = connection->transport->receive(connection, bytes, sizeof bytes);

		if (n == -EAGAIN)
			return PREFORK_WAIT_READABLE;
		if (n <= 0)
			return PREFORK_CLOSE;
		turn += (size_t)n;
	}
	return PREFORK_AGAIN;
}

/* The last of the output is with the kernel. */
static enum prefork_next close_gently(struct prefork_connection *connection)
{
	if (atomic_load_explicit(&connection->ended, memory_order_relaxed) ||
	    (connection->worker->service.traits & PREFORK_SERVICE_NO_LINGER) || !has_input(connection) ||
	    connection->transport->end_output(connection) < 0)
		return PREFORK_CLOSE;
	connection->lingers = true;
	connection->deadline_ms = pfi_now_ms() + PFI_LINGER_CLOSE_MS;
	return linger(connection);
}

/* What the strategy has to wait for when the service asked for `next`. */
static enum prefork_next settle(struct prefork_connection *connection, enum prefork_next next)
{
	const bool is_stuck = connection->is_stuck;

	next = pfi_connection_checked(connection, next, PREFORK_AGAIN);
	connection->asked = (uint8_t)next;
	connection->is_stuck = false;
	if (connection->error < 0 || (is_stuck && next == PREFORK_CLOSE)) {
		drop_output(connection);
		return PREFORK_CLOSE;
	}
	if (!pfi_connection_has_output(connection))
		return next == PREFORK_CLOSE ? close_gently(connection) : next;
	if (next == PREFORK_CLOSE && connection->deadline_ms == 0)
		give_time(connection);
	return PREFORK_WAIT_WRITABLE;
}

struct prefork_connection *prefork_worker_resumed(struct prefork_worker *worker, enum prefork_next *ret_next)
{
	PFI_RETURN_IF_NULL(worker, NULL);
	PFI_RETURN_IF_NULL(ret_next, NULL);

	struct prefork_connection *const connection = pfi_connection_take_resumed(worker);

	if (connection)
		*ret_next = settle(connection, (enum prefork_next)connection->asked);
	return connection;
}

/* After PREFORK_SUSPENDED another thread may have the connection already. */
static enum prefork_next call(callback function, struct prefork_connection *connection)
{
	struct prefork_worker *const worker = connection->worker;

	prefork_worker_busy(worker);
	const enum prefork_next next = function(worker, connection, worker->context->user);
	if (worker->strategy.traits & PREFORK_STRATEGY_TURNS)
		pfi_own_fds_put_off(worker);
	else
		prefork_worker_idle(worker);
	return next == PREFORK_SUSPENDED ? next : settle(connection, next);
}

enum prefork_next prefork_connection_proceed(struct prefork_connection *connection)
{
	PFI_RETURN_IF_NULL(connection, PREFORK_CLOSE);

	const struct prefork_service *const service = &connection->worker->service;

	connection->drained = false;
	if (connection->lingers)
		return linger(connection);
	if (pfi_connection_has_output(connection)) {
		const int r = pfi_connection_flush(connection);

		if (r == -EAGAIN)
			return PREFORK_WAIT_WRITABLE;
		/* Who is in the middle of an answer finds that it has nobody to hear it. */
		if (r < 0 && connection->asked == PREFORK_WAIT_WRITABLE)
			return call(service->ready, connection);
		if (r < 0)
			return settle(connection, PREFORK_CLOSE);
		if (connection->asked == PREFORK_WAIT_READABLE)
			return PREFORK_WAIT_READABLE; /* it may well have nothing to read yet */
	}
	if (connection->asked == PREFORK_CLOSE)
		return close_gently(connection);
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

/* What it waits for may have come while nobody had time to look, and then it was not the client
 * that was late. */
static bool can_go_on(const struct prefork_connection *connection)
{
	const bool writes = connection->asked == PREFORK_WAIT_WRITABLE || pfi_connection_has_output(connection);
	struct pollfd pollfd = { .fd = connection->fd, .events = writes ? POLLOUT : POLLIN };

	return (writes || connection->asked == PREFORK_WAIT_READABLE) && poll(&pollfd, 1, 0) > 0;
}

static bool still_waits(const struct prefork_connection *connection, enum prefork_next next)
{
	return (next == PREFORK_WAIT_READABLE || next == PREFORK_WAIT_WRITABLE) && connection->deadline_ms > 0 &&
	       connection->deadline_ms <= pfi_now_ms();
}

enum prefork_next prefork_connection_expire(struct prefork_connection *connection)
{
	PFI_RETURN_IF_NULL(connection, PREFORK_CLOSE);

	const callback timed_out = connection->worker->service.timed_out;

	if (connection->lingers)
		return PREFORK_CLOSE;
	if (can_go_on(connection)) {
		const enum prefork_next next = prefork_connection_proceed(connection);

		if (!still_waits(connection, next)) /* taken ones are not even looked at */
			return next;
	}
	const bool is_over = connection->notice_ms > 0 && connection->deadline_ms == connection->notice_ms;
	connection->deadline_ms = 0;
	if (connection->asked != PREFORK_CLOSE && timed_out && !is_over) {
		/* A last word of `timed_out` is waited for, as long as nothing stands before it. */
		connection->is_stuck = pfi_connection_has_output(connection);
		return call(timed_out, connection);
	}
	if (prefork_connection_pending(connection) < connection->unsaid) {
		give_time(connection); /* slow, but it takes it */
		return PREFORK_WAIT_WRITABLE;
	}
	drop_output(connection);
	return PREFORK_CLOSE;
}

/* A client that was not heard yet, or not answered, may have a question on the way: it is
 * waited for, but once, not beyond the service's own deadline, and not by an orphan. */
static bool may_go_on(struct prefork_connection *connection)
{
	if (connection->answered || connection->asked != PREFORK_WAIT_READABLE || connection->worker->orphan)
		return false;
	if (connection->notice_ms == 0)
		connection->notice_ms = pfi_now_ms() + PFI_LAST_REQUEST_MS;
	if (connection->deadline_ms == 0 || connection->deadline_ms > connection->notice_ms)
		connection->deadline_ms = connection->notice_ms;
	return true;
}

enum prefork_next prefork_connection_drain(struct prefork_connection *connection)
{
	PFI_RETURN_IF_NULL(connection, PREFORK_CLOSE);

	const callback leaving = connection->worker->service.leaving;

	if (connection->lingers)
		return PREFORK_WAIT_READABLE;
	if (connection->asked != PREFORK_CLOSE && leaving)
		return call(leaving, connection);
	for (int i = 0; i < LAST_INPUTS_MAX; i++) {
		if (connection->asked != PREFORK_WAIT_READABLE || !has_input(connection))
			break;

		const enum prefork_next next = prefork_connection_proceed(connection);

		if (next != PREFORK_WAIT_READABLE)
			return next;
	}
	return may_go_on(connection) ? PREFORK_WAIT_READABLE : settle(connection, PREFORK_CLOSE);
}
