/* Look-ups among the generations that exist. */
#include "arbiter/arbiter.h"

struct pfi_generation *pfi_generation_find(const struct prefork_arbiter *arbiter, uint32_t number)
{
	for (size_t i = 0; i < arbiter->generation_count; i++) {
		if (arbiter->generations[i].number == number && number != 0)
			return &arbiter->generations[i];
	}
	return NULL;
}

bool pfi_generation_uses(const struct pfi_generation *generation, const struct pfi_listener_entry *entry)
{
	for (unsigned p = 0; p < PFI_POOLS_MAX; p++) {
		for (size_t i = 0; i < generation->listeners[p].count; i++) {
			if (generation->listeners[p].list[i] == entry)
				return true;
		}
	}
	return false;
}
