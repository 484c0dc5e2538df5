/* What an application sets before the settings are parsed. */
#include "model/settings.h"

#include <prefork/error.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "model/assign.h"

static int out_of_memory(void)
{
	return prefork_fail(-ENOMEM, "out of memory for the settings");
}

/* Replace *text with a copy of `by`, which may be NULL. */
static int replace_text(char **text, const char *by)
{
	char *copy = NULL;

	if (by != NULL && (copy = strdup(by)) == NULL)
		return out_of_memory();
	free(*text);
	*text = copy;
	return 0;
}

int pfi_settings_check_changeable(const struct prefork_settings *settings)
{
	if (settings == NULL)
		return prefork_fail(-EINVAL, "there are no settings");
	if (settings->frozen || settings->parsed)
		return prefork_fail(-EBUSY, "the settings cannot be changed: %s",
				    settings->frozen ? "an arbiter uses them" : "they were parsed");
	return 0;
}

int prefork_settings_set_program(struct prefork_settings *settings, const char *name, const char *version,
				 const char *summary)
{
	int r = pfi_settings_check_changeable(settings);

	if (r == 0)
		r = replace_text(&settings->program, name);
	if (r == 0)
		r = replace_text(&settings->version, version);
	return r < 0 ? r : replace_text(&settings->summary, summary);
}

int prefork_settings_accept_arguments(struct prefork_settings *settings, size_t min, size_t max,
				      const char *usage)
{
	int r = pfi_settings_check_changeable(settings);

	if (r < 0)
		return r;
	if (min > max)
		return prefork_fail(-EINVAL, "the minimum of %zu arguments is above the maximum of %zu", min, max);
	r = replace_text(&settings->arguments_usage, usage);
	if (r == 0) {
		settings->arguments_min = min;
		settings->arguments_max = max;
	}
	return r;
}

int prefork_settings_set_argument_variable(struct prefork_settings *settings, const char *name)
{
	const int r = pfi_settings_check_changeable(settings);

	if (r < 0)
		return r;
	if (name != NULL && (*name == '\0' || strchr(name, '=') != NULL))
		return prefork_fail(-EINVAL, "'%s' cannot be the name of a variable", name);
	return replace_text(&settings->argument_variable, name);
}

int prefork_settings_claim_variable(struct prefork_settings *settings, const char *name)
{
	const int r = pfi_settings_check_changeable(settings);

	if (r < 0)
		return r;
	if (name == NULL || strncmp(name, "PREFORK_", 8) != 0 || name[8] == '\0' || strchr(name, '=') != NULL)
		return prefork_fail(-EINVAL, "only a variable that begins with PREFORK_ can be claimed");
	return pfi_texts_add(&settings->claimed, name) < 0 ? out_of_memory() : 0;
}

int prefork_settings_add_check(struct prefork_settings *settings,
			       int (*check)(const struct prefork_settings *settings, void *user), void *user)
{
	const int r = pfi_settings_check_changeable(settings);
	struct pfi_check *checks;

	if (r < 0)
		return r;
	if (check == NULL)
		return prefork_fail(-EINVAL, "a check needs a function");
	checks = realloc(settings->checks, (settings->check_count + 1) * sizeof *checks);
	if (checks == NULL)
		return out_of_memory();
	settings->checks = checks;
	checks[settings->check_count++] = (struct pfi_check){ check, user };
	return 0;
}

static bool has_word(const char *words, const char *word)
{
	const size_t length = strlen(word);

	for (const char *c = words; c != NULL; c = strchr(c, '|'), c = c != NULL ? c + 1 : NULL)
		if (strncmp(c, word, length) == 0 && (c[length] == '|' || c[length] == '\0'))
			return true;
	return false;
}

static bool is_added(const struct prefork_settings *settings, const char *row, const char *word)
{
	for (size_t i = 0; i < settings->choice_count; i++)
		if (strcmp(settings->choices[i].row, row) == 0 && strcmp(settings->choices[i].word, word) == 0)
			return true;
	return false;
}

