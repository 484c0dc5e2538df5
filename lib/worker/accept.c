/* Accepts connections from the listeners of a worker, and pauses accepting when a resource is exhausted. */
#include "listener/accept_error.h"
#include "base/required.h"
#include "listener/reuseport.h"
#include "model/worker_score.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/fdtable.h"
#include "worker/connection.h"
#include "worker/accept_shortage.h"
#include "worker/worker.h"

#include <prefork/error.h>
#include <prefork/host_loop.h>
#include <prefork/log.h>
#include <prefork/strategy.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	SKIPS_MAX = 16,          /* aborted connections skipped per call                   */
	HANDSHAKES_MAX = 64,     /* handshakes in progress when the backlog was measured   */
	QUEUE_UNKNOWN = 1 << 12, /* net.core.somaxconn is 4096 by default since Linux 5.4 */
};

int pfi_worker_listeners_open(struct prefork_worker *worker)
{
	const struct pfi_spawn_context *const context = worker->context;

	worker->listeners = calloc(context->listener_count + 1, sizeof *worker->listeners);
	if (!worker->listeners)
		return prefork_fail(-ENOMEM, "no memory for %zu listeners", context->listener_count);
	for (size_t i = 0; i < context->listener_count; i++) {
		struct prefork_listener *const listener = context->listeners[i];

		if (context->reuseport_sets && context->reuseport_sets[i] >= 0)
			listener->fd = context->reuseport_sets[i]; /* only in this process; sockets[0] stays open */
		worker->listeners[i].listener = listener;
	}
	worker->listener_count = context->listener_count;
	return 0;
}

void pfi_worker_listeners_close(struct prefork_worker *worker)
{
	free(worker->listeners);
	worker->listeners = NULL;
	worker->listener_count = 0;
}

static int pause_accepting(struct prefork_worker *worker, int error)
{
	pfi_shortage_begin(worker, error);
	return -EBUSY;
}

static int listener_failed(struct prefork_worker *worker, size_t index, int error)
{
	bool any = false;

	worker->listeners[index].broken = true;
	pfi_worker_log(worker, PREFORK_LOG_ERROR, "listener_failed",
		       "Listener %zu failed, the worker stops polling it: %s", index, strerror(error));
	for (size_t i = 0; i < worker->listener_count; i++)
		any = any || !worker->listeners[i].broken;
	if (!any)
		prefork_worker_retire(worker); /* the arbiter decides, with backoff */
	return prefork_fail(-EBADF, "listener %zu failed: %s", index, strerror(error));
}

static int finish_accept(struct prefork_worker *worker, size_t index, int fd, const union pfi_peer_address *address,
                         struct prefork_connection **ret)
{
	struct prefork_connection *const connection = pfi_connection_create(worker, fd, index);

	if (!connection) {
		(void)close(fd);
		return pause_accepting(worker, ENOMEM);
	}
	if (atomic_load_explicit(&worker->context->score->shut, memory_order_relaxed) != 0)
		pfi_accepted_free(worker->listeners[index].listener, fd);
	connection->address = *address;
	if (worker->stages[0])
		pfi_stage_begin(connection);
	*ret = connection;
	if (worker->paused_until_ms > 0)
		pfi_shortage_end(worker);
	return 0;
}

/* accept4(2) returned EAGAIN. A unix socket that the arbiter has shut down stays readable (EPOLLHUP), so
 * that the worker must stop polling it. */
static int check_shut(struct prefork_worker *worker, size_t index)
{
	const struct prefork_listener *const listener = worker->listeners[index].listener;
	struct pollfd pfd = { .fd = listener->fd, .events = POLLRDHUP };

	if (listener->family != AF_UNIX || poll(&pfd, 1, 0) <= 0)
		return -EAGAIN;
	worker->listeners[index].broken = true;
	return prefork_fail(-EBADF, "listener %zu is shut down and its backlog is empty", index);
}

/* At a stop of the server the worker accepts the connections that are in the backlog now, not those that
 * arrive later: on a socket that does not refuse them, they could arrive faster than they are served. */
static bool backlog_is_served(const struct prefork_worker *worker, struct pfi_worker_listener *entry)
{
	uint32_t length = 0, max = 0;

	if (!worker->empties_queues)
		return false;
	if (!entry->is_counted) {
		const bool is_known = pfi_listener_queue(entry->listener, &length, &max) == 0;

		entry->is_counted = true;
		entry->left = is_known ? length + HANDSHAKES_MAX : QUEUE_UNKNOWN;
	}
	return entry->left == 0;
}

