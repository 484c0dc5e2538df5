/* The version of the library. */
#include "config.h"

#include <prefork/version.h>

/* The header is installed unchanged, so that the version is in it and in the root meson.build. */
_Static_assert(PREFORK_VERSION_MAJOR == PFI_BUILD_MAJOR && PREFORK_VERSION_MINOR == PFI_BUILD_MINOR &&
	       PREFORK_VERSION_PATCH == PFI_BUILD_PATCH,
	       "prefork/version.h and meson.build give different versions");

const char *prefork_version(void)
{
	return PREFORK_VERSION;
}
