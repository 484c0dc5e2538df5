/* Reads settings from the environment: PREFORK_WORKERS=4. Any other variable PREFORK_... is a mistake, unless
 * `other_variables` or the application lists it. */
#include "cli/cli.h"

#include <prefork/error.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "model/assign.h"

/* Variables that are not settings: the library passes some from one of its processes to the next; Kubernetes and
 * Docker links set the others for a service with the name "prefork". A star at the end matches any text. */
static const char *const other_variables[] = {
	"PREFORK_FDS", "PREFORK_UPGRADE_*", "PREFORK_SLOT", "PREFORK_SERVICE_HOST", "PREFORK_SERVICE_PORT*",
	"PREFORK_PORT*",
};

bool pfi_option_variable(const struct prefork_option *row, char variable[PFI_VARIABLE_MAX])
{
	struct pfi_text text;

	pfi_text_init(&text, variable, PFI_VARIABLE_MAX);
	pfi_text_format(&text, "PREFORK_%s", row->name);
	for (char *c = variable; *c != '\0'; c++)
		if (*c >= 'a' && *c <= 'z')
			*c = (char)(*c - 'a' + 'A');
	return !text.cut;
}

/* Whether `entry`, which is NAME=value, has this name. */
static bool is_named(const char *entry, const char *name)
{
	const size_t length = strlen(name);

	if (length > 0 && name[length - 1] == '*')
		return strncmp(entry, name, length - 1) == 0;
	return strncmp(entry, name, length) == 0 && entry[length] == '=';
}

static bool is_expected(const struct prefork_settings *settings, const char *entry)
{
	char variable[PFI_VARIABLE_MAX];

	for (size_t i = 0; i < settings->count; i++)
		if (pfi_option_variable(&settings->rows[i], variable) && is_named(entry, variable))
			return true;
	for (size_t i = 0; i < sizeof other_variables / sizeof other_variables[0]; i++)
		if (is_named(entry, other_variables[i]))
			return true;
	for (size_t i = 0; i < settings->claimed.count; i++)
		if (is_named(entry, settings->claimed.items[i]))
			return true;
	return settings->argument_variable != NULL && is_named(entry, settings->argument_variable);
}

static int unknown(const struct prefork_settings *settings, const char *entry)
{
	char name[PFI_VARIABLE_MAX] = "", near[PFI_VARIABLE_MAX], bytes[512];
	const size_t length = strcspn(entry, "=");
	struct pfi_text text;
	size_t index;

	memcpy(name, entry, length < sizeof name ? length : sizeof name - 1);
	pfi_text_init(&text, bytes, sizeof bytes);
	pfi_text_add_escaped(&text, name, strlen(name));
	pfi_text_add(&text, " in the environment is not a setting");
	index = pfi_hint(settings, name + 8, 0); /* without PREFORK_, which all names share */
	if (index < settings->count && pfi_option_variable(&settings->rows[index], near))
		pfi_text_format(&text, "; did you mean %s?", near);
	return prefork_fail(PREFORK_ECONFIG, "%s", bytes);
}

/* The value of the first variable of that name, as getenv(3) returns it; NULL: not set. */
static const char *value_of(char *const variables[], const char *name)
{
	for (size_t i = 0; variables[i] != NULL; i++)
		if (is_named(variables[i], name))
			return variables[i] + strlen(name) + 1;
	return NULL;
}

/* The items of this list may contain commas, so the variable has one item per line. */
static int assign_lines(struct prefork_settings *settings, size_t index, const char *value, const char *place)
{
	char *const copy = strdup(value);
	char *rest = copy, *line;
	int r = copy != NULL ? 0 : prefork_fail(-ENOMEM, "%s: out of memory", place);

	while (r == 0 && (line = strsep(&rest, "\n")) != NULL)
		if (*line != '\0' || *value == '\0')
			r = pfi_settings_assign(settings, index, line, PREFORK_FROM_ENVIRONMENT, place);
	free(copy);
	return r;
}

int pfi_read_environment(struct prefork_settings *settings, char *const variables[])
{
	char variable[PFI_VARIABLE_MAX];
	int r = 0;

	for (size_t i = 0; variables[i] != NULL; i++)
		if (strncmp(variables[i], "PREFORK_", 8) == 0 && !is_expected(settings, variables[i]))
			return unknown(settings, variables[i]);
	for (size_t i = 0; r == 0 && i < settings->count; i++) {
		const struct prefork_option *const row = &settings->rows[i];
		const char *const value =
			pfi_option_variable(row, variable) ? value_of(variables, variable) : NULL;

		if (value == NULL)
			continue;
		if (row->type == PREFORK_OPTION_LIST && !(row->traits & PREFORK_OPTION_COMMAS))
			r = assign_lines(settings, i, value, variable);
		else
			r = pfi_settings_assign(settings, i, value, PREFORK_FROM_ENVIRONMENT, variable);
	}
	return r == -EINVAL ? PREFORK_ECONFIG : r;
}
