/*
 * What is to be done in the strategy threads, and who is called to do it. The lock
 * is held in all of it, but for the kick.
 */
#include "os/watch.h"
#include "worker/threads.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

void pfi_threads_wake_first(struct pfi_threads *threads, uint64_t at_ms)
{
	if (at_ms == 0 || (threads->watch_at_ms > 0 && threads->watch_at_ms <= at_ms))
		return;
	threads->watch_at_ms = at_ms;
	(void)pfi_watch_set(threads->watch, at_ms); /* cannot fail for a time and a timer of ours */
}

void pfi_threads_kick(struct pfi_threads *threads)
{
	const uint64_t one = 1;

	/* It can only fail for a full counter, and nobody ever reads it. */
	(void)!write(threads->kick_fd, &one, sizeof one);
}

/* Doors that were left with clients before them count: no edge will tell of those. */
static bool has_job(const struct pfi_threads *threads)
{
	return !pfi_ring_is_empty(&threads->queue) || !pfi_ring_is_empty(&threads->untried);
}

void pfi_threads_call_one(struct pfi_threads *threads)
{
	if (threads->one_comes)
		return;
	if (threads->asleep > 0)
		(void)pthread_cond_signal(&threads->called);
	else if (threads->at_set > 0 && has_job(threads))
		pfi_threads_kick(threads);
	else
		return;
	threads->one_comes = true;
}

void pfi_threads_announce(struct pfi_threads *threads)
{
	if (pfi_ring_is_empty(&threads->queue) || (threads->pace.alone && threads->running > 0))
		return; /* whoever runs looks before it waits */
	if (threads->at_set > 0)
		pfi_threads_kick(threads);
	else
		pfi_threads_call_one(threads);
}

static void enqueue(struct pfi_threads *threads, struct pfi_job *job)
{
	pfi_ring_add(&threads->queue, &job->link);
	threads->queued++;
}

void pfi_threads_push(struct pfi_threads *threads, struct pfi_guest *guest, enum pfi_task task)
{
	guest->job.task = task;
	guest->place = PFI_PLACE_QUEUED;
	enqueue(threads, &guest->job);
}

/* The memory of a client is never given back while threads run: an event that is on its
 * way may still name it. */
struct pfi_guest *pfi_threads_new_guest(struct pfi_threads *threads)
{
	struct pfi_ring *const link = pfi_ring_take(&threads->spare);
	struct pfi_guest *guest;

	if (link) {
		guest = PFI_RING_OWNER(link, struct pfi_guest, all);
	} else {
		guest = calloc(1, sizeof *guest);
		if (!guest)
			return NULL;
		pfi_ring_init(&guest->job.link);
		pfi_ring_init(&guest->all);
	}
	guest->place = PFI_PLACE_RUNNING;
	guest->fresh = guest->ended = guest->returned = false;
	guest->events = 0;
	guest->connection = NULL;
	guest->deadline.at_ms = 0;
	pfi_ring_add(&threads->all, &guest->all);
	return guest;
}

void pfi_threads_drop_guest(struct pfi_threads *threads, struct pfi_guest *guest)
{
	pfi_deadlines_remove(&threads->deadlines, &guest->deadline);
	guest->place = PFI_PLACE_NOWHERE;
	pfi_ring_add(&threads->spare, &guest->all);
	if (threads->leaves && prefork_worker_connections(threads->worker) == 0)
		pfi_threads_wake_first(threads, 1);
}

void pfi_threads_hear(struct pfi_threads *threads, const struct epoll_event *event)
{
	if (event->data.u64 == PFI_THREADS_KICK)
		return;
	if (event->data.u64 < threads->doors.count) {
		struct pfi_door_job *const door = &threads->jobs[event->data.u64];

		if (!door->queued)
			enqueue(threads, &door->job);
		door->queued = true;
		return;
	}
	struct pfi_guest *const guest = event->data.ptr;
	if (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		guest->ended = true;
	if (guest->place == PFI_PLACE_WAITING)
		pfi_threads_push(threads, guest, PFI_TASK_PROCEED);
	else
		guest->fresh = true;
}

struct pfi_job *pfi_threads_next_job(struct pfi_threads *threads)
{
	struct pfi_ring *link = pfi_ring_take(&threads->queue);

	if (link)
		threads->queued--;
	else
		link = pfi_ring_take(&threads->untried);
	return link ? PFI_RING_OWNER(link, struct pfi_job, link) : NULL;
}
