/* Parses one text for one row, checks type and bounds, applies the precedence of the sources, and names what was
 * expected. */
#include "model/assign.h"

#include <prefork/error.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/nearest.h"
#include "base/number.h"
#include "base/pattern.h"

static bool is_bounded(const struct prefork_option *row)
{
	return row->min != 0 || row->max != 0;
}

static bool is_text(enum prefork_option_type type)
{
	return type == PREFORK_OPTION_STRING || type == PREFORK_OPTION_LIST || type == PREFORK_OPTION_CHOICE;
}

static void add_whole(struct pfi_text *text, int64_t value)
{
	pfi_text_format(text, "%" PRId64, value);
}

static void add_mode(struct pfi_text *text, int64_t value)
{
	pfi_text_format(text, "%04" PRIo64, (uint64_t)value);
}

static void add_bool(struct pfi_text *text, int64_t value)
{
	pfi_text_add(text, value != 0 ? "yes" : "no");
}

/* Each type of number: parser, formatter, description. */
static const struct {
	int (*parse)(const char *text, int64_t *ret);
	void (*add)(struct pfi_text *text, int64_t value);
	const char *description, *example;
} numbers[] = {
	[PREFORK_OPTION_BOOL] = { pfi_parse_bool, add_bool, "yes or no", "" },
	[PREFORK_OPTION_INT] = { pfi_parse_whole, add_whole, "a whole number", "" },
	[PREFORK_OPTION_DURATION] = { pfi_parse_duration, pfi_text_add_duration, "a time",
				      " (such as 30, 1.5s, 500ms or 2m)" },
	[PREFORK_OPTION_SIZE] = { pfi_parse_size, pfi_text_add_size, "a size", " (such as 4096, 64k or 1m)" },
	[PREFORK_OPTION_MODE] = { pfi_parse_octal, add_mode, "an octal mode", "" },
};

/* The word `number` of a CHOICE row, counted through those of the row and then those that the application has added.
 * Copies the word; its meaning is the value to store. False beyond the last. */
enum { WORD_MAX = 64 };

static bool choice_at(const struct prefork_settings *settings, size_t index, size_t number,
		      char word[WORD_MAX], const char **ret_meaning)
{
	const struct prefork_option *const row = &settings->rows[index];

	for (const char *c = row->choices; *c != '\0'; number--) {
		const size_t length = strcspn(c, "|");

		if (number == 0 && length < WORD_MAX) {
			memcpy(word, c, length);
			word[length] = '\0';
			*ret_meaning = word;
			return true;
		}
		c += length + (c[length] == '|');
	}
	for (size_t i = 0; i < settings->choice_count; i++) {
		const struct pfi_choice *const choice = &settings->choices[i];

		if (strcmp(choice->row, row->name) != 0 || number-- != 0)
			continue;
		strncpy(word, choice->word, WORD_MAX - 1);
		word[WORD_MAX - 1] = '\0';
		*ret_meaning = choice->meaning != NULL ? choice->meaning : word;
		return true;
	}
	return false;
}

static void add_choices(struct pfi_text *text, const struct prefork_settings *settings, size_t index)
{
	char word[WORD_MAX];
	const char *meaning;

	for (size_t i = 0; choice_at(settings, index, i, word, &meaning); i++)
		pfi_text_format(text, "%s%s", i > 0 ? ", " : "", word);
}

void pfi_text_add_expected(struct pfi_text *text, const struct prefork_settings *settings, size_t index)
{
	const struct prefork_option *const row = &settings->rows[index];

	if (row->type == PREFORK_OPTION_CHOICE) {
		pfi_text_add(text, "one of ");
		add_choices(text, settings, index);
		if (row->traits & PREFORK_OPTION_MAY_BE_BOOL)
			pfi_text_add(text, "; no for the first, yes or nothing for the last");
	} else if (is_text(row->type)) {
		pfi_text_add(text, row->type == PREFORK_OPTION_LIST ? "a list of texts" : "a text");
		if (row->max > 0)
			pfi_text_format(text, " of at most %" PRId64 " %s", row->max,
					row->type == PREFORK_OPTION_LIST ? "items" : "bytes");
	} else {
		pfi_text_add(text, numbers[row->type].description);
		if (is_bounded(row)) {
			pfi_text_add(text, " from ");
			numbers[row->type].add(text, row->min);
			pfi_text_add(text, " to ");
			numbers[row->type].add(text, row->max);
		}
		if (row->traits & PREFORK_OPTION_MAY_BE_AUTO)
			pfi_text_add(text, ", or auto");
		pfi_text_add(text, numbers[row->type].example);
	}
}

