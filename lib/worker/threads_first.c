/*
 * threads -- a strategy that runs several callbacks at a time, each in a thread.
 *
 * Connections wait in one epoll set and occupy no thread. Idle threads wait in
 * epoll_wait. If all threads are in callbacks, no thread waits there: new
 * connections go to other workers or stay in the backlog, whose length is the bound
 * and the back-pressure. A thread that completes a callback takes the next job before
 * another thread is woken; wake_policy.h decides whether to wake a thread at all.
 *
 * The first thread calls no service. It reads the control channel and the signals,
 * keeps the deadlines of connections and checks the single runner. Therefore no
 * callback can delay a drain or a stop.
 */
#include "worker/own_fds.h"
#include "model/library_options.h"
#include "worker/threads.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/open.h"
#include "os/timer.h"
#include "worker/strategies.h"
#include "worker/worker.h"

#include <prefork/error.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

/* Connections to accept per listener before a drain closes it, while other workers accept, too:
 * more than the kernel has woken threads of this worker for, few enough that the drain ends. */
enum { DRAIN_ACCEPTS_MAX = 64 };

static void expire(struct pfi_threads *threads, uint64_t now_ms)
{
	struct pfi_deadline *due;

	while ((due = pfi_deadline_heap_take(&threads->deadlines, now_ms)) != NULL) {
		struct pfi_connection_state *const state = PFI_RING_OWNER(due, struct pfi_connection_state, deadline);

		if (state->status == PFI_CONNECTION_POLLED)
			pfi_threads_enqueue(threads, state, PFI_TASK_EXPIRE);
	}
}

static void take_resumed(struct pfi_threads *threads)
{
	struct prefork_connection *connection;
	enum prefork_next next;

	while ((connection = prefork_worker_take_resumed(threads->worker, &next)) != NULL) {
		struct pfi_connection_state *const state = prefork_connection_driver(connection);

		pfi_threads_lock(threads);
		state->next = next;
		if (state->status == PFI_CONNECTION_SUSPENDED)
			pfi_threads_enqueue(threads, state, PFI_TASK_RESUME);
		else
			state->resumed_early = true;
		pfi_threads_wake_for_jobs(threads);
		pfi_threads_unlock(threads);
	}
}

static void on_timer(struct pfi_threads *threads)
{
	pfi_threads_lock(threads);
	(void)pfi_timer_clear(threads->timer);
	/* First: a time that is armed after the checks below needs an expiration of its own. */
	threads->timer_at_ms = 0;
	pfi_threads_unlock(threads);
	const uint64_t listeners_ms = pfi_threads_refresh_accept(threads);
	const uint64_t now_ms = pfi_now_ms();

	pfi_threads_lock(threads);
	pfi_threads_check_runner(threads, now_ms);
	expire(threads, now_ms);
	pfi_threads_arm_timer(threads, listeners_ms);
	pfi_threads_arm_timer(threads, pfi_deadline_heap_next_ms(&threads->deadlines));
	pfi_threads_wake_for_jobs(threads);
	pfi_threads_unlock(threads);
}

/* Queue a connection that was accepted without an event of its listener. */
static void queue_accepted(struct pfi_threads *threads, struct prefork_connection *connection)
{
	pfi_threads_lock(threads);
	struct pfi_connection_state *const state = pfi_threads_add_connection(threads);

	if (state) {
		state->connection = connection;
		prefork_connection_set_driver(connection, state);
		pfi_threads_enqueue(threads, state, PFI_TASK_PROCEED);
		pfi_threads_wake_for_jobs(threads);
	}
	pfi_threads_unlock(threads);
	if (!state)
		prefork_connection_close(connection);
}

/* Whether a thread may have been woken for a connection that it has not accepted yet. The kernel
 * wakes one waiter per connection (EPOLLEXCLUSIVE), so no other worker was woken for it. */
static bool may_have_pending_wake(struct pfi_threads *threads)
{
	pfi_threads_lock(threads);
	bool pending = threads->in_callbacks < threads->count || threads->accepting > 0;
	for (size_t i = 0; i < threads->accept_set.count; i++)
		pending |= threads->accept_jobs[i].queued;
	pfi_threads_unlock(threads);
	return pending;
}

