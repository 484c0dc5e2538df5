/* Creates, resumes and closes connections. Threads return closed ones to a pool through a list without a lock. */
#include "worker/connection.h"

#include "base/required.h"
#include "model/worker_score.h"
#include "os/clock.h"
#include "os/fd.h"
#include "worker/proxy_stage.h"
#include "worker/worker.h"

#include <prefork/strategy.h>

#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* Push onto a lock-free list. Lists are only ever emptied as a whole, so ABA is harmless: if the head was
 * removed and pushed again between the load and the exchange, `next` is still right. Returns whether the
 * list was empty. */
static bool push(_Atomic(struct prefork_connection *) *list, struct prefork_connection *connection)
{
	struct prefork_connection *first = atomic_load_explicit(list, memory_order_relaxed);

	do
		connection->next = first;
	while (!atomic_compare_exchange_weak_explicit(list, &first, connection, memory_order_seq_cst,
	                                              memory_order_relaxed));
	return first == NULL;
}

/* Two counters, the worker's and the scoreboard's, each updated atomically: if threads copied one to the
 * other, the last store could be the older value. */
static void count_opened(struct prefork_worker *worker)
{
	atomic_fetch_add_explicit(&worker->connections, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&worker->liveness.score->connections, 1, memory_order_relaxed);
}

