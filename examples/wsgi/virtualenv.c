/* Finds the virtualenv: --venv, VIRTUAL_ENV, or the one that contains this program. */
#include "python.h"

#include "build.h"
#include "virtualenv.h"

#include <prefork/error.h>

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

static FILE *open_config(const char *directory)
{
	char name[4096];

	if (snprintf(name, sizeof name, "%s/pyvenv.cfg", directory) >= (int)sizeof name)
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

static int check(const char *directory, const char *source)
{
	char name[4096];
	int major = PY_MAJOR_VERSION, minor = PY_MINOR_VERSION;
	FILE *config = open_config(directory);

	if (config == NULL)
		return prefork_fail(PREFORK_ECONFIG, "%s: %s is not a virtualenv: pyvenv.cfg: %s", source, directory,
		                    strerror(errno));
	(void)read_version(config, &major, &minor);
	(void)fclose(config);
	if (major != PY_MAJOR_VERSION || minor != PY_MINOR_VERSION)
		return prefork_fail(PREFORK_ECONFIG,
		                    "%s: the virtualenv %s is for Python %d.%d, and prefork-wsgi is built with "
		                    "Python %d.%d: create it again with python%d.%d -m venv",
		                    source, directory, major, minor, PY_MAJOR_VERSION, PY_MINOR_VERSION,
		                    PY_MAJOR_VERSION, PY_MINOR_VERSION);
	if (snprintf(name, sizeof name, "%s/bin/python3", directory) >= (int)sizeof name || access(name, X_OK) < 0)
		return prefork_fail(PREFORK_ECONFIG, "%s: the virtualenv %s has no bin/python3: %s", source, directory,
		                    strerror(errno));
	return wsgi_build_check(name, directory, source);
}

/* The absolute path that execve(2) was called with (AT_EXECFN): argv[0] may be a bare name, found through PATH. "" if
 * it is unknown. */
static void find_program(const char *argv0, char *path, size_t size)
{
	const char *executed = (const char *)(uintptr_t)getauxval(AT_EXECFN);
	const char *name = executed && strchr(executed, '/') ? executed : argv0;
	char directory[PATH_MAX] = "";

	*path = '\0';
	if (strchr(name, '/') == NULL || (*name != '/' && getcwd(directory, sizeof directory) == NULL))
		return;
	if (snprintf(path, size, "%s%s%s", directory, *name == '/' ? "" : "/", name) >= (int)size)
		*path = '\0';
}

static char program_path[PATH_MAX]; /* is determined at the first use, before --chdir */

void wsgi_virtualenv_set_program(const char *path)
{
	(void)snprintf(program_path, sizeof program_path, "%s", path);
}

const char *wsgi_virtualenv_program(const char *argv0)
{
	if (*program_path == '\0')
		find_program(argv0, program_path, sizeof program_path);
	return program_path;
}

/* "/srv/venv/bin/prefork-wsgi" -> "/srv/venv", if that is a virtualenv. */
static bool around_program(const char *argv0, char *path, size_t size)
{
	FILE *config;
	char *slash;

	if (*wsgi_virtualenv_program(argv0) == '\0' || snprintf(path, size, "%s", program_path) >= (int)size)
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
	const char *source = wanted ? "--venv" : "VIRTUAL_ENV";
	const char *found = wanted ? wanted : variable;
	char absolute[PATH_MAX];

	if (found == NULL || *found == '\0') {
		if (around_program(argv0, path, size))
			return check(path, "the directory of prefork-wsgi");
		*path = '\0';
		return 0;
	}
	/* Absolute, since --chdir takes effect before Python starts. Not realpath(3): the name determines sys.prefix. */
	if (*found != '/' && getcwd(absolute, sizeof absolute) == NULL)
		return prefork_fail(PREFORK_ECONFIG, "%s: %s: %s", source, found, strerror(errno));
	if (snprintf(path, size, "%s%s%s", *found == '/' ? "" : absolute, *found == '/' ? "" : "/", found) >=
	    (int)size)
		return prefork_fail(PREFORK_ECONFIG, "%s: the path %s is too long", source, found);
	return check(path, source);
}
