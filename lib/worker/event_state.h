/*
 * event_state -- what the poller is asked for a connection: by its own wait, or, while it is suspended, by
 * tasks of the application that wait for it.
 *
 * A task that waits is not on this thread's stack: its stack may be copied elsewhere, or belong to a
 * coroutine. Therefore everything that the loop reaches of such a task is a struct pfi_event_wait on the
 * heap. When the wait is over, it enters the ring `due` of the core, and tasks.c lets the task go on.
 * First thread only.
 */
#ifndef WORKER_EVENT_STATE_H
#define WORKER_EVENT_STATE_H

#include "worker/event_core.h"

/* A wait of a task. */
struct pfi_event_wait {
	struct pfi_event_state *state;      /* NULL: only for time                        */
	struct pfi_event_wait *next;        /* of the same connection                     */
	struct pfi_ring link;               /* in `parked` of the core, in `due`, or none */
	struct pfi_deadline deadline;
	enum prefork_next event;            /* READABLE or WRITABLE                       */
	bool is_over;
	int result;                         /* if it is over: 0 or a negative errno       */
};

/* The state of a connection that waits for the first time; NULL: no memory. */
struct pfi_event_state *pfi_event_state_create(struct pfi_event_core *core, struct prefork_connection *connection);

/* Poll for `event` from now on; PREFORK_CLOSE: for nothing; PREFORK_AGAIN: for input and output. 0, or a negative
 * errno. */
int pfi_event_state_change(struct pfi_event_core *core, struct pfi_event_state *state, enum prefork_next event);

/* The same. Most connections are polled for it already. */
static inline int pfi_event_state_watch(struct pfi_event_core *core, struct pfi_event_state *state,
                                        enum prefork_next event)
{
	return state->watched == event ? 0 : pfi_event_state_change(core, state, event);
}

/* The connection had an event while it was suspended, and is not polled any more; or is polled again. */
void pfi_event_state_set_missed(struct pfi_event_core *core, struct pfi_event_state *state, bool missed);

/* A task begins to wait for `connection` and wait->event until `until_ms` (0: no limit); NULL: for time only. Without
 * memory -ENOMEM, or the errno of polling; then nothing waits. */
int pfi_event_wait_begin(struct pfi_event_core *core, struct pfi_event_wait *wait, struct prefork_connection *connection,
                         uint64_t until_ms);

/* The task goes on, whether the wait is over or not: nothing refers to `wait` any more. */
void pfi_event_wait_end(struct pfi_event_core *core, struct pfi_event_wait *wait);

/* The wait is over, with this result: the task is due. */
void pfi_event_wait_finish(struct pfi_event_core *core, struct pfi_event_wait *wait, int result);

/* The connection has an event that tasks wait for. */
void pfi_event_state_ready(struct pfi_event_core *core, struct pfi_event_state *state);

/* End the waits whose time is over. */
void pfi_event_wait_expire(struct pfi_event_core *core, uint64_t now_ms);

/* End all waits for the connection of `state`, or for any connection, with this result. Waits for time go on. */
void pfi_event_state_finish_waits(struct pfi_event_core *core, struct pfi_event_state *state, int result);
void pfi_event_wait_finish_all(struct pfi_event_core *core, int result);

#endif
