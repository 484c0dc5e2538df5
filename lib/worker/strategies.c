/* The table of the library's strategies. */
#include "worker/spawn_context.h"
#include "worker/strategies.h"

#include <string.h>

static const struct prefork_strategy *const strategies[] = {
	&pfi_strategy_sync,
	&pfi_strategy_threads,
	&pfi_strategy_libev,
};

const struct prefork_strategy *pfi_strategy_by_name(const char *name)
{
	for (size_t i = 0; i < sizeof strategies / sizeof strategies[0]; i++) {
		if (strcmp(strategies[i]->name, name) == 0)
			return strategies[i]->run ? strategies[i] : NULL; /* not in this build */
	}
	return NULL;
}
