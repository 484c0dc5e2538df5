/* PREFORK_WORKERS=4, and what else may be called PREFORK_... */
#include "cli/cli.h"

#include <prefork/error.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "model/assign.h"

/* Not settings, and no mistake: the library's own between two of its processes,
 * and what Kubernetes and Docker links set for a service called "prefork". A
 * star stands for any rest. */
static const char *const others[] = {
	"PREFORK_FDS", "PREFORK_UPGRADE_*", "PREFORK_SERVICE_HOST", "PREFORK_SERVICE_PORT*", "PREFORK_PORT*",
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

/* Does NAME=value at `entry` carry this name? */
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
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		if (is_named(entry, others[i]))
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
	pfi_text_add(&text, " in the environment is no setting");
	index = pfi_hint(settings, name + 8, 0); /* PREFORK_ makes nothing near */
	if (index < settings->count && pfi_option_variable(&settings->rows[index], near))
		pfi_text_format(&text, "; did you mean %s?", near);
	return prefork_fail(PREFORK_ECONFIG, "%s", bytes);
}

/* The first variable of that name, as getenv() finds it. */
static const char *value_of(char *const variables[], const char *name)
{
	for (size_t i = 0; variables[i] != NULL; i++)
		if (is_named(variables[i], name))
			return variables[i] + strlen(name) + 1;
	return NULL;
}

/* A list whose items may hold commas has one item per line here. */
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
