#include "worker/offload_pool.h"

#include "worker/connection.h"
#include "worker/worker.h"

#include <prefork/error.h>

#include <errno.h>
#include <stdlib.h>

static void init_queue(struct pfi_offload_pool *offload_pool)
{
	offload_pool->first = NULL;
	offload_pool->last = &offload_pool->first;
}

/* The next work, or NULL at the end. */
static struct prefork_connection *wait_for_work(struct pfi_offload_pool *offload_pool)
{
	(void)pthread_mutex_lock(&offload_pool->lock);
	while (!offload_pool->first && !offload_pool->ends) {
		offload_pool->asleep++;
		(void)pthread_cond_wait(&offload_pool->come, &offload_pool->lock);
		offload_pool->asleep--;
	}
	struct prefork_connection *const connection = offload_pool->ends ? NULL : offload_pool->first;
	if (connection) {
		offload_pool->first = connection->next;
		if (!offload_pool->first)
			offload_pool->last = &offload_pool->first;
		(void)atomic_fetch_sub_explicit(&offload_pool->queued, 1, memory_order_relaxed);
		(void)atomic_fetch_add_explicit(&offload_pool->working, 1, memory_order_release);
	}
	(void)pthread_mutex_unlock(&offload_pool->lock);
	return connection;
}

static void work(void *user, unsigned number)
{
	struct pfi_offload_pool *const offload_pool = user;
	struct prefork_connection *connection;

	(void)number;
	while ((connection = wait_for_work(offload_pool)) != NULL) {
		prefork_worker_busy(offload_pool->worker);
		const enum prefork_next next =
			connection->work(offload_pool->worker, connection, connection->work_user);
		prefork_worker_idle(offload_pool->worker);
		(void)atomic_fetch_sub_explicit(&offload_pool->working, 1, memory_order_relaxed);
		if (next != PREFORK_SUSPENDED) /* then somebody else has it, and will give it back */
			pfi_connection_resume_offloaded(connection, next);
	}
}

int pfi_offload_pool_open(struct prefork_worker *worker, unsigned count, struct pfi_offload_pool **ret)
{
	struct pfi_offload_pool *const offload_pool = calloc(1, sizeof *offload_pool);

	if (!offload_pool)
		return prefork_fail(-ENOMEM, "no memory for %u threads", count);
	offload_pool->worker = worker;
	init_queue(offload_pool);
	(void)pthread_mutex_init(&offload_pool->lock, NULL);
	(void)pthread_cond_init(&offload_pool->come, NULL);
	const int r = pfi_worker_threads_start(&offload_pool->threads_group, worker, count, work, offload_pool);
	if (r < 0) {
		pfi_offload_pool_close(offload_pool);
		return r;
	}
	*ret = offload_pool;
	return 0;
}

void pfi_offload_pool_close(struct pfi_offload_pool *offload_pool)
{
	if (!offload_pool)
		return;
	(void)pthread_mutex_lock(&offload_pool->lock);
	struct prefork_connection *connection = offload_pool->first;
	init_queue(offload_pool);
	atomic_store_explicit(&offload_pool->queued, 0, memory_order_relaxed);
	offload_pool->ends = true;
	(void)pthread_cond_broadcast(&offload_pool->come);
	(void)pthread_mutex_unlock(&offload_pool->lock);
	while (connection) {
		struct prefork_connection *const next = connection->next;

		prefork_connection_resume(connection, PREFORK_CLOSE);
		connection = next;
	}
	pfi_worker_threads_join(&offload_pool->threads_group);
	(void)pthread_cond_destroy(&offload_pool->come);
	(void)pthread_mutex_destroy(&offload_pool->lock);
	free(offload_pool);
}

void pfi_offload_pool_submit(struct pfi_offload_pool *offload_pool, struct prefork_connection *connection)
{
	connection->next = NULL;
	(void)atomic_fetch_add_explicit(&offload_pool->queued, 1, memory_order_relaxed);
	(void)pthread_mutex_lock(&offload_pool->lock);
	*offload_pool->last = connection;
	offload_pool->last = &connection->next;
	const bool wake = offload_pool->asleep > 0;
	(void)pthread_mutex_unlock(&offload_pool->lock);
	if (wake)
		(void)pthread_cond_signal(&offload_pool->come);
}
