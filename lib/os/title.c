/* Changes the process title: moves the strings of argv and environment, and writes the title in their place. */
#include "os/title.h"

#include "base/required.h"
#include "os/start_record.h"

#include <prefork/arbiter.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *area;       /* the memory that /proc/PID/cmdline shows; NULL: titles are not available */
static size_t area_size; /* with the last NUL */

/* A copy of the area, into which argv and environ point now. Never freed: the application may keep pointers to strings
 * of argv and environ. */
static char *moved;

/* The end of the strings that follow each other without a gap, from `end`. */
static char *end_of_run(char *const *strings, char *end)
{
	for (size_t i = 0; strings && strings[i] && strings[i] == end; i++)
		end = strings[i] + strlen(strings[i]) + 1;
	return end;
}

static char *moved_string(char *string)
{
	return string >= area && string < area + area_size ? moved + (string - area) : string;
}

static void move_all(char **strings)
{
	for (size_t i = 0; strings && strings[i]; i++)
		strings[i] = moved_string(strings[i]);
}

void pfi_title_init(int argc, char **argv)
{
	/* The strings below are written over: without memory for a copy they stay as they are. */
	if (moved || pfi_start_record_take() < 0)
		return;
	if (argc <= 0 || !argv || !argv[0])
		return;
	const char *const last = argv[argc - 1];
	char *const end_of_argv = end_of_run(argv, argv[0]);
	if (!last || end_of_argv != last + strlen(last) + 1)
		return; /* `argv` is not the one that the kernel passed */
	char *const end = end_of_run(environ, end_of_argv);

	moved = malloc((size_t)(end - argv[0]));
	if (!moved)
		return;
	area = argv[0];
	area_size = (size_t)(end - area);
	memcpy(moved, area, area_size);
	move_all(argv);
	move_all(environ);
	/* The C library has its own pointers to argv[0]. */
	program_invocation_name = moved_string(program_invocation_name);
	program_invocation_short_name = moved_string(program_invocation_short_name);
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
	/* ps(1) would show the rest of the old strings. */
	if (length >= 0 && (size_t)length < area_size)
		memset(area + length, 0, area_size - (size_t)length);
}
