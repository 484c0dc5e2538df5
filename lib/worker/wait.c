#include "worker/connection.h"
#include "base/required.h"
#include "os/clock.h"
#include "os/signal_pipe.h"
#include "worker/own_fds.h"
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

	/* The loop of a strategy that must not block runs in the first thread. */
	return (worker->strategy.traits & PREFORK_STRATEGY_MAY_BLOCK) || pfi_worker_thread(worker) != 0;
}

/* poll(2) until `until_ms`, 0: no limit. Its answer, errno as a negative one. */
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

/* The first thread also looks at what the arbiter wants, since nobody else
 * does meanwhile; other threads are told by quit_fd. */
static int wait_for(struct prefork_connection *connection, short events, uint64_t until_ms)
{
	struct prefork_worker *const worker = connection->worker;
	const bool looks = pfi_worker_thread(worker) == 0;

	for (;;) {
		const bool has_arbiter = looks && !worker->orphan;
		struct pollfd fds[] = {
			{ .fd = connection->fd, .events = events },
			{ .fd = worker->quit_fd, .events = POLLIN },
			{ .fd = looks ? pfi_signal_pipe_fd() : -1, .events = POLLIN },
			{ .fd = has_arbiter ? worker->context->channel : -1, .events = POLLIN },
			{ .fd = has_arbiter ? worker->context->arbiter_pidfd : -1, .events = POLLIN },
		};
		const int r = poll_until(fds, sizeof fds / sizeof fds[0], until_ms);

		if (r < 0 && r != -EINTR)
			return prefork_fail(r, "cannot wait for the client: %s", strerror(-r));
		for (size_t i = 1; i < sizeof fds / sizeof fds[0]; i++) {
			if (fds[i].revents & POLLNVAL)
				pfi_own_fds_lost(worker);
		}
		if (fds[2].revents || fds[3].revents || fds[4].revents) {
			pfi_check_poll(worker);
			pfi_worker_wake(worker); /* the strategy has not seen it yet */
		}
		if (prefork_worker_directive(worker) == PREFORK_QUIT)
			return prefork_fail(-EINTR, "the worker must end");
		if (r > 0 && fds[0].revents)
			return 0;
		if (r == 0 && until_ms > 0 && pfi_now_ms() >= until_ms)
			return prefork_fail(-ETIMEDOUT, "the client took too long");
	}
}

int prefork_connection_wait(struct prefork_connection *connection, enum prefork_next event, uint64_t timeout_ms)
{
	PFI_RETURN_IF_NULL(connection, -EINVAL);

	struct prefork_worker *const worker = connection->worker;
	const unsigned thread = pfi_worker_thread(worker);
	const bool counts = thread <= worker->threads;
	const uint64_t now_ms = pfi_now_ms();
	const uint64_t until_ms = timeout_ms > 0 && timeout_ms <= UINT64_MAX - now_ms ? now_ms + timeout_ms : 0;
	struct pfi_pause pause;

	if (event != PREFORK_WAIT_READABLE && event != PREFORK_WAIT_WRITABLE)
		return prefork_fail(-EINVAL, "a client can be waited for until it is readable or writable");
	if (!prefork_connection_may_block(connection))
		return prefork_fail(-EINVAL, "a callback must not block in an event loop");
	if (counts)
		pause = pfi_liveness_pause(&worker->liveness, thread);
	const int r = wait_for(connection, event == PREFORK_WAIT_READABLE ? POLLIN : POLLOUT, until_ms);
	if (counts)
		pfi_liveness_resume(&worker->liveness, thread, pause);
	return r;
}
