/*
 * event_core -- what every event loop does with its connections, whatever it polls with: accept them,
 * call the service, keep the connections that wait and those that are called again in rings, and
 * their deadlines in one heap.
 *
 * A connection gets a struct pfi_event_state when it waits for the first time; a connection whose
 * first read yields the whole request never gets one. The loop embeds struct pfi_event_state at the
 * beginning of its own struct and does the polling (struct pfi_event_driver). A loop that sleeps until
 * an alarm also uses event_turn.h. First thread only.
 */
#ifndef WORKER_EVENT_CORE_H
#define WORKER_EVENT_CORE_H

#include "worker/accept_set.h"
#include "worker/deadline_heap.h"
#include "worker/ring.h"

#include <prefork/strategy.h>

#include <stdbool.h>
#include <stddef.h>

struct pfi_event_core;
struct pfi_event_wait;

struct pfi_event_state {
	struct prefork_connection *connection;
	struct pfi_deadline deadline;
	struct pfi_ring link;      /* in `waiting`, `again` or `free_states`                  */
	bool is_waiting;           /* in the ring `waiting`                                   */
	bool suspended;            /* by PREFORK_SUSPENDED: another thread may use it         */
	bool missed_event;         /* had an event while suspended, and is not polled any more */
	enum prefork_next watched; /* READABLE or WRITABLE; AGAIN: both; CLOSE: not polled    */
	struct pfi_event_wait *waits; /* of tasks, while it is suspended                      */
};

/* Poll the connection of `state` for `event` from now on; `state->watched` still has the previous
 * value. PREFORK_CLOSE: stop polling; PREFORK_AGAIN, only in loops with tasks: both events. Returns 0, or a negative errno, after which the connection is
 * closed. */
typedef int pfi_event_watch(struct pfi_event_core *core, struct pfi_event_state *state, enum prefork_next event);

/* What the loops do differently. NULL: nothing. */
struct pfi_event_driver {
	size_t state_size; /* of the struct that embeds struct pfi_event_state */
	pfi_event_watch *watch;
	void (*stop_listeners)(struct pfi_event_core *core); /* the worker drains: the listeners are closed next */
	void (*set_timer)(struct pfi_event_core *core, uint64_t at_ms); /* only for event_turn.h */
};

struct pfi_event_core {
	struct prefork_worker *worker;         /* borrowed */
	const struct pfi_event_driver *driver; /* borrowed */
	struct pfi_accept_set accept_set;      /* opened by the loop, finished by the core */
	bool is_ready; /* the worker has reported ready: it accepts nothing before, as a later failure is a boot failure */
	bool draining;
	unsigned served;        /* connections, in this turn     */
	unsigned served_before; /* and in the previous one; 0 in loops without event_turn.h */
	uint64_t alarm_ms;      /* see event_turn.h; 0: not set  */
	bool alarm_fired;       /* in this turn: check deadlines and descriptors  */
	bool polls_offloaded;   /* the alarm is set for offloaded connections     */
	struct pfi_deadline_heap deadlines;
	size_t missed_count; /* states with `missed_event`; plus 1 in a drain */
	/* Heads of rings are here, not on the stack of the loop: a callback may switch to a task (tasks.h), which may
	 * remove a state from any ring while that stack is put aside. */
	struct pfi_ring waiting;
	struct pfi_ring again;
	struct pfi_ring calling;         /* of `again`: in this turn      */
	struct pfi_ring draining_states; /* of `waiting`: the drain begins */
	struct pfi_ring free_states;
	/* See event_state.h. */
	struct pfi_deadline_heap wait_deadlines;
	struct pfi_ring parked;
	struct pfi_ring due;
	struct pfi_ring running; /* of `due`: in this turn */
};

void pfi_event_core_init(struct pfi_event_core *core, struct prefork_worker *worker,
                         const struct pfi_event_driver *driver);

/* Report ready: from now on the loop accepts. */
void pfi_event_core_start(struct pfi_event_core *core);

/* Close every connection that is not suspended, the accept set, and free all memory. */
void pfi_event_core_finish(struct pfi_event_core *core);

/* Listener `index` is readable: accept one connection or more, and serve them. */
void pfi_event_core_accept(struct pfi_event_core *core, size_t index);

/* The poller has returned the event that `state` is watched for. */
void pfi_event_core_ready(struct pfi_event_core *core, struct pfi_event_state *state);

/* Once per turn: call the connections again that returned PREFORK_AGAIN in the previous turn. */
void pfi_event_core_call_again(struct pfi_event_core *core);

/* Once per turn: continue with the connections that were resumed. */
void pfi_event_core_resume(struct pfi_event_core *core);

/* Once per turn: handle the deadlines that have passed. */
void pfi_event_core_expire(struct pfi_event_core *core);

/* Whether the next turn must poll without waiting. */
static inline bool pfi_event_core_has_work(const struct pfi_event_core *core)
{
	return !pfi_ring_is_empty(&core->again) || !pfi_ring_is_empty(&core->due);
}

/* Whether the loop runs another turn. The first call after the directive has become PREFORK_DRAIN
 * accepts the backlog if the server stops, closes the listeners, and drains the waiting connections. */
bool pfi_event_core_continue(struct pfi_event_core *core);

#endif
