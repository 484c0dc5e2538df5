/* Copies of settings, and comparison of two. */
#include "model/settings.h"

#include <prefork/error.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "model/assign.h"

static int copy_text(char **to, const char *from)
{
	*to = from != NULL ? strdup(from) : NULL;
	return from != NULL && *to == NULL ? -ENOMEM : 0;
}

static int copy_texts(struct pfi_texts *to, const struct pfi_texts *from)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < from->count; i++)
		r = pfi_texts_add(to, from->items[i]);
	return r;
}

static int copy_texts_of_application(struct prefork_settings *to, const struct prefork_settings *from)
{
	int r = copy_text(&to->program, from->program);

	if (r == 0)
		r = copy_text(&to->version, from->version);
	if (r == 0)
		r = copy_text(&to->summary, from->summary);
	if (r == 0)
		r = copy_text(&to->arguments_usage, from->arguments_usage);
	if (r == 0)
		r = copy_text(&to->argument_variable, from->argument_variable);
	if (r == 0)
		r = copy_text(&to->directory, from->directory);
	if (r == 0)
		r = copy_texts(&to->claimed, &from->claimed);
	to->reader = from->reader;
	to->completion = from->completion;
	to->arguments_min = from->arguments_min;
	to->arguments_max = from->arguments_max;
	return r;
}

static int copy_tables_of_application(struct prefork_settings *to, const struct prefork_settings *from)
{
	int r = from->count > 0 ? pfi_settings_add_rows(to, from->rows, from->count, NULL) : 0;

	if (r == 0)
		r = pfi_settings_copy_modules(to, from);
	for (size_t i = 0; r == 0 && i < from->choice_count; i++)
		r = prefork_settings_add_choice(to, from->choices[i].row, from->choices[i].word,
						from->choices[i].meaning);
	for (size_t i = 0; r == 0 && i < from->default_count; i++)
		r = prefork_settings_set_default(to, from->defaults[i].name, from->defaults[i].text);
	for (size_t i = 0; r == 0 && i < from->check_count; i++)
		r = prefork_settings_add_check(to, from->checks[i].check, from->checks[i].user);
	return r;
}

int pfi_settings_copy_unparsed(const struct prefork_settings *old, struct prefork_settings **ret)
{
	struct prefork_settings *copy = NULL;
	int r = pfi_settings_create_empty(&copy);

	if (r < 0)
		return r;
	r = copy_texts_of_application(copy, old);
	if (r == 0)
		r = copy_tables_of_application(copy, old);
	if (r < 0) {
		prefork_settings_destroy(copy);
		return r == -ENOMEM ? prefork_fail(r, "out of memory for the settings") : r;
	}
	*ret = copy;
	return 0;
}

static int copy_value(struct pfi_value *to, const struct pfi_value *from)
{
	struct pfi_texts items = { 0 };
	const int r = copy_texts(&items, &(const struct pfi_texts){ from->items, from->count });

	pfi_texts_finish(&(struct pfi_texts){ to->items, to->count });
	free(to->place);
	*to = (struct pfi_value){ .number = from->number, .items = items.items, .count = items.count,
				  .origin = from->origin };
	return r < 0 ? r : copy_text(&to->place, from->place);
}

int pfi_settings_keep_overrides(struct prefork_settings *settings, const struct prefork_settings *old)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < old->count; i++) {
		if (old->values[i].origin != PREFORK_FROM_OVERRIDE || old->rows[i].traits & PREFORK_OPTION_RELOADABLE)
			continue;
		r = copy_value(&settings->values[i], &old->values[i]);
		if (r == 0)
			pfi_settings_store(settings, i);
	}
	return r;
}

