/*
 * arbiter/pools.h -- the pools that the application adds, and the conversion of their settings for the model.
 */
#ifndef ARBITER_POOLS_H
#define ARBITER_POOLS_H

#include "model/library_options.h"
#include "model/pool.h"
#include "model/shortage.h"
#include "os/credentials.h"

#include <prefork/arbiter.h>
#include <prefork/settings.h>

#include <sys/types.h>

enum { PFI_POOLS_MAX = 32, PFI_STRATEGIES_MAX = 16 };

struct prefork_pool {
	struct prefork_arbiter *arbiter;
	char *name;
	const struct prefork_strategy *strategy; /* NULL: that of the setting worker_class */
	const struct prefork_service *service;
	void *user;
	char **overrides; /* settings of this pool alone (prefork_pool_set()): name, text, name, text ... */
	size_t override_count;
	bool has_bind; /* bind is one of the overrides               */
	struct pfi_credentials credentials; /* of its workers */
	uid_t uid;     /* socket_user and socket_group; -1: not set */
	gid_t gid;
	unsigned first_worker_index;
	uint32_t reported_target;   /* number of workers, as the hooks know it (hook_calls.c)           */
	unsigned thread_slots;      /* of each worker, in the scoreboard                                */
	enum pfi_shortage shortage; /* result of the last check by shortages.c                                     */
	uint32_t ready_logged;      /* number of workers in the last line pool_ready; 0: workers went missing since */
	struct pfi_slot *slots;
};

struct pfi_generation;

/* Read user, group and initgroups of each pool: at the start, as names may have to be looked up. 0, or an error with its
 * message. */
int pfi_pools_read_credentials(struct prefork_arbiter *arbiter, const struct pfi_generation *generation);

/* Whether the pool accepts connections: it has a service, or a strategy and listeners of its own. */
bool pfi_pool_has_listeners(const struct prefork_pool *pool);

/* How many workers of the pool serve, in either generation. */
uint32_t pfi_pool_serving(const struct prefork_arbiter *arbiter, unsigned pool);

/* The strategy that workers of these settings run; NULL if this build has none of that name. */
const struct prefork_strategy *pfi_pool_strategy(const struct prefork_arbiter *arbiter, unsigned pool,
						 const struct prefork_settings *settings);

/* Copy the settings that the model needs. */
void pfi_policy_read(const struct pfi_library_settings *values, struct pfi_policy *ret);

/* Set the supervisor's time limits from the settings of all pools. Call it when the settings have changed. */
void pfi_policies_follow(struct prefork_arbiter *arbiter);

/* Free what prefork_arbiter_add_pool() and prefork_pool_set() allocated. */
void pfi_pools_free(struct prefork_arbiter *arbiter);

#endif
