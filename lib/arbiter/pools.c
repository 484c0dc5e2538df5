/* Adds pools and strategies, checks the settings of a single pool, and converts settings to the policy of the
 * model. */
#include "arbiter/pools.h"

#include "arbiter/arbiter.h"
#include "base/pattern.h"
#include "base/required.h"
#include "base/struct_size.h"
#include "listener/binds.h"
#include "model/library_options.h"
#include "model/settings.h"
#include "worker/run_as.h"

#include <prefork/error.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int check_service(const struct prefork_service *service, const char *pool)
{
	const int r = pfi_struct_check(service, service->struct_size, PFI_SIZE_WITH(struct prefork_service, ready),
				      sizeof *service, "struct prefork_service");

	return r == 0 && service->ready == NULL
		       ? prefork_fail(-EINVAL, "the service of pool %s lacks the callback ready", pool)
		       : r;
}

/* `pool` NULL: the strategy has no name that a message could show. */
static int check_strategy(const struct prefork_strategy *strategy, const char *pool)
{
	const int r = pfi_struct_check(strategy, strategy->struct_size, PFI_SIZE_WITH(struct prefork_strategy, run),
				      sizeof *strategy, "struct prefork_strategy");

	if (r == 0 && strategy->run == NULL)
		return prefork_fail(-EINVAL, "the strategy of pool %s lacks the function run", pool != NULL ? pool : "?");
	return r;
}

int prefork_arbiter_add_pool(struct prefork_arbiter *arbiter, const char *name,
			     const struct prefork_strategy *strategy,
			     const struct prefork_service *service, void *user,
			     struct prefork_pool **ret)
{
	PFI_RETURN_IF_NULL(arbiter, -EINVAL);

	int r;

	if (arbiter->started)
		return prefork_fail(-EBUSY, "pools are added before the arbiter starts");
	if (name == NULL || *name == '\0' || (service == NULL && strategy == NULL))
		return prefork_fail(-EINVAL, "a pool needs a name, and a service or a strategy");
	if ((service != NULL && (r = check_service(service, name)) < 0) ||
	    (strategy != NULL && (r = check_strategy(strategy, name)) < 0))
		return r;
	if (arbiter->pool_count == PFI_POOLS_MAX)
		return prefork_fail(-EINVAL, "an arbiter has at most %d pools", PFI_POOLS_MAX);
	for (unsigned i = 0; i < arbiter->pool_count; i++) {
		if (strcmp(arbiter->pools[i].name, name) == 0)
			return prefork_fail(-EEXIST, "there is a pool %s already", name);
	}

	struct prefork_pool *const pool = &arbiter->pools[arbiter->pool_count];

	*pool = (struct prefork_pool){ .arbiter = arbiter, .strategy = strategy, .service = service, .user = user };
	pool->name = strdup(name);
	if (pool->name == NULL)
		return prefork_fail(-ENOMEM, "no memory for pool %s", name);
	arbiter->pool_count++;
	if (ret != NULL)
		*ret = pool;
	return 0;
}

int prefork_arbiter_add_service(struct prefork_arbiter *arbiter, const char *name,
				const struct prefork_service *service, void *user)
{
	PFI_RETURN_IF_NULL(arbiter, -EINVAL);
	if (service == NULL)
		return prefork_fail(-EINVAL, "no service for pool %s", name ? name : "");
	return prefork_arbiter_add_pool(arbiter, name, NULL, service, user, NULL);
}

int prefork_arbiter_add_strategy(struct prefork_arbiter *arbiter, const struct prefork_strategy *strategy)
{
	PFI_RETURN_IF_NULL(arbiter, -EINVAL);
	if (arbiter->started)
		return prefork_fail(-EBUSY, "strategies are added before the arbiter starts");
	PFI_RETURN_IF_NULL(strategy, -EINVAL);

	const int r = check_strategy(strategy, strategy->struct_size != 0 ? strategy->name : NULL);

	if (r < 0)
		return r;
	if (strategy->name == NULL)
		return prefork_fail(-EINVAL, "a strategy needs a name that worker_class can have");
	if (arbiter->strategy_count == PFI_STRATEGIES_MAX)
		return prefork_fail(-EINVAL, "an arbiter has at most %d strategies", PFI_STRATEGIES_MAX);
	bool is_taken = pfi_strategy_by_name(strategy->name) != NULL;

	for (unsigned i = 0; i < arbiter->strategy_count; i++)
		is_taken |= strcmp(arbiter->strategies[i]->name, strategy->name) == 0;
	if (is_taken)
		return prefork_fail(-EEXIST, "there is a strategy %s already", strategy->name);
	arbiter->strategies[arbiter->strategy_count++] = strategy;
	return 0;
}

/* Check the value on a copy of the settings, which is then destroyed. */
static int try_override(const struct prefork_pool *pool, const char *setting, const char *text)
{
	struct prefork_settings *copy = NULL;
	int r = pfi_settings_copy(pool->arbiter->initial, &copy);

	if (r == 0)
		r = pfi_settings_set_for_pool(copy, setting, text, pool->name);
	if (r == 0 && strcmp(setting, "bind") == 0)
		r = pfi_binds_check(copy);
	if (r == 0)
		r = pfi_peers_check(copy);
	prefork_settings_destroy(copy);
	return r;
}

