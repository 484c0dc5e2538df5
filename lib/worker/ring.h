/*
 * ring -- a circular doubly linked list whose head is a link without an owner.
 *
 * Links are embedded in their owner. A link that is in no list is a list of one, so
 * that it can be removed twice.
 */
#ifndef WORKER_RING_H
#define WORKER_RING_H

#include <stdbool.h>
#include <stddef.h>

struct pfi_ring {
	struct pfi_ring *next, *previous;
};

/* The owner of a link. */
#define PFI_RING_OWNER(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void pfi_ring_init(struct pfi_ring *ring)
{
	ring->next = ring->previous = ring;
}

static inline bool pfi_ring_is_empty(const struct pfi_ring *ring)
{
	return ring->next == ring;
}

static inline void pfi_ring_remove(struct pfi_ring *link)
{
	link->next->previous = link->previous;
	link->previous->next = link->next;
	pfi_ring_init(link);
}

/* Remove `link` from its list and append it to `ring`. */
static inline void pfi_ring_add(struct pfi_ring *ring, struct pfi_ring *link)
{
	pfi_ring_remove(link);
	link->next = ring;
	link->previous = ring->previous;
	ring->previous->next = link;
	ring->previous = link;
}

/* Remove and return the first link; NULL: the list is empty. */
static inline struct pfi_ring *pfi_ring_take(struct pfi_ring *ring)
{
	struct pfi_ring *const first = ring->next;

	if (first == ring)
		return NULL;
	pfi_ring_remove(first);
	return first;
}

/* Initialise `to` with all links of `from`, which is empty afterwards. */
static inline void pfi_ring_move(struct pfi_ring *to, struct pfi_ring *from)
{
	pfi_ring_init(to);
	if (pfi_ring_is_empty(from))
		return;
	*to = *from;
	to->next->previous = to;
	to->previous->next = to;
	pfi_ring_init(from);
}

#endif
