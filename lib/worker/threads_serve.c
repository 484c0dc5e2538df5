/*
 * The serving threads: take a job, run the callback, poll if there is no job.
 */
#include "os/clock.h"
#include "worker/own_fds.h"
#include "worker/threads.h"

#include <prefork/strategy.h>

#include <errno.h>
#include <sys/epoll.h>

enum { EVENTS_MAX = 16 }; /* per epoll_wait of the single runner or of the last idle thread */

/* `lock` is not held in the following functions: the connection is RUNNING and belongs to this
 * thread. */

static bool set_events(struct pfi_threads *threads, struct pfi_connection_state *state, uint32_t events)
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

/* Have the connection polled for what it waits for. If the callback has read all input, the entry
 * in the epoll set is still right, and costs no system call. Otherwise EPOLL_CTL_MOD makes the
 * kernel report the rest again (epoll_ctl(2)). After a short read the input counts as read, but end
 * of file may still follow, so peer_closed requires the EPOLL_CTL_MOD, too. */
static bool poll_for(struct pfi_threads *threads, struct pfi_connection_state *state,
                     enum prefork_next next, bool peer_closed)
{
	const uint32_t reads = EPOLLIN | EPOLLRDHUP | EPOLLET, writes = EPOLLOUT | EPOLLET;

	if (next == PREFORK_WAIT_WRITABLE)
		return set_events(threads, state, writes);
	if (state->events == reads && prefork_connection_read_would_block(state->connection) && !peer_closed)
		return true;
	return set_events(threads, state, reads);
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

static bool is_wait(enum prefork_next next)
{
	return next == PREFORK_WAIT_READABLE || next == PREFORK_WAIT_WRITABLE;
}

/* `lock` is held in the following functions. */

/* Store what the connection waits for next. */
static void apply_next(struct pfi_threads *threads, struct pfi_connection_state *state,
                       enum prefork_next next, bool drain_called)
{
	switch (next) {
	case PREFORK_CLOSE:
		pfi_threads_remove_connection(threads, state);
		break;
	case PREFORK_SUSPENDED:
		state->deadline.at_ms = 0;
		state->status = PFI_CONNECTION_SUSPENDED;
		if (state->resumed_early)
			pfi_threads_enqueue(threads, state, PFI_TASK_RESUME);
		state->resumed_early = false;
		break;
	case PREFORK_AGAIN:
		pfi_threads_enqueue(threads, state, PFI_TASK_PROCEED);
		break;
	default:
		state->deadline.at_ms = prefork_connection_deadline_ms(state->connection);
		if (pfi_deadline_heap_add(&threads->deadlines, &state->deadline) < 0) {
			pfi_threads_enqueue(threads, state, PFI_TASK_CLOSE);
			break;
		}
		pfi_threads_arm_timer(threads, pfi_deadline_heap_next_ms(&threads->deadlines));
		state->status = PFI_CONNECTION_POLLED;
		if (threads->draining && !drain_called)
			pfi_threads_enqueue(threads, state, PFI_TASK_DRAIN);
		else if (state->missed_event)
			pfi_threads_enqueue(threads, state, PFI_TASK_PROCEED);
		break;
	}
}

/* Run a callback, with `lock` released meanwhile. */
static void serve(struct pfi_threads *threads, struct pfi_connection_state *state, enum pfi_task task)
{
	const bool peer_closed = state->peer_closed;
	bool drain_called = task == PFI_TASK_DRAIN;
	uint64_t listeners_ms = 0;

	state->status = PFI_CONNECTION_RUNNING;
	if (task == PFI_TASK_PROCEED)
		state->missed_event = false;
	pfi_threads_unlock(threads);
	enum prefork_next next = call_service(state, task);
	if (is_wait(next) && !drain_called && prefork_worker_directive(threads->worker) != PREFORK_CONTINUE) {
		drain_called = true;
		next = prefork_connection_drain(state->connection);
	}
	if (is_wait(next) && !poll_for(threads, state, next, peer_closed))
		next = PREFORK_CLOSE;
	if (next == PREFORK_SUSPENDED)
		(void)set_events(threads, state, 0);
	if (next == PREFORK_CLOSE) {
		/* A forked process may hold a copy of the socket, which would keep it in the set
		 * (epoll(7), Q6). */
		(void)set_events(threads, state, 0);
		prefork_connection_close(state->connection);
		listeners_ms = pfi_threads_refresh_accept(threads);
	}
	pfi_threads_lock(threads);
	pfi_threads_arm_timer(threads, listeners_ms);
	apply_next(threads, state, next, drain_called);
}

/* Accept one connection. NULL: none is pending, or accepting is paused. */
static struct pfi_connection_state *accept_one(struct pfi_threads *threads, size_t index, bool *ret_more)
{
	struct pfi_connection_state *const state = pfi_threads_add_connection(threads);
	struct prefork_connection *connection = NULL;
	int r = -ENOMEM;

