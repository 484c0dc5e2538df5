/*
 * What the threads of the strategy threads do with its clients, and when they
 * sleep. The locks are those of worker/threads.h.
 */
#include "os/clock.h"
#include "worker/own_fds.h"
#include "worker/threads.h"

#include <prefork/strategy.h>

#include <errno.h>
#include <sys/epoll.h>

enum { EVENTS_MAX = 16 }; /* taken at once by a thread that is alone, or the only one free */

/* The lock is not held in these: the client is in the hands of this thread. */

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

/* One that has not read all there was, its end included, hears of it at once. */
static bool wait_for(struct pfi_threads *threads, struct pfi_guest *guest, enum prefork_next next, bool ended)
{
	const uint32_t reads = EPOLLIN | EPOLLRDHUP | EPOLLET, writes = EPOLLOUT | EPOLLET;

	if (next == PREFORK_WAIT_WRITABLE)
		return watch(threads, guest, writes);
	if (guest->events == reads && prefork_connection_was_drained(guest->connection) && !ended)
		return true;
	return watch(threads, guest, reads);
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

/* The lock is held from here on. */

/* What has become of a client goes on record. */
static void settle(struct pfi_threads *threads, struct pfi_guest *guest, enum prefork_next next, bool was_told)
{
	switch (next) {
	case PREFORK_CLOSE:
		pfi_threads_drop_guest(threads, guest);
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

	threads->admitting++;
	pfi_threads_unlock(threads);
	if (guest)
		r = pfi_threads_accept(threads, index, &connection, ret_more);
	const uint64_t again_ms = guest ? pfi_threads_mind_doors(threads) : pfi_threads_rest_doors(threads);
	pfi_threads_lock(threads);
	threads->admitting--;
	pfi_threads_wake_first(threads, again_ms);
	if (r == 0) {
		guest->connection = connection;
		prefork_connection_set_driver(connection, guest);
		return guest;
	}
	if (guest)
		pfi_threads_drop_guest(threads, guest);
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
			pfi_threads_call_one(threads);
		}
	}
	if (more && !door->queued)
		pfi_ring_add(&threads->untried, &door->job.link);
	if (first)
		serve(threads, first, PFI_TASK_PROCEED);
}

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
		pfi_threads_call_one(threads);
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
	const bool is_full = threads->calling == threads->count;
	prefork_worker_set_queued(threads->worker, is_full, is_full ? threads->queued : 0);
	if (threads->pace.alone)
		guard(threads, now_ms);
	else if (threads->at_set == 0 || !pfi_ring_is_empty(&threads->queue))
		pfi_threads_call_one(threads);
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
	int timeout_ms = pfi_own_fds_is_put_off(threads->worker) ? PFI_OWN_FDS_MS : -1, count;

	do {
		threads->at_set++;
		pfi_threads_unlock(threads);
		count = epoll_wait(threads->epoll, events, room, timeout_ms);
		if (count < 0 && errno != EINTR)
			pfi_own_fds_lost(threads->worker);
		if (count == 0 && timeout_ms > 0)
			pfi_own_fds_look(threads->worker);
		pfi_threads_lock(threads);
		threads->at_set--;
		threads->one_comes = false;
		for (int i = 0; i < count; i++)
			pfi_threads_hear(threads, &events[i]);
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
		struct pfi_job *const job = pfi_threads_next_job(threads);
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
