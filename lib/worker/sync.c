/*
 * The strategy sync: one request at a time.
 *
 * Idle connections and listeners are in one level-triggered epoll set. A connection stays in it between
 * requests, so a request costs no epoll_ctl(2); a connection whose first read yields the whole request never
 * enters it. An idle worker is not woken until a deadline passes.
 */
#include "os/clock.h"
#include "os/fd.h"
#include "os/open.h"
#include "worker/event_core.h"
#include "worker/accept_set.h"
#include "worker/own_fds.h"
#include "worker/ring.h"
#include "worker/strategies.h"

#include <prefork/error.h>

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>

enum { EVENTS_MAX = 16 }; /* per turn; new connections and messages of the arbiter wait for the end of the turn */

struct sync {
	struct prefork_worker *worker;
	int epoll;
	struct pfi_accept_set accept_set;
	struct pfi_event_core core;
};

/* Data of an event: the index of a listener, this key for prefork_worker_fd(), or a pointer to a state, which
 * is greater. */
static const uint64_t control_key = PFI_ACCEPT_SET_MAX;

/* EPOLL_CTL_DEL before close(2): if a process that the application has forked has a copy of the descriptor,
 * close(2) alone would leave the entry in the set (epoll(7), Q6). */
static int watch(struct pfi_event_core *core, struct pfi_event_state *state, enum prefork_next event)
{
	const struct sync *const sync = PFI_RING_OWNER(core, struct sync, core);
	const int operation = event == PREFORK_CLOSE           ? EPOLL_CTL_DEL
	                      : state->watched == PREFORK_CLOSE ? EPOLL_CTL_ADD
	                                                         : EPOLL_CTL_MOD;
	struct epoll_event events = { .events = event == PREFORK_WAIT_WRITABLE ? EPOLLOUT : EPOLLIN,
		                      .data.ptr = state };

	if (epoll_ctl(sync->epoll, operation, prefork_connection_fd(state->connection), &events) < 0)
		return -errno;
	return 0;
}

static int timeout_ms(struct sync *sync)
{
	uint64_t next_ms = pfi_deadline_heap_next_ms(&sync->core.deadlines);
	const uint64_t listeners_ms = pfi_accept_set_refresh(&sync->accept_set);

	if (pfi_event_core_has_work(&sync->core))
		return 0;
	if (listeners_ms > 0 && (next_ms == 0 || listeners_ms < next_ms))
		next_ms = listeners_ms;
	const int max = pfi_own_fds_check_is_deferred(sync->worker) ? PFI_OWN_FDS_MS : INT_MAX;
	if (next_ms == 0)
		return max < INT_MAX ? max : -1;
	const uint64_t now_ms = pfi_now_ms();
	if (next_ms <= now_ms)
		return 0;
	return next_ms - now_ms > (uint64_t)max ? max : (int)(next_ms - now_ms);
}

static void accept_batch(struct sync *sync, size_t index)
{
	const unsigned max = pfi_accept_set_batch(&sync->accept_set);
	struct prefork_connection *connection;
	unsigned count = 0;

	for (; count < max && !pfi_accept_set_full(&sync->accept_set); count++) {
		if (pfi_accept_set_accept(&sync->accept_set, index, &connection) < 0)
			break;
		pfi_event_core_proceed(&sync->core, connection);
	}
	pfi_accept_set_note_batch(&sync->accept_set, count);
}

/* Listeners first: no sibling was woken for their connections. What may close a connection that has an event in
 * `events` comes after the events. */
static void turn(struct sync *sync)
{
	struct epoll_event events[EVENTS_MAX];
	const int count = epoll_wait(sync->epoll, events, EVENTS_MAX, timeout_ms(sync));
	bool has_control = false;

	if (count < 0 && errno != EINTR)
		pfi_own_fds_lost(sync->worker);
	if (count == 0 && pfi_own_fds_check_is_deferred(sync->worker))
		pfi_own_fds_check_now(sync->worker);
	for (int i = 0; i < count; i++) {
		if (events[i].data.u64 == control_key)
			has_control = true;
		else if (events[i].data.u64 < sync->accept_set.count)
			accept_batch(sync, (size_t)events[i].data.u64);
	}
	for (int i = 0; i < count; i++) {
		if (events[i].data.u64 > control_key)
			pfi_event_core_ready(&sync->core, events[i].data.ptr);
	}
	pfi_event_core_call_again(&sync->core);
	if (has_control)
		(void)prefork_worker_check(sync->worker);
	pfi_event_core_resume(&sync->core);
	pfi_event_core_expire(&sync->core);
	pfi_accept_set_pause(&sync->accept_set, pfi_accept_set_full(&sync->accept_set));
}

static void close_listeners(struct pfi_event_core *core)
{
	struct sync *const sync = PFI_RING_OWNER(core, struct sync, core);

	pfi_accept_set_close(&sync->accept_set);
}

static const struct pfi_event_driver driver = {
	.state_size = sizeof(struct pfi_event_state),
	.watch = watch,
	.close_listeners = close_listeners,
};

static int open_all(struct sync *sync, struct prefork_worker *worker)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = control_key };

	*sync = (struct sync){ .worker = worker, .epoll = pfi_open_epoll() };
	pfi_event_core_init(&sync->core, worker, &driver);
	if (sync->epoll < 0)
		return prefork_fail(sync->epoll, "opening an epoll set failed: %s", strerror(-sync->epoll));
	prefork_worker_set_queued(worker, true, 0); /* a callback that reads this is the only one */
	if (epoll_ctl(sync->epoll, EPOLL_CTL_ADD, prefork_worker_fd(worker), &event) < 0)
		return prefork_fail(-errno, "adding the control descriptor to the epoll set failed: %s", strerror(errno));
	pfi_own_fds_add(worker, sync->epoll, "epoll set of connections");
	const int r = pfi_accept_set_open(&sync->accept_set, worker, sync->epoll, 0);
	if (r == 0)
		prefork_worker_ready(worker);
	return r;
}

static void close_all(struct sync *sync)
{
	pfi_own_fds_clear(sync->worker);
	pfi_event_core_finish(&sync->core);
	pfi_accept_set_finish(&sync->accept_set);
	pfi_close(&sync->epoll);
}

static int run(struct prefork_worker *worker, void *user)
{
	struct sync sync;
	const int r = open_all(&sync, worker);

	(void)user;
	while (r == 0 && pfi_event_core_continue(&sync.core))
		turn(&sync);
	close_all(&sync);
	return r;
}

const struct prefork_strategy pfi_strategy_sync = {
	.struct_size = sizeof pfi_strategy_sync,
	.name = "sync",
	.traits = PREFORK_STRATEGY_MAY_BLOCK | PREFORK_STRATEGY_REPORTS_READY,
	.run = run,
};
