/* Decides which worker is replaced if workers of a pool cannot accept connections. */
#include "model/shortage.h"

#include "model/deadline.h"

enum { SETTLE_MS = 100 }; /* within this time a second worker has tried, too */

struct count {
	uint32_t accepting, lacking;
	uint64_t first_ms, last_ms; /* when the first and the last of the lacking began */
};

static bool serves(const struct pfi_slot *slot)
{
	return slot->state == PFI_STATE_SERVING || slot->state == PFI_STATE_DUMPING;
}

static struct count count(const struct pfi_worker_table *worker_table)
{
	struct count count = { 0 };

	for (uint32_t i = 0; i < worker_table->count; i++) {
		const struct pfi_slot *const slot = &worker_table->slots[i];

		if (!serves(slot))
			continue;
		if (slot->shortage_ms == 0) {
			count.accepting++;
			continue;
		}
		count.lacking++;
		count.first_ms = pfi_earlier_ms(count.first_ms, slot->shortage_ms);
		if (slot->shortage_ms > count.last_ms)
			count.last_ms = slot->shortage_ms;
	}
	return count;
}

enum pfi_shortage pfi_shortage_judge(const struct pfi_worker_table *worker_table, enum pfi_shortage before, uint64_t now_ms,
				     uint64_t *ret_wake_ms)
{
	const struct count workers = count(worker_table);

	*ret_wake_ms = 0;
	if (workers.lacking == 0)
		return PFI_SHORTAGE_NONE;
	if (workers.accepting == 0)
		return PFI_SHORTAGE_ALL;
	if (pfi_deadline_is_past(workers.first_ms + SETTLE_MS, now_ms))
		return PFI_SHORTAGE_SOME;
	*ret_wake_ms = workers.first_ms + SETTLE_MS;
	return before;
}

bool pfi_shortage_replaces(const struct pfi_worker_table *worker_table, uint32_t i, uint64_t now_ms, uint64_t *ret_wake_ms)
{
	const struct pfi_slot *const slot = &worker_table->slots[i];
	const uint64_t at_ms = slot->shortage_ms + PFI_SHORTAGE_LASTS_MS;

	*ret_wake_ms = 0;
	if (!serves(slot) || slot->shortage_ms == 0 || slot->shortage_by_load || slot->wants_retire)
		return false;
	if (!pfi_deadline_is_past(at_ms, now_ms)) {
		*ret_wake_ms = at_ms;
		return false;
	}
	return slot->shortage_is_own || count(worker_table).accepting > 0;
}

bool pfi_shortage_is_total(const struct pfi_worker_table *worker_table, uint64_t now_ms)
{
	const struct count workers = count(worker_table);

	return workers.accepting == 0 && workers.lacking > 0 &&
	       pfi_deadline_is_past(workers.last_ms + PFI_SHORTAGE_LASTS_MS, now_ms);
}
