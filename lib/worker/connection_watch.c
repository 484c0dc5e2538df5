/* Events of connections that are suspended or in a callback of another thread: client gone, time limit, drain over. */
#include "worker/connection_watch.h"

#include "base/required.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/open.h"
#include "os/timer.h"
#include "worker/connection.h"
#include "worker/worker.h"

#include <prefork/error.h>
#include <prefork/service.h>

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

enum { EVENTS_MAX = 128 };

static struct prefork_connection *owner(struct pfi_ring *link)
{
	return PFI_RING_OWNER(link, struct prefork_connection, watch.link);
}

static unsigned bit(enum prefork_watch_event event)
{
	return 1u << event;
}

void pfi_connection_watch_init(struct prefork_worker *worker)
{
	struct pfi_connection_watch *const watch = &worker->watch;

	(void)pthread_mutex_init(&watch->lock, NULL); /* cannot fail without attributes */
	(void)pthread_cond_init(&watch->returned, NULL);
	watch->epoll = watch->timer = -1;
	pfi_ring_init(&watch->young);
	pfi_ring_init(&watch->old);
	pfi_ring_init(&watch->due);
}

void pfi_connection_watch_close(struct prefork_worker *worker)
{
	struct pfi_connection_watch *const watch = &worker->watch;

	pfi_timer_close(&watch->timer);
	pfi_close(&watch->epoll);
	pfi_deadline_heap_finish(&watch->deadlines);
	(void)pthread_cond_destroy(&watch->returned);
	(void)pthread_mutex_destroy(&watch->lock);
}

/* `lock` is held in the following functions. */

static int open_set(struct prefork_worker *worker)
{
	struct pfi_connection_watch *const watch = &worker->watch;
	struct epoll_event timer = { .events = EPOLLIN }, set = { .events = EPOLLIN, .data.u32 = PFI_WATCH_KEY };
	int r;

	if (watch->epoll >= 0)
		return 0;
	if ((r = watch->timer = pfi_timer_open()) >= 0 && (r = watch->epoll = pfi_open_epoll()) >= 0 &&
	    (r = epoll_ctl(watch->epoll, EPOLL_CTL_ADD, watch->timer, &timer) < 0 ? -errno : 0) == 0 &&
	    (r = epoll_ctl(worker->fd, EPOLL_CTL_ADD, watch->epoll, &set) < 0 ? -errno : 0) == 0)
		return 0;
	pfi_timer_close(&watch->timer);
	pfi_close(&watch->epoll);
	return prefork_fail(r, "opening an epoll set or a timer for suspended connections failed: %s", strerror(-r));
}

/* Once per PFI_WATCH_AFTER_MS, however many connections are watched meanwhile. */
static void arm_timer(struct pfi_connection_watch *watch, uint64_t at_ms)
{
	if (at_ms == 0 || at_ms == UINT64_MAX || (watch->timer_ms > 0 && watch->timer_ms <= at_ms))
		return;
	watch->timer_ms = at_ms;
	(void)pfi_timer_set(watch->timer, at_ms); /* fails for invalid arguments only */
}

static void make_due(struct pfi_connection_watch *watch, struct prefork_connection *connection,
                     enum prefork_watch_event event)
{
	connection->watch.events |= (uint8_t)bit(event);
	pfi_ring_add(&watch->due, &connection->watch.link);
}

/* Edge-triggered: end of file stays, but is one event, and a reset that follows is another. EPOLL_CTL_ADD reports what
 * has happened before. */
static void poll_client(struct pfi_connection_watch *watch, struct prefork_connection *connection)
{
	struct epoll_event event = { .events = EPOLLRDHUP | EPOLLET, .data.ptr = connection };

	if (!connection->watch.is_polled)
		connection->watch.is_polled = epoll_ctl(watch->epoll, EPOLL_CTL_ADD, connection->fd, &event) == 0;
}

/* Connections that are watched since `until_ms` or earlier. One whose deadline finds no memory in the heap stays young:
 * the next try is PFI_WATCH_AFTER_MS later. */
