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

static bool timer(struct pfi_threads *threads, struct pfi_connection_state *state, uint32_t events)
{
	const int operation = events == 0           ? EPOLL_CTL_DEL
	                      : state->events == 0 ? EPOLL_CTL_ADD
	                                            : EPOLL_CTL_MOD;
	struct epoll_event event = { .events = events, .data.ptr = state };

	if (events == 0 && state->events == 0)
		return true;
	state->events = events;
	return epoll_ctl(threads->epoll, operation, prefork_connection_fd(state->connection), &event) == 0;
}

/* One that has not read all there was, its end included, hears of it at once. */
static bool wait_for(struct pfi_threads *threads, struct pfi_connection_state *state, enum prefork_next next, bool ended)
{
	const uint32_t reads = EPOLLIN | EPOLLRDHUP | EPOLLET, writes = EPOLLOUT | EPOLLET;

	if (next == PREFORK_WAIT_WRITABLE)
		return timer(threads, state, writes);
	if (state->events == reads && prefork_connection_read_would_block(state->connection) && !ended)
		return true;
	return timer(threads, state, reads);
}

static enum prefork_next call_service(struct pfi_connection_state *state, enum pfi_task task)
{
	switch (task) {
	case PFI_TASK_EXPIRE:
		return prefork_connection_expire(state->connection);
	case PFI_TASK_DRAIN:
		return prefork_connection_drain(state->connection);
	case PFI_TASK_RESUME:
		return state->next;
	case PFI_TASK_CLOSE:
		return PREFORK_CLOSE;
	default:
		return prefork_connection_proceed(state->connection);
	}
}

static bool waits(enum prefork_next next)
{
	return next == PREFORK_WAIT_READABLE || next == PREFORK_WAIT_WRITABLE;
}

/* The lock is held from here on. */

/* What has become of a client goes on record. */
static void settle(struct pfi_threads *threads, struct pfi_connection_state *state, enum prefork_next next, bool was_told)
{
	switch (next) {
	case PREFORK_CLOSE:
		pfi_threads_drop_connection(threads, state);
		break;
	case PREFORK_SUSPENDED:
		state->deadline.at_ms = 0;
		state->place = PFI_PLACE_SUSPENDED;
		if (state->returned)
			pfi_threads_push(threads, state, PFI_TASK_RESUME);
		state->returned = false;
		break;
	case PREFORK_AGAIN:
		pfi_threads_push(threads, state, PFI_TASK_PROCEED);
		break;
	default:
		state->deadline.at_ms = prefork_connection_deadline_ms(state->connection);
		if (pfi_deadline_heap_add(&threads->deadlines, &state->deadline) < 0) {
			pfi_threads_push(threads, state, PFI_TASK_CLOSE);
			break;
		}
		pfi_threads_wake_first(threads, pfi_deadline_heap_next_ms(&threads->deadlines));
		state->place = PFI_PLACE_WAITING;
		if (threads->leaves && !was_told)
			pfi_threads_push(threads, state, PFI_TASK_DRAIN);
		else if (state->fresh)
			pfi_threads_push(threads, state, PFI_TASK_PROCEED);
		break;
	}
}

/* Entered and left with the lock held, which is given up meanwhile. */
static void serve(struct pfi_threads *threads, struct pfi_connection_state *state, enum pfi_task task)
{
	const bool ended = state->ended;
	bool was_told = task == PFI_TASK_DRAIN;
	uint64_t listeners_ms = 0;

	state->place = PFI_PLACE_RUNNING;
	if (task == PFI_TASK_PROCEED)
		state->fresh = false;
	pfi_threads_unlock(threads);
	enum prefork_next next = call_service(state, task);
	if (waits(next) && !was_told && prefork_worker_directive(threads->worker) != PREFORK_CONTINUE) {
		was_told = true;
		next = prefork_connection_drain(state->connection);
	}
	if (waits(next) && !wait_for(threads, state, next, ended))
		next = PREFORK_CLOSE;
	if (next == PREFORK_SUSPENDED)
		(void)timer(threads, state, 0);
	if (next == PREFORK_CLOSE) {
		(void)timer(threads, state, 0); /* a forked process may hold a copy */
		prefork_connection_close(state->connection);
		listeners_ms = pfi_threads_refresh_accept(threads);
	}
	pfi_threads_lock(threads);
	pfi_threads_wake_first(threads, listeners_ms);
	settle(threads, state, next, was_told);
}

/* Accept one client from a listener. NULL: nobody is there, or nobody can be taken. */
static struct pfi_connection_state *admit(struct pfi_threads *threads, size_t index, bool *ret_more)
{
	struct pfi_connection_state *const state = pfi_threads_new_connection(threads);
	struct prefork_connection *connection = NULL;
	int r = -ENOMEM;

