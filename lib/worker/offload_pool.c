/* The threads of the offload pool, and the queue from which they take connections. */
#include "worker/offload_pool.h"

#include "worker/connection.h"
#include "worker/worker.h"

#include <prefork/error.h>

#include <errno.h>
#include <stdlib.h>

static void init_queue(struct pfi_offload_pool *pool)
{
	pool->first = NULL;
	pool->last = &pool->first;
}

/* The next connection with work; NULL: the pool stops. */
static struct prefork_connection *wait_for_work(struct pfi_offload_pool *pool)
{
	(void)pthread_mutex_lock(&pool->lock);
	while (!pool->first && !pool->stopping) {
		pool->asleep++;
		(void)pthread_cond_wait(&pool->work_cond, &pool->lock);
		pool->asleep--;
	}
	struct prefork_connection *const connection = pool->stopping ? NULL : pool->first;
	if (connection) {
		pool->first = connection->next;
		if (!pool->first)
			pool->last = &pool->first;
		(void)atomic_fetch_sub_explicit(&pool->queued, 1, memory_order_relaxed);
		(void)atomic_fetch_add_explicit(&pool->working, 1, memory_order_release);
	}
	(void)pthread_mutex_unlock(&pool->lock);
	return connection;
}

static void run_thread(void *user, unsigned number)
{
	struct pfi_offload_pool *const pool = user;
	struct prefork_connection *connection;

	(void)number;
	while ((connection = wait_for_work(pool)) != NULL) {
		prefork_worker_busy(pool->worker);
		const enum prefork_next next =
			connection->work(pool->worker, connection, connection->work_user);
		prefork_worker_idle(pool->worker);
		(void)atomic_fetch_sub_explicit(&pool->working, 1, memory_order_relaxed);
		if (next != PREFORK_SUSPENDED) /* otherwise the application resumes it */
			pfi_connection_resume_offloaded(connection, next);
	}
}

int pfi_offload_pool_open(struct prefork_worker *worker, unsigned count, struct pfi_offload_pool **ret)
{
	struct pfi_offload_pool *const pool = calloc(1, sizeof *pool);

	if (!pool)
		return prefork_fail(-ENOMEM, "no memory for %u threads", count);
	pool->worker = worker;
	init_queue(pool);
	(void)pthread_mutex_init(&pool->lock, NULL);
	(void)pthread_cond_init(&pool->work_cond, NULL);
	const int r = pfi_worker_threads_start(&pool->threads, worker, count, run_thread, pool);
	if (r < 0) {
		pfi_offload_pool_close(pool);
		return r;
	}
	*ret = pool;
	return 0;
}

void pfi_offload_pool_close(struct pfi_offload_pool *pool)
{
	if (!pool)
		return;
	(void)pthread_mutex_lock(&pool->lock);
	struct prefork_connection *connection = pool->first;
	init_queue(pool);
	atomic_store_explicit(&pool->queued, 0, memory_order_relaxed);
	pool->stopping = true;
	(void)pthread_cond_broadcast(&pool->work_cond);
	(void)pthread_mutex_unlock(&pool->lock);
	while (connection) {
		struct prefork_connection *const next = connection->next;

		prefork_connection_resume(connection, PREFORK_CLOSE);
		connection = next;
	}
	pfi_worker_threads_join(&pool->threads);
	(void)pthread_cond_destroy(&pool->work_cond);
	(void)pthread_mutex_destroy(&pool->lock);
	free(pool);
}

void pfi_offload_pool_submit(struct pfi_offload_pool *pool, struct prefork_connection *connection)
{
	connection->next = NULL;
	(void)atomic_fetch_add_explicit(&pool->queued, 1, memory_order_relaxed);
	(void)pthread_mutex_lock(&pool->lock);
	*pool->last = connection;
	pool->last = &connection->next;
	const bool wake = pool->asleep > 0;
	(void)pthread_mutex_unlock(&pool->lock);
	if (wake)
		(void)pthread_cond_signal(&pool->work_cond);
}