int pfi_settings_copy(const struct prefork_settings *old, struct prefork_settings **ret)
{
	struct prefork_settings *copy = NULL;
	int r = pfi_settings_copy_unparsed(old, &copy);

	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < old->count; i++)
		if ((r = copy_value(&copy->values[i], &old->values[i])) == 0)
			pfi_settings_store(copy, i);
	if (r == 0)
		r = copy_texts(&copy->arguments, &old->arguments);
	if (r == 0)
		r = copy_texts(&copy->argv, &old->argv);
	if (r < 0) {
		prefork_settings_destroy(copy);
		return prefork_fail(-ENOMEM, "out of memory for the settings");
	}
	copy->parsed = old->parsed;
	copy->reread = old->reread;
	copy->user = old->user;
	*ret = copy;
	return 0;
}

int pfi_settings_set_for_pool(struct prefork_settings *settings, const char *name, const char *text, const char *pool)
{
	const size_t index = pfi_settings_find(settings, name);
	char place[160];
	struct pfi_text builder;
	int r;

	if (index == settings->count)
		return prefork_fail(-ENOENT, "pool %s: unknown option %s", pool, name);
	if (settings->rows[index].traits & (PREFORK_OPTION_SERVER | PREFORK_OPTION_COMMAND_LINE))
		return prefork_fail(PREFORK_ECONFIG, "pool %s: %s applies to the whole server and cannot be set "
						     "for one pool", pool, name);
	if (settings->frozen)
		return prefork_fail(-EBUSY, "pool %s: the settings are in use", pool);
	pfi_text_init(&builder, place, sizeof place);
	pfi_text_format(&builder, "pool %s: %s", pool, name);
	r = pfi_settings_assign(settings, index, text, PREFORK_FROM_POOL, place);
	return r == -EINVAL ? PREFORK_ECONFIG : r;
}

int pfi_settings_reread(const struct prefork_settings *old, struct prefork_settings **ret)
{
	return old->reread != NULL ? old->reread(old, ret) : pfi_settings_copy(old, ret);
}

static bool same_value(const struct pfi_value *a, const struct pfi_value *b)
{
	if (a->number != b->number || a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->items[i], b->items[i]) != 0)
			return false;
	return true;
}

bool pfi_settings_differ(const struct prefork_settings *a, const struct prefork_settings *b, size_t index)
{
	return !same_value(&a->values[index], &b->values[index]);
}

static void add_whole_value(struct pfi_text *text, const struct prefork_settings *settings, size_t index)
{
	const size_t count = settings->values[index].count;
	char bytes[256];
	struct pfi_text item;

	for (size_t i = 0; i == 0 || i < count; i++) {
		pfi_text_init(&item, bytes, sizeof bytes);
		pfi_text_add_value(&item, settings, index, i);
		pfi_text_add(text, i > 0 ? ", " : "");
		pfi_text_add_quoted(text, bytes);
	}
}

/* The place of a value in a file contains the name: "app.ini:3: backlog". */
static bool ends_with(const char *place, const char *name)
{
	const size_t length = strlen(place), tail = strlen(name);

	return length >= tail && strcmp(place + length - tail, name) == 0;
}

int pfi_settings_diff_unreloadable(const struct prefork_settings *old, const struct prefork_settings *new)
{
	char bytes[800];
	struct pfi_text text;

	for (size_t i = 0; i < old->count; i++) {
		if ((old->rows[i].traits & PREFORK_OPTION_RELOADABLE) != 0 || !pfi_settings_differ(old, new, i))
			continue;
		const char *const place = new->values[i].place != NULL ? new->values[i].place : "default";

		pfi_text_init(&text, bytes, sizeof bytes);
		pfi_text_add(&text, place);
		if (!ends_with(place, old->rows[i].name))
			pfi_text_format(&text, ": %s", old->rows[i].name);
		pfi_text_add(&text, " cannot be changed by a reload (it is ");
		add_whole_value(&text, old, i);
		pfi_text_add(&text, " and would become ");
		add_whole_value(&text, new, i);
		pfi_text_add(&text, "): restart the server");
		return prefork_fail(PREFORK_ECONFIG, "%s", bytes);
	}
	return 0;
}