/* A process that a task has forked in the middle of a turn returns into it: its listeners are closed. */
static bool has_listener(const struct prefork_worker *worker, size_t index)
{
	return index < worker->listener_count && worker->listeners[index].listener && !pfi_fdtable_is_forgotten();
}

int prefork_worker_accept(struct prefork_worker *worker, size_t index, struct prefork_connection **ret)
{
	PFI_RETURN_IF_NULL(worker, -EINVAL);
	PFI_RETURN_IF_NULL(ret, -EINVAL);

	union pfi_peer_address address = { .any.sa_family = AF_UNSPEC };
	int error = 0;

	if (!has_listener(worker, index))
		return -EAGAIN;
	if (worker->listeners[index].broken)
		return -EBADF;
	if (worker->paused_until_ms > 0 && worker->paused_until_ms > pfi_now_ms())
		return -EBUSY;
	if (backlog_is_served(worker, &worker->listeners[index]))
		return -EAGAIN;
	for (int i = 0; i < SKIPS_MAX; i++) {
		socklen_t length = sizeof address;
		const int fd = pfi_listener_accept(worker->listeners[index].listener, &address.any, &length);

		if (fd >= 0) {
			worker->listeners[index].left -= worker->listeners[index].is_counted;
			return finish_accept(worker, index, fd, &address, ret);
		}
		error = errno;
		switch (pfi_accept_verdict(error)) {
		case PFI_ACCEPT_DROP:
			continue;
		case PFI_ACCEPT_AGAIN:
			return check_shut(worker, index);
		case PFI_ACCEPT_PAUSE:
			return pause_accepting(worker, error);
		case PFI_ACCEPT_CLOSED:
			return listener_failed(worker, index, error);
		}
	}
	/* EPERM 16 times in a row: an LSM or seccomp does not permit accept(2), and the connection is still pending. */
	if (error == EPERM)
		return pause_accepting(worker, error);
	return -EAGAIN; /* the listener is still readable, so the poller reports it again */
}

int prefork_worker_accept_fd(struct prefork_worker *worker, size_t index, int *ret_fd)
{
	PFI_RETURN_IF_NULL(worker, -EINVAL);
	PFI_RETURN_IF_NULL(ret_fd, -EINVAL);

	union pfi_peer_address address = { .any.sa_family = AF_UNSPEC };
	socklen_t length = sizeof address;

	if (!has_listener(worker, index))
		return -EAGAIN;
	const int fd = pfi_listener_accept(worker->listeners[index].listener, &address.any, &length);

	if (fd < 0)
		return -errno;
	if (atomic_load_explicit(&worker->context->score->shut, memory_order_relaxed) != 0)
		pfi_accepted_free(worker->listeners[index].listener, fd);
	*ret_fd = fd;
	return 0;
}

/* Closes the listener but keeps its descriptor number in use, by a duplicate of quit_fd: a thread in a callback
 * may be reading the number at this moment, and must not find an unrelated descriptor of the application there. */
static void replace_fd(const struct prefork_worker *worker, int *fd)
{
	if (*fd >= 0 && dup3(worker->quit_fd, *fd, O_CLOEXEC) < 0)
		pfi_close(fd);
}

void prefork_worker_close_listeners(struct prefork_worker *worker)
{
	PFI_RETURN_IF_NULL(worker, );

	/* Only the descriptors. The objects still return the address that a connection was accepted on. */
	for (size_t i = 0; i < worker->listener_count; i++) {
		if (worker->listeners[i].listener) {
			pfi_reuseport_close(worker->listeners[i].listener);
			replace_fd(worker, &worker->listeners[i].listener->fd);
		}
		worker->listeners[i].listener = NULL;
	}
	worker->paused_until_ms = 0;
	/* Release: the arbiter that reads `closed` also reads every connection counted before it. */
	atomic_store_explicit(&worker->context->score->closed, 1, memory_order_release);
}

uint64_t prefork_worker_accept_retry_ms(const struct prefork_worker *worker)
{
	PFI_RETURN_IF_NULL(worker, 0);
	return worker->paused_until_ms;
}
