/*
 * clients -- what an event loop does with its connections, whatever it waits
 * with: it does what the service says, and keeps those that wait and those
 * that are to be called again in rings, their deadlines in one heap.
 *
 * A connection gets a client when it first has to wait; one whose first read
 * brings the whole request never has one. The loop embeds struct pfi_event_state at
 * the beginning of its own object, and does the watching.
 */
#ifndef WORKER_EVENT_CORE_H
#define WORKER_EVENT_CORE_H

#include "worker/deadline_heap.h"
#include "worker/ring.h"

#include <prefork/strategy.h>

#include <stdbool.h>
#include <stddef.h>

struct pfi_event_core;

struct pfi_event_state {
	struct prefork_connection *connection;
	struct pfi_deadline deadline;
	struct pfi_ring link;      /* in `waiting`, `again` or `spare`                */
	bool is_waiting;                /* in the ring `waiting`                           */
	bool suspended;                /* in somebody else's hands                        */
	bool missed_event;               /* and not watched any more, though something came */
	enum prefork_next watched; /* READABLE, WRITABLE, or PREFORK_CLOSE: it is not */
};

/* Have `client`, whose `watched` still says what was before, watched for `event` from
 * now on. 0, or a negative errno, upon which its connection is closed. */
typedef int pfi_event_watch(struct pfi_event_core *core, struct pfi_event_state *state, enum prefork_next event);

/* What a loop does in its own way. */
struct pfi_event_driver {
	size_t state_size; /* of its object */
	pfi_event_watch *watch;
	void (*close_listeners)(struct pfi_event_core *core); /* the worker leaves */
};

struct pfi_event_core {
	struct prefork_worker *worker;       /* borrowed */
	const struct pfi_event_driver *driver; /* borrowed */
	bool draining;
	struct pfi_deadline_heap deadlines;
	size_t missed_count; /* clients that are */
	struct pfi_ring waiting;
	struct pfi_ring again;
	struct pfi_ring spare;
};

void pfi_event_core_init(struct pfi_event_core *core, struct prefork_worker *worker,
                      const struct pfi_event_driver *driver);

/* Close all that are not taken, and free what is held. */
void pfi_event_core_finish(struct pfi_event_core *core);

/* A connection is new. */
void pfi_event_core_proceed(struct pfi_event_core *core, struct prefork_connection *connection);

/* What `client` is watched for has come. */
void pfi_event_core_ready(struct pfi_event_core *core, struct pfi_event_state *state);

/* Once per turn: those that asked for it are called again... */
void pfi_event_core_call_again(struct pfi_event_core *core);

/* ...those that were given back are taken... */
void pfi_event_core_resume(struct pfi_event_core *core);

/* ...and those that are late are told. */
void pfi_event_core_expire(struct pfi_event_core *core);

/* Whether the next turn must not wait. */
static inline bool pfi_event_core_has_work(const struct pfi_event_core *core)
{
	return !pfi_ring_is_empty(&core->again);
}

/* Whether there is to be one more turn. The first time that the worker is asked to leave it
 * accepts who must be, closes the listeners, and asks those that wait. */
bool pfi_event_core_continue(struct pfi_event_core *core);

#endif