/* "--workers: expected a whole number from 1 to 4096, not 'x'", and the nearest word of a CHOICE. */
static int refuse(const struct prefork_settings *settings, size_t index, const char *value, const char *place)
{
	char bytes[900], word[WORD_MAX], near[WORD_MAX] = "";
	struct pfi_text text;
	struct pfi_nearest nearest;
	const char *meaning;

	pfi_text_init(&text, bytes, sizeof bytes);
	pfi_text_format(&text, "%s: expected ", place);
	pfi_text_add_expected(&text, settings, index);
	pfi_text_add(&text, ", not ");
	pfi_text_add_quoted(&text, value);
	if (settings->rows[index].type == PREFORK_OPTION_CHOICE) {
		pfi_nearest_init(&nearest, value);
		for (size_t i = 0; choice_at(settings, index, i, word, &meaning); i++) {
			const size_t before = nearest.distance;

			if (!pfi_is_pattern(word))
				pfi_nearest_add(&nearest, word);
			if (nearest.distance < before)
				memcpy(near, word, sizeof near);
		}
		if (near[0] != '\0')
			pfi_text_format(&text, "; did you mean '%s'?", near);
	}
	return prefork_fail(-EINVAL, "%s", bytes);
}

static int parse_number(const struct prefork_settings *settings, size_t index, const char *text,
			int64_t *ret, const char *place)
{
	const struct prefork_option *const row = &settings->rows[index];
	int64_t number;

	if ((row->traits & PREFORK_OPTION_MAY_BE_AUTO) && strcmp(text, "auto") == 0) {
		*ret = -1;
		return 0;
	}
	if (numbers[row->type].parse(text, &number) < 0)
		return refuse(settings, index, text, place);
	if (is_bounded(row) && (number < row->min || number > row->max))
		return refuse(settings, index, text, place);
	*ret = number;
	return 0;
}

/* With MAY_BE_BOOL: the first word for "no", the last one for "yes". */
static bool find_bool(const struct prefork_settings *settings, size_t index, const char *text, char word[WORD_MAX],
		      const char **ret_meaning)
{
	int64_t is_last = 0;

	if (!(settings->rows[index].traits & PREFORK_OPTION_MAY_BE_BOOL) || pfi_parse_bool(text, &is_last) < 0)
		return false;
	for (size_t i = 0; choice_at(settings, index, i, word, ret_meaning) && is_last; i++)
		;
	return true;
}

static bool find_choice(const struct prefork_settings *settings, size_t index, const char *text, char word[WORD_MAX],
			const char **ret_meaning)
{
	for (size_t i = 0; choice_at(settings, index, i, word, ret_meaning); i++)
		if (strcmp(word, text) == 0)
			return true;
	for (size_t i = 0; choice_at(settings, index, i, word, ret_meaning); i++)
		if (strcasecmp(word, text) == 0) /* --log-level INFO; an exact match has priority */
			return true;
	for (size_t i = 0; choice_at(settings, index, i, word, ret_meaning); i++)
		if (pfi_pattern_matches(word, text)) {
			*ret_meaning = *ret_meaning == word ? text : *ret_meaning;
			return true;
		}
	return find_bool(settings, index, text, word, ret_meaning);
}

bool pfi_settings_is_choice(const struct prefork_settings *settings, size_t index, const char *text)
{
	char word[WORD_MAX];
	const char *meaning;

	return find_choice(settings, index, text, word, &meaning);
}

static int parse_choice(const struct prefork_settings *settings, size_t index, const char *text,
			struct pfi_texts *items, const char *place)
{
	char word[WORD_MAX];
	const char *meaning;

	return find_choice(settings, index, text, word, &meaning) ? pfi_texts_add(items, meaning) :
								    refuse(settings, index, text, place);
}

static int empty_value(const char *place)
{
	return prefork_fail(-EINVAL, "%s: a value is missing", place);
}

static int parse_string(const struct prefork_option *row, const char *text, struct pfi_texts *items,
			const char *place)
{
	const size_t length = strlen(text);

	if (length == 0)
		return row->traits & PREFORK_OPTION_MAY_BE_EMPTY ? 0 : empty_value(place);
	if (row->max > 0 && length > (uint64_t)row->max)
		return prefork_fail(-EINVAL, "%s: expected at most %" PRId64 " bytes, not %zu", place, row->max,
				    length);
	return pfi_texts_add(items, text);
}

/* The text is one item; with COMMAS, one or more, and an empty one is an error. */
static int parse_list(const struct prefork_option *row, const char *text, struct pfi_texts *items,
		      const char *place)
{
	if (*text == '\0')
		return row->traits & PREFORK_OPTION_MAY_BE_EMPTY ? 0 : empty_value(place);
	for (const char *c = text;;) {
		const size_t length = row->traits & PREFORK_OPTION_COMMAS ? strcspn(c, ",") : strlen(c);
		const size_t skip = strspn(c, " \t");
		size_t end = length;
		char *item;
		int r;

		while (end > skip && (c[end - 1] == ' ' || c[end - 1] == '\t'))
			end--;
		if (skip >= end)
			return prefork_fail(-EINVAL, "%s: an item between the commas is empty", place);
		if ((item = strndup(c + skip, end - skip)) == NULL)
			return prefork_fail(-ENOMEM, "%s: out of memory", place);
		r = pfi_texts_add(items, item);
		free(item);
		if (r < 0 || c[length] == '\0')
			return r;
		c += length + 1;
	}
}

static int parse_value(const struct prefork_settings *settings, size_t index, const char *text,
		       struct pfi_value *value, const char *place)
{
	const struct prefork_option *const row = &settings->rows[index];
	struct pfi_texts items = { 0 };
	int r;