/* At a stop of the server no other worker accepts the backlog, so this one does, beyond its limit
 * if necessary. Otherwise it accepts only what its own threads may have been woken for. */
static void accept_pending(struct pfi_threads *threads)
{
	const size_t max = prefork_worker_empties_queues(threads->worker) ? SIZE_MAX :
	                   may_have_pending_wake(threads)                 ? DRAIN_ACCEPTS_MAX :
	                                                                    0;
	struct prefork_connection *connection;

	for (size_t i = 0; i < threads->accept_set.count; i++) {
		for (size_t n = 0; n < max && prefork_worker_directive(threads->worker) != PREFORK_QUIT; n++) {
			if (prefork_worker_accept(threads->worker, i, &connection) < 0)
				break;
			queue_accepted(threads, connection);
		}
	}
}

static void begin_drain(struct pfi_threads *threads)
{
	(void)pthread_mutex_lock(&threads->accept_lock);
	pfi_accept_set_pause(&threads->accept_set, true); /* now the kernel wakes other workers */
	accept_pending(threads);
	pfi_accept_set_close(&threads->accept_set);
	(void)pthread_mutex_unlock(&threads->accept_lock);

	pfi_threads_lock(threads);
	threads->draining = true;
	for (struct pfi_ring *link = threads->connections.next; link != &threads->connections; link = link->next) {
		struct pfi_connection_state *const state = PFI_RING_OWNER(link, struct pfi_connection_state, link);

		if (state->status == PFI_CONNECTION_POLLED)
			pfi_threads_enqueue(threads, state, PFI_TASK_DRAIN);
	}
	pfi_threads_wake_for_jobs(threads);
	pfi_threads_unlock(threads);
}

static void on_control(struct pfi_threads *threads)
{
	(void)prefork_worker_check(threads->worker);
	if (atomic_load_explicit(&threads->worker->poll_requested, memory_order_relaxed))
		pfi_threads_rearm_listeners(threads);
}

/* Returns 0 after PREFORK_QUIT or at the end of a drain, or a negative errno. */
static int run_first_thread(struct pfi_threads *threads)
{
	struct prefork_worker *const worker = threads->worker;
	struct pollfd fds[] = {
		{ .fd = prefork_worker_fd(worker), .events = POLLIN },
		{ .fd = threads->timer, .events = POLLIN },
	};
	bool draining = false;

	for (;;) {
		const enum prefork_directive directive = prefork_worker_directive(worker);

		if (directive == PREFORK_DRAIN && !draining) {
			draining = true;
			begin_drain(threads);
		}
		if (directive == PREFORK_QUIT || (draining && prefork_worker_connections(worker) == 0))
			return 0;
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return prefork_fail(-errno, "polling the control descriptors failed: %s", strerror(errno));
		if ((fds[0].revents | fds[1].revents) & POLLNVAL)
			pfi_own_fds_lost(worker);
		if (fds[1].revents)
			on_timer(threads);
		if (fds[0].revents)
			on_control(threads);
		take_resumed(threads);
	}
}

static int set_wake_events(struct pfi_threads *threads, uint32_t events, int operation)
{
	struct epoll_event event = { .events = events, .data.u64 = PFI_THREADS_WAKE };

	return epoll_ctl(threads->epoll, operation, threads->wake_fd, &event);
}

static int open_all(struct pfi_threads *threads, struct prefork_worker *worker)
{
	const unsigned count = pfi_worker_settings(worker)->threads;

	threads->worker = worker;
	threads->count = count > 0 ? count : 1;
	threads->serving_threads = calloc(threads->count + (size_t)1, sizeof *threads->serving_threads);
	threads->accept_jobs = calloc(prefork_worker_listeners(worker) + 1, sizeof *threads->accept_jobs);
	if (!threads->serving_threads || !threads->accept_jobs)
		return prefork_fail(-ENOMEM, "no memory for %u threads", threads->count);
	for (size_t i = 0; i < prefork_worker_listeners(worker); i++) {
		threads->accept_jobs[i] = (struct pfi_accept_job){ .job.task = PFI_TASK_ACCEPT, .index = i };
		pfi_ring_init(&threads->accept_jobs[i].job.link);
	}
	int r;
	if ((r = threads->epoll = pfi_open_epoll()) < 0 || (r = threads->wake_fd = pfi_open_eventfd()) < 0 ||
	    (r = threads->timer = pfi_timer_open()) < 0)
		return prefork_fail(r, "opening an epoll set, an eventfd or a timer failed: %s", strerror(-r));
	if (set_wake_events(threads, EPOLLIN | EPOLLET, EPOLL_CTL_ADD) < 0)
		return prefork_fail(-errno, "adding an eventfd to the epoll set failed: %s", strerror(errno));
	pfi_own_fds_add(worker, threads->epoll, "epoll set of connections");
	pfi_own_fds_add(worker, threads->wake_fd, "wake-up eventfd of the threads");
	pfi_own_fds_add(worker, threads->timer, "timer of the threads");
	return pfi_accept_set_open(&threads->accept_set, worker, threads->epoll, EPOLLET);
}

