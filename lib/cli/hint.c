/* Finds the setting for "did you mean ...?". A flag, a variable and a key may have different names for one setting, so
 * all names of a row are compared. */
#include "cli/cli.h"

#include <string.h>

#include "base/nearest.h"

/* "--log-file", "LOG_FILE" -> "log_file". A longer word than any name is truncated. */
static void normalize(const char *word, char name[PFI_FLAG_MAX])
{
	size_t length = 0;

	for (word += strspn(word, "-"); word[length] != '\0' && length < PFI_FLAG_MAX - 1; length++) {
		const char c = word[length];

		name[length] = c == '-' ? '_' : c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
	}
	name[length] = '\0';
}

static bool is_nearer(struct pfi_nearest *nearest, const char *name)
{
	const size_t before = nearest->distance;

	pfi_nearest_add(nearest, name);
	return nearest->distance < before;
}

size_t pfi_hint(const struct prefork_settings *settings, const char *word, unsigned without)
{
	char wanted[PFI_FLAG_MAX], flag[PFI_FLAG_MAX], name[PFI_FLAG_MAX];
	struct pfi_nearest nearest;
	size_t found = settings->count;

	normalize(word, wanted);
	pfi_nearest_init(&nearest, wanted);
	for (size_t i = 0; i < settings->count; i++) {
		const struct prefork_option *const row = &settings->rows[i];

		if (row->traits & without)
			continue;
		if (is_nearer(&nearest, row->name))
			found = i;
		for (size_t k = 0; pfi_option_flag(row, k, flag); k++) {
			normalize(flag, name);
			if (flag[1] == '-' && is_nearer(&nearest, name))
				found = i;
		}
	}
	return found;
}

void pfi_hint_flag(const struct prefork_option *row, const char *word, char flag[PFI_FLAG_MAX])
{
	char wanted[PFI_FLAG_MAX], own[PFI_FLAG_MAX], name[PFI_FLAG_MAX];
	size_t least = SIZE_MAX;

	normalize(word, wanted);
	for (size_t k = 0; pfi_option_flag(row, k, own); k++) {
		normalize(own, name);
		if (pfi_word_distance(wanted, name) < least) {
			least = pfi_word_distance(wanted, name);
			memcpy(flag, own, PFI_FLAG_MAX);
		}
	}
}