static void grow_old(struct pfi_connection_watch *watch, uint64_t until_ms, uint64_t now_ms)
{
	while (!pfi_ring_is_empty(&watch->young)) {
		struct prefork_connection *const connection = owner(watch->young.next);
		struct pfi_watch_entry *const entry = &connection->watch;

		if (entry->since_ms > until_ms)
			break;
		pfi_ring_add(&watch->old, &entry->link);
		poll_client(watch, connection);
		entry->deadline_event = PREFORK_WATCH_TIMED_OUT;
		entry->deadline.at_ms = entry->timeout_ms > 0 ? entry->since_ms + entry->timeout_ms : 0;
		if (pfi_deadline_heap_add(&watch->deadlines, &entry->deadline) == 0)
			continue;
		entry->timeout_ms -= entry->timeout_ms > now_ms - entry->since_ms ? now_ms - entry->since_ms : 0;
		entry->since_ms = now_ms;
		pfi_ring_add(&watch->young, &entry->link);
		break;
	}
}

/* Under `lock`, as the end of a watch is: so no event refers to a connection that is not watched any more. */
static void take_events(struct pfi_connection_watch *watch)
{
	struct epoll_event events[EVENTS_MAX];
	const int count = epoll_wait(watch->epoll, events, EVENTS_MAX, 0);

	for (int i = 0; i < count; i++) {
		struct prefork_connection *const connection = events[i].data.ptr;

		if (!connection) {
			watch->timer_ms = 0;
			(void)pfi_timer_clear(watch->timer);
		} else if (events[i].events & (EPOLLHUP | EPOLLERR)) {
			make_due(watch, connection, PREFORK_WATCH_CLOSED);
		} else {
			make_due(watch, connection, PREFORK_WATCH_HALF_CLOSED);
		}
	}
}

static void take_expired(struct pfi_connection_watch *watch, uint64_t now_ms)
{
	struct pfi_deadline *due;

	while ((due = pfi_deadline_heap_take(&watch->deadlines, now_ms)) != NULL) {
		struct prefork_connection *const connection =
			PFI_RING_OWNER(due, struct prefork_connection, watch.deadline);

		due->at_ms = 0;
		make_due(watch, connection, connection->watch.deadline_event);
	}
}

/* No connection is due yet. */
static void end_all(struct pfi_connection_watch *watch, uint64_t now_ms, enum prefork_watch_event event)
{
	struct pfi_ring all;
	struct pfi_ring *link;

	grow_old(watch, now_ms, now_ms);
	pfi_ring_move(&all, &watch->old);
	while ((link = pfi_ring_take(&all)) != NULL) {
		struct pfi_watch_entry *const entry = &owner(link)->watch;

		pfi_ring_add(&watch->old, link);
		if (!entry->has_ended || event == PREFORK_WATCH_WORKER_ENDS)
			make_due(watch, owner(link), event);
		entry->has_ended = true;
	}
}

static enum prefork_watch_event take_event(struct pfi_watch_entry *entry)
{
	enum prefork_watch_event event = PREFORK_WATCH_HALF_CLOSED;

	while (!(entry->events & bit(event)))
		event++;
	entry->events &= (uint8_t)~bit(event);
	return event;
}

/* The callback may end the watch, by prefork_connection_abandon(). A worker whose loop has turns is busy already, until
 * its next wait. */
static uint64_t call(struct prefork_worker *worker, struct prefork_connection *connection,
                     enum prefork_watch_event event)
{
	struct pfi_connection_watch *const watch = &worker->watch;

	(void)pthread_mutex_unlock(&watch->lock);
	prefork_worker_busy(worker);
	const uint64_t again_ms =
		worker->service.watched ? worker->service.watched(worker, connection, event, worker->context->user) : 0;
	if (!(worker->strategy.traits & PREFORK_STRATEGY_TURNS))
		prefork_worker_idle(worker);
	(void)pthread_mutex_lock(&watch->lock);
	return again_ms;
}

static void deliver(struct prefork_worker *worker, struct prefork_connection *connection)
{
	struct pfi_connection_watch *const watch = &worker->watch;
	struct pfi_watch_entry *const entry = &connection->watch;
	const enum prefork_watch_event event = take_event(entry);

	pfi_ring_add(entry->events != 0 ? &watch->due : &watch->old, &entry->link);
	entry->is_called = true;
	const uint64_t again_ms = call(worker, connection, event);
	entry->is_called = false;
	(void)pthread_cond_broadcast(&watch->returned);
	if (again_ms == 0 || !connection->is_watched)
		return;
	entry->deadline_event = (uint8_t)event;
	entry->deadline.at_ms = pfi_now_ms() + again_ms;
	if (pfi_deadline_heap_add(&watch->deadlines, &entry->deadline) < 0)
		entry->deadline.at_ms = 0; /* no memory: the connection keeps the error that the event has set */
}

