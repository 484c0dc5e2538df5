/* Creates a generation from settings that are checked as a whole, opens its listeners, and frees it when no worker
 * uses it any more. */
#include "arbiter/generations.h"

#include "arbiter/arbiter.h"
#include "arbiter/hook_calls.h"
#include "listener/binds.h"
#include "model/library_options.h"
#include "model/settings.h"
#include "os/fd.h"

#include <prefork/error.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* The settings of each pool: those of the generation, with the pool's overrides. */
static int override(struct prefork_arbiter *arbiter, struct pfi_generation *generation)
{
	for (unsigned i = 0; i < arbiter->pool_count; i++) {
		const struct prefork_pool *const pool = &arbiter->pools[i];
		int r = 0;

		if (pool->override_count == 0) {
			generation->of_pool[i] = pfi_settings_ref(generation->settings);
			continue;
		}
		r = pfi_settings_copy(generation->settings, &generation->of_pool[i]);
		for (size_t n = 0; r == 0 && n + 1 < pool->override_count; n += 2)
			r = pfi_settings_set_for_pool(generation->of_pool[i], pool->overrides[n],
						      pool->overrides[n + 1], pool->name);
		if (r < 0)
			return r;
		pfi_settings_freeze(generation->of_pool[i]);
	}
	return 0;
}

/* Each value is valid; with the pool's overrides they may contradict each other. */
static int check_together(const struct prefork_pool *pool, const struct prefork_settings *settings)
{
	char why[512];
	const int r = pfi_options_check(settings);

	if (r >= 0)
		return 0;
	(void)snprintf(why, sizeof why, "%s", prefork_error());
	return prefork_fail(r, "pool %s: %s", pool->name, why);
}

/* Everything that can be checked before anything is opened. */
static int check(struct prefork_arbiter *arbiter, const struct pfi_generation *generation)
{
	int r = 0;

	for (unsigned i = 0; r >= 0 && i < arbiter->pool_count; i++) {
		const struct prefork_settings *const settings = generation->of_pool[i];
		const struct prefork_strategy *const strategy = pfi_pool_strategy(arbiter, i, settings);

		if (strategy == NULL)
			return prefork_fail(PREFORK_ECONFIG,
					    "pool %s: there is no worker class %s in this build",
					    arbiter->pools[i].name,
					    pfi_library_settings(settings)->worker_class);
		r = check_together(&arbiter->pools[i], settings);
		if (r == 0 && pfi_pool_has_listeners(&arbiter->pools[i]))
			r = pfi_binds_check(settings);
		if (r == 0)
			r = pfi_peers_check(settings);
		if (r == 0 && strategy->check != NULL)
			r = strategy->check(settings);
		if (r >= 0)
			r = pfi_hooks_check_pool(arbiter, arbiter->pools[i].name, settings);
	}
	return r < 0 ? r : 0;
}

int pfi_generation_create(struct prefork_arbiter *arbiter, struct prefork_settings *settings, uint32_t number)
{
	struct pfi_generation *const more =
		realloc(arbiter->generations, (arbiter->generation_count + 1) * sizeof *more);
	int r;

	if (more == NULL) {
		prefork_settings_destroy(settings);
		return prefork_fail(-ENOMEM, "no memory for new settings");
	}
	arbiter->generations = more;
	struct pfi_generation *const generation = &more[arbiter->generation_count++];

	*generation = (struct pfi_generation){ .number = number, .settings = settings };
	pfi_settings_freeze(settings);
	r = override(arbiter, generation);
	if (r == 0)
		r = check(arbiter, generation);
	if (r < 0)
		pfi_generation_drop(arbiter, generation);
	return r;
}

int pfi_generation_open(struct prefork_arbiter *arbiter, struct pfi_generation *generation)
{
	const int r = pfi_listener_table_open(arbiter, generation);

	if (r < 0)
		pfi_generation_drop(arbiter, generation);
	return r;
}

void pfi_generation_drop(struct prefork_arbiter *arbiter, struct pfi_generation *generation)
{
	pfi_listener_table_release(arbiter, generation);
	for (unsigned i = 0; i < arbiter->pool_count; i++)
		prefork_settings_destroy(generation->of_pool[i]);
	prefork_settings_destroy(generation->settings);
	pfi_names_finish(&generation->names);
	pfi_names_finish(&generation->peers);
	if (generation->directory_fd > 0)
		pfi_close(&generation->directory_fd);
	*generation = arbiter->generations[--arbiter->generation_count];
}

void pfi_generations_sweep(struct prefork_arbiter *arbiter)
{
	for (size_t i = arbiter->generation_count; i-- > 0;) {
		struct pfi_generation *const generation = &arbiter->generations[i];
		bool is_used = pfi_rollout_needs(&arbiter->supervisor.rollout, generation->number) ||
			       generation->number == arbiter->lookup.generation;

		for (unsigned s = 0; s < arbiter->processes_max; s++)
			is_used |= arbiter->processes[s].pid != 0 &&
				   arbiter->processes[s].generation == generation->number;
		if (!is_used)
			pfi_generation_drop(arbiter, generation);
	}
}
