/*
 * model/lifecycle.h -- the states of one worker, and the action that each event leads to.
 *
 * Pure: no system calls, no clock, no allocation. pfi_worker_table_step() is the only function that stores a state;
 * lib/arbiter/child_actions.c carries out the actions.
 */
#ifndef PFI_MODEL_LIFECYCLE_H
#define PFI_MODEL_LIFECYCLE_H

/*
 * A state is what the arbiter has requested of a process, not what the process does: a draining worker may be idle, may
 * not react, or may have exited and not be reaped yet. A state only changes to one further down this list, and from
 * every state to EMPTY.
 */
#define PFI_STATES(X)                                                          \
	X(EMPTY, "empty")       /* no process                                */ \
	X(BOOTING, "booting")   /* forked, not ready yet                     */ \
	X(SERVING, "serving")   /* ready; handles requests                   */ \
	X(DUMPING, "dumping")   /* a thread is stuck and was signalled to    */ \
	                        /* log its stack; the others serve until a   */ \
	                        /* replacement is ready                      */ \
	X(DRAINING, "draining") /* finishes its requests, then exits         */ \
	X(QUITTING, "quitting") /* exits at once                             */ \
	X(ABORTING, "aborting") /* received SIGABRT: logs its stacks, exits  */ \
	X(KILLING, "killing")   /* received SIGKILL; not reaped yet          */

#define PFI_EVENTS(X)                                                   \
	X(FORKED)  /* a process was forked                          */ \
	X(READY)   /* the worker reported that it is ready          */ \
	X(RETIRE)  /* a reload, a recycling, a scale-down or a stop */ \
	X(QUIT)    /* a quick stop                                  */ \
	X(TIMEOUT) /* a deadline has passed; other threads can work */ \
	X(STUCK)   /* a deadline has passed; no thread can work     */ \
	X(OVERDUE) /* the time limit of its state has passed        */ \
	X(EXITED)  /* its pidfd became readable                     */

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
	PFI_ACTION_REFUSE, /* 0, so that an entry that the table does not have is refused */
	PFI_ACTION_NONE,
	PFI_ACTION_DRAIN,
	PFI_ACTION_QUIT,
	PFI_ACTION_DUMP, /* signal the stuck threads to log their stacks */
	PFI_ACTION_ABORT,
	PFI_ACTION_KILL,
	PFI_ACTION_RELEASE,
	PFI_ACTION_COUNT
};

struct pfi_transition {
	enum pfi_state next;
	enum pfi_step_action action;
};

/** The next state and the action for `event` in `state`. A refused event leaves the state unchanged. */
struct pfi_transition pfi_lifecycle_step(enum pfi_state state, enum pfi_event event);

/** "serving" etc., for logs, titles and status. */
const char *pfi_state_name(enum pfi_state state);
const char *pfi_event_name(enum pfi_event event);

#endif
