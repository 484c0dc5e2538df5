#include "listener/accept_error.h"
#include "base/required.h"
#include "listener/reuseport.h"
#include "model/worker_score.h"
#include "os/clock.h"
#include "os/fd.h"
#include "worker/connection.h"
#include "worker/shortage.h"
#include "worker/worker.h"

#include <prefork/error.h>
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
	SKIPS_MAX = 16, /* clients that hung up in the queue, passed over in one go */
	HANDSHAKES_MAX = 64,    /* clients that were on their way when a queue was counted */
	QUEUE_UNKNOWN = 1 << 12, /* as long as any queue that nobody has made longer      */
};

static const char module[] = "worker";

int pfi_worker_listeners_open(struct prefork_worker *worker)
{
	const struct pfi_spawn_context *const context = worker->context;

	worker->listeners = calloc(context->listener_count + 1, sizeof *worker->listeners);
	if (!worker->listeners)
		return prefork_fail(-ENOMEM, "no memory for %zu listeners", context->listener_count);
	for (size_t i = 0; i < context->listener_count; i++) {
		struct prefork_listener *const listener = context->listeners[i];

		if (context->sets && context->sets[i] >= 0)
			listener->fd = context->sets[i]; /* this process's copy; reuseport sockets[0] stays open */
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
	prefork_log_printf(worker->context->log, PREFORK_LOG_ERROR, module, "listener %zu does not work any more: %s", index, strerror(error));
	for (size_t i = 0; i < worker->listener_count; i++)
		any = any || !worker->listeners[i].broken;
	if (!any)
		prefork_worker_retire(worker); /* the arbiter may know better, and does not hurry */
	return prefork_fail(-EBADF, "listener %zu does not work any more: %s", index, strerror(error));
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
	*ret = connection;
	if (worker->paused_until_ms > 0)
		pfi_shortage_end(worker);
	return 0;
}

/* accept(2) found nobody. A unix socket that the arbiter has shut is readable all the same, for ever. */
static int check_shut(struct prefork_worker *worker, size_t index)
{
	const struct prefork_listener *const listener = worker->listeners[index].listener;
	struct pollfd pfd = { .fd = listener->fd, .events = POLLRDHUP };

	if (listener->family != AF_UNIX || poll(&pfd, 1, 0) <= 0)
		return -EAGAIN;
	worker->listeners[index].broken = true;
	return prefork_fail(-EBADF, "listener %zu is shut, and its queue is empty", index);
}

/* The queue of a server that stops is emptied of who was there, and no further: where new clients
 * are not refused they may come faster than they are served. */
static bool backlog_is_served(const struct prefork_worker *worker, struct pfi_worker_listener *entry)
{
	uint32_t length = 0, max = 0;

	if (!worker->empties_queues)
		return false;
	if (!entry->is_counted) {
		entry->is_counted = true;
		entry->left = pfi_listener_queue(entry->listener, &length, &max) == 0 ? length + HANDSHAKES_MAX :
		                                                                      QUEUE_UNKNOWN;
	}
	return entry->left == 0;
}

int prefork_worker_accept(struct prefork_worker *worker, size_t index, struct prefork_connection **ret)
{
	PFI_RETURN_IF_NULL(worker, -EINVAL);
	PFI_RETURN_IF_NULL(ret, -EINVAL);

	union pfi_peer_address address = { .any.sa_family = AF_UNSPEC };
	int error = 0;

	if (index >= worker->listener_count || !worker->listeners[index].listener)
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
	if (error == EPERM) /* so often in a row: it is us who may not, and the client is still in the queue */
		return pause_accepting(worker, error);
	return -EAGAIN; /* as good as: whoever waits for the listener finds it readable */
}

/* The number stays as it is, and taken by something else of ours, until the worker ends: a thread that is in
 * a callback may ask about its listener at this moment, and must not find another's socket there. */
static void replace_fd(const struct prefork_worker *worker, int *fd)
{
	if (*fd >= 0 && dup3(worker->quit_fd, *fd, O_CLOEXEC) < 0)
		pfi_close(fd);
}

void prefork_worker_close_listeners(struct prefork_worker *worker)
{
	PFI_RETURN_IF_NULL(worker, );

	/* Only the descriptors: the objects belong to the arbiter's side of the fork,
	 * and still say which address a connection came by. */
	for (size_t i = 0; i < worker->listener_count; i++) {
		if (worker->listeners[i].listener) {
			pfi_reuseport_close(worker->listeners[i].listener);
			replace_fd(worker, &worker->listeners[i].listener->fd);
		}
		worker->listeners[i].listener = NULL;
	}
	worker->paused_until_ms = 0;
	/* Whoever was accepted is counted: the arbiter may go by what it reads from here on. */
	atomic_store_explicit(&worker->context->score->closed, 1, memory_order_release);
}

uint64_t prefork_worker_accept_retry_ms(const struct prefork_worker *worker)
{
	PFI_RETURN_IF_NULL(worker, 0);
	return worker->paused_until_ms;
}
