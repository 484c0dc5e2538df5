/*
 * What the threads of the strategy threads do with its clients, and when they
 * sleep. The locks are those of worker/threads.h.
 */
#include "os/clock.h"
#include "os/watch.h"
#include "worker/threads.h"

#include <prefork/listener.h>
#include <prefork/strategy.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
	EVENTS_MAX = 16, /* taken at once by a thread that is alone, or the only one free */
	RETRY_MS = 500,  /* when memory ran out */
	BELIEFS = 8,     /* clients of a crowd, from one look at the door to the next */
};

/* The lock is held from here on, unless it says otherwise. */

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

/* Somebody is to look at the queue, or at the set. One who is on the way is enough: it calls
 * the next when there is more than it can take. */
static void call_one(struct pfi_threads *threads)
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
		call_one(threads);
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

static void drop_guest(struct pfi_threads *threads, struct pfi_guest *guest)
{
	pfi_deadlines_remove(&threads->deadlines, &guest->deadline);
	guest->place = PFI_PLACE_NOWHERE;
	pfi_ring_add(&threads->spare, &guest->all);
	if (threads->leaves && prefork_worker_connections(threads->worker) == 0)
		pfi_threads_wake_first(threads, 1);
}

/* One of the set's events. */
static void hear(struct pfi_threads *threads, const struct epoll_event *event)
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

/* Not under the lock: the client is in the hands of this thread. */
static bool watch(struct pfi_threads *threads, struct pfi_guest *guest, uint32_t events)
{
	const int operation = events == 0           ? EPOLL_CTL_DEL
	                      : guest->events == 0 ? EPOLL_CTL_ADD
	                                            : EPOLL_CTL_MOD;
	struct epoll_event event = { .events = events, .data.ptr = guest };

	if (events == 0 && guest->events == 0)
		return true;
	guest->events = events;
	return epoll_ctl(threads->epoll, operation, prefork_connection_fd(guest->connection), &event) == 0;
}

/* Nor this. One that has not read all there was, its end included, hears of it at once. */
static bool wait_for(struct pfi_threads *threads, struct pfi_guest *guest, enum prefork_next next, bool ended)
{
	const uint32_t reads = EPOLLIN | EPOLLRDHUP | EPOLLET, writes = EPOLLOUT | EPOLLET;

	if (next == PREFORK_WAIT_WRITABLE)
		return watch(threads, guest, writes);
	if (guest->events == reads && prefork_connection_was_drained(guest->connection) && !ended)
		return true;
	return watch(threads, guest, reads);
}

/* The doors have a lock of their own; here the other one is not held. */

/* Whether another client waits. Where one did it is believed for a while that others do: if not,
 * the next accept will tell. */
static bool has_more(struct pfi_threads *threads, size_t index, bool accepted)
{
	const struct prefork_listener *const listener = prefork_worker_listener(threads->worker, index);
	struct pollfd door = { .fd = prefork_listener_fd(listener), .events = POLLIN };

	if (accepted && threads->beliefs > 0) {
		threads->beliefs--;
		return true;
	}
	const bool more = poll(&door, 1, 0) > 0;
	threads->beliefs = more ? BELIEFS : 0;
	return more;
}

int pfi_threads_accept(struct pfi_threads *threads, size_t index, struct prefork_connection **ret, bool *ret_more)
{
	(void)pthread_mutex_lock(&threads->door_lock);
	const bool is_open = !threads->doors.held && !threads->doors.closed;
	const int r = is_open ? pfi_doors_accept(&threads->doors, index, ret) : -EAGAIN;
	const bool full = pfi_doors_full(&threads->doors);

	if (full)
		pfi_doors_hold(&threads->doors, true);
	if (full || (r < 0 && r != -EAGAIN))
		atomic_store(&threads->doors_wait, true);
	/* -EAGAIN does not say that nobody is there: it may have been this client's fault. */
	*ret_more = (r == 0 || r == -EAGAIN) && !full && is_open && has_more(threads, index, r == 0);
	(void)pthread_mutex_unlock(&threads->door_lock);
	return r;
}

/* Accept nobody for a while: there is no memory for a client. */
static uint64_t rest_doors(struct pfi_threads *threads)
{
	(void)pthread_mutex_lock(&threads->door_lock);
	pfi_doors_hold(&threads->doors, true);
	atomic_store(&threads->doors_wait, true);
	(void)pthread_mutex_unlock(&threads->door_lock);
	return pfi_now_ms() + RETRY_MS;
}

uint64_t pfi_threads_mind_doors(struct pfi_threads *threads)
{
	atomic_thread_fence(memory_order_seq_cst);
	if (!atomic_load(&threads->doors_wait))
		return 0;
	(void)pthread_mutex_lock(&threads->door_lock);
	const bool full = pfi_doors_full(&threads->doors);

	pfi_doors_hold(&threads->doors, full);
	const uint64_t again_ms = pfi_doors_refresh(&threads->doors);
	atomic_store(&threads->doors_wait, full || again_ms > 0);
	(void)pthread_mutex_unlock(&threads->door_lock);
	return again_ms;
}