	switch (row->type) {
	case PREFORK_OPTION_LIST:
		r = parse_list(row, text, &items, place);
		break;
	case PREFORK_OPTION_STRING:
		r = parse_string(row, text, &items, place);
		break;
	case PREFORK_OPTION_CHOICE:
		r = parse_choice(settings, index, text, &items, place);
		break;
	default:
		r = *text == '\0' ? empty_value(place)
				  : parse_number(settings, index, text, &value->number, place);
	}
	value->items = items.items;
	value->count = items.count;
	return r;
}

static void finish_value(struct pfi_value *value)
{
	pfi_texts_finish(&(struct pfi_texts){ value->items, value->count });
	free(value->place);
	*value = (struct pfi_value){ 0 };
}

/* Move the items of `more` to the end of those of `value`. */
static int append_items(struct pfi_value *value, struct pfi_value *more)
{
	char **const items = realloc(value->items, (value->count + more->count + 1) * sizeof *items);

	if (items == NULL)
		return -ENOMEM;
	if (more->count > 0)
		memcpy(items + value->count, more->items, more->count * sizeof *items);
	value->items = items;
	value->count += more->count;
	more->count = 0;
	return 0;
}

static void swap_values(struct pfi_value *a, struct pfi_value *b)
{
	const struct pfi_value c = *a;

	*a = *b;
	*b = c;
}

/* Whether the row has a list from this origin. */
static bool has_list(const struct prefork_settings *settings, size_t index, enum prefork_origin origin)
{
	const struct pfi_value *const value = &settings->values[index];

	return settings->rows[index].type == PREFORK_OPTION_LIST && value->origin == origin && value->place != NULL;
}

/* Parse a value whose origin is set. */
static int read_value(const struct prefork_settings *settings, size_t index, const char *text, struct pfi_value *value,
		      const char *place)
{
	int r = parse_value(settings, index, text, value, place);

	if (r == 0 && (value->place = strdup(place)) == NULL)
		r = -ENOMEM;
	return r == -ENOMEM ? prefork_fail(r, "%s: out of memory", place) : r;
}

/* Store `fresh` unless the value is of a higher origin, or append its items. Takes what `fresh` has. */
static int store(struct prefork_settings *settings, size_t index, struct pfi_value *fresh, bool appends)
{
	const struct prefork_option *const row = &settings->rows[index];
	struct pfi_value *const value = &settings->values[index];
	const char *const place = fresh->place; /* is the value's afterwards, or still that of `fresh` */
	int r = 0;

	if (value->origin > fresh->origin)
		return 0;
	if (appends && fresh->count > 0)
		r = append_items(value, fresh);
	else
		swap_values(value, fresh);
	if (r == -ENOMEM)
		return prefork_fail(r, "%s: out of memory", place);
	if (row->type == PREFORK_OPTION_LIST && row->max > 0 && value->count > (uint64_t)row->max)
		r = prefork_fail(-EINVAL, "%s: expected at most %" PRId64 " items, not %zu", place, row->max,
				 value->count);
	pfi_settings_store(settings, index);
	return r;
}

static int put(struct prefork_settings *settings, size_t index, const char *text, enum prefork_origin origin,
	       const char *place, bool appends)
{
	struct pfi_value fresh = { .origin = origin };
	int r = read_value(settings, index, text, &fresh, place);

	if (r == 0)
		r = store(settings, index, &fresh, appends && has_list(settings, index, origin));
	finish_value(&fresh);
	return r;
}

int pfi_settings_assign(struct prefork_settings *settings, size_t index, const char *text,
			enum prefork_origin origin, const char *place)
{
	/* The items that one source names several times, as --bind does, add up. A call of the application replaces them. */
	return put(settings, index, text, origin, place, origin <= PREFORK_FROM_COMMAND_LINE);
}

int pfi_settings_append(struct prefork_settings *settings, size_t index, const char *text,
			enum prefork_origin origin, const char *place)
{
	if (settings->rows[index].type != PREFORK_OPTION_LIST)
		return prefork_fail(-EINVAL, "%s: '%s' is not a list", place, settings->rows[index].name);
	return put(settings, index, text, origin, place, true);
}

int pfi_settings_assign_default(struct prefork_settings *settings, size_t index)
{
	const struct prefork_option *const row = &settings->rows[index];

	finish_value(&settings->values[index]);
	pfi_settings_store(settings, index);
	if (row->default_text == NULL)
		return 0;
	return pfi_settings_assign(settings, index, row->default_text, PREFORK_FROM_ROW, "default");
}

void pfi_text_add_value(struct pfi_text *text, const struct prefork_settings *settings, size_t index,
			size_t item)
{
	const struct prefork_option *const row = &settings->rows[index];
	const struct pfi_value *const value = &settings->values[index];

	if (is_text(row->type))
		pfi_text_add(text, item < value->count ? value->items[item] : "");
	else if ((row->traits & PREFORK_OPTION_MAY_BE_AUTO) && value->number == -1)
		pfi_text_add(text, "auto");
	else
		numbers[row->type].add(text, value->number);
}