static void count_closed(struct prefork_worker *worker)
{
	atomic_fetch_sub_explicit(&worker->connections, 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(&worker->liveness.score->connections, 1, memory_order_relaxed);
}

static struct prefork_connection *take_from_pool(struct prefork_worker *worker)
{
	if (!worker->free)
		worker->free = atomic_exchange_explicit(&worker->freed, NULL, memory_order_acquire);
	struct prefork_connection *const connection = worker->free;
	if (!connection)
		return malloc(sizeof *connection);
	worker->free = connection->next;
	return connection;
}

struct prefork_connection *pfi_connection_create(struct prefork_worker *worker, int fd, size_t listener)
{
	struct prefork_connection *const connection = take_from_pool(worker);

	if (!connection)
		return NULL;
	/* The address and its text are not cleared: accept fills in the address, and peer_known covers the text. */
	memset(connection, 0, offsetof(struct prefork_connection, address));
	connection->worker = worker;
	connection->transport = &pfi_transport_plain;
	connection->fd = fd;
	connection->listener = listener;
	connection->requested = PREFORK_AGAIN;
	count_opened(worker);
	return connection;
}

/* Whether the proxy itself has opened the connection, and has sent no request. */
static bool is_health_check(const struct prefork_connection *connection)
{
	return connection->proxy && connection->proxy->header.local && !connection->received;
}

void prefork_connection_close(struct prefork_connection *connection)
{
	PFI_RETURN_IF_NULL(connection, );

	struct prefork_worker *const worker = connection->worker;

	if (connection->is_watched)
		pfi_connection_watch_remove(connection);
	/* In a stage, the service has not been called for it. */
	if (!connection->stage && worker->service.closed)
		worker->service.closed(worker, connection, worker->context->user);
	if (!connection->stage && !is_health_check(connection))
		pfi_thread_status_count_closed(worker);
	count_closed(worker); /* before close: a client that reads end of file finds the request counted */
	if (connection->transport->close)
		connection->transport->close(connection);
	pfi_close(&connection->fd);
	free(connection->output.bytes);
	if (connection->proxy)
		free(connection->proxy);
	(void)push(&worker->freed, connection);
}

void prefork_connection_abandon(struct prefork_connection *connection)
{
	PFI_RETURN_IF_NULL(connection, );

	struct prefork_worker *const worker = connection->worker;

	atomic_store(&worker->has_abandoned, true);
	prefork_connection_unwatch(connection);
	(void)shutdown(connection->fd, SHUT_WR);
	pfi_thread_status_count_closed(worker);
	count_closed(worker);
}

static void free_list(struct prefork_connection *connection)
{
	while (connection) {
		struct prefork_connection *const next = connection->next;

		free(connection);
		connection = next;
	}
}

void pfi_connection_pool_finish(struct prefork_worker *worker)
{
	free_list(worker->free);
	free_list(atomic_exchange(&worker->freed, NULL));
	worker->free = NULL;
}

/* Without a `wake` of the loop, only the first connection on the list costs a write(2). ev_async_send() makes no
 * system call unless the loop waits. A quiet connection does not wake the loop, unless wake_for_all is set: the
 * loop sets that first and then takes the list once more, this thread pushes first and then reads the flag, so
 * that one of the two sees the other. */
static void wake(struct prefork_worker *worker, bool was_empty, bool quiet)
{
	if (!worker->wake) {
		if (was_empty)
			pfi_worker_wake(worker);
	} else if (!quiet || atomic_load(&worker->wake_for_all)) {
		worker->wake(worker->wake_user);
	}
}

enum prefork_next pfi_connection_checked(struct prefork_connection *connection, enum prefork_next next,
                                         enum prefork_next last)
{
	if ((unsigned)next <= (unsigned)last)
		return next;
	pfi_worker_log(connection->worker, PREFORK_LOG_ERROR, "service_invalid_next",
		       "Callback of the service returned %d, not an enum prefork_next: connection closed", (int)next);
	return PREFORK_CLOSE;
}

static void resume(struct prefork_connection *connection, enum prefork_next next, bool quiet)
{
	struct prefork_worker *const worker = connection->worker;

	connection->requested = (uint8_t)pfi_connection_checked(connection, next, PREFORK_AGAIN);
	/* Once pushed, the connection may be closed and the worker exit before this function returns. */
	(void)atomic_fetch_add_explicit(&worker->resumers, 1, memory_order_relaxed);
	wake(worker, push(&worker->resumed, connection), quiet);
	(void)atomic_fetch_sub_explicit(&worker->resumers, 1, memory_order_release);
}

void prefork_connection_resume(struct prefork_connection *connection, enum prefork_next next)
{
	PFI_RETURN_IF_NULL(connection, );
	resume(connection, next, false);
}

void pfi_connection_resume_offloaded(struct prefork_connection *connection, enum prefork_next next)
{
	const bool quiet = next == PREFORK_WAIT_READABLE && connection->watched && !connection->input_buffered &&
	                   !pfi_connection_has_output(connection);

	resume(connection, next, quiet);
}

void pfi_connection_await_resumers(struct prefork_worker *worker)
{
	while (atomic_load_explicit(&worker->resumers, memory_order_acquire) > 0)
		(void)sched_yield();
}

struct prefork_connection *pfi_connection_take_resumed(struct prefork_worker *worker)
{
	if (!worker->resumed_fifo) {
		/* Sequentially consistent, not only acquire: wake() reads wake_for_all after the push. */
		struct prefork_connection *list = atomic_exchange(&worker->resumed, NULL);

		while (list) { /* reverse: oldest first */
			struct prefork_connection *const next = list->next;

			list->next = worker->resumed_fifo;
			worker->resumed_fifo = list;
			list = next;
		}
	}
	struct prefork_connection *const connection = worker->resumed_fifo;
	if (!connection)
		return NULL;
	worker->resumed_fifo = connection->next;
	if (connection->work) {
		connection->work = NULL;
		worker->offloaded--;
	}
	return connection;
}

const char *prefork_connection_peer(struct prefork_connection *connection, unsigned *ret_port)
{
	PFI_RETURN_IF_NULL(connection, NULL);
	if (!connection->peer_known) {
		connection->peer_known = true;
		connection->port = pfi_peer_format(&connection->address, connection->peer);
	}
	if (ret_port)
		*ret_port = connection->port;
	return connection->peer;
}

void prefork_connection_set_deadline(struct prefork_connection *connection, uint64_t after_ms)
{
	PFI_RETURN_IF_NULL(connection, );

	const uint64_t now_ms = after_ms > 0 ? pfi_now_ms() : 0;

	connection->deadline_ms = after_ms > UINT64_MAX - now_ms ? 0 : now_ms + after_ms;
}

uint64_t prefork_connection_deadline_ms(const struct prefork_connection *connection)
{
	PFI_RETURN_IF_NULL(connection, 0);
	return connection->deadline_ms;
}

void prefork_connection_set_user(struct prefork_connection *connection, void *user)
{
	PFI_RETURN_IF_NULL(connection, );
	connection->user = user;
}

void *prefork_connection_user(const struct prefork_connection *connection)
{
	PFI_RETURN_IF_NULL(connection, NULL);
	return connection->user;
}

void prefork_connection_set_driver(struct prefork_connection *connection, void *driver)
{
	PFI_RETURN_IF_NULL(connection, );
	connection->driver = driver;
}

void *prefork_connection_driver(const struct prefork_connection *connection)
{
	PFI_RETURN_IF_NULL(connection, NULL);
	return connection->driver;
}

int prefork_connection_fd(const struct prefork_connection *connection)
{
	PFI_RETURN_IF_NULL(connection, -EINVAL);
	return connection->fd;
}

struct prefork_worker *prefork_connection_worker(const struct prefork_connection *connection)
{
	PFI_RETURN_IF_NULL(connection, NULL);
	return connection->worker;
}

size_t prefork_connection_listener(const struct prefork_connection *connection)
{
	PFI_RETURN_IF_NULL(connection, SIZE_MAX);
	return connection->listener;
}

bool prefork_connection_read_would_block(const struct prefork_connection *connection)
{
	PFI_RETURN_IF_NULL(connection, false);
	return connection->read_drained;
}
