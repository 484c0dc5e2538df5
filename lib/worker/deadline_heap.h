/*
 * deadlines -- when to wake for which connection: a lazy binary heap.
 *
 * Each entry is filed under a key that is at or before its true deadline. A
 * deadline that moves back, as with every request of a kept connection, leaves
 * the entry where it is: it is filed anew only when its key comes up. So a
 * request costs no heap operation, and a waiting connection at most one
 * needless wake-up per timeout.
 *
 * Ownership: entries are embedded in their owner and borrowed while filed.
 */
#ifndef WORKER_DEADLINE_HEAP_H
#define WORKER_DEADLINE_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct pfi_deadline {
	uint64_t at_ms; /* the true one, set by the owner at any time; 0: never       */
	size_t place;   /* of the heap's: 1 and up while filed, 0 otherwise           */
};

struct pfi_deadline_heap {
	struct pfi_deadline_heap_entry *entries; /* [1] is the first to come up */
	size_t count;
	size_t capacity;
};

/* All members zero is an empty heap. Frees what it holds, not the entries. */
void pfi_deadline_heap_finish(struct pfi_deadline_heap *heap);

/* See to it that `deadline` comes up by its at_ms. 0, or -ENOMEM. */
int pfi_deadline_heap_add(struct pfi_deadline_heap *heap, struct pfi_deadline *deadline);

/* Take it out, wherever it is. Harmless when not filed. */
void pfi_deadline_heap_remove(struct pfi_deadline_heap *heap, struct pfi_deadline *deadline);

/* When to look next, 0 for never: possibly too early, never too late. */
uint64_t pfi_deadline_heap_next_ms(const struct pfi_deadline_heap *heap);

/* Take out one whose deadline is at or before `now_ms`, or NULL. */
struct pfi_deadline *pfi_deadline_heap_take(struct pfi_deadline_heap *heap, uint64_t now_ms);

#endif