static void deliver_all(struct prefork_worker *worker)
{
	struct pfi_ring *link;

	while ((link = worker->watch.due.next) != &worker->watch.due)
		deliver(worker, owner(link));
}

/* When a drain is over. 0: the worker does not drain. */
static uint64_t drain_end_ms(struct prefork_worker *worker)
{
	return pfi_worker_directive(worker) == PREFORK_CONTINUE ? 0 : atomic_load(&worker->drain_end_ms);
}

/* `lock` is not held in the following functions. */

void pfi_connection_watch_dispatch(struct prefork_worker *worker)
{
	struct pfi_connection_watch *const watch = &worker->watch;

	(void)pthread_mutex_lock(&watch->lock);
	const uint64_t now_ms = pfi_now_ms(), end_ms = drain_end_ms(worker);

	if (end_ms > 0 && end_ms <= now_ms)
		end_all(watch, now_ms, PREFORK_WATCH_DRAIN_ENDS);
	grow_old(watch, now_ms - PFI_WATCH_AFTER_MS, now_ms);
	take_events(watch);
	take_expired(watch, now_ms);
	deliver_all(worker);
	arm_timer(watch, pfi_deadline_heap_next_ms(&watch->deadlines));
	if (!pfi_ring_is_empty(&watch->young))
		arm_timer(watch, owner(watch->young.next)->watch.since_ms + PFI_WATCH_AFTER_MS);
	if (end_ms > now_ms)
		arm_timer(watch, end_ms);
	(void)pthread_mutex_unlock(&watch->lock);
}

void pfi_connection_watch_drain(struct prefork_worker *worker)
{
	(void)pthread_mutex_lock(&worker->watch.lock);
	if (worker->watch.epoll >= 0)
		arm_timer(&worker->watch, atomic_load(&worker->drain_end_ms));
	(void)pthread_mutex_unlock(&worker->watch.lock);
}

void pfi_connection_watch_end(struct prefork_worker *worker)
{
	struct pfi_connection_watch *const watch = &worker->watch;

	(void)pthread_mutex_lock(&watch->lock);
	if (watch->epoll >= 0)
		end_all(watch, pfi_now_ms(), PREFORK_WATCH_WORKER_ENDS);
	deliver_all(worker);
	(void)pthread_mutex_unlock(&watch->lock);
}

int prefork_connection_watch(struct prefork_connection *connection, uint64_t timeout_ms)
{
	PFI_RETURN_IF_NULL(connection, -EINVAL);

	struct prefork_worker *const worker = connection->worker;
	struct pfi_connection_watch *const watch = &worker->watch;
	struct pfi_watch_entry *const entry = &connection->watch;

	(void)pthread_mutex_lock(&watch->lock);
	const int r = open_set(worker);
	if (r == 0) {
		const uint64_t end_ms = drain_end_ms(worker);

		if (!connection->is_watched) {
			*entry = (struct pfi_watch_entry){ 0 };
			pfi_ring_init(&entry->link);
			connection->is_watched = true;
		}
		entry->since_ms = pfi_now_ms();
		entry->timeout_ms = timeout_ms;
		entry->has_ended = false;
		entry->deadline.at_ms = 0;
		pfi_ring_add(&watch->young, &entry->link);
		arm_timer(watch, entry->since_ms + PFI_WATCH_AFTER_MS);
		arm_timer(watch, end_ms);
	}
	(void)pthread_mutex_unlock(&watch->lock);
	return r;
}

void pfi_connection_watch_remove(struct prefork_connection *connection)
{
	struct pfi_connection_watch *const watch = &connection->worker->watch;
	struct pfi_watch_entry *const entry = &connection->watch;

	(void)pthread_mutex_lock(&watch->lock);
	pfi_ring_remove(&entry->link);
	pfi_deadline_heap_remove(&watch->deadlines, &entry->deadline);
	if (entry->is_polled)
		(void)epoll_ctl(watch->epoll, EPOLL_CTL_DEL, connection->fd, NULL);
	connection->is_watched = false;
	while (entry->is_called && pfi_worker_thread(connection->worker) != 0)
		(void)pthread_cond_wait(&watch->returned, &watch->lock);
	(void)pthread_mutex_unlock(&watch->lock);
}

void prefork_connection_unwatch(struct prefork_connection *connection)
{
	PFI_RETURN_IF_NULL(connection, );
	if (connection->is_watched)
		pfi_connection_watch_remove(connection);
}
