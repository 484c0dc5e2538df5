/* Handles the connections of an event loop: calls the service, keeps rings of those that wait, and their deadlines. */
#include "worker/event_state.h"

#include "os/clock.h"
#include "worker/connection.h"
#include "worker/worker.h"

#include <stdlib.h>

enum {
	/* An idle worker accepts one connection per turn, so that the next one wakes an idle sibling. A busy
	 * worker accepts one more for every 16 connections that it served in the previous turn: its turns are
	 * long, and with one per turn new connections would wait for many of them. */
	SERVED_PER_ACCEPT = 16,
};

static struct pfi_event_state *state_at(struct pfi_ring *link)
{
	return PFI_RING_OWNER(link, struct pfi_event_state, link);
}

static void unlink_state(struct pfi_event_state *state)
{
	pfi_ring_remove(&state->link);
	state->is_waiting = false;
}

void pfi_event_core_init(struct pfi_event_core *core, struct prefork_worker *worker,
                         const struct pfi_event_driver *driver)
{
	*core = (struct pfi_event_core){ .worker = worker, .driver = driver };
	pfi_ring_init(&core->waiting);
	pfi_ring_init(&core->again);
	pfi_ring_init(&core->calling);
	pfi_ring_init(&core->draining_states);
	pfi_ring_init(&core->free_states);
	pfi_ring_init(&core->parked);
	pfi_ring_init(&core->due);
	pfi_ring_init(&core->running);
}

static void close_connection(struct pfi_event_core *core, struct prefork_connection *connection)
{
	struct pfi_event_state *const state = connection->driver;

	if (state) {
		(void)pfi_event_state_watch(core, state, PREFORK_CLOSE);
		pfi_deadline_heap_remove(&core->deadlines, &state->deadline);
		unlink_state(state);
		pfi_ring_add(&core->free_states, &state->link);
	}
	prefork_connection_close(connection);
}

/* Another thread may be using the connection, so only `state` is written. The connection stays in the
 * poller: most are resumed soon and have no input meanwhile, which saves two epoll_ctl(2) calls each. */
static void suspend(struct pfi_event_state *state)
{
	if (!state)
		return;
	state->suspended = true;
	state->deadline.at_ms = 0;
	unlink_state(state);
}

/* False: memory is exhausted, or the poller has refused the connection. */
static bool wait_for(struct pfi_event_core *core, struct prefork_connection *connection, enum prefork_next next)
{
	struct pfi_event_state *const state =
		connection->driver ? connection->driver : pfi_event_state_create(core, connection);

	if (!state)
		return false;
	state->suspended = false; /* tasks have waited for it */
	if (next == PREFORK_AGAIN)
		pfi_ring_add(&core->again, &state->link);
	else if (!state->is_waiting)
		pfi_ring_add(&core->waiting, &state->link);
	state->is_waiting = next != PREFORK_AGAIN;
	state->deadline.at_ms = connection->deadline_ms;
	if (pfi_deadline_heap_add(&core->deadlines, &state->deadline) < 0)
		return false;
	/* Under PREFORK_AGAIN the poller stays as it is: the next callback decides. */
	return next == PREFORK_AGAIN || pfi_event_state_watch(core, state, next) == 0;
}

static void apply(struct pfi_event_core *core, struct prefork_connection *connection, struct pfi_event_state *state,
                  enum prefork_next next)
{
	if (next == PREFORK_SUSPENDED)
		suspend(state);
	else if (next == PREFORK_CLOSE || !wait_for(core, connection, next))
		close_connection(core, connection);
}

/* As apply(), but a connection that would wait in a draining worker is drained. The caller has read `state`
 * before the callback: after PREFORK_SUSPENDED another thread may be using `connection`. */
static void apply_or_drain(struct pfi_event_core *core, struct prefork_connection *connection,
                           struct pfi_event_state *state, enum prefork_next next)
{
	const bool is_waiting = next == PREFORK_WAIT_READABLE || next == PREFORK_WAIT_WRITABLE;

	if (is_waiting && pfi_worker_directive(core->worker) != PREFORK_CONTINUE)
		next = prefork_connection_drain(connection);
	apply(core, connection, state, next);
}

static void proceed_new(struct pfi_event_core *core, struct prefork_connection *connection)
{
	apply_or_drain(core, connection, NULL, prefork_connection_proceed(connection));
}

void pfi_event_core_accept(struct pfi_event_core *core, size_t index)
{
	const unsigned batch = pfi_accept_set_batch(&core->accept_set);
	const unsigned by_load = 1 + core->served_before / SERVED_PER_ACCEPT;
	const unsigned max = batch > by_load ? batch : by_load;
	struct prefork_connection *connection;
	unsigned count = 0;

	if (!core->is_ready)
		return; /* the entry is level-triggered: reported again in the next turn */
	for (; count < max && !pfi_accept_set_full(&core->accept_set); count++) {
		if (pfi_accept_set_accept(&core->accept_set, index, &connection) < 0)
			break;
		proceed_new(core, connection);
	}
	pfi_accept_set_note_batch(&core->accept_set, count);
}

void pfi_event_core_start(struct pfi_event_core *core)
{
	core->is_ready = true;
	prefork_worker_ready(core->worker);
}

