#include "worker/event_core.h"

#include "os/clock.h"
#include "worker/connection.h"
#include "worker/worker.h"

#include <stdlib.h>
#include <string.h>

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
	pfi_ring_init(&core->spare);
}

static struct pfi_event_state *state_of(struct pfi_event_core *core, struct prefork_connection *connection)
{
	struct pfi_event_state *state = connection->driver;

	if (state)
		return state;
	struct pfi_ring *const spare = pfi_ring_take(&core->spare);

	state = spare ? state_at(spare) : malloc(core->driver->state_size);
	if (!state)
		return NULL;
	memset(state, 0, core->driver->state_size);
	state->connection = connection;
	state->watched = PREFORK_CLOSE;
	pfi_ring_init(&state->link);
	prefork_connection_set_driver(connection, state);
	return state;
}

static int watch(struct pfi_event_core *core, struct pfi_event_state *state, enum prefork_next event)
{
	if (state->watched == event)
		return 0;
	const int r = core->driver->watch(core, state, event);
	state->watched = event;
	if (!state->suspended)
		state->connection->watched = event == PREFORK_WAIT_READABLE;
	return r;
}

static void close_connection(struct pfi_event_core *core, struct prefork_connection *connection)
{
	struct pfi_event_state *const state = connection->driver;

	if (state) {
		(void)watch(core, state, PREFORK_CLOSE);
		pfi_deadline_heap_remove(&core->deadlines, &state->deadline);
		unlink_state(state);
		pfi_ring_add(&core->spare, &state->link);
	}
	prefork_connection_close(connection);
}

/* Nothing of the connection itself may be touched: another thread has it. It stays
 * watched as it was, since most come back soon and with nothing new to say. */
static void suspend(struct pfi_event_state *state)
{
	if (!state)
		return;
	state->suspended = true;
	state->deadline.at_ms = 0;
	unlink_state(state);
}

/* Have `connection` wait for `next`. False: it cannot, for want of memory. */
static bool wait_for(struct pfi_event_core *core, struct prefork_connection *connection, enum prefork_next next)
{
	struct pfi_event_state *const state = state_of(core, connection);

	if (!state)
		return false;
	if (next == PREFORK_AGAIN)
		pfi_ring_add(&core->again, &state->link);
	else if (!state->is_waiting)
		pfi_ring_add(&core->waiting, &state->link);
	state->is_waiting = next != PREFORK_AGAIN;
	state->deadline.at_ms = connection->deadline_ms;
	if (pfi_deadline_heap_add(&core->deadlines, &state->deadline) < 0)
		return false;
	/* One that is called again soon stays watched as it was. */
	return next == PREFORK_AGAIN || watch(core, state, next) == 0;
}

/* Do what the service has said. */
static void apply(struct pfi_event_core *core, struct prefork_connection *connection, struct pfi_event_state *state,
                 enum prefork_next next)
{
	if (next == PREFORK_SUSPENDED)
		suspend(state);
	else if (next == PREFORK_CLOSE || !wait_for(core, connection, next))
		close_connection(core, connection);
}

/* The same, unless it would wait and the worker leaves. `client` was asked for before
 * the callback, since after PREFORK_SUSPENDED the connection is somebody else's. */
static void apply_or_drain(struct pfi_event_core *core, struct prefork_connection *connection, struct pfi_event_state *state,
                   enum prefork_next next)
{
	const bool is_waiting = next == PREFORK_WAIT_READABLE || next == PREFORK_WAIT_WRITABLE;

	if (is_waiting && pfi_worker_directive(core->worker) != PREFORK_CONTINUE)
		next = prefork_connection_drain(connection);
	apply(core, connection, state, next);
}

void pfi_event_core_proceed(struct pfi_event_core *core, struct prefork_connection *connection)
{
	struct pfi_event_state *const state = connection->driver;

	apply_or_drain(core, connection, state, prefork_connection_proceed(connection));
}

static void proceed(struct pfi_event_core *core, struct pfi_event_state *state)
{
	apply_or_drain(core, state->connection, state, prefork_connection_proceed(state->connection));
}

/* Something for a client that somebody else has. It must not be told again and again, and
 * whoever gives it back must be heard. The order matters: first say so, then look whether that
 * came too late. */
static void note_missed(struct pfi_event_core *core, struct pfi_event_state *state)
{
	state->missed_event = true;
	core->missed_count++;
	atomic_store(&core->worker->wake_for_all, true);
	(void)watch(core, state, PREFORK_CLOSE);
	pfi_event_core_resume(core);
}

static void clear_missed(struct pfi_event_core *core, struct pfi_event_state *state)
{
	state->missed_event = false;
	if (--core->missed_count == 0)
		atomic_store(&core->worker->wake_for_all, false);
}

void pfi_event_core_ready(struct pfi_event_core *core, struct pfi_event_state *state)
{
	if (state->suspended)
		pfi_event_core_resume(core); /* most of the time it was given back just now */
	if (state->suspended)
		note_missed(core, state);
	else if (state->is_waiting) /* else it is called anyhow, or was closed since the loop heard of it */
		proceed(core, state);
}

void pfi_event_core_call_again(struct pfi_event_core *core)
{
	struct pfi_ring ring, *link;

	if (!pfi_event_core_has_work(core))
		return;
	pfi_ring_move(&ring, &core->again); /* whoever asks anew waits for the next turn */
	while ((link = pfi_ring_take(&ring)) != NULL)
		pfi_event_core_proceed(core, state_at(link)->connection);
}

void pfi_event_core_resume(struct pfi_event_core *core)
{
	struct prefork_connection *connection;
	enum prefork_next next;

	while ((connection = prefork_worker_take_resumed(core->worker, &next)) != NULL) {
		struct pfi_event_state *const state = connection->driver;

		if (state)
			state->suspended = false;
		if (state && state->missed_event) {
			clear_missed(core, state);
			connection->watched = false;
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
			pfi_event_core_proceed(core, connection);
	}
}

static void drain_waiting(struct pfi_event_core *core)
{
	struct pfi_ring ring;

	core->missed_count++; /* all are, from now on: the worker ends with the last one */
	atomic_store(&core->worker->wake_for_all, true);
	pfi_event_core_resume(core);
	pfi_ring_move(&ring, &core->waiting);
	while (!pfi_ring_is_empty(&ring)) {
		struct pfi_event_state *const state = state_at(ring.next);

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
		core->driver->close_listeners(core);
		drain_waiting(core);
	}
	return directive != PREFORK_QUIT && (!core->draining || atomic_load_explicit(&worker->connections, memory_order_relaxed) > 0);
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
	while ((link = pfi_ring_take(&core->spare)) != NULL)
		free(state_at(link));
	pfi_deadline_heap_finish(&core->deadlines);
}