	threads->admitting++;
	pfi_threads_unlock(threads);
	if (state)
		r = pfi_threads_accept(threads, index, &connection, ret_more);
	const uint64_t again_ms = state ? pfi_threads_refresh_accept(threads) : pfi_threads_pause_accept(threads);
	pfi_threads_lock(threads);
	threads->admitting--;
	pfi_threads_wake_first(threads, again_ms);
	if (r == 0) {
		state->connection = connection;
		prefork_connection_set_driver(connection, state);
		return state;
	}
	if (state)
		pfi_threads_drop_connection(threads, state);
	return NULL;
}

/* A listener has, or may have, clients. They are taken as far as there are threads for them;
 * who is left is looked for when a thread has nothing else to do. The listener is
 * edge-triggered, since a level would wake a second thread for every client, and so
 * nobody tells us of those. */
static void welcome(struct pfi_threads *threads, struct pfi_accept_job *listener)
{
	unsigned idle = threads->wake_policy.alone ? 0 : threads->at_set + threads->asleep;
	bool more = false;
	struct pfi_connection_state *const first = admit(threads, listener->index, &more);

	for (; first && more && idle > 0; idle--) {
		struct pfi_connection_state *const another = admit(threads, listener->index, &more);

		if (another) {
			pfi_threads_push(threads, another, PFI_TASK_PROCEED);
			pfi_threads_wake_one(threads);
		}
	}
	if (more && !listener->queued)
		pfi_ring_add(&threads->untried, &listener->job.link);
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
	pfi_threads_wake_first(threads, now_ms + 1 + PFI_WAKE_STALL_MS);
}

void pfi_threads_check_runner(struct pfi_threads *threads, uint64_t now_ms)
{
	if (!threads->guarded)
		return;
	threads->guarded = false;
	if (!threads->wake_policy.alone)
		return;
	if (threads->calls != threads->calls_seen) {
		guard(threads, now_ms);
	} else if (threads->running == 0) {
		pfi_wake_policy_idle(&threads->wake_policy);
	} else {
		pfi_wake_policy_stalled(&threads->wake_policy, now_ms);
		write_off(threads);
		pfi_threads_wake_one(threads);
	}
}

static void begin_call(struct pfi_threads *threads, struct pfi_server *server)
{
	server->since_us = pfi_now_us();
	const uint64_t now_ms = server->since_us / 1000;

	if (threads->running > 0 && !threads->wake_policy.alone) {
		pfi_wake_policy_overlap(&threads->wake_policy, now_ms);
		if (threads->wake_policy.alone)
			write_off(threads);
	}
	server->calls = true;
	threads->calling++;
	threads->running++;
	threads->calls++;
	const bool is_full = threads->calling == threads->count;
	prefork_worker_set_queued(threads->worker, is_full, is_full ? threads->queued : 0);
	if (threads->wake_policy.alone)
		guard(threads, now_ms);
	else if (threads->at_set == 0 || !pfi_ring_is_empty(&threads->queue))
		pfi_threads_wake_one(threads);
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
	if (threads->wake_policy.alone) {
		const uint64_t now_us = pfi_now_us();

		pfi_wake_policy_called(&threads->wake_policy, now_us - server->since_us, now_us / 1000);
	}
}

/* One event, and the next wakes another thread; but where there is none, or one is enough,
 * as many as have come. The only thread that is free takes all, so that it is known how
 * many wait. */
static void wait_at_set(struct pfi_threads *threads)
{
	struct epoll_event events[EVENTS_MAX];
	const bool is_last = threads->calling + 1 == threads->count;
	const int capacity = threads->wake_policy.alone || is_last ? EVENTS_MAX : 1;
	int timeout_ms = pfi_own_fds_is_put_off(threads->worker) ? PFI_OWN_FDS_MS : -1, count;

	do {
		threads->at_set++;
		pfi_threads_unlock(threads);
		count = epoll_wait(threads->epoll, events, capacity, timeout_ms);
		if (count < 0 && errno != EINTR)
			pfi_own_fds_lost(threads->worker);
		if (count == 0 && timeout_ms > 0)
			pfi_own_fds_look(threads->worker);
		pfi_threads_lock(threads);
		threads->at_set--;
		threads->wake_pending = false;
		for (int i = 0; i < count; i++)
			pfi_threads_event(threads, &events[i]);
		timeout_ms = 0;
	} while (is_last && count == capacity);
}

static void carry_out(struct pfi_threads *threads, struct pfi_job *job)
{
	if (job->task == PFI_TASK_ACCEPT) {
		struct pfi_accept_job *const listener = PFI_RING_OWNER(job, struct pfi_accept_job, job);

		listener->queued = false;
		welcome(threads, listener);
	} else {
		serve(threads, PFI_RING_OWNER(job, struct pfi_connection_state, job), job->task);
	}
}

void pfi_threads_work(void *user, unsigned number)
{
	struct pfi_threads *const threads = user;
	struct pfi_server *const server = &threads->servers[number];

	pfi_threads_lock(threads);
	while (!threads->ends) {
		if (threads->wake_policy.alone && threads->running > 0) {
			threads->asleep++;
			(void)pthread_cond_wait(&threads->called, &threads->lock);
			threads->asleep--;
			threads->wake_pending = false;
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