static enum prefork_next call_service(struct pfi_guest *guest, enum pfi_task task)
{
	switch (task) {
	case PFI_TASK_EXPIRE:
		return prefork_connection_expire(guest->connection);
	case PFI_TASK_LEAVE:
		return prefork_connection_leave(guest->connection);
	case PFI_TASK_FOLLOW:
		return guest->next;
	case PFI_TASK_CLOSE:
		return PREFORK_CLOSE;
	default:
		return prefork_connection_proceed(guest->connection);
	}
}

static bool waits(enum prefork_next next)
{
	return next == PREFORK_WAIT_READABLE || next == PREFORK_WAIT_WRITABLE;
}

/* What has become of a client goes on record. */
static void settle(struct pfi_threads *threads, struct pfi_guest *guest, enum prefork_next next, bool was_told)
{
	switch (next) {
	case PREFORK_CLOSE:
		drop_guest(threads, guest);
		break;
	case PREFORK_TAKEN:
		guest->deadline.at_ms = 0;
		guest->place = PFI_PLACE_TAKEN;
		if (guest->returned)
			pfi_threads_push(threads, guest, PFI_TASK_FOLLOW);
		guest->returned = false;
		break;
	case PREFORK_AGAIN:
		pfi_threads_push(threads, guest, PFI_TASK_PROCEED);
		break;
	default:
		guest->deadline.at_ms = prefork_connection_deadline_ms(guest->connection);
		if (pfi_deadlines_file(&threads->deadlines, &guest->deadline) < 0) {
			pfi_threads_push(threads, guest, PFI_TASK_CLOSE);
			break;
		}
		pfi_threads_wake_first(threads, pfi_deadlines_next_ms(&threads->deadlines));
		guest->place = PFI_PLACE_WAITING;
		if (threads->leaves && !was_told)
			pfi_threads_push(threads, guest, PFI_TASK_LEAVE);
		else if (guest->fresh)
			pfi_threads_push(threads, guest, PFI_TASK_PROCEED);
		break;
	}
}

/* Entered and left with the lock held, which is given up meanwhile. */
static void serve(struct pfi_threads *threads, struct pfi_guest *guest, enum pfi_task task)
{
	const bool ended = guest->ended;
	bool was_told = task == PFI_TASK_LEAVE;
	uint64_t doors_ms = 0;

	guest->place = PFI_PLACE_RUNNING;
	if (task == PFI_TASK_PROCEED)
		guest->fresh = false;
	pfi_threads_unlock(threads);
	enum prefork_next next = call_service(guest, task);
	if (waits(next) && !was_told && prefork_worker_stay(threads->worker) != PREFORK_STAY) {
		was_told = true;
		next = prefork_connection_leave(guest->connection);
	}
	if (waits(next) && !wait_for(threads, guest, next, ended))
		next = PREFORK_CLOSE;
	if (next == PREFORK_TAKEN)
		(void)watch(threads, guest, 0);
	if (next == PREFORK_CLOSE) {
		(void)watch(threads, guest, 0); /* a forked process may hold a copy */
		prefork_connection_close(guest->connection);
		doors_ms = pfi_threads_mind_doors(threads);
	}
	pfi_threads_lock(threads);
	pfi_threads_wake_first(threads, doors_ms);
	settle(threads, guest, next, was_told);
}

/* Accept one client from a door. NULL: nobody is there, or nobody can be taken. */
static struct pfi_guest *admit(struct pfi_threads *threads, size_t index, bool *ret_more)
{
	struct pfi_guest *const guest = pfi_threads_new_guest(threads);
	struct prefork_connection *connection = NULL;
	int r = -ENOMEM;

	pfi_threads_unlock(threads);
	if (guest)
		r = pfi_threads_accept(threads, index, &connection, ret_more);
	const uint64_t again_ms = guest ? pfi_threads_mind_doors(threads) : rest_doors(threads);
	pfi_threads_lock(threads);
	pfi_threads_wake_first(threads, again_ms);
	if (r == 0) {
		guest->connection = connection;
		prefork_connection_set_driver(connection, guest);
		return guest;
	}
	if (guest)
		drop_guest(threads, guest);
	return NULL;
}

/* A door has, or may have, clients. They are taken as far as there are threads for them;
 * who is left is looked for when a thread has nothing else to do. The door is
 * edge-triggered, since a level would wake a second thread for every client, and so
 * nobody tells us of those. */
static void welcome(struct pfi_threads *threads, struct pfi_door_job *door)
{
	unsigned idle = threads->pace.alone ? 0 : threads->at_set + threads->asleep;
	bool more = false;
	struct pfi_guest *const first = admit(threads, door->index, &more);

	for (; first && more && idle > 0; idle--) {
		struct pfi_guest *const another = admit(threads, door->index, &more);

		if (another) {
			pfi_threads_push(threads, another, PFI_TASK_PROCEED);
			call_one(threads);
		}
	}
	if (more && !door->queued)
		pfi_ring_add(&threads->untried, &door->job.link);
	if (first)
		serve(threads, first, PFI_TASK_PROCEED);
}

