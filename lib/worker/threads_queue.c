/*
 * The job queue of the strategy threads, and the wake-ups of its threads. `lock` is held,
 * except in pfi_threads_wake_poller().
 */
#include "os/timer.h"
#include "worker/threads.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

void pfi_threads_arm_timer(struct pfi_threads *threads, uint64_t at_ms)
{
	if (at_ms == 0 || (threads->timer_at_ms > 0 && threads->timer_at_ms <= at_ms))
		return;
	threads->timer_at_ms = at_ms;
	(void)pfi_timer_set(threads->timer, at_ms); /* fails for invalid arguments only */
}

void pfi_threads_wake_poller(struct pfi_threads *threads)
{
	const uint64_t one = 1;

	/* EAGAIN after 2^64 - 2 writes, since the counter is never read (eventfd(2)). With EPOLLET
	 * each write is one event. */
	(void)!write(threads->wake_fd, &one, sizeof one);
}

bool pfi_threads_has_job(const struct pfi_threads *threads)
{
	return !pfi_ring_is_empty(&threads->queue) || !pfi_ring_is_empty(&threads->pending_accepts);
}

void pfi_threads_wake_one(struct pfi_threads *threads)
{
	if (threads->wake_pending)
		return;
	if (threads->asleep > 0)
		(void)pthread_cond_signal(&threads->wake_cond);
	else if (threads->polling > 0 && pfi_threads_has_job(threads))
		pfi_threads_wake_poller(threads);
	else
		return;
	threads->wake_pending = true;
}

void pfi_threads_wake_for_jobs(struct pfi_threads *threads)
{
	if (pfi_ring_is_empty(&threads->queue) || (threads->wake_policy.single_runner && threads->running > 0))
		return; /* the single runner takes the next job before it polls */
	if (threads->polling > 0)
		pfi_threads_wake_poller(threads);
	else
		pfi_threads_wake_one(threads);
}

/* Accept jobs are not counted: the connections for which one stands are in the backlog. */
static bool is_counted(const struct pfi_job *job)
{
	return job->task != PFI_TASK_ACCEPT;
}

static void enqueue_job(struct pfi_threads *threads, struct pfi_job *job)
{
	pfi_ring_add(&threads->queue, &job->link);
	threads->queued += is_counted(job);
}

void pfi_threads_enqueue(struct pfi_threads *threads, struct pfi_connection_state *state, enum pfi_task task)
{
	state->job.task = task;
	state->status = PFI_CONNECTION_QUEUED;
	enqueue_job(threads, &state->job);
}

/* States are reused, and freed only after all threads have been joined: epoll_wait may already have
 * returned an event that refers to the state to a thread that waits for `lock`. For the next
 * connection such an event is spurious, and harmless. */
struct pfi_connection_state *pfi_threads_add_connection(struct pfi_threads *threads)
{
	struct pfi_ring *const link = pfi_ring_take(&threads->free_connections);
	struct pfi_connection_state *state;

	if (link) {
		state = PFI_RING_OWNER(link, struct pfi_connection_state, link);
	} else {
		state = calloc(1, sizeof *state);
		if (!state)
			return NULL;
		pfi_ring_init(&state->job.link);
		pfi_ring_init(&state->link);
	}
	state->status = PFI_CONNECTION_RUNNING;
	state->missed_event = state->peer_closed = state->resumed_early = false;
	state->events = 0;
	state->connection = NULL;
	state->deadline.at_ms = 0;
	pfi_ring_add(&threads->connections, &state->link);
	return state;
}

void pfi_threads_remove_connection(struct pfi_threads *threads, struct pfi_connection_state *state)
{
	pfi_deadline_heap_remove(&threads->deadlines, &state->deadline);
	state->status = PFI_CONNECTION_FREE;
	pfi_ring_add(&threads->free_connections, &state->link);
	if (threads->draining && prefork_worker_connections(threads->worker) == 0)
		pfi_threads_arm_timer(threads, 1);
}

void pfi_threads_handle_event(struct pfi_threads *threads, const struct epoll_event *event)
{
	if (event->data.u64 == PFI_THREADS_WAKE)
		return;
	if (event->data.u64 < threads->accept_set.count) {
		struct pfi_accept_job *const listener = &threads->accept_jobs[event->data.u64];

		if (!listener->queued)
			enqueue_job(threads, &listener->job);
		listener->queued = true;
		return;
	}
	struct pfi_connection_state *const state = event->data.ptr;
	if (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		state->peer_closed = true;
	if (state->status == PFI_CONNECTION_POLLED)
		pfi_threads_enqueue(threads, state, PFI_TASK_PROCEED);
	else
		state->missed_event = true;
}

struct pfi_job *pfi_threads_next_job(struct pfi_threads *threads)
{
	struct pfi_ring *link = pfi_ring_take(&threads->queue);

	if (!link) {
		link = pfi_ring_take(&threads->pending_accepts);
		return link ? PFI_RING_OWNER(link, struct pfi_job, link) : NULL;
	}
	struct pfi_job *const job = PFI_RING_OWNER(link, struct pfi_job, link);
	threads->queued -= is_counted(job);
	return job;
}
