/* Asks the poller for what a connection, or a task that works on it, waits for. */
#include "worker/event_state.h"

#include "worker/connection.h"
#include "worker/worker.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

struct pfi_event_state *pfi_event_state_create(struct pfi_event_core *core, struct prefork_connection *connection)
{
	struct pfi_ring *const link = pfi_ring_take(&core->free_states);
	struct pfi_event_state *const state =
		link ? PFI_RING_OWNER(link, struct pfi_event_state, link) : malloc(core->driver->state_size);

	if (!state)
		return NULL;
	memset(state, 0, core->driver->state_size);
	state->connection = connection;
	state->watched = PREFORK_CLOSE;
	pfi_ring_init(&state->link);
	prefork_connection_set_driver(connection, state);
	return state;
}

int pfi_event_state_change(struct pfi_event_core *core, struct pfi_event_state *state, enum prefork_next event)
{
	const int r = core->driver->watch(core, state, event);
	state->watched = event;
	if (!state->suspended) /* otherwise another thread may be reading it */
		state->connection->watched = event == PREFORK_WAIT_READABLE;
	return r;
}

/* While any is missed, each thread that resumes a connection wakes the loop. */
void pfi_event_state_set_missed(struct pfi_event_core *core, struct pfi_event_state *state, bool missed)
{
	if (state->missed_event == missed)
		return;
	state->missed_event = missed;
	core->missed_count = missed ? core->missed_count + 1 : core->missed_count - 1;
	atomic_store(&core->worker->wake_for_all, core->missed_count > 0);
}

/* What the tasks that wait for a connection wait for, and output of the transport, which may be the end of what the
 * client waits for; PREFORK_CLOSE: no task waits. */
static enum prefork_next wanted(const struct pfi_event_state *state)
{
	enum prefork_next event = PREFORK_CLOSE;

	for (const struct pfi_event_wait *wait = state->waits; wait; wait = wait->next)
		event = event == PREFORK_CLOSE || event == wait->event ? wait->event : PREFORK_AGAIN;
	if (event == PREFORK_WAIT_READABLE && pfi_connection_transport_has_output(state->connection))
		return PREFORK_AGAIN;
	return event;
}

static int wait_for_connection(struct pfi_event_core *core, struct pfi_event_wait *wait,
                               struct prefork_connection *connection)
{
	struct pfi_event_state *const state =
		connection->driver ? connection->driver : pfi_event_state_create(core, connection);

	if (!state)
		return -ENOMEM;
	state->suspended = true; /* a new one: the callback that has begun the task has not returned */
	wait->state = state;
	wait->next = state->waits;
	state->waits = wait;
	pfi_event_state_set_missed(core, state, false);
	return pfi_event_state_watch(core, state, wanted(state));
}

int pfi_event_wait_begin(struct pfi_event_core *core, struct pfi_event_wait *wait, struct prefork_connection *connection,
                         uint64_t until_ms)
{
	int r = 0;

	wait->state = NULL;
	wait->is_over = false;
	wait->deadline = (struct pfi_deadline){ .at_ms = until_ms };
	pfi_ring_init(&wait->link);
	pfi_ring_add(&core->parked, &wait->link);
	if (connection)
		r = wait_for_connection(core, wait, connection);
	if (r == 0 && until_ms > 0)
		r = pfi_deadline_heap_add(&core->wait_deadlines, &wait->deadline);
	if (r < 0)
		pfi_event_wait_end(core, wait);
	return r;
}

static void forget(struct pfi_event_core *core, struct pfi_event_wait *wait)
{
	pfi_ring_remove(&wait->link);
	pfi_deadline_heap_remove(&core->wait_deadlines, &wait->deadline);
	if (!wait->state)
		return;
	struct pfi_event_wait **at = &wait->state->waits;
	while (*at != wait)
		at = &(*at)->next;
	*at = wait->next;
	wait->state = NULL;
}

void pfi_event_wait_end(struct pfi_event_core *core, struct pfi_event_wait *wait)
{
	forget(core, wait);
}

void pfi_event_wait_finish(struct pfi_event_core *core, struct pfi_event_wait *wait, int result)
{
	forget(core, wait);
	wait->is_over = true;
	wait->result = result;
	pfi_ring_add(&core->due, &wait->link);
}

/* If one task waits to read and another one to write, the poller does not say which event it was. */
static short events_of(const struct pfi_event_state *state)
{
	struct pollfd pollfd = { .fd = state->connection->fd, .events = POLLIN | POLLOUT };

	if (state->watched != PREFORK_AGAIN)
		return POLLIN | POLLOUT;
	return poll(&pollfd, 1, 0) == 1 ? pollfd.revents : 0;
}

/* False: sending has failed, and the next read or write returns the error. */
static bool flush_transport(struct prefork_connection *connection)
{
	const int r = connection->transport->flush(connection);

	return r == 0 || r == -EAGAIN;
}

void pfi_event_state_ready(struct pfi_event_core *core, struct pfi_event_state *state)
{
	short events = events_of(state);
	struct pfi_event_wait *next;

	if ((events & POLLOUT) && pfi_connection_transport_has_output(state->connection) && !flush_transport(state->connection))
		events |= POLLERR;
	for (struct pfi_event_wait *wait = state->waits; wait; wait = next) {
		const short wants = wait->event == PREFORK_WAIT_READABLE ? POLLIN : POLLOUT;

		next = wait->next;
		if (events & (wants | POLLERR | POLLHUP | POLLNVAL))
			pfi_event_wait_finish(core, wait, 0);
	}
	if (state->waits)
		(void)pfi_event_state_watch(core, state, wanted(state));
}

void pfi_event_wait_expire(struct pfi_event_core *core, uint64_t now_ms)
{
	struct pfi_deadline *due;

	while ((due = pfi_deadline_heap_take(&core->wait_deadlines, now_ms)) != NULL) {
		struct pfi_event_wait *const wait = PFI_RING_OWNER(due, struct pfi_event_wait, deadline);

		pfi_event_wait_finish(core, wait, -ETIMEDOUT);
	}
}

void pfi_event_state_finish_waits(struct pfi_event_core *core, struct pfi_event_state *state, int result)
{
	while (state->waits)
		pfi_event_wait_finish(core, state->waits, result);
}

void pfi_event_wait_finish_all(struct pfi_event_core *core, int result)
{
	struct pfi_ring *next;

	for (struct pfi_ring *link = core->parked.next; link != &core->parked; link = next) {
		struct pfi_event_wait *const wait = PFI_RING_OWNER(link, struct pfi_event_wait, link);

		next = link->next;
		if (wait->state)
			pfi_event_wait_finish(core, wait, result);
	}
}