static void proceed(struct pfi_event_core *core, struct pfi_event_state *state)
{
	apply_or_drain(core, state->connection, state, prefork_connection_proceed(state->connection));
}

/* A suspended connection has an event. A level-triggered poller would return it in every turn, so the
 * connection leaves the poller, and the thread that resumes it must wake the loop. That thread pushes the
 * connection first and reads wake_for_all afterwards (connection.c, wake()); this one sets wake_for_all
 * first and takes the resumed connections afterwards. So one of the two sees the other. */
static void note_missed(struct pfi_event_core *core, struct pfi_event_state *state)
{
	pfi_event_state_set_missed(core, state, true);
	(void)pfi_event_state_watch(core, state, PREFORK_CLOSE);
	pfi_event_core_resume(core);
}

void pfi_event_core_ready(struct pfi_event_core *core, struct pfi_event_state *state)
{
	core->served++;
	if (state->suspended)
		pfi_event_core_resume(core); /* usually it has been resumed since the poll began */
	if (state->waits)
		pfi_event_state_ready(core, state);
	else if (state->suspended)
		note_missed(core, state);
	else if (state->is_waiting) /* otherwise it is in `again`, or was closed earlier in this turn */
		proceed(core, state);
}

void pfi_event_core_call_again(struct pfi_event_core *core)
{
	struct pfi_ring *link;

	if (pfi_ring_is_empty(&core->again))
		return;
	pfi_ring_move(&core->calling, &core->again); /* PREFORK_AGAIN from now on: next turn */
	while ((link = pfi_ring_take(&core->calling)) != NULL)
		proceed(core, state_at(link));
}

void pfi_event_core_resume(struct pfi_event_core *core)
{
	struct prefork_connection *connection;
	enum prefork_next next;

	while ((connection = prefork_worker_take_resumed(core->worker, &next)) != NULL) {
		struct pfi_event_state *const state = connection->driver;

		if (state) {
			state->suspended = false;
			pfi_event_state_set_missed(core, state, false);
			connection->watched = state->watched == PREFORK_WAIT_READABLE;
		}
		apply_or_drain(core, connection, state, next);
	}
}

void pfi_event_core_expire(struct pfi_event_core *core)
{
	struct pfi_deadline *due;

	if (pfi_deadline_heap_next_ms(&core->deadlines) == 0)
		return;
	const uint64_t now_ms = pfi_now_ms();
	while ((due = pfi_deadline_heap_take(&core->deadlines, now_ms)) != NULL) {
		struct pfi_event_state *const state = PFI_RING_OWNER(due, struct pfi_event_state, deadline);

		apply_or_drain(core, state->connection, state, prefork_connection_expire(state->connection));
	}
}

static void accept_queued(struct pfi_event_core *core)
{
	struct prefork_connection *connection;

	for (size_t i = 0; i < prefork_worker_listeners(core->worker); i++) {
		while (pfi_worker_directive(core->worker) != PREFORK_QUIT &&
		       prefork_worker_accept(core->worker, i, &connection) == 0)
			proceed_new(core, connection);
	}
}

static void drain_waiting(struct pfi_event_core *core)
{
	/* From now on each resumed connection wakes the loop, which returns when the last one is closed. */
	core->missed_count++;
	atomic_store(&core->worker->wake_for_all, true);
	pfi_event_core_resume(core);
	pfi_ring_move(&core->draining_states, &core->waiting);
	while (!pfi_ring_is_empty(&core->draining_states)) {
		struct pfi_event_state *const state = state_at(core->draining_states.next);

		unlink_state(state);
		apply(core, state->connection, state, prefork_connection_drain(state->connection));
	}
}

bool pfi_event_core_continue(struct pfi_event_core *core)
{
	struct prefork_worker *const worker = core->worker;
	const enum prefork_directive directive = pfi_worker_directive(worker);

	if (directive == PREFORK_DRAIN && !core->draining) {
		core->draining = true;
		if (prefork_worker_empties_queues(worker))
			accept_queued(core);
		if (core->driver->stop_listeners)
			core->driver->stop_listeners(core);
		pfi_accept_set_close(&core->accept_set);
		drain_waiting(core);
	}
	return directive != PREFORK_QUIT &&
	       (!core->draining || atomic_load_explicit(&worker->connections, memory_order_relaxed) > 0);
}

static void close_ring(struct pfi_event_core *core, struct pfi_ring *ring)
{
	while (!pfi_ring_is_empty(ring))
		close_connection(core, state_at(ring->next)->connection);
}

void pfi_event_core_finish(struct pfi_event_core *core)
{
	struct prefork_connection *connection;
	enum prefork_next next;

	while ((connection = prefork_worker_take_resumed(core->worker, &next)) != NULL)
		close_connection(core, connection);
	close_ring(core, &core->waiting);
	close_ring(core, &core->again);
	struct pfi_ring *link;
	while ((link = pfi_ring_take(&core->free_states)) != NULL)
		free(state_at(link));
	pfi_deadline_heap_finish(&core->deadlines);
	pfi_deadline_heap_finish(&core->wait_deadlines);
	pfi_accept_set_finish(&core->accept_set);
}
