/*
 * base/nearest.h -- the valid word that a misspelt one most resembles. Threads: any.
 */
#ifndef PFI_BASE_NEAREST_H
#define PFI_BASE_NEAREST_H

#include <stddef.h>

/* The number of letters to replace, insert, delete, or swap with their neighbour to turn one word into the other. Words
 * of more than 63 bytes have a distance of the sum of their lengths. */
size_t pfi_word_distance(const char *a, const char *b);

struct pfi_nearest {
	const char *wanted;
	const char *best; /* the nearest of the words added so far, borrowed; NULL: none is near */
	size_t distance;
};

/* A word is near if its distance is at most a third of the length of `wanted`, and at least 1. Borrows `wanted`. */
void pfi_nearest_init(struct pfi_nearest *nearest, const char *wanted);
void pfi_nearest_add(struct pfi_nearest *nearest, const char *word);

#endif
