#include "listener/accept.h"
#include "base/required.h"
#include "listener/lanes.h"
#include "model/page.h"
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
	LATECOMERS_MAX = 64,    /* clients that were on their way when a queue was counted */
	QUEUE_UNKNOWN = 1 << 12, /* as long as any queue that nobody has made longer      */
};

static const char room[] = "worker";

int pfi_gates_open(struct prefork_worker *worker)
{
	const struct pfi_birth *const birth = worker->birth;

	worker->gates = calloc(birth->listener_count + 1, sizeof *worker->gates);
	if (!worker->gates)
		return prefork_fail(-ENOMEM, "no memory for %zu listeners", birth->listener_count);
	for (size_t i = 0; i < birth->listener_count; i++) {
		struct prefork_listener *const listener = birth->listeners[i];

		if (birth->sets && birth->sets[i] >= 0)
			listener->fd = birth->sets[i]; /* this process's copy; lanes[0] stays open */
		worker->gates[i].listener = listener;
	}
	worker->gate_count = birth->listener_count;
	return 0;
}

void pfi_gates_close(struct prefork_worker *worker)
{
	free(worker->gates);
	worker->gates = NULL;
	worker->gate_count = 0;
}

static int rest(struct prefork_worker *worker, int error)
{
	pfi_shortage_begin(worker, error);
	return -EBUSY;
}

static int give_up(struct prefork_worker *worker, size_t index, int error)
{
	bool any = false;

	worker->gates[index].broken = true;
	prefork_log_say(worker->birth->log, PREFORK_ERROR, room, "listener %zu does not work any more: %s", index, strerror(error));
	for (size_t i = 0; i < worker->gate_count; i++)
		any = any || !worker->gates[i].broken;
	if (!any)
		prefork_worker_leave(worker); /* the arbiter may know better, and does not hurry */
	return prefork_fail(-EBADF, "listener %zu does not work any more: %s", index, strerror(error));
}

static int welcome(struct prefork_worker *worker, size_t index, int fd, const union pfi_client_address *address,
                   struct prefork_connection **ret)
{
	struct prefork_connection *const connection = pfi_connection_create(worker, fd, index);

	if (!connection) {
		(void)close(fd);
		return rest(worker, ENOMEM);
	}
	if (atomic_load_explicit(&worker->birth->page->shut, memory_order_relaxed) != 0)
		pfi_accepted_free(worker->gates[index].listener, fd);
	connection->address = *address;
	*ret = connection;
	if (worker->rest_until_ms > 0)
		pfi_shortage_end(worker);
	return 0;
}

/* accept(2) found nobody. A unix socket that the arbiter has shut is readable all the same, for ever. */
static int nobody(struct prefork_worker *worker, size_t index)
{
	const struct prefork_listener *const listener = worker->gates[index].listener;
	struct pollfd pfd = { .fd = listener->fd, .events = POLLRDHUP };

	if (listener->family != AF_UNIX || poll(&pfd, 1, 0) <= 0)
		return -EAGAIN;
	worker->gates[index].broken = true;
	return prefork_fail(-EBADF, "listener %zu is shut, and its queue is empty", index);
}

/* The queue of a server that stops is emptied of who was there, and no further: where new clients
 * are not refused they may come faster than they are served. */
static bool is_emptied(const struct prefork_worker *worker, struct pfi_gate *gate)
{
	uint32_t length = 0, max = 0;

	if (!worker->empties_queues)
		return false;
	if (!gate->is_counted) {
		gate->is_counted = true;
		gate->left = pfi_listener_queue(gate->listener, &length, &max) == 0 ? length + LATECOMERS_MAX :
		                                                                      QUEUE_UNKNOWN;
	}
	return gate->left == 0;
}

int prefork_worker_accept(struct prefork_worker *worker, size_t index, struct prefork_connection **ret)
{
	PFI_RETURN_IF_NULL(worker, -EINVAL);
	PFI_RETURN_IF_NULL(ret, -EINVAL);

	union pfi_client_address address = { .any.sa_family = AF_UNSPEC };
	int error = 0;

	if (index >= worker->gate_count || !worker->gates[index].listener)
		return -EAGAIN;
	if (worker->gates[index].broken)
		return -EBADF;
	if (worker->rest_until_ms > 0 && worker->rest_until_ms > pfi_now_ms())
		return -EBUSY;
	if (is_emptied(worker, &worker->gates[index]))
		return -EAGAIN;
	for (int i = 0; i < SKIPS_MAX; i++) {
		socklen_t length = sizeof address;
		const int fd = pfi_listener_accept(worker->gates[index].listener, &address.any, &length);

		if (fd >= 0) {
			worker->gates[index].left -= worker->gates[index].is_counted;
			return welcome(worker, index, fd, &address, ret);
		}
		error = errno;
		switch (pfi_accept_verdict(error)) {
		case PFI_ACCEPT_DROP:
			continue;
		case PFI_ACCEPT_AGAIN:
			return nobody(worker, index);
		case PFI_ACCEPT_PAUSE:
			return rest(worker, error);
		case PFI_ACCEPT_CLOSED:
			return give_up(worker, index, error);
		}
	}
	if (error == EPERM) /* so often in a row: it is us who may not, and the client is still in the queue */
		return rest(worker, error);
	return -EAGAIN; /* as good as: whoever waits for the listener finds it readable */
}

/* The number stays as it is, and taken by something else of ours, until the worker ends: a thread that is in
 * a callback may ask about its listener at this moment, and must not find another's socket there. */
static void leave(const struct prefork_worker *worker, int *fd)
{
	if (*fd >= 0 && dup3(worker->quit_fd, *fd, O_CLOEXEC) < 0)
		pfi_close(fd);
}

void prefork_worker_close_listeners(struct prefork_worker *worker)
{
	PFI_RETURN_IF_NULL(worker, );

	/* Only the descriptors: the objects belong to the arbiter's side of the fork,
	 * and still say which address a connection came by. */
	for (size_t i = 0; i < worker->gate_count; i++) {
		if (worker->gates[i].listener) {
			pfi_lanes_finish(worker->gates[i].listener);
			leave(worker, &worker->gates[i].listener->fd);
		}
		worker->gates[i].listener = NULL;
	}
	worker->rest_until_ms = 0;
	/* Whoever was accepted is counted: the arbiter may go by what it reads from here on. */
	atomic_store_explicit(&worker->birth->page->closed, 1, memory_order_release);
}

uint64_t prefork_worker_rest_ms(const struct prefork_worker *worker)
{
	PFI_RETURN_IF_NULL(worker, 0);
	return worker->rest_until_ms;
}
