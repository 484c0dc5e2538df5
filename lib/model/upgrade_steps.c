/* The table of states and events of a binary upgrade, and what the old arbiter does next. Pure. */
#include "model/upgrade_steps.h"

#include <assert.h>

#define ON(event, next, action) [PFI_UPGRADE_ON_##event] = { PFI_UPGRADE_##next, PFI_UPGRADE_DO_##action }

static const struct pfi_upgrade_step steps[PFI_UPGRADE_STATE_COUNT][PFI_UPGRADE_EVENT_COUNT] = {
	[PFI_UPGRADE_IDLE] = {
		ON(START, BOOTING, SPAWN),
	},
	[PFI_UPGRADE_BOOTING] = {
		ON(SERVING, PROVING, PROVE),
		ON(READY, READY, DONE),
		ON(EXITED, IDLE, FAIL),
		ON(LATE, IDLE, KILL),
		ON(STOP, LEAVING, DESERT),
	},
	[PFI_UPGRADE_PROVING] = {
		ON(READY, READY, DONE),
		ON(EXITED, IDLE, FAIL),
		ON(LATE, IDLE, KILL),
		ON(STOP, LEAVING, DESERT),
	},
	[PFI_UPGRADE_READY] = {
		ON(EXITED, IDLE, LOST),
		ON(STOP, LEAVING, PROMOTE),
	},
	[PFI_UPGRADE_LEAVING] = {
		ON(EXITED, LEAVING, LOST),
	},
};

struct pfi_upgrade_step pfi_upgrade_step(enum pfi_upgrade_state state, enum pfi_upgrade_event event)
{
	assert(state < PFI_UPGRADE_STATE_COUNT);
	assert(event < PFI_UPGRADE_EVENT_COUNT);

	struct pfi_upgrade_step step = steps[state][event];

	if (step.action == PFI_UPGRADE_DO_REFUSE)
		step.next = state;
	return step;
}

const char *pfi_upgrade_state_name(enum pfi_upgrade_state state)
{
#define PFI_NAME_UPGRADE_STATE(name, text) [PFI_UPGRADE_##name] = text,
	static const char *const names[PFI_UPGRADE_STATE_COUNT] = { PFI_UPGRADE_STATES(PFI_NAME_UPGRADE_STATE) };
#undef PFI_NAME_UPGRADE_STATE

	assert(state < PFI_UPGRADE_STATE_COUNT);
	return names[state];
}

bool pfi_upgrade_is_proved(uint64_t serving_since_ms, uint64_t canary_ms, uint64_t now_ms, uint64_t *ret_wake_ms)
{
	*ret_wake_ms = 0;
	if (serving_since_ms == 0)
		return false;
	if (now_ms >= serving_since_ms && now_ms - serving_since_ms >= canary_ms)
		return true;
	*ret_wake_ms = serving_since_ms + canary_ms;
	return false;
}

unsigned pfi_upgrade_surplus(unsigned older, unsigned generations_max)
{
	const unsigned allowed = generations_max > 2 ? generations_max - 2 : 0; /* besides this one and the new one */

	return older > allowed ? older - allowed : 0;
}
