/* Builds without libinih: every file is refused. */
#include "cli/cli.h"

#include <prefork/error.h>

int pfi_read_ini(struct prefork_settings *settings, FILE *file, const char *name)
{
	(void)settings;
	(void)file;
	return prefork_fail(PREFORK_ECONFIG, "%s: the library was built without libinih and cannot read files", name);
}

int pfi_read_file(struct prefork_settings *settings, const char *path, const char *place)
{
	(void)path;
	return pfi_read_ini(settings, NULL, place);
}