	threads->accepting++;
	pfi_threads_unlock(threads);
	if (state)
		r = pfi_threads_accept(threads, index, &connection, ret_more);
	const uint64_t again_ms = state ? pfi_threads_refresh_accept(threads) : pfi_threads_pause_accept(threads);
	pfi_threads_lock(threads);
	threads->accepting--;
	pfi_threads_arm_timer(threads, again_ms);
	if (r == 0) {
		state->connection = connection;
		prefork_connection_set_driver(connection, state);
		return state;
	}
	if (state)
		pfi_threads_remove_connection(threads, state);
	return NULL;
}

/* Set the number of connections that wait behind the callback that this thread starts. It is read under the lock, so that
 * it counts no connection that another thread has started before. */
static void count_queued(const struct pfi_threads *threads)
{
	const bool is_full = threads->in_callbacks == threads->count;

	prefork_worker_set_queued(threads->worker, is_full, is_full ? threads->queued : 0);
}

/* Accept as many connections as there are idle threads, and serve the first of them in this thread.
 * The listener is edge-triggered, because a level-triggered one would wake a second thread for
 * every connection; so the kernel does not report the rest of the backlog again. It goes to
 * pending_accepts, which a thread takes when the queue is empty. */
static void accept_batch(struct pfi_threads *threads, struct pfi_accept_job *listener)
{
	unsigned idle = threads->wake_policy.single_runner ? 0 : threads->polling + threads->asleep;
	bool more = false;
	struct pfi_connection_state *const first = accept_one(threads, listener->index, &more);

	for (; first && more && idle > 0; idle--) {
		struct pfi_connection_state *const another = accept_one(threads, listener->index, &more);

		if (another) {
			pfi_threads_enqueue(threads, another, PFI_TASK_PROCEED);
			pfi_threads_wake_one(threads);
		}
	}
	if (more && !listener->queued) {
		pfi_ring_add(&threads->pending_accepts, &listener->job.link);
		if (!threads->wake_policy.single_runner)
			pfi_threads_wake_one(threads); /* one that found no job during the accepts, and polls now */
	}
	if (first) {
		count_queued(threads); /* again: during accept4(2) other threads may have taken jobs from the queue */
		serve(threads, first, PFI_TASK_PROCEED);
	}
}

/* Stop counting the threads that are in callbacks now. When their callbacks return, they find out
 * in pfi_threads_loop() whether to wait on wake_cond. */
static void uncount_running(struct pfi_threads *threads)
{
	for (unsigned i = 1; i <= threads->count; i++)
		threads->serving_threads[i].uncounted = threads->serving_threads[i].in_callback;
	threads->running = 0;
}

/* The other threads wait on wake_cond, so that only the first thread finds a stuck single
 * runner. */
static void watch_runner(struct pfi_threads *threads, uint64_t now_ms)
{
	if (threads->runner_watched)
		return;
	threads->runner_watched = true;
	threads->progress_seen = threads->progress;
	pfi_threads_arm_timer(threads, now_ms + 1 + PFI_WAKE_STALL_MS);
}

void pfi_threads_check_runner(struct pfi_threads *threads, uint64_t now_ms)
{
	if (!threads->runner_watched)
		return;
	threads->runner_watched = false;
	if (!threads->wake_policy.single_runner)
		return;
	if (threads->progress != threads->progress_seen) {
		watch_runner(threads, now_ms);
	} else if (threads->running == 0) {
		pfi_wake_policy_idle(&threads->wake_policy);
	} else {
		pfi_wake_policy_stalled(&threads->wake_policy, now_ms);
		uncount_running(threads);
		pfi_threads_wake_one(threads);
	}
}

static void begin_callback(struct pfi_threads *threads, struct pfi_serving_thread *serving)
{
	serving->since_us = pfi_now_us();
	const uint64_t now_ms = serving->since_us / 1000;

	if (threads->running > 0 && !threads->wake_policy.single_runner) {
		pfi_wake_policy_overlap(&threads->wake_policy, now_ms);
		if (threads->wake_policy.single_runner)
			uncount_running(threads);
	}
	serving->in_callback = true;
	threads->in_callbacks++;
	threads->running++;
	threads->progress++;
	count_queued(threads);
	if (threads->wake_policy.single_runner)
		watch_runner(threads, now_ms);
	else if (threads->polling == 0 || pfi_threads_has_job(threads))
		pfi_threads_wake_one(threads);
}

static void end_callback(struct pfi_threads *threads, struct pfi_serving_thread *serving)
{
	threads->progress++;
	threads->in_callbacks--;
	serving->in_callback = false;
	if (serving->uncounted) {
		serving->uncounted = false;
		return;
	}
	threads->running--;
	if (threads->wake_policy.single_runner) {
		const uint64_t now_us = pfi_now_us();

		pfi_wake_policy_called(&threads->wake_policy, now_us - serving->since_us, now_us / 1000);
	}
}

/* Wait for events. With other threads polling, a thread takes one event, and the kernel wakes
 * another thread for the next. The single runner takes up to EVENTS_MAX. The last idle thread takes
 * all, so that the queue has all ready connections and prefork_worker_queued() is exact. */
static void poll_set(struct pfi_threads *threads)
{
	struct epoll_event events[EVENTS_MAX];
	const bool is_last = threads->in_callbacks + 1 == threads->count;
	const int capacity = threads->wake_policy.single_runner || is_last ? EVENTS_MAX : 1;
	int timeout_ms = pfi_own_fds_check_is_deferred(threads->worker) ? PFI_OWN_FDS_MS : -1, count;

	do {
		threads->polling++;
		pfi_threads_unlock(threads);
		count = epoll_wait(threads->epoll, events, capacity, timeout_ms);
		if (count < 0 && errno != EINTR)
			pfi_own_fds_lost(threads->worker);
		if (count == 0 && timeout_ms > 0)
			pfi_own_fds_check_now(threads->worker);
		pfi_threads_lock(threads);
		threads->polling--;
		threads->wake_pending = false;
		for (int i = 0; i < count; i++)
			pfi_threads_handle_event(threads, &events[i]);
		timeout_ms = 0;
	} while (is_last && count == capacity);
}

static void run_job(struct pfi_threads *threads, struct pfi_job *job)
{
	if (job->task == PFI_TASK_ACCEPT) {
		struct pfi_accept_job *const listener = PFI_RING_OWNER(job, struct pfi_accept_job, job);

		listener->queued = false;
		accept_batch(threads, listener);
	} else {
		serve(threads, PFI_RING_OWNER(job, struct pfi_connection_state, job), job->task);
	}
}

void pfi_threads_loop(void *user, unsigned number)
{
	struct pfi_threads *const threads = user;
	struct pfi_serving_thread *const serving = &threads->serving_threads[number];

	pfi_threads_lock(threads);
	while (!threads->stopping) {
		if (threads->wake_policy.single_runner && threads->running > 0) {
			threads->asleep++;
			(void)pthread_cond_wait(&threads->wake_cond, &threads->lock);
			threads->asleep--;
			threads->wake_pending = false;
			continue;
		}
		struct pfi_job *const job = pfi_threads_next_job(threads);
		if (!job) {
			poll_set(threads);
			continue;
		}
		begin_callback(threads, serving);
		run_job(threads, job);
		end_callback(threads, serving);
	}
	pfi_threads_unlock(threads);
}
