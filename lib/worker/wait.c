/* Blocks a thread until a connection is ready, its time is over, or the worker must quit. */
#include "worker/connection.h"
#include "base/required.h"
#include "os/clock.h"
#include "os/signal_pipe.h"
#include "worker/own_fds.h"
#include "worker/tasks.h"
#include "worker/worker.h"

#include <prefork/error.h>

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>

bool prefork_connection_may_block(const struct prefork_connection *connection)
{
	PFI_RETURN_IF_NULL(connection, false);

	const struct prefork_worker *const worker = connection->worker;

	/* The event loop, if any, runs in the first thread. */
	return (worker->strategy.traits & PREFORK_STRATEGY_MAY_BLOCK) || pfi_worker_thread(worker) != 0 ||
	       prefork_connection_is_task(connection);
}

bool prefork_connection_is_task(const struct prefork_connection *connection)
{
	PFI_RETURN_IF_NULL(connection, false);

	const struct prefork_worker *const worker = connection->worker;

	return worker->tasks && pfi_worker_thread(worker) == 0 && !worker->tasks->in_loop;
}

bool prefork_connection_cancel_waits(struct prefork_connection *connection)
{
	PFI_RETURN_IF_NULL(connection, false);
	return prefork_connection_is_task(connection) && pfi_tasks_cancel_waits(connection->worker->tasks, connection);
}

/* poll(2) until `until_ms`, 0: no limit. Returns the result of poll, or a negative errno. */
static int poll_until(struct pollfd *fds, nfds_t count, uint64_t until_ms)
{
	int timeout = -1;

	if (until_ms > 0) {
		const uint64_t now_ms = pfi_now_ms();
		const uint64_t left_ms = until_ms > now_ms ? until_ms - now_ms : 0;

		timeout = left_ms > INT_MAX ? INT_MAX : (int)left_ms;
	}
	const int r = poll(fds, count, timeout);
	return r < 0 ? -errno : r;
}

static bool failed(int flushed)
{
	return flushed < 0 && flushed != -EAGAIN;
}

/* A service that waits for input may have sent what its client waits for: the transport may still hold the end of it.
 * While the first thread waits here, no other thread reads the control channel and the signals, so it polls them, too.
 * For the other threads quit_fd becomes readable. */
static int wait_for(struct prefork_connection *connection, enum prefork_next event, uint64_t until_ms)
{
	const int fd = event == PREFORK_AGAIN ? -1 : connection->fd;
	const short events = event == PREFORK_WAIT_READABLE ? POLLIN : POLLOUT;
	struct prefork_worker *const worker = connection->worker;
	const bool is_first = pfi_worker_thread(worker) == 0;

	for (;;) {
		const bool has_arbiter = is_first && !worker->orphan;
		const bool flushes = event == PREFORK_WAIT_READABLE && pfi_connection_transport_has_output(connection);
		struct pollfd fds[] = {
			{ .fd = fd, .events = (short)(events | (flushes ? POLLOUT : 0)) },
			{ .fd = worker->quit_fd, .events = POLLIN },
			{ .fd = is_first ? pfi_signal_pipe_fd() : -1, .events = POLLIN },
			{ .fd = has_arbiter ? worker->context->channel : -1, .events = POLLIN },
			{ .fd = has_arbiter ? worker->context->arbiter_pidfd : -1, .events = POLLIN },
		};
		const int r = poll_until(fds, sizeof fds / sizeof fds[0], until_ms);

		if (r < 0 && r != -EINTR)
			return prefork_fail(r, "poll of a connection failed: %s", strerror(-r));
		for (size_t i = 1; i < sizeof fds / sizeof fds[0]; i++) {
			if (fds[i].revents & POLLNVAL)
				pfi_own_fds_lost(worker);
		}
		if (fds[2].revents || fds[3].revents || fds[4].revents) {
			pfi_check_poll(worker);
			pfi_worker_wake(worker); /* the strategy must handle the events, too */
		}
		if (prefork_worker_directive(worker) == PREFORK_QUIT)
			return prefork_fail(-EINTR, "the worker quits");
		if (r > 0 && fds[0].revents && (!flushes || (fds[0].revents & ~POLLOUT)))
			return 0;
		if (r > 0 && fds[0].revents && failed(connection->transport->flush(connection)))
			return 0; /* the next read returns the error */
		if (r == 0 && until_ms > 0 && pfi_now_ms() >= until_ms)
			return fd < 0 ? 0 : prefork_fail(-ETIMEDOUT, "timed out waiting for the client");
	}
}

int prefork_connection_wait(struct prefork_connection *connection, enum prefork_next event, uint64_t timeout_ms)
{
	PFI_RETURN_IF_NULL(connection, -EINVAL);

	struct prefork_worker *const worker = connection->worker;
	const unsigned thread = pfi_worker_thread(worker);
	const bool has_slot = thread <= worker->threads;
	const uint64_t now_ms = pfi_now_ms();
	const uint64_t until_ms = timeout_ms > 0 && timeout_ms <= UINT64_MAX - now_ms ? now_ms + timeout_ms : 0;
	struct pfi_pause pause;

	if (event != PREFORK_WAIT_READABLE && event != PREFORK_WAIT_WRITABLE && (event != PREFORK_AGAIN || until_ms == 0))
		return prefork_fail(-EINVAL, "event %d is not PREFORK_WAIT_READABLE, PREFORK_WAIT_WRITABLE, or "
		                             "PREFORK_AGAIN with a time", (int)event);
	if (!prefork_connection_may_block(connection))
		return prefork_fail(-EINVAL, "a callback of an event loop must not block "
		                             "(prefork_connection_offload())");
	if (event == PREFORK_WAIT_READABLE && connection->input_buffered)
		return 0;
	/* Other tasks run meanwhile: the deadline is that of the turn, and does not move. */
	if (prefork_connection_is_task(connection))
		return pfi_tasks_wait(worker->tasks, connection, event, until_ms);
	if (has_slot)
		pause = pfi_liveness_pause(&worker->liveness, thread);
	const int r = wait_for(connection, event, until_ms);
	if (has_slot)
		pfi_liveness_resume(&worker->liveness, thread, pause);
	return r;
}