int prefork_settings_add_choice(struct prefork_settings *settings, const char *name, const char *word,
				const char *meaning)
{
	const int r = pfi_settings_check_changeable(settings);
	struct pfi_choice *choices;
	size_t index;

	if (r < 0)
		return r;
	if (name == NULL || word == NULL || *word == '\0' || strchr(word, '|') != NULL)
		return prefork_fail(-EINVAL, "a choice needs the name of its option and a word");
	if ((index = pfi_settings_find(settings, name)) == settings->count)
		return prefork_fail(-ENOENT, "unknown option %s", name);
	if (settings->rows[index].type != PREFORK_OPTION_CHOICE)
		return prefork_fail(-EINVAL, "option %s is not a choice", name);
	if (meaning != NULL && !has_word(settings->rows[index].choices, meaning) && !is_added(settings, name, meaning))
		return prefork_fail(-EINVAL, "%s is none of the choices of %s", meaning, name);
	if (meaning == NULL && pfi_settings_stores_index(settings, index))
		return prefork_fail(-EINVAL, "option %s takes no other words than its own", name);
	if (has_word(settings->rows[index].choices, word) || is_added(settings, name, word))
		return prefork_fail(-EEXIST, "%s is a choice of %s already", word, name);
	choices = realloc(settings->choices, (settings->choice_count + 1) * sizeof *choices);
	if (choices == NULL)
		return out_of_memory();
	settings->choices = choices;
	choices[settings->choice_count++] = (struct pfi_choice){ settings->rows[index].name, word, meaning };
	return 0;
}

/* For pfi_settings_copy_unparsed(). The last default of a row replaces earlier ones. */
static int remember_default(struct prefork_settings *settings, const char *name, const char *text)
{
	struct pfi_default *defaults;

	for (size_t i = 0; i < settings->default_count; i++)
		if (strcmp(settings->defaults[i].name, name) == 0)
			return replace_text(&settings->defaults[i].text, text);
	defaults = realloc(settings->defaults, (settings->default_count + 1) * sizeof *defaults);
	if (defaults == NULL)
		return out_of_memory();
	settings->defaults = defaults;
	defaults += settings->default_count;
	*defaults = (struct pfi_default){ .name = strdup(name), .text = strdup(text) };
	if (defaults->name == NULL || defaults->text == NULL) {
		free(defaults->name);
		free(defaults->text);
		return out_of_memory();
	}
	settings->default_count++;
	return 0;
}

static int assign_default(struct prefork_settings *settings, size_t index, const char *text)
{
	char place[128];
	struct pfi_text builder;
	const int r = pfi_settings_assign_default(settings, index);

	pfi_text_init(&builder, place, sizeof place);
	pfi_text_format(&builder, "the program's default for %s", settings->rows[index].name);
	return r < 0 ? r : pfi_settings_assign(settings, index, text, PREFORK_FROM_HOST, place);
}

int pfi_settings_reset(struct prefork_settings *settings, size_t index)
{
	for (size_t i = 0; i < settings->default_count; i++)
		if (strcmp(settings->defaults[i].name, settings->rows[index].name) == 0)
			return assign_default(settings, index, settings->defaults[i].text);
	return pfi_settings_assign_default(settings, index);
}

int prefork_settings_set_default(struct prefork_settings *settings, const char *name, const char *text)
{
	int r = pfi_settings_check_changeable(settings);
	size_t index;

	if (r < 0)
		return r;
	if (name == NULL || text == NULL)
		return prefork_fail(-EINVAL, "a default needs a name and a text");
	if ((index = pfi_settings_find(settings, name)) == settings->count)
		return prefork_fail(-ENOENT, "unknown option %s", name);
	r = assign_default(settings, index, text);
	return r < 0 ? r : remember_default(settings, name, text);
}
