#include "model/settings.h"

#include <prefork/error.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "model/assign.h"
#include "model/options.h"

static int out_of_memory(void)
{
	return prefork_fail(-ENOMEM, "out of memory for the settings");
}

int pfi_texts_add(struct pfi_texts *texts, const char *text)
{
	char **const items = realloc(texts->items, (texts->count + 2) * sizeof *items);

	if (items == NULL)
		return -ENOMEM;
	texts->items = items;
	if ((items[texts->count] = strdup(text)) == NULL)
		return -ENOMEM;
	items[++texts->count] = NULL;
	return 0;
}

void pfi_texts_finish(struct pfi_texts *texts)
{
	for (size_t i = 0; i < texts->count; i++)
		free(texts->items[i]);
	free(texts->items);
	*texts = (struct pfi_texts){ 0 };
}

/* Replaces `*text` by a copy of `by`, which may be NULL. */
static int replace_text(char **text, const char *by)
{
	char *copy = NULL;

	if (by != NULL && (copy = strdup(by)) == NULL)
		return out_of_memory();
	free(*text);
	*text = copy;
	return 0;
}

/* May the host still say something? */
static int changeable(const struct prefork_settings *settings)
{
	if (settings == NULL)
		return prefork_fail(-EINVAL, "there are no settings");
	if (settings->frozen || settings->parsed)
		return prefork_fail(-EBUSY, "the settings were %s already",
				    settings->frozen ? "taken by an arbiter" : "parsed");
	return 0;
}

static int create_empty(struct prefork_settings **ret)
{
	struct prefork_settings *const settings = calloc(1, sizeof *settings);

	if (settings == NULL)
		return out_of_memory();
	atomic_init(&settings->holders, 1);
	*ret = settings;
	return 0;
}

int prefork_settings_create(struct prefork_settings **ret)
{
	struct prefork_settings *settings = NULL;
	int r;

	if (ret == NULL)
		return prefork_fail(-EINVAL, "there is no place for the settings");
	r = create_empty(&settings);
	if (r < 0)
		return r;
	r = prefork_settings_add_options(settings, pfi_options, pfi_options_count);
	if (r < 0) {
		prefork_settings_destroy(settings);
		return r;
	}
	*ret = settings;
	return 0;
}

static void finish_values(struct prefork_settings *settings)
{
	for (size_t i = 0; i < settings->count; i++) {
		pfi_texts_finish(&(struct pfi_texts){ settings->values[i].items, settings->values[i].count });
		free(settings->values[i].place);
	}
	free(settings->values);
}

void prefork_settings_destroy(struct prefork_settings *settings)
{
	if (settings == NULL || atomic_fetch_sub(&settings->holders, 1) > 1)
		return;
	free(settings->folder);
	pfi_texts_finish(&settings->argv);
	pfi_texts_finish(&settings->arguments);
	finish_values(settings);
	free(settings->argument_variable);
	free(settings->arguments_usage);
	free(settings->summary);
	free(settings->version);
	free(settings->program);
	pfi_texts_finish(&settings->claimed);
	free(settings->checks);
	for (size_t i = 0; i < settings->default_count; i++) {
		free(settings->defaults[i].name);
		free(settings->defaults[i].text);
	}
	free(settings->defaults);
	free(settings->choices);
	free(settings->rows);
	free(settings);
}

struct prefork_settings *pfi_settings_hold(struct prefork_settings *settings)
{
	atomic_fetch_add(&settings->holders, 1);
	return settings;
}

void pfi_settings_freeze(struct prefork_settings *settings)
{
	settings->frozen = true;
}

size_t pfi_settings_find(const struct prefork_settings *settings, const char *name)
{
	size_t i = 0;

	while (i < settings->count && strcmp(settings->rows[i].name, name) != 0)
		i++;
	return i;
}

int prefork_settings_set_program(struct prefork_settings *settings, const char *name, const char *version,
				 const char *summary)
{
	int r = changeable(settings);

	if (r == 0)
		r = replace_text(&settings->program, name);
	if (r == 0)
		r = replace_text(&settings->version, version);
	return r < 0 ? r : replace_text(&settings->summary, summary);
}

int prefork_settings_accept_arguments(struct prefork_settings *settings, size_t min, size_t max,
				      const char *usage)
{
	int r = changeable(settings);

	if (r < 0)
		return r;
	if (min > max)
		return prefork_fail(-EINVAL, "at least %zu and at most %zu arguments: none would do", min, max);
	r = replace_text(&settings->arguments_usage, usage);
	if (r == 0) {
		settings->arguments_min = min;
		settings->arguments_max = max;
	}
	return r;
}

int prefork_settings_set_argument_variable(struct prefork_settings *settings, const char *name)
{
	const int r = changeable(settings);

	if (r < 0)
		return r;
	if (name != NULL && (*name == '\0' || strchr(name, '=') != NULL))
		return prefork_fail(-EINVAL, "'%s' cannot be the name of a variable", name);
	return replace_text(&settings->argument_variable, name);
}

int prefork_settings_claim_variable(struct prefork_settings *settings, const char *name)
{
	const int r = changeable(settings);

	if (r < 0)
		return r;
	if (name == NULL || strncmp(name, "PREFORK_", 8) != 0 || name[8] == '\0' || strchr(name, '=') != NULL)
		return prefork_fail(-EINVAL, "only names that begin with PREFORK_ are claimed");
	return pfi_texts_add(&settings->claimed, name) < 0 ? out_of_memory() : 0;
}

