/* The table of a pool's workers. Its step function is the only one that stores a state. */
#include "model/worker_table.h"

#include <assert.h>

uint32_t pfi_worker_table_size(uint32_t workers_max, uint32_t surge)
{
	return 2 * workers_max + surge + 1; /* 1 for the canary */
}

enum pfi_step_action pfi_worker_table_step(struct pfi_worker_table *worker_table, uint32_t slot, enum pfi_event event,
				     uint64_t now_ms)
{
	assert(slot < worker_table->count);

	struct pfi_slot *const entry = &worker_table->slots[slot];
	const struct pfi_transition transition = pfi_lifecycle_step(entry->state, event);

	if (transition.action == PFI_ACTION_REFUSE)
		return transition.action;
	/* A second SIGKILL starts a new time limit. Other events that do not change the state do not: repeated
	 * requests would postpone the limit without end. */
	if (transition.next != entry->state || transition.action == PFI_ACTION_KILL)
		entry->since_ms = now_ms;
	if (transition.next == PFI_STATE_SERVING)
		entry->ready_ms = now_ms;
	entry->state = transition.next;
	return transition.action;
}

void pfi_worker_table_occupy(struct pfi_worker_table *worker_table, uint32_t slot, uint32_t generation, uint64_t now_ms)
{
	assert(slot < worker_table->count);

	struct pfi_slot *const entry = &worker_table->slots[slot];
	const uint32_t incarnation = entry->incarnation + 1;

	assert(entry->state == PFI_STATE_EMPTY);
	*entry = (struct pfi_slot){
		.generation = generation, .incarnation = incarnation, .spawned_ms = now_ms, .since_ms = now_ms
	};
	(void)pfi_worker_table_step(worker_table, slot, PFI_EVENT_FORKED, now_ms);
}

bool pfi_slot_is_current(const struct pfi_slot *slot)
{
	return slot->state == PFI_STATE_BOOTING || slot->state == PFI_STATE_SERVING;
}

struct pfi_worker_counts pfi_worker_table_count(const struct pfi_worker_table *worker_table, uint32_t generation,
				    uint32_t except)
{
	struct pfi_worker_counts counts = { 0 };

	for (uint32_t i = 0; i < worker_table->count; i++) {
		const struct pfi_slot *const slot = &worker_table->slots[i];
		const bool outdated = slot->generation != generation || slot->wants_retire;

		if (i == except)
			continue;
		if (slot->state == PFI_STATE_EMPTY)
			counts.empty++;
		else if (slot->state == PFI_STATE_BOOTING)
			*(outdated ? &counts.outdated_booting : &counts.current_booting) += 1;
		else if (slot->state == PFI_STATE_SERVING)
			*(outdated ? &counts.outdated_ready : &counts.current_ready) += 1;
		else if (slot->state == PFI_STATE_DUMPING)
			counts.dumping++;
		else
			counts.terminating++;
	}
	return counts;
}

bool pfi_worker_table_is_empty(const struct pfi_worker_table *worker_table)
{
	for (uint32_t i = 0; i < worker_table->count; i++) {
		if (worker_table->slots[i].state != PFI_STATE_EMPTY)
			return false;
	}
	return true;
}
