#include "config.h"

#include <prefork/version.h>

const char *prefork_version(void)
{
	return PREFORK_VERSION;
}
