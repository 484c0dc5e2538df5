/* Finds generations by number, and the listeners that they use. */
#include "arbiter/generation_table.h"

#include "arbiter/arbiter.h"

struct pfi_generation *pfi_generation_find(const struct prefork_arbiter *arbiter, uint32_t number)
{
	for (size_t i = 0; i < arbiter->generation_count; i++) {
		if (arbiter->generations[i].number == number && number != 0)
			return &arbiter->generations[i];
	}
	return NULL;
}

struct pfi_generation *pfi_generation_desired(const struct prefork_arbiter *arbiter)
{
	return pfi_generation_find(arbiter, arbiter->supervisor.rollout.desired);
}

bool pfi_listener_list_has(const struct pfi_listener_list *list, const struct pfi_listener_entry *entry)
{
	for (size_t i = 0; i < list->count; i++) {
		if (list->list[i] == entry)
			return true;
	}
	return false;
}

bool pfi_generation_uses(const struct pfi_generation *generation, const struct pfi_listener_entry *entry)
{
	for (unsigned p = 0; p < PFI_POOLS_MAX; p++) {
		if (pfi_listener_list_has(&generation->listeners[p], entry))
			return true;
	}
	return false;
}