int prefork_settings_add_check(struct prefork_settings *settings,
			       int (*check)(const struct prefork_settings *settings, void *user), void *user)
{
	const int r = changeable(settings);
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

int prefork_settings_add_choice(struct prefork_settings *settings, const char *name, const char *word,
				const char *meaning)
{
	const int r = changeable(settings);
	struct pfi_choice *choices;
	size_t index;

	if (r < 0)
		return r;
	if (name == NULL || word == NULL || *word == '\0' || strchr(word, '|') != NULL)
		return prefork_fail(-EINVAL, "a choice needs the name of its option and a word");
	if ((index = pfi_settings_find(settings, name)) == settings->count)
		return prefork_fail(-ENOENT, "there is no option %s", name);
	if (settings->rows[index].type != PREFORK_OPTION_CHOICE)
		return prefork_fail(-EINVAL, "option %s is not a choice", name);
	if (meaning != NULL && !has_word(settings->rows[index].choices, meaning))
		return prefork_fail(-EINVAL, "%s is none of the choices of %s", meaning, name);
	if (has_word(settings->rows[index].choices, word))
		return prefork_fail(-EEXIST, "%s is a choice of %s already", word, name);
	for (size_t i = 0; i < settings->choice_count; i++)
		if (strcmp(settings->choices[i].row, name) == 0 && strcmp(settings->choices[i].word, word) == 0)
			return prefork_fail(-EEXIST, "%s is a choice of %s already", word, name);
	choices = realloc(settings->choices, (settings->choice_count + 1) * sizeof *choices);
	if (choices == NULL)
		return out_of_memory();
	settings->choices = choices;
	choices[settings->choice_count++] = (struct pfi_choice){ settings->rows[index].name, word, meaning };
	return 0;
}

/* The last default for a row is the one that counts. */
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

int prefork_settings_set_default(struct prefork_settings *settings, const char *name, const char *text)
{
	int r = changeable(settings);
	char place[128];
	size_t index;

	if (r < 0)
		return r;
	if (name == NULL || text == NULL)
		return prefork_fail(-EINVAL, "a default needs a name and a text");
	if ((index = pfi_settings_find(settings, name)) == settings->count)
		return prefork_fail(-ENOENT, "there is no option %s", name);
	struct pfi_text builder;
	pfi_text_init(&builder, place, sizeof place);
	pfi_text_format(&builder, "the program's default for %s", name);
	r = pfi_settings_assign_default(settings, index);
	if (r == 0)
		r = pfi_settings_assign(settings, index, text, PREFORK_FROM_HOST, place);
	return r < 0 ? r : remember_default(settings, name, text);
}

/* The value of the row, or NULL and a sentence. */
static const struct pfi_value *value_of(const struct prefork_settings *settings, const char *name,
					unsigned types)
{
	size_t index;

	if (settings == NULL || name == NULL) {
		(void)prefork_fail(-EINVAL, "there are no settings, or there is no name");
		return NULL;
	}
	index = pfi_settings_find(settings, name);
	if (index == settings->count || !(types >> settings->rows[index].type & 1)) {
		(void)prefork_fail(-EINVAL, index == settings->count ? "there is no option %s"
								     : "option %s is of another type", name);
		return NULL;
	}
	return &settings->values[index];
}

enum {
	TEXT_TYPES = 1 << PREFORK_OPTION_STRING | 1 << PREFORK_OPTION_CHOICE,
	LIST_TYPES = 1 << PREFORK_OPTION_LIST,
	NUMBER_TYPES = 1 << PREFORK_OPTION_BOOL | 1 << PREFORK_OPTION_INT | 1 << PREFORK_OPTION_DURATION |
		       1 << PREFORK_OPTION_SIZE | 1 << PREFORK_OPTION_MODE,
	ALL_TYPES = TEXT_TYPES | LIST_TYPES | NUMBER_TYPES,
};

int64_t prefork_settings_int(const struct prefork_settings *settings, const char *name)
{
	const struct pfi_value *const value = value_of(settings, name, NUMBER_TYPES);

	return value != NULL ? value->number : -EINVAL;
}

const char *prefork_settings_text(const struct prefork_settings *settings, const char *name)
{
	const struct pfi_value *const value = value_of(settings, name, TEXT_TYPES);

	return value != NULL && value->count > 0 ? value->items[0] : NULL;
}

size_t prefork_settings_count(const struct prefork_settings *settings, const char *name)
{
	const struct pfi_value *const value = value_of(settings, name, LIST_TYPES);

	return value != NULL ? value->count : 0;
}

const char *prefork_settings_item(const struct prefork_settings *settings, const char *name, size_t index)
{
	const struct pfi_value *const value = value_of(settings, name, LIST_TYPES);

	return value != NULL && index < value->count ? value->items[index] : NULL;
}

size_t prefork_settings_argument_count(const struct prefork_settings *settings)
{
	return settings != NULL ? settings->arguments.count : 0;
}

const char *prefork_settings_argument(const struct prefork_settings *settings, size_t index)
{
	return index < prefork_settings_argument_count(settings) ? settings->arguments.items[index] : NULL;
}

int prefork_settings_was_set(const struct prefork_settings *settings, const char *name)
{
	const struct pfi_value *const value = value_of(settings, name, ALL_TYPES);

	return value != NULL && value->origin > PREFORK_FROM_HOST;
}

int prefork_settings_origin(const struct prefork_settings *settings, const char *name,
			    enum prefork_origin *ret_origin, const char **ret_place)
{
	const struct pfi_value *const value = value_of(settings, name, ALL_TYPES);

	if (value == NULL)
		return -ENOENT;
	if (ret_origin != NULL)
		*ret_origin = value->origin;
	if (ret_place != NULL)
		*ret_place = value->place != NULL ? value->place : "default";
	return 0;
}
