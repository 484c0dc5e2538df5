/* A binary heap of connections, by deadline. An entry whose deadline has moved to a later time is moved only when
 * it reaches the top. */
#include "worker/deadline_heap.h"

#include <errno.h>
#include <stdlib.h>

struct pfi_deadline_heap_entry {
	uint64_t key_ms;
	struct pfi_deadline *deadline;
};

enum { CAPACITY_FIRST = 64 };

static void put(struct pfi_deadline_heap *heap, size_t index, struct pfi_deadline_heap_entry entry)
{
	heap->entries[index] = entry;
	entry.deadline->index = index;
}

/* Sift `entry` up or down from the free `index`. */
static void sift(struct pfi_deadline_heap *heap, size_t index, struct pfi_deadline_heap_entry entry)
{
	while (index > 1 && heap->entries[index / 2].key_ms > entry.key_ms) {
		put(heap, index, heap->entries[index / 2]);
		index /= 2;
	}
	for (;;) {
		size_t child = index * 2;

		if (child > heap->count)
			break;
		if (child < heap->count && heap->entries[child + 1].key_ms < heap->entries[child].key_ms)
			child++;
		if (heap->entries[child].key_ms >= entry.key_ms)
			break;
		put(heap, index, heap->entries[child]);
		index = child;
	}
	put(heap, index, entry);
}

void pfi_deadline_heap_finish(struct pfi_deadline_heap *heap)
{
	for (size_t i = 1; i <= heap->count; i++)
		heap->entries[i].deadline->index = 0;
	free(heap->entries);
	*heap = (struct pfi_deadline_heap){ 0 };
}

static int reserve(struct pfi_deadline_heap *heap)
{
	const size_t capacity = heap->capacity > 0 ? heap->capacity * 2 : CAPACITY_FIRST;

	if (heap->count + 1 < heap->capacity)
		return 0;
	struct pfi_deadline_heap_entry *entries = realloc(heap->entries, capacity * sizeof *entries);
	if (!entries)
		return -ENOMEM;
	heap->entries = entries;
	heap->capacity = capacity;
	return 0;
}

int pfi_deadline_heap_add(struct pfi_deadline_heap *heap, struct pfi_deadline *deadline)
{
	const struct pfi_deadline_heap_entry entry = { deadline->at_ms, deadline };

	if (deadline->at_ms == 0)
		return 0; /* if it is in the heap, it is removed when its key is due */
	if (deadline->index > 0) {
		if (heap->entries[deadline->index].key_ms > deadline->at_ms)
			sift(heap, deadline->index, entry);
		return 0;
	}
	const int r = reserve(heap);
	if (r < 0)
		return r;
	heap->count++;
	sift(heap, heap->count, entry);
	return 0;
}

void pfi_deadline_heap_remove(struct pfi_deadline_heap *heap, struct pfi_deadline *deadline)
{
	const size_t index = deadline->index;

	if (index == 0)
		return;
	deadline->index = 0;
	const struct pfi_deadline_heap_entry last = heap->entries[heap->count];
	heap->count--;
	if (last.deadline != deadline)
		sift(heap, index, last);
}

uint64_t pfi_deadline_heap_next_ms(const struct pfi_deadline_heap *heap)
{
	return heap->count > 0 ? heap->entries[1].key_ms : 0;
}

struct pfi_deadline *pfi_deadline_heap_take(struct pfi_deadline_heap *heap, uint64_t now_ms)
{
	while (heap->count > 0 && heap->entries[1].key_ms <= now_ms) {
		struct pfi_deadline *const first = heap->entries[1].deadline;

		if (first->at_ms > now_ms) {
			sift(heap, 1, (struct pfi_deadline_heap_entry){ first->at_ms, first });
			continue;
		}
		pfi_deadline_heap_remove(heap, first);
		if (first->at_ms > 0)
			return first;
	}
	return NULL;
}
