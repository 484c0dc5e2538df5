/*
 * deadline heap -- the deadlines of a worker's connections: a lazy binary heap.
 *
 * The key of an entry is at or before its deadline. If a deadline moves to a later time, as
 * with every request of a kept connection, the entry keeps its key; only when the key is due,
 * the entry gets its deadline as the new key. So a request costs no heap operation, and a
 * waiting connection at most one unnecessary wake-up per timeout.
 *
 * Ownership: entries are embedded in their owner and borrowed while they are in the heap.
 */
#ifndef WORKER_DEADLINE_HEAP_H
#define WORKER_DEADLINE_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct pfi_deadline {
	uint64_t at_ms; /* the deadline, written by the owner at any time; 0: none */
	size_t index;   /* in the heap, from 1; 0: not in the heap. The heap's     */
};

struct pfi_deadline_heap {
	struct pfi_deadline_heap_entry *entries; /* [1] has the smallest key */
	size_t count;
	size_t capacity;
};

/* Frees the memory of the heap, not the entries. A heap with all members zero is empty. */
void pfi_deadline_heap_finish(struct pfi_deadline_heap *heap);

/* Give `deadline` a key at or before its at_ms. 0, or -ENOMEM. */
int pfi_deadline_heap_add(struct pfi_deadline_heap *heap, struct pfi_deadline *deadline);

/* Does nothing if `deadline` is not in the heap. */
void pfi_deadline_heap_remove(struct pfi_deadline_heap *heap, struct pfi_deadline *deadline);

/* The smallest key, at or before the earliest deadline; 0: the heap is empty. */
uint64_t pfi_deadline_heap_next_ms(const struct pfi_deadline_heap *heap);

/* Remove and return an entry whose deadline is at or before `now_ms`; NULL: there is none. */
struct pfi_deadline *pfi_deadline_heap_take(struct pfi_deadline_heap *heap, uint64_t now_ms);

#endif
