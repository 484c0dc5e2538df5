/* Sets the environment variable PREFORK_SLOT of a worker. */
#include "os/slot_variable.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SLOT_DIGITS = 10 };

static const char name[] = PFI_SLOT_VARIABLE "=";

/* The environment is this list until the application adds variables, and has a pointer to the string as long as the
 * process lives. */
static char **list;
static char variable[sizeof name + SLOT_DIGITS];

static size_t count_variables(void)
{
	size_t n = 0;

	while (environ && environ[n])
		n++;
	return n;
}

/* The list before belongs to the C library or to the application, and has no space for one more. */
int pfi_slot_variable_set(unsigned slot)
{
	char **const new_list = calloc(count_variables() + 2, sizeof *new_list);
	size_t used = 0;

	if (new_list == NULL)
		return -ENOMEM;
	for (char **each = environ; each && *each; each++) {
		if (strncmp(*each, name, sizeof name - 1) != 0)
			new_list[used++] = *each;
	}
	(void)snprintf(variable, sizeof variable, "%s%u", name, slot);
	new_list[used] = variable;
	environ = new_list;
	free(list);
	list = new_list;
	return 0;
}
