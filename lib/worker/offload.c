/* Offloads work of a connection to a task or to the offload pool, if the loop has them, and else calls it at once. */
#include "worker/connection.h"
#include "base/required.h"
#include "worker/offload_pool.h"
#include "worker/tasks.h"
#include "worker/worker.h"

#include <errno.h>

int prefork_connection_try_offload(struct prefork_connection *connection, prefork_work_function *work, void *user,
                                   enum prefork_next *ret_next)
{
	PFI_RETURN_IF_NULL(connection, -EINVAL);
	PFI_RETURN_IF_NULL(work, -EINVAL);
	PFI_RETURN_IF_NULL(ret_next, -EINVAL);

	struct prefork_worker *const worker = connection->worker;

	*ret_next = PREFORK_SUSPENDED;
	if ((!worker->offload_pool && !worker->tasks) || prefork_connection_may_block(connection)) {
		*ret_next = work(worker, connection, user);
		return 0;
	}
	if (worker->tasks)
		return pfi_tasks_submit(worker->tasks, connection, work, user, ret_next);
	connection->work = work;
	connection->work_user = user;
	worker->offloaded++;
	pfi_offload_pool_submit(worker->offload_pool, connection);
	return 0;
}

enum prefork_next prefork_connection_offload(struct prefork_connection *connection, prefork_work_function *work,
                                             void *user)
{
	enum prefork_next next;

	PFI_RETURN_IF_NULL(connection, PREFORK_CLOSE);
	PFI_RETURN_IF_NULL(work, PREFORK_CLOSE);
	return prefork_connection_try_offload(connection, work, user, &next) < 0 ? PREFORK_CLOSE : next;
}

void prefork_connection_set_activity(struct prefork_connection *connection, const char *bytes, size_t size)
{
	PFI_RETURN_IF_NULL(connection, );
	PFI_RETURN_IF_NO_BYTES(bytes, size, );
	prefork_worker_set_activity(connection->worker, bytes, size);
	if (connection->task)
		pfi_tasks_set_activity(connection->worker->tasks, connection->task, bytes, size);
}

bool prefork_worker_may_block(const struct prefork_worker *worker)
{
	PFI_RETURN_IF_NULL(worker, false);
	return (worker->strategy.traits & PREFORK_STRATEGY_MAY_BLOCK) || worker->offload_pool || worker->tasks;
}

bool prefork_connection_is_offloaded(const struct prefork_connection *connection)
{
	PFI_RETURN_IF_NULL(connection, false);
	return !(connection->worker->strategy.traits & PREFORK_STRATEGY_MAY_BLOCK) &&
	       prefork_connection_may_block(connection);
}

/* The length of the queue when this thread took its current job. The present length would include
 * jobs that arrived behind that one. Not in loops with tasks, where a thread has several jobs. */
static _Thread_local struct {
	const struct prefork_worker *worker;
	size_t queued;
} queue_at_begin __attribute__((tls_model("initial-exec")));

void prefork_worker_set_queued(struct prefork_worker *worker, bool is_full, size_t queued)
{
	PFI_RETURN_IF_NULL(worker, );
	queue_at_begin.worker = worker;
	queue_at_begin.queued = queued;
	atomic_store_explicit(&worker->is_full, is_full, memory_order_relaxed);
	atomic_store_explicit(&worker->queued, queued, memory_order_relaxed);
}

bool prefork_worker_is_full(const struct prefork_worker *worker)
{
	PFI_RETURN_IF_NULL(worker, false);
	return atomic_load_explicit(&worker->is_full, memory_order_relaxed);
}

size_t prefork_worker_queued(const struct prefork_worker *worker)
{
	PFI_RETURN_IF_NULL(worker, 0);
	if (worker->tasks)
		return atomic_load_explicit(&worker->tasks->queued, memory_order_relaxed);
	if (!worker->offload_pool)
		return queue_at_begin.worker == worker ? queue_at_begin.queued :
		                                   atomic_load_explicit(&worker->queued, memory_order_relaxed);
	/* Each idle thread takes one connection of the queue, which therefore does not wait.
	 * `working` is read first: a thread decrements `queued` before it increments `working` with
	 * release order, so that a connection that is counted as working is not counted as queued
	 * as well. */
	const size_t working = atomic_load_explicit(&worker->offload_pool->working, memory_order_acquire);
	const size_t queued = atomic_load_explicit(&worker->offload_pool->queued, memory_order_relaxed);
	const size_t free = worker->offload_pool->threads.count - working;
	return queued > free ? queued - free : 0;
}