static void stop(struct pfi_threads *threads)
{
	pfi_threads_lock(threads);
	threads->stopping = true;
	(void)pthread_cond_broadcast(&threads->wake_cond);
	pfi_threads_unlock(threads);
	/* Level-triggered from here on: wakes every thread that polls now or later. */
	if (threads->wake_fd >= 0 && threads->epoll >= 0) {
		pfi_threads_wake_poller(threads);
		(void)set_wake_events(threads, EPOLLIN, EPOLL_CTL_MOD);
	}
	pfi_worker_threads_join(&threads->group);
}

static void free_ring(struct pfi_ring *ring)
{
	struct pfi_ring *link;

	while ((link = pfi_ring_take(ring)) != NULL)
		free(PFI_RING_OWNER(link, struct pfi_connection_state, link));
}

static void close_all(struct pfi_threads *threads)
{
	pfi_own_fds_clear(threads->worker);
	/* A suspended connection belongs to the code that suspended it, until the process exits. */
	for (struct pfi_ring *link = threads->connections.next; link != &threads->connections; link = link->next) {
		struct pfi_connection_state *const state = PFI_RING_OWNER(link, struct pfi_connection_state, link);

		if (state->status != PFI_CONNECTION_SUSPENDED)
			prefork_connection_close(state->connection);
	}
	pfi_accept_set_finish(&threads->accept_set);
	pfi_deadline_heap_finish(&threads->deadlines);
	free_ring(&threads->connections);
	free_ring(&threads->free_connections);
	pfi_timer_close(&threads->timer);
	pfi_close(&threads->wake_fd);
	pfi_close(&threads->epoll);
	free(threads->accept_jobs);
	free(threads->serving_threads);
}

static int run(struct prefork_worker *worker, void *user)
{
	struct pfi_threads threads = { .epoll = -1, .wake_fd = -1, .timer = -1 };

	(void)user;
	(void)pthread_mutex_init(&threads.accept_lock, NULL);
	(void)pthread_mutex_init(&threads.lock, NULL);
	(void)pthread_cond_init(&threads.wake_cond, NULL);
	pfi_ring_init(&threads.queue);
	pfi_ring_init(&threads.pending_accepts);
	pfi_ring_init(&threads.connections);
	pfi_ring_init(&threads.free_connections);
	int r = open_all(&threads, worker);
	/* The lock keeps the threads from serving before the worker has reported ready: an exit
	 * before that counts as a boot failure. */
	pfi_threads_lock(&threads);
	if (r == 0)
		r = pfi_worker_threads_start(&threads.group, worker, threads.count, pfi_threads_loop, &threads);
	if (r == 0)
		prefork_worker_ready(worker);
	pfi_threads_unlock(&threads);
	if (r == 0)
		r = run_first_thread(&threads);
	stop(&threads);
	close_all(&threads);
	(void)pthread_cond_destroy(&threads.wake_cond);
	(void)pthread_mutex_destroy(&threads.lock);
	(void)pthread_mutex_destroy(&threads.accept_lock);
	return r;
}

const struct prefork_strategy pfi_strategy_threads = {
	.struct_size = sizeof pfi_strategy_threads,
	.name = "threads",
	.traits = PREFORK_STRATEGY_MAY_BLOCK | PREFORK_STRATEGY_REPORTS_READY,
	.run = run,
};
