#include "worker/crew.h"

#include "worker/connection.h"
#include "worker/worker.h"

#include <prefork/error.h>

#include <errno.h>
#include <stdlib.h>

static void init_queue(struct pfi_crew *crew)
{
	crew->first = NULL;
	crew->last = &crew->first;
}

/* The next work, or NULL at the end. */
static struct prefork_connection *wait_for_work(struct pfi_crew *crew)
{
	(void)pthread_mutex_lock(&crew->lock);
	while (!crew->first && !crew->ends) {
		crew->asleep++;
		(void)pthread_cond_wait(&crew->come, &crew->lock);
		crew->asleep--;
	}
	struct prefork_connection *const connection = crew->ends ? NULL : crew->first;
	if (connection) {
		crew->first = connection->next;
		if (!crew->first)
			crew->last = &crew->first;
		(void)atomic_fetch_sub_explicit(&crew->queued, 1, memory_order_relaxed);
		(void)atomic_fetch_add_explicit(&crew->working, 1, memory_order_release);
	}
	(void)pthread_mutex_unlock(&crew->lock);
	return connection;
}

static void work(void *user, unsigned number)
{
	struct pfi_crew *const crew = user;
	struct prefork_connection *connection;

	(void)number;
	while ((connection = wait_for_work(crew)) != NULL) {
		prefork_worker_busy(crew->worker);
		const enum prefork_next next =
			connection->work(crew->worker, connection, connection->work_user);
		prefork_worker_idle(crew->worker);
		(void)atomic_fetch_sub_explicit(&crew->working, 1, memory_order_relaxed);
		if (next != PREFORK_TAKEN) /* then somebody else has it, and will give it back */
			pfi_connection_return(connection, next);
	}
}

int pfi_crew_open(struct prefork_worker *worker, unsigned count, struct pfi_crew **ret)
{
	struct pfi_crew *const crew = calloc(1, sizeof *crew);

	if (!crew)
		return prefork_fail(-ENOMEM, "no memory for %u threads", count);
	crew->worker = worker;
	init_queue(crew);
	(void)pthread_mutex_init(&crew->lock, NULL);
	(void)pthread_cond_init(&crew->come, NULL);
	const int r = pfi_hands_start(&crew->hands, worker, count, work, crew);
	if (r < 0) {
		pfi_crew_close(crew);
		return r;
	}
	*ret = crew;
	return 0;
}

void pfi_crew_close(struct pfi_crew *crew)
{
	if (!crew)
		return;
	(void)pthread_mutex_lock(&crew->lock);
	struct prefork_connection *connection = crew->first;
	init_queue(crew);
	atomic_store_explicit(&crew->queued, 0, memory_order_relaxed);
	crew->ends = true;
	(void)pthread_cond_broadcast(&crew->come);
	(void)pthread_mutex_unlock(&crew->lock);
	while (connection) {
		struct prefork_connection *const next = connection->next;

		prefork_connection_give_back(connection, PREFORK_CLOSE);
		connection = next;
	}
	pfi_hands_join(&crew->hands);
	(void)pthread_cond_destroy(&crew->come);
	(void)pthread_mutex_destroy(&crew->lock);
	free(crew);
}

void pfi_crew_submit(struct pfi_crew *crew, struct prefork_connection *connection)
{
	connection->next = NULL;
	(void)atomic_fetch_add_explicit(&crew->queued, 1, memory_order_relaxed);
	(void)pthread_mutex_lock(&crew->lock);
	*crew->last = connection;
	crew->last = &connection->next;
	const bool wake = crew->asleep > 0;
	(void)pthread_mutex_unlock(&crew->lock);
	if (wake)
		(void)pthread_cond_signal(&crew->come);
}
