/* Logs what workers run, and what an operator should know about this process, before the first fork. */
#include "arbiter/start_lines.h"

#include "arbiter/arbiter.h"
#include "arbiter/resource_limits.h"
#include "base/pattern.h"
#include "model/library_options.h"
#include "model/settings.h"
#include "os/log.h"

#include <unistd.h>

/* The strategy that really runs: that of the application, if the pool has one, else that of worker_class. */
static void log_strategies(const struct prefork_arbiter *arbiter)
{
	for (unsigned i = 0; i < arbiter->pool_count; i++) {
		const struct prefork_strategy *const strategy =
			pfi_pool_strategy(arbiter, i, arbiter->generations[0].of_pool[i]);
		const bool several = arbiter->pool_count > 1;
		const char *name = strategy != NULL && strategy->name != NULL ? strategy->name : "the program's own";

		if (pfi_is_pattern(name))
			name = pfi_library_settings(arbiter->generations[0].of_pool[i])->worker_class;
		pfi_pool_log(arbiter, i, PREFORK_LOG_INFO, "strategy", PFI_NO_PAIRS, "Using worker: %s%s%s",
			     name, several ? ", in pool " : "", several ? arbiter->pools[i].name : "");
	}
}

static void log_process(const struct prefork_arbiter *arbiter)
{
	bool drops = false;

	for (unsigned i = 0; i < arbiter->pool_count; i++)
		drops |= arbiter->pools[i].credentials.is_set;
	if (drops && pfi_settings_preloads(arbiter->settings))
		pfi_arbiter_log(arbiter, PREFORK_LOG_WARNING, "preload_privileged", PFI_PAIRS(PREFORK_NUMBER("uid", geteuid())),
				"The application was loaded before the fork (--preload), with the privileges of the arbiter "
				"(user id %d), not those of --user", (int)geteuid());
	if (arbiter->daemon.ready_fd >= 0 && arbiter->daemon.detaches_stdio && pfi_log_is_standard(arbiter->log))
		pfi_arbiter_log(arbiter, PREFORK_LOG_WARNING, "daemon_log", PFI_NO_PAIRS,
				"The log ends when the server is in the background: set errorlog to a file");
}

void pfi_start_lines_log(struct prefork_arbiter *arbiter)
{
	log_strategies(arbiter);
	log_process(arbiter);
	pfi_resource_limits_check_threads(arbiter);
}
