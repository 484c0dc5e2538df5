/*
 * model/lifecycle.h -- what one worker may do next.
 *
 * Pure: no system calls, no clock, no allocation. Events go in, the next state
 * and the action that goes with it come out. pfi_worker_table_step() is the only
 * function that stores a state, the arbiter's perform() the only one that
 * carries out an action.
 */
#ifndef PFI_MODEL_LIFECYCLE_H
#define PFI_MODEL_LIFECYCLE_H

/*
 * A state says what the arbiter has asked of a process, not what the process
 * makes of it: a draining worker may be idle, gone deaf, or already dead and
 * not yet reaped. States only move down this list, and from anywhere to empty.
 */
#define PFI_STATES(X)                                                          \
	X(EMPTY, "empty")       /* no process                                */ \
	X(BOOTING, "booting")   /* forked, has not yet said that it is ready */ \
	X(SERVING, "serving")   /* said ready; takes work                    */ \
	X(DUMPING, "dumping")   /* one thread is stuck, its stack was asked  */ \
	                        /* for; the others serve until a replacement */ \
	                        /* is ready                                  */ \
	X(DRAINING, "draining") /* asked to finish what it has and leave     */ \
	X(QUITTING, "quitting") /* asked to leave at once                    */ \
	X(ABORTING, "aborting") /* sent SIGABRT: show your stacks and die    */ \
	X(KILLING, "killing")   /* sent SIGKILL, only the exit is missing    */

#define PFI_EVENTS(X)                                                   \
	X(FORKED)  /* a process exists now                           */ \
	X(READY)   /* it said that it is ready                       */ \
	X(RETIRE)  /* a reload, a recycling, a scale-down or a stop  */ \
	X(QUIT)   /* a quick stop                                   */ \
	X(TIMEOUT)    /* a deadline passed, other threads can go on     */ \
	X(STUCK)   /* a deadline passed, and nobody can              */ \
	X(OVERDUE) /* the patience with its present state ran out    */ \
	X(EXITED)  /* its pidfd became readable                      */

#define PFI_ENUM_STATE(name, text) PFI_STATE_##name,
#define PFI_ENUM_EVENT(name) PFI_EVENT_##name,
enum pfi_state {
	PFI_STATES(PFI_ENUM_STATE) PFI_STATE_COUNT
};
enum pfi_event {
	PFI_EVENTS(PFI_ENUM_EVENT) PFI_EVENT_COUNT
};
#undef PFI_ENUM_STATE
#undef PFI_ENUM_EVENT

enum pfi_step_action {
	PFI_ACTION_REFUSE, /* zero on purpose: a cell nobody wrote is refused */
	PFI_ACTION_NONE,
	PFI_ACTION_DRAIN,
	PFI_ACTION_QUIT,
	PFI_ACTION_DUMP, /* have the threads that are late show their stacks */
	PFI_ACTION_ABORT,
	PFI_ACTION_KILL,
	PFI_ACTION_RELEASE,
	PFI_ACTION_COUNT
};

struct pfi_step {
	enum pfi_state next;
	enum pfi_step_action action;
};

/** The answer to `event` in `state`. A refused event leaves the state as it is. */
struct pfi_step pfi_lifecycle_step(enum pfi_state state, enum pfi_event event);

/** "serving" and the like; for logs, titles and status. */
const char *pfi_state_name(enum pfi_state state);
const char *pfi_event_name(enum pfi_event event);

#endif
