/* Finds the configuration file, and tells a program in Python from an INI file. */
#include "config_path.h"

#include <prefork/settings.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char module_prefix[] = "python:", file_prefix[] = "file:", default_name[] = "gunicorn.conf.py";

static bool begins_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool ends_with(const char *text, const char *end)
{
	const size_t length = strlen(text), tail = strlen(end);

	return length > tail && strcmp(text + length - tail, end) == 0;
}

/* The first line that is neither blank nor a comment of both formats begins with a section, or it begins with a comment
 * that only INI files have. Python has no statement that begins so and is of use in a configuration. */
static bool is_ini_text(const char *text)
{
	for (const char *line = text; *line != '\0'; line += strcspn(line, "\n"), line += *line == '\n') {
		const char *const first = line + strspn(line, " \t\r\xef\xbb\xbf");

		if (*first != '#' && *first != '\n' && *first != '\0')
			return *first == '[' || *first == ';';
	}
	return false; /* empty: both */
}

static bool is_ini_file(const char *path)
{
	char text[4096];
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat about;
	ssize_t size = -1;

	if (fd < 0)
		return true; /* the message of the INI reader says why */
	if (fstat(fd, &about) == 0 && S_ISREG(about.st_mode))
		size = read(fd, text, sizeof text - 1);
	(void)close(fd);
	if (size < 0)
		return true;
	text[size] = '\0';
	return is_ini_text(text);
}

/* `path` below `directory`, unless it is absolute. False: too long. */
static bool join(char *to, size_t size, const char *directory, const char *path)
{
	const bool is_whole = *path == '/' || directory == NULL || *directory == '\0';

	return snprintf(to, size, "%s%s%s", is_whole ? "" : directory, is_whole ? "" : "/", path) < (int)size;
}

static bool find_file(const char *start, const char *path, struct wsgi_config_path *ret)
{
	if (begins_with(path, "./"))
		path += 2;
	if (join(ret->location, sizeof ret->location, ret->directory, path) && access(ret->location, F_OK) == 0)
		return true;
	return join(ret->location, sizeof ret->location, start, path) && access(ret->location, F_OK) == 0;
}

bool wsgi_config_path_find(const struct prefork_settings *settings, const char *config, struct wsgi_config_path *ret)
{
	const char *const start = prefork_settings_directory(settings);
	const char *const chdir = prefork_settings_text(settings, "chdir");
	const char *const path = config && *config != '\0' ? config : default_name;

	if (!join(ret->directory, sizeof ret->directory, start, chdir ? chdir : start ? start : ".") ||
	    snprintf(ret->name, sizeof ret->name, "%s", path) >= (int)sizeof ret->name)
		return false;
	if (begins_with(path, module_prefix))
		return snprintf(ret->location, sizeof ret->location, "%s", path) > 0;
	if (!find_file(start, begins_with(path, file_prefix) ? path + strlen(file_prefix) : path, ret))
		return false;
	return ends_with(path, ".py") || begins_with(path, file_prefix) || (!ends_with(path, ".ini") && !is_ini_file(ret->location));
}
