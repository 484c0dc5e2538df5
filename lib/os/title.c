#include "os/title.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *area;       /* where the kernel looks; NULL: no titles */
static size_t area_size; /* with the last 0                         */
static char *original;   /* what was there                          */

/* Where the run of strings that follow each other without a gap ends. */
static char *end_of_run(char *const *strings, size_t count, char *end)
{
	for (size_t i = 0; i < count && strings[i] == end; i++)
		end = strings[i] + strlen(strings[i]) + 1;
	return end;
}

static bool is_within(const char *string, const char *first, const char *end)
{
	return string >= first && string < end;
}

/* Copy the strings of `from` that lie in the area into `to`. On failure
 * everything copied is freed, and `from` was not touched. */
static bool copy_out(char *const *from, size_t count, const char *end, char **to)
{
	for (size_t i = 0; i < count; i++) {
		to[i] = is_within(from[i], area, end) ? strdup(from[i]) : from[i];
		if (to[i])
			continue;
		while (i-- > 0) {
			if (to[i] != from[i])
				free(to[i]);
		}
		return false;
	}
	return true;
}

/* libc keeps pointers of its own to the first string, for error messages. */
static void follow_the_name(const char *end)
{
	if (is_within(program_invocation_name, area, end))
		program_invocation_name = strdup(program_invocation_name);
	if (is_within(program_invocation_short_name, area, end))
		program_invocation_short_name = strdup(program_invocation_short_name);
}

static bool move_out(size_t argc, char **argv, size_t envc, const char *end)
{
	/* Both live as long as the process: nobody can know who holds a pointer. */
	static char **moved_environ;
	char **moved_argv = calloc(argc + 1, sizeof *moved_argv);

	moved_environ = calloc(envc + 1, sizeof *moved_environ);
	if (!moved_argv || !moved_environ || !copy_out(environ, envc, end, moved_environ))
		goto fail;
	if (!copy_out(argv, argc, end, moved_argv))
		goto fail;
	memcpy(argv, moved_argv, argc * sizeof *argv);
	free(moved_argv);
	environ = moved_environ;
	follow_the_name(end);
	return true;
fail:
	/* Out of memory at start: a few copies of the environment may be lost. */
	free(moved_argv);
	return false;
}

void pfi_title_init(int argc, char **argv)
{
	size_t envc = 0;

	if (area || argc <= 0 || !argv || !argv[0])
		return;
	while (environ && environ[envc])
		envc++;
	const size_t count = (size_t)argc;
	char *const end_of_argv = end_of_run(argv, count, argv[0]);
	if (end_of_argv != argv[count - 1] + strlen(argv[count - 1]) + 1)
		return; /* not the argv of the kernel */
	char *const end = end_of_run(environ, envc, end_of_argv);

	area = argv[0];
	area_size = (size_t)(end - area);
	original = malloc(area_size);
	if (original)
		memcpy(original, area, area_size);
	if (!original || !move_out(count, argv, envc, end)) {
		free(original);
		original = area = NULL;
	}
}

void pfi_title_set(const char *format, ...)
{
	va_list arguments;

	if (!area)
		return;
	va_start(arguments, format);
	const int length = vsnprintf(area, area_size, format, arguments);
	va_end(arguments);
	/* Zeros to the end: ps would show what is left of the old strings. */
	if (length >= 0 && (size_t)length < area_size)
		memset(area + length, 0, area_size - (size_t)length);
}

void pfi_title_finish(void)
{
	if (!area)
		return;
	memcpy(area, original, area_size);
	free(original);
	original = area = NULL;
}
