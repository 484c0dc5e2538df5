/* A hash table over an array of strings. */
#include "text_set.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS_MIN = 64 }; /* a power of two, as each later size */

/* FNV-1a. */
static uint64_t hash(const char *text)
{
	uint64_t sum = 14695981039346656037u;

	for (; *text != '\0'; text++)
		sum = (sum ^ (unsigned char)*text) * 1099511628211u;
	return sum ^ sum >> 32;
}

/* The slot of `text`, or the free one where it belongs. At least half of the slots are free. */
static size_t *slot_of(const struct wsgi_text_set *set, const char *text)
{
	size_t at = (size_t)hash(text) & (set->slot_count - 1);

	while (set->slots[at] != 0 && strcmp(set->items[set->slots[at] - 1], text) != 0)
		at = (at + 1) & (set->slot_count - 1);
	return &set->slots[at];
}

static int grow_slots(struct wsgi_text_set *set)
{
	struct wsgi_text_set larger = *set;

	if (2 * (set->count + 1) <= set->slot_count)
		return 0;
	larger.slot_count = set->slot_count ? 2 * set->slot_count : SLOTS_MIN;
	larger.slots = calloc(larger.slot_count, sizeof *larger.slots);
	if (larger.slots == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < set->count; i++)
		*slot_of(&larger, set->items[i]) = i + 1;
	free(set->slots);
	*set = larger;
	return 0;
}

static int grow_items(struct wsgi_text_set *set)
{
	const size_t more = set->space ? 2 * set->space : 16;
	char **larger;

	if (set->count < set->space)
		return 0;
	larger = reallocarray(set->items, more, sizeof *larger);
	if (larger == NULL)
		return -ENOMEM;
	set->items = larger;
	set->space = more;
	return 0;
}

int wsgi_text_set_add(struct wsgi_text_set *set, const char *text)
{
	size_t *slot;

	if (grow_slots(set) < 0 || grow_items(set) < 0)
		return -ENOMEM;
	slot = slot_of(set, text);
	if (*slot != 0)
		return 0;
	set->items[set->count] = strdup(text);
	if (set->items[set->count] == NULL)
		return -ENOMEM;
	*slot = ++set->count;
	return 1;
}

bool wsgi_text_set_has(const struct wsgi_text_set *set, const char *text)
{
	return set->slot_count > 0 && *slot_of(set, text) != 0;
}

void wsgi_text_set_finish(struct wsgi_text_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		free(set->items[i]);
	free(set->items);
	free(set->slots);
}
