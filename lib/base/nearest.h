/*
 * base/nearest.h -- did you mean ...? For any thread.
 */
#ifndef PFI_BASE_NEAREST_H
#define PFI_BASE_NEAREST_H

#include <stddef.h>

/* How many letters must be changed, added, left out or swapped with their
 * neighbour to make one word of the other. Words of more than 63 bytes count as
 * far away. */
size_t pfi_word_distance(const char *a, const char *b);

/* Keeps the nearest of the words it is shown. */
struct pfi_nearest {
	const char *wanted;
	const char *best; /* borrowed from who showed it; NULL: none is near */
	size_t distance;
};

/* A word is near when at most a third of it, and at least one letter, is wrong. */
void pfi_nearest_init(struct pfi_nearest *nearest, const char *wanted);
void pfi_nearest_show(struct pfi_nearest *nearest, const char *word);

#endif