/* What is to be done next, NULL: nothing. */
static struct pfi_job *next_job(struct pfi_threads *threads)
{
	struct pfi_ring *link = pfi_ring_take(&threads->queue);

	if (link)
		threads->queued--;
	else
		link = pfi_ring_take(&threads->untried);
	return link ? PFI_RING_OWNER(link, struct pfi_job, link) : NULL;
}

/* The threads that serve. The lock is held again, but for what says otherwise. */

/* They are not waited for any more; when they come back, they see what is left to do. */
static void write_off(struct pfi_threads *threads)
{
	for (unsigned i = 1; i <= threads->count; i++)
		threads->servers[i].written_off = threads->servers[i].calls;
	threads->running = 0;
}

/* One that is alone needs somebody to see that it comes back. */
static void guard(struct pfi_threads *threads, uint64_t now_ms)
{
	if (threads->guarded)
		return;
	threads->guarded = true;
	threads->calls_seen = threads->calls;
	pfi_threads_wake_first(threads, now_ms + 1 + PFI_PACE_STALL_MS);
}

void pfi_threads_look_after(struct pfi_threads *threads, uint64_t now_ms)
{
	if (!threads->guarded)
		return;
	threads->guarded = false;
	if (!threads->pace.alone)
		return;
	if (threads->calls != threads->calls_seen) {
		guard(threads, now_ms);
	} else if (threads->running == 0) {
		pfi_pace_rested(&threads->pace);
	} else {
		pfi_pace_stalled(&threads->pace, now_ms);
		write_off(threads);
		call_one(threads);
	}
}

static void begin_call(struct pfi_threads *threads, struct pfi_server *server)
{
	server->since_us = pfi_now_us();
	const uint64_t now_ms = server->since_us / 1000;

	if (threads->running > 0 && !threads->pace.alone) {
		pfi_pace_overlap(&threads->pace, now_ms);
		if (threads->pace.alone)
			write_off(threads);
	}
	server->calls = true;
	threads->calling++;
	threads->running++;
	threads->calls++;
	prefork_worker_set_queued(threads->worker, threads->calling == threads->count ? threads->queued : 0);
	if (threads->pace.alone)
		guard(threads, now_ms);
	else if (threads->at_set == 0 || !pfi_ring_is_empty(&threads->queue))
		call_one(threads);
}

static void end_call(struct pfi_threads *threads, struct pfi_server *server)
{
	threads->calls++;
	threads->calling--;
	server->calls = false;
	if (server->written_off) {
		server->written_off = false;
		return;
	}
	threads->running--;
	if (threads->pace.alone) {
		const uint64_t now_us = pfi_now_us();

		pfi_pace_called(&threads->pace, now_us - server->since_us, now_us / 1000);
	}
}

/* One event, and the next wakes another thread; but where there is none, or one is enough,
 * as many as have come. The only thread that is free takes all, so that it is known how
 * many wait. */
static void wait_at_set(struct pfi_threads *threads)
{
	struct epoll_event events[EVENTS_MAX];
	const bool is_last = threads->calling + 1 == threads->count;
	const int room = threads->pace.alone || is_last ? EVENTS_MAX : 1;
	int timeout_ms = -1, count;

	do {
		threads->at_set++;
		pfi_threads_unlock(threads);
		count = epoll_wait(threads->epoll, events, room, timeout_ms);
		pfi_threads_lock(threads);
		threads->at_set--;
		threads->one_comes = false;
		for (int i = 0; i < count; i++)
			hear(threads, &events[i]);
		timeout_ms = 0;
	} while (is_last && count == room);
}

static void carry_out(struct pfi_threads *threads, struct pfi_job *job)
{
	if (job->task == PFI_TASK_WELCOME) {
		struct pfi_door_job *const door = PFI_RING_OWNER(job, struct pfi_door_job, job);

		door->queued = false;
		welcome(threads, door);
	} else {
		serve(threads, PFI_RING_OWNER(job, struct pfi_guest, job), job->task);
	}
}

void pfi_threads_work(void *user, unsigned number)
{
	struct pfi_threads *const threads = user;
	struct pfi_server *const server = &threads->servers[number];

	pfi_threads_lock(threads);
	while (!threads->ends) {
		if (threads->pace.alone && threads->running > 0) {
			threads->asleep++;
			(void)pthread_cond_wait(&threads->called, &threads->lock);
			threads->asleep--;
			threads->one_comes = false;
			continue;
		}
		struct pfi_job *const job = next_job(threads);
		if (!job) {
			wait_at_set(threads);
			continue;
		}
		begin_call(threads, server);
		carry_out(threads, job);
		end_call(threads, server);
	}
	pfi_threads_unlock(threads);
}
