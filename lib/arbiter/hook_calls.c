/* Calls hooks in all sets, in their order. */
#include "arbiter/hook_calls.h"

#include "arbiter/arbiter.h"

/* Call `name` until a set refuses. */
#define UNTIL_REFUSED(arbiter, name, ...)                                                                      \
	do {                                                                                                   \
		int pfi_r = 0;                                                                                 \
		for (unsigned pfi_h = 0; pfi_r >= 0 && pfi_h < (arbiter)->hook_count; pfi_h++) {               \
			const struct pfi_hook_set *const pfi_set = &(arbiter)->hooks[pfi_h];                    \
			if (pfi_set->hooks->name != NULL)                                                       \
				pfi_r = pfi_set->hooks->name(__VA_ARGS__, pfi_set->user);                       \
		}                                                                                              \
		return pfi_r < 0 ? pfi_r : 0;                                                                  \
	} while (0)

int pfi_hooks_listening(struct prefork_arbiter *arbiter)
{
	UNTIL_REFUSED(arbiter, listening, arbiter);
}

int pfi_hooks_reload_begin(struct prefork_arbiter *arbiter, const struct prefork_settings *settings)
{
	UNTIL_REFUSED(arbiter, reload_begin, arbiter, settings);
}

int pfi_hooks_check_pool(struct prefork_arbiter *arbiter, const char *pool, const struct prefork_settings *settings)
{
	UNTIL_REFUSED(arbiter, check_pool, arbiter, pool, settings);
}

int pfi_hooks_before_fork(struct prefork_arbiter *arbiter, struct prefork_process *process)
{
	for (unsigned h = 0; h < arbiter->hook_count; h++) {
		const struct pfi_hook_set *const set = &arbiter->hooks[h];
		const int r = set->hooks->before_fork != NULL ? set->hooks->before_fork(arbiter, process, set->user) : 0;

		if (r < 0)
			return r;
		process->hooks_called++;
	}
	return 0;
}

void pfi_hooks_report_scale(struct prefork_arbiter *arbiter)
{
	for (unsigned i = 0; i < arbiter->pool_count; i++) {
		struct prefork_pool *const pool = &arbiter->pools[i];
		const uint32_t before = pool->reported_target, now = arbiter->models[i].target;

		pool->reported_target = now;
		if (now != before)
			PFI_HOOKS(arbiter, scaled, arbiter, pool->name, now, before);
	}
}
