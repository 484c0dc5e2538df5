#include "os/title.h"

#include "base/required.h"

#include <prefork/arbiter.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *area;       /* where the kernel looks; NULL: no titles here */
static size_t area_size; /* with the last 0 */

/* A copy of the area, to which all pointers into it were moved. It is never
 * freed: nobody can know who holds on to a string of argv or environ. */
static char *moved;

/* Where the run of strings that follow each other without a gap ends. */
static char *end_of_run(char *const *strings, char *end)
{
	for (size_t i = 0; strings && strings[i] && strings[i] == end; i++)
		end = strings[i] + strlen(strings[i]) + 1;
	return end;
}

static char *follow(char *string)
{
	return string >= area && string < area + area_size ? moved + (string - area) : string;
}

static void follow_all(char **strings)
{
	for (size_t i = 0; strings && strings[i]; i++)
		strings[i] = follow(strings[i]);
}

void pfi_title_init(int argc, char **argv)
{
	if (moved)
		return;
	if (argc <= 0 || !argv || !argv[0])
		return;
	const char *const last = argv[argc - 1];
	char *const end_of_argv = end_of_run(argv, argv[0]);
	if (!last || end_of_argv != last + strlen(last) + 1)
		return; /* not the argv of the kernel */
	char *const end = end_of_run(environ, end_of_argv);

	moved = malloc((size_t)(end - argv[0]));
	if (!moved)
		return;
	area = argv[0];
	area_size = (size_t)(end - area);
	memcpy(moved, area, area_size);
	follow_all(argv);
	follow_all(environ);
	/* libc keeps pointers of its own to the first, for error messages. */
	program_invocation_name = follow(program_invocation_name);
	program_invocation_short_name = follow(program_invocation_short_name);
}

void prefork_title_take(int argc, char **argv)
{
	PFI_RETURN_UNLESS(argc >= 0 && argv != NULL, , "%s(): argv is not that of main()", __func__);
	pfi_title_init(argc, argv);
}

void pfi_title_set(const char *format, ...)
{
	va_list arguments;

	if (!moved)
		return;
	va_start(arguments, format);
	const int length = vsnprintf(area, area_size, format, arguments);
	va_end(arguments);
	/* Zeros to the end: ps would show what is left of the old strings. */
	if (length >= 0 && (size_t)length < area_size)
		memset(area + length, 0, area_size - (size_t)length);
}
