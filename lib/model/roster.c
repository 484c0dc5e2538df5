#include "model/roster.h"

#include <assert.h>

uint32_t pfi_roster_seats(uint32_t workers_max, uint32_t surge)
{
	return 2 * workers_max + surge + 1; /* one for a canary */
}

enum pfi_step_action pfi_roster_step(struct pfi_roster *roster, uint32_t slot, enum pfi_event event,
				     uint64_t now_ms)
{
	assert(slot < roster->count);

	struct pfi_slot *const seat = &roster->slots[slot];
	const struct pfi_step step = pfi_lifecycle_step(seat->state, event);

	if (step.action == PFI_ACTION_REFUSE)
		return step.action;
	/* A second SIGKILL starts a new wait; other stays do not, or asking
	 * again and again would put the deadline off for ever. */
	if (step.next != seat->state || step.action == PFI_ACTION_KILL)
		seat->since_ms = now_ms;
	if (step.next == PFI_STATE_SERVING)
		seat->ready_ms = now_ms;
	seat->state = step.next;
	return step.action;
}

void pfi_roster_seat(struct pfi_roster *roster, uint32_t slot, uint32_t generation, uint64_t now_ms)
{
	assert(slot < roster->count);

	struct pfi_slot *const seat = &roster->slots[slot];
	const uint32_t incarnation = seat->incarnation + 1;

	assert(seat->state == PFI_STATE_EMPTY);
	*seat = (struct pfi_slot){
		.generation = generation, .incarnation = incarnation, .born_ms = now_ms, .since_ms = now_ms
	};
	(void)pfi_roster_step(roster, slot, PFI_EVENT_FORKED, now_ms);
}

bool pfi_slot_is_staying(const struct pfi_slot *slot)
{
	return slot->state == PFI_STATE_BOOTING || slot->state == PFI_STATE_SERVING;
}

struct pfi_census pfi_roster_census(const struct pfi_roster *roster, uint32_t generation,
				    uint32_t except)
{
	struct pfi_census census = { 0 };

	for (uint32_t i = 0; i < roster->count; i++) {
		const struct pfi_slot *const slot = &roster->slots[i];
		const bool outdated = slot->generation != generation || slot->wants_leave;

		if (i == except)
			continue;
		if (slot->state == PFI_STATE_EMPTY)
			census.empty++;
		else if (slot->state == PFI_STATE_BOOTING)
			*(outdated ? &census.outdated_booting : &census.current_booting) += 1;
		else if (slot->state == PFI_STATE_SERVING)
			*(outdated ? &census.outdated_ready : &census.current_ready) += 1;
		else if (slot->state == PFI_STATE_DUMPING)
			census.dumping++;
		else
			census.leaving++;
	}
	return census;
}

bool pfi_roster_is_empty(const struct pfi_roster *roster)
{
	for (uint32_t i = 0; i < roster->count; i++) {
		if (roster->slots[i].state != PFI_STATE_EMPTY)
			return false;
	}
	return true;
}