bool pfi_pool_has_listeners(const struct prefork_pool *pool)
{
	return pool->service != NULL || pool->has_bind;
}

int prefork_pool_set(struct prefork_pool *pool, const char *setting, const char *text)
{
	PFI_RETURN_IF_NULL(pool, -EINVAL);

	char **more;
	int r;

	if (pool->arbiter->started)
		return prefork_fail(-EBUSY, "the settings of pools are set before the arbiter starts");
	if (setting == NULL || text == NULL)
		return prefork_fail(-EINVAL, "a setting of a pool needs a name and a value");
	r = try_override(pool, setting, text);
	if (r < 0)
		return r;
	more = realloc(pool->overrides, (pool->override_count + 2) * sizeof *more);
	if (more == NULL)
		return prefork_fail(-ENOMEM, "no memory for a setting");
	pool->overrides = more;
	more[pool->override_count] = strdup(setting);
	more[pool->override_count + 1] = strdup(text);
	if (more[pool->override_count] == NULL || more[pool->override_count + 1] == NULL) {
		free(more[pool->override_count]);
		free(more[pool->override_count + 1]);
		return prefork_fail(-ENOMEM, "no memory for a setting");
	}
	pool->override_count += 2;
	pool->has_bind |= strcmp(setting, "bind") == 0;
	return 0;
}

int pfi_pools_read_credentials(struct prefork_arbiter *arbiter, const struct pfi_generation *generation)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < arbiter->pool_count; i++) {
		pfi_credentials_finish(&arbiter->pools[i].credentials); /* of a start that failed */
		r = pfi_run_as_read(generation->of_pool[i], &arbiter->pools[i].credentials);
	}
	return r;
}

uint32_t pfi_pool_serving(const struct prefork_arbiter *arbiter, unsigned pool)
{
	const struct pfi_worker_counts counts = pfi_worker_table_count(&arbiter->models[pool].worker_table,
								       arbiter->supervisor.rollout.desired, UINT32_MAX);

	return counts.current_ready + counts.outdated_ready;
}

void pfi_pools_free(struct prefork_arbiter *arbiter)
{
	for (unsigned i = 0; i < arbiter->pool_count; i++) {
		for (size_t n = 0; n < arbiter->pools[i].override_count; n++)
			free(arbiter->pools[i].overrides[n]);
		free(arbiter->pools[i].overrides);
		pfi_credentials_finish(&arbiter->pools[i].credentials);
		free(arbiter->pools[i].name);
	}
}

const struct prefork_strategy *pfi_pool_strategy(const struct prefork_arbiter *arbiter, unsigned pool,
						 const struct prefork_settings *settings)
{
	const char *const name = pfi_library_settings(settings)->worker_class;

	if (arbiter->pools[pool].strategy != NULL)
		return arbiter->pools[pool].strategy;
	for (unsigned i = 0; i < arbiter->strategy_count; i++) {
		if (pfi_pattern_matches(arbiter->strategies[i]->name, name))
			return arbiter->strategies[i];
	}
	return pfi_strategy_by_name(name);
}

void pfi_policy_read(const struct pfi_library_settings *values, struct pfi_policy *ret)
{
	const struct pfi_intensity intensity = {
		.failures_max = values->restart_intensity,
		.period_ms = values->restart_period_ms,
		.first_ms = 500,
		.cap_ms = 30000,
	};

	*ret = (struct pfi_policy){
		.workers_max = pfi_settings_workers_max(values),
		.surge = values->surge,
		.max_unavailable = values->max_unavailable,
		.boot_timeout_ms = values->boot_timeout_ms,
		.request_timeout_ms = values->timeout_ms,
		.graceful_timeout_ms = values->graceful_timeout_ms,
		.abort_timeout_ms = values->abort_timeout_ms,
		.canary_ms = values->canary_ms,
		.healthy_ms = 1000,
		.boot_failure_policy = values->boot_failure_policy,
		.boot = intensity,
		.run = intensity,
	};
	/* A worker that was ready before it exited is replaced at once. This limit only bounds how often the arbiter
	 * forks: thirty times restart_intensity. */
	ret->run.failures_max = intensity.failures_max * 30;
	ret->run.period_ms = intensity.period_ms;
}

/* A stop waits for the backlogs to empty as long as the longest graceful_timeout of all pools, 0: without a limit. */
void pfi_policies_follow(struct prefork_arbiter *arbiter)
{
	uint64_t most_ms = 0;

	for (unsigned i = 0; i < arbiter->pool_count; i++) {
		const uint64_t one_ms = arbiter->models[i].policy.graceful_timeout_ms;

		if (one_ms == 0) {
			most_ms = 0;
			break;
		}
		if (one_ms > most_ms)
			most_ms = one_ms;
	}
	arbiter->supervisor.linger_max_ms = most_ms;
}
