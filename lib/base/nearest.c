/* Finds the word that is most similar to a misspelt one (optimal string alignment distance). */
#include "base/nearest.h"

#include <string.h>

enum { WORD_MAX = 63 };

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Optimal string alignment distance. Of the table, only the current row and the two above it are kept. */
size_t pfi_word_distance(const char *a, const char *b)
{
	size_t rows[3][WORD_MAX + 1];
	size_t *before = rows[0], *above = rows[1], *row = rows[2];
	const size_t a_length = strlen(a), b_length = strlen(b);

	if (a_length > WORD_MAX || b_length > WORD_MAX)
		return a_length + b_length;
	memset(rows, 0, sizeof rows);
	for (size_t k = 0; k <= b_length; k++)
		above[k] = k;
	for (size_t i = 1; i <= a_length; i++) {
		size_t *const oldest = before;

		row[0] = i;
		for (size_t k = 1; k <= b_length; k++) {
			const size_t changed = above[k - 1] + (a[i - 1] != b[k - 1]);

			row[k] = least(changed, least(above[k], row[k - 1]) + 1);
			if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1])
				row[k] = least(row[k], before[k - 2] + 1);
		}
		before = above;
		above = row;
		row = oldest;
	}
	return above[b_length];
}

void pfi_nearest_init(struct pfi_nearest *nearest, const char *wanted)
{
	const size_t near = strlen(wanted) / 3;

	*nearest = (struct pfi_nearest){ .wanted = wanted, .distance = (near > 1 ? near : 1) + 1 };
}

void pfi_nearest_add(struct pfi_nearest *nearest, const char *word)
{
	const size_t distance = pfi_word_distance(nearest->wanted, word);

	if (distance < nearest->distance) {
		nearest->distance = distance;
		nearest->best = word;
	}
}
