/*
 * What is to be done in the strategy threads, and who is called to do it. The lock
 * is held in all of it, but for the kick.
 */
#include "os/timer.h"
#include "worker/threads.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

void pfi_threads_wake_first(struct pfi_threads *threads, uint64_t at_ms)
{
	if (at_ms == 0 || (threads->timer_at_ms > 0 && threads->timer_at_ms <= at_ms))
		return;
	threads->timer_at_ms = at_ms;
	(void)pfi_timer_set(threads->timer, at_ms); /* cannot fail for a time and a timer of ours */
}

void pfi_threads_wake(struct pfi_threads *threads)
{
	const uint64_t one = 1;

	/* It can only fail for a full counter, and nobody ever reads it. */
	(void)!write(threads->wake_fd, &one, sizeof one);
}

/* Listeners that were left with clients before them count: no edge will tell of those. */
static bool has_job(const struct pfi_threads *threads)
{
	return !pfi_ring_is_empty(&threads->queue) || !pfi_ring_is_empty(&threads->unaccepted);
}

void pfi_threads_wake_one(struct pfi_threads *threads)
{
	if (threads->wake_pending)
		return;
	if (threads->asleep > 0)
		(void)pthread_cond_signal(&threads->wake_cond);
	else if (threads->polling > 0 && has_job(threads))
		pfi_threads_wake(threads);
	else
		return;
	threads->wake_pending = true;
}

void pfi_threads_announce(struct pfi_threads *threads)
{
	if (pfi_ring_is_empty(&threads->queue) || (threads->wake_policy.single_runner && threads->running > 0))
		return; /* whoever runs looks before it waits */
	if (threads->polling > 0)
		pfi_threads_wake(threads);
	else
		pfi_threads_wake_one(threads);
}

static void enqueue(struct pfi_threads *threads, struct pfi_job *job)
{
	pfi_ring_add(&threads->queue, &job->link);
	threads->queued++;
}

void pfi_threads_push(struct pfi_threads *threads, struct pfi_connection_state *state, enum pfi_task task)
{
	state->job.task = task;
	state->place = PFI_PLACE_QUEUED;
	enqueue(threads, &state->job);
}

/* The memory of a client is never given back while threads run: an event that is on its
 * way may still name it. */
struct pfi_connection_state *pfi_threads_new_connection(struct pfi_threads *threads)
{
	struct pfi_ring *const link = pfi_ring_take(&threads->spare);
	struct pfi_connection_state *state;

	if (link) {
		state = PFI_RING_OWNER(link, struct pfi_connection_state, all);
	} else {
		state = calloc(1, sizeof *state);
		if (!state)
			return NULL;
		pfi_ring_init(&state->job.link);
		pfi_ring_init(&state->all);
	}
	state->place = PFI_PLACE_RUNNING;
	state->missed_event = state->peer_closed = state->resumed_early = false;
	state->events = 0;
	state->connection = NULL;
	state->deadline.at_ms = 0;
	pfi_ring_add(&threads->all, &state->all);
	return state;
}

void pfi_threads_drop_connection(struct pfi_threads *threads, struct pfi_connection_state *state)
{
	pfi_deadline_heap_remove(&threads->deadlines, &state->deadline);
	state->place = PFI_PLACE_NONE;
	pfi_ring_add(&threads->spare, &state->all);
	if (threads->draining && prefork_worker_connections(threads->worker) == 0)
		pfi_threads_wake_first(threads, 1);
}

void pfi_threads_event(struct pfi_threads *threads, const struct epoll_event *event)
{
	if (event->data.u64 == PFI_THREADS_WAKE)
		return;
	if (event->data.u64 < threads->accept_set.count) {
		struct pfi_accept_job *const listener = &threads->accept_jobs[event->data.u64];

		if (!listener->queued)
			enqueue(threads, &listener->job);
		listener->queued = true;
		return;
	}
	struct pfi_connection_state *const state = event->data.ptr;
	if (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		state->peer_closed = true;
	if (state->place == PFI_PLACE_WAITING)
		pfi_threads_push(threads, state, PFI_TASK_PROCEED);
	else
		state->missed_event = true;
}

struct pfi_job *pfi_threads_next_job(struct pfi_threads *threads)
{
	struct pfi_ring *link = pfi_ring_take(&threads->queue);

	if (link)
		threads->queued--;
	else
		link = pfi_ring_take(&threads->unaccepted);
	return link ? PFI_RING_OWNER(link, struct pfi_job, link) : NULL;
}
