/*
 * features -- features that a build may lack: a test that needs one prints SKIP and returns.
 */
#ifndef TESTS_FEATURES_H
#define TESTS_FEATURES_H

#include "config.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static inline bool has_worker_class(const char *name)
{
	if (HAVE_LIBEV || strcmp(name, "libev") != 0)
		return true;
	(void)puts("SKIP: this build has no libev");
	(void)fflush(stdout);
	return false;
}

#endif
