#include "python.h"

#include "virtualenv.h"

#include <prefork/error.h>

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static FILE *open_config(const char *folder)
{
	char name[4096];

	if (snprintf(name, sizeof name, "%s/pyvenv.cfg", folder) >= (int)sizeof name)
		return NULL;
	return fopen(name, "re");
}

/* "version = 3.11.2", or virtualenv's "version_info = 3.11.2.final.0". */
static bool read_version(FILE *config, int *ret_major, int *ret_minor)
{
	char line[1024];

	while (fgets(line, sizeof line, config)) {
		if (sscanf(line, " version = %d.%d", ret_major, ret_minor) == 2 ||
		    sscanf(line, " version_info = %d.%d", ret_major, ret_minor) == 2)
			return true;
	}
	return false;
}

static int check(const char *folder, const char *said_by)
{
	char name[4096];
	int major = PY_MAJOR_VERSION, minor = PY_MINOR_VERSION;
	FILE *config = open_config(folder);

	if (config == NULL)
		return prefork_fail(PREFORK_ECONFIG, "%s: %s is no virtualenv: pyvenv.cfg: %s", said_by, folder,
		                    strerror(errno));
	(void)read_version(config, &major, &minor);
	(void)fclose(config);
	if (major != PY_MAJOR_VERSION || minor != PY_MINOR_VERSION)
		return prefork_fail(PREFORK_ECONFIG,
		                    "%s: the virtualenv %s is for Python %d.%d, and prefork-wsgi is built with "
		                    "Python %d.%d: make it again with python%d.%d -m venv",
		                    said_by, folder, major, minor, PY_MAJOR_VERSION, PY_MINOR_VERSION,
		                    PY_MAJOR_VERSION, PY_MINOR_VERSION);
	if (snprintf(name, sizeof name, "%s/bin/python3", folder) >= (int)sizeof name || access(name, X_OK) < 0)
		return prefork_fail(PREFORK_ECONFIG, "%s: the virtualenv %s has no bin/python3: %s", said_by, folder,
		                    strerror(errno));
	return 0;
}

/* "/srv/venv/bin/prefork-wsgi" -> "/srv/venv", if that is a virtualenv. */
static bool around_program(const char *argv0, char *path, size_t size)
{
	FILE *config;
	char *slash;

	if (strchr(argv0, '/') == NULL || snprintf(path, size, "%s", argv0) >= (int)size)
		return false;
	*strrchr(path, '/') = '\0';
	slash = strrchr(path, '/');
	if (slash == NULL || strcmp(slash, "/bin") != 0)
		return false;
	*slash = '\0';
	config = open_config(path);
	if (config)
		(void)fclose(config);
	return config != NULL;
}

int wsgi_virtualenv_find(const char *wanted, const char *argv0, char *path, size_t size)
{
	const char *variable = getenv("VIRTUAL_ENV");
	const char *said_by = wanted ? "--venv" : "VIRTUAL_ENV";
	const char *found = wanted ? wanted : variable;
	char absolute[PATH_MAX];

	if (found == NULL || *found == '\0') {
		if (!around_program(argv0, path, size))
			*path = '\0';
		return 0;
	}
	/* Absolute, as --chdir comes before Python; and not resolved further: its name is its own. */
	if (*found != '/' && getcwd(absolute, sizeof absolute) == NULL)
		return prefork_fail(PREFORK_ECONFIG, "%s: %s: %s", said_by, found, strerror(errno));
	if (snprintf(path, size, "%s%s%s", *found == '/' ? "" : absolute, *found == '/' ? "" : "/", found) >=
	    (int)size)
		return prefork_fail(PREFORK_ECONFIG, "%s: the path %s is too long", said_by, found);
	return check(path, said_by);
}
