/*
 * model/upgrade_steps.h -- the steps of a binary upgrade, as the old arbiter sees them.
 *
 *     idle --START--> booting --SERVING--> proving --READY--> ready --STOP--> leaving
 *      ^                 |                    |                 |
 *      '------ EXITED, LATE: failed ----------'                 |
 *      '------------------ EXITED: lost ------------------------'
 *
 * One upgrade at a time: START is refused in every state but idle. A failure leads back to idle, where everything is
 * as before. STOP is a stop of this arbiter for any reason; with upgrade = automatic the arbiter begins one by itself
 * when the new arbiter is ready. There is no way back from leaving. Pure.
 */
#ifndef PFI_MODEL_UPGRADE_STEPS_H
#define PFI_MODEL_UPGRADE_STEPS_H

#include <stdbool.h>
#include <stdint.h>

/* Moved by pfi_upgrade_step() only. */
#define PFI_UPGRADE_STATES(X)                                             \
	X(IDLE, "idle")       /* there is no new arbiter                  */ \
	X(BOOTING, "booting") /* it runs, and not all its workers serve   */ \
	X(PROVING, "proving") /* they serve, and must do so for a while   */ \
	X(READY, "ready")     /* both serve                               */ \
	X(LEAVING, "leaving") /* this one stops, the new one is promoted  */

#define PFI_UPGRADE_EVENTS(X)                                             \
	X(START)   /* an upgrade was requested                            */ \
	X(SERVING) /* all workers of the new arbiter serve                */ \
	X(READY)   /* ... and have served for its canary_time             */ \
	X(EXITED)  /* the new arbiter has exited                          */ \
	X(LATE)    /* the deadline of the state has passed                */ \
	X(STOP)    /* this arbiter begins to stop                         */

#define PFI_UPGRADE_ACTIONS(X)                                            \
	X(REFUSE)  /* the event changes nothing                           */ \
	X(SPAWN)   /* fork and exec                                       */ \
	X(PROVE)   /* set the deadline of the state proving               */ \
	X(DONE)    /* verdict: done                                       */ \
	X(FAIL)    /* verdict: failed                                     */ \
	X(KILL)    /* verdict: failed; kill the new arbiter               */ \
	X(LOST)    /* the new arbiter has exited after the verdict        */ \
	X(PROMOTE) /* promote the new arbiter                             */ \
	X(DESERT)  /* the same, and the verdict: stopped                  */

#define PFI_ENUM_UPGRADE_STATE(name, text) PFI_UPGRADE_##name,
#define PFI_ENUM_UPGRADE_EVENT(name) PFI_UPGRADE_ON_##name,
#define PFI_ENUM_UPGRADE_ACTION(name) PFI_UPGRADE_DO_##name,
enum pfi_upgrade_state {
	PFI_UPGRADE_STATES(PFI_ENUM_UPGRADE_STATE) PFI_UPGRADE_STATE_COUNT
};
enum pfi_upgrade_event {
	PFI_UPGRADE_EVENTS(PFI_ENUM_UPGRADE_EVENT) PFI_UPGRADE_EVENT_COUNT
};
enum pfi_upgrade_action {
	PFI_UPGRADE_ACTIONS(PFI_ENUM_UPGRADE_ACTION) PFI_UPGRADE_ACTION_COUNT
};
#undef PFI_ENUM_UPGRADE_STATE
#undef PFI_ENUM_UPGRADE_EVENT
#undef PFI_ENUM_UPGRADE_ACTION

/* Messages on the control channel between the two arbiters. Both ignore unknown types: the other may be newer or older.
 * 64 and up: os/reexec.h. */
enum pfi_upgrade_message {
	/* new to old */
	PFI_UPGRADE_SERVING_MESSAGE = 1,  /* all its workers serve; value: its canary_time in ms     */
	PFI_UPGRADE_READY_MESSAGE = 2,    /* ... and have proved themselves                          */
	PFI_UPGRADE_FAILED_MESSAGE = 3,   /* it exits next; text: why                                */
	PFI_UPGRADE_UNUSED_MESSAGE = 4,   /* it has closed a socket; value: the number of descriptor */
	PFI_UPGRADE_PROMOTED_MESSAGE = 5, /* it is promoted                                          */
	PFI_UPGRADE_LEAVES_MESSAGE = 6,   /* it is told to stop, and waits for the response          */

	/* old to new */
	PFI_UPGRADE_PROMOTE_MESSAGE = 16, /* be promoted                                             */
	PFI_UPGRADE_LEAVE_MESSAGE = 17,   /* response to LEAVES: the old one keeps serving           */
	PFI_UPGRADE_RELEASED_MESSAGE = 18, /* it has closed a socket; value: the number of descriptor */
};

struct pfi_upgrade_step {
	enum pfi_upgrade_state next;
	enum pfi_upgrade_action action;
};

/** What follows `event` in `state`. An event that is refused keeps the state. */
struct pfi_upgrade_step pfi_upgrade_step(enum pfi_upgrade_state state, enum pfi_upgrade_event event);

const char *pfi_upgrade_state_name(enum pfi_upgrade_state state);

/** Whether the workers of a new arbiter have proved themselves: `serving_since_ms` 0: not all of them serve. If not,
 *  *ret_wake_ms is when to ask again, 0: when something changes. */
bool pfi_upgrade_is_proved(uint64_t serving_since_ms, uint64_t canary_ms, uint64_t now_ms, uint64_t *ret_wake_ms);

/** How many of `older` arbiters that still drain must be aborted, so that with this one and the new one there are at
 *  most `generations_max`. */
unsigned pfi_upgrade_surplus(unsigned older, unsigned generations_max);

#endif
