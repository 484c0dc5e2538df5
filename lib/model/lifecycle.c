/* The table of a worker's states: for each state and event the next state and an action. */
#include "model/lifecycle.h"

#include <assert.h>

#define ON(event, next, action) [PFI_EVENT_##event] = { PFI_STATE_##next, PFI_ACTION_##action }

static const struct pfi_transition transitions[PFI_STATE_COUNT][PFI_EVENT_COUNT] = {
	[PFI_STATE_EMPTY] = {
		ON(FORKED, BOOTING, NONE),
	},
	[PFI_STATE_BOOTING] = {
		ON(READY, SERVING, NONE),
		ON(RETIRE, DRAINING, DRAIN),
		ON(QUIT, QUITTING, QUIT),
		ON(OVERDUE, ABORTING, ABORT),
		ON(EXITED, EMPTY, RELEASE),
	},
	[PFI_STATE_SERVING] = {
		ON(RETIRE, DRAINING, DRAIN),
		ON(QUIT, QUITTING, QUIT),
		ON(TIMEOUT, DUMPING, DUMP),
		ON(STUCK, ABORTING, ABORT),
		ON(EXITED, EMPTY, RELEASE),
	},
	[PFI_STATE_DUMPING] = {
		ON(RETIRE, DRAINING, DRAIN), /* its replacement serves, or none is needed */
		ON(QUIT, QUITTING, QUIT),
		ON(TIMEOUT, DUMPING, DUMP), /* a further thread is stuck */
		ON(STUCK, ABORTING, ABORT),
		ON(EXITED, EMPTY, RELEASE),
	},
	[PFI_STATE_DRAINING] = {
		ON(READY, DRAINING, NONE),  /* it was booting when the drain was requested */
		ON(RETIRE, DRAINING, NONE), /* a second request changes nothing            */
		ON(QUIT, QUITTING, QUIT),
		ON(TIMEOUT, DRAINING, DUMP), /* its other threads finish their requests */
		ON(STUCK, ABORTING, ABORT),
		ON(OVERDUE, ABORTING, ABORT),
		ON(EXITED, EMPTY, RELEASE),
	},
	[PFI_STATE_QUITTING] = {
		ON(READY, QUITTING, NONE),
		ON(RETIRE, QUITTING, NONE),
		ON(QUIT, QUITTING, NONE),
		ON(TIMEOUT, QUITTING, NONE),
		ON(STUCK, QUITTING, NONE),
		ON(OVERDUE, KILLING, KILL), /* a quick stop dumps no stacks */
		ON(EXITED, EMPTY, RELEASE),
	},
	[PFI_STATE_ABORTING] = {
		ON(READY, ABORTING, NONE),
		ON(RETIRE, ABORTING, NONE),
		ON(QUIT, ABORTING, NONE),
		ON(TIMEOUT, ABORTING, NONE),
		ON(STUCK, ABORTING, NONE),
		ON(OVERDUE, KILLING, KILL),
		ON(EXITED, EMPTY, RELEASE),
	},
	[PFI_STATE_KILLING] = {
		ON(READY, KILLING, NONE),
		ON(RETIRE, KILLING, NONE),
		ON(QUIT, KILLING, NONE),
		ON(TIMEOUT, KILLING, NONE),
		ON(STUCK, KILLING, NONE),
		ON(OVERDUE, KILLING, KILL), /* uninterruptible system call: again */
		ON(EXITED, EMPTY, RELEASE),
	},
};

struct pfi_transition pfi_lifecycle_step(enum pfi_state state, enum pfi_event event)
{
	assert(state < PFI_STATE_COUNT);
	assert(event < PFI_EVENT_COUNT);

	struct pfi_transition transition = transitions[state][event];

	if (transition.action == PFI_ACTION_REFUSE)
		transition.next = state;
	return transition;
}

const char *pfi_state_name(enum pfi_state state)
{
#define PFI_NAME_STATE(name, text) [PFI_STATE_##name] = text,
	static const char *const names[PFI_STATE_COUNT] = { PFI_STATES(PFI_NAME_STATE) };
#undef PFI_NAME_STATE

	assert(state < PFI_STATE_COUNT);
	return names[state];
}

const char *pfi_event_name(enum pfi_event event)
{
#define PFI_NAME_EVENT(name) [PFI_EVENT_##name] = #name,
	static const char *const names[PFI_EVENT_COUNT] = { PFI_EVENTS(PFI_NAME_EVENT) };
#undef PFI_NAME_EVENT

	assert(event < PFI_EVENT_COUNT);
	return names[event];
}
