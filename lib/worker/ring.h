/*
 * ring -- a doubly linked list whose head is one of its links.
 *
 * Links are embedded in their owner. An owner that is in no ring is a ring of
 * one, so that taking it out twice does no harm.
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

/* At the end of `ring`, out of where it was. */
static inline void pfi_ring_add(struct pfi_ring *ring, struct pfi_ring *link)
{
	pfi_ring_remove(link);
	link->next = ring;
	link->previous = ring->previous;
	ring->previous->next = link;
	ring->previous = link;
}

/* The first link, taken out, or NULL. */
static inline struct pfi_ring *pfi_ring_take(struct pfi_ring *ring)
{
	struct pfi_ring *const first = ring->next;

	if (first == ring)
		return NULL;
	pfi_ring_remove(first);
	return first;
}

/* All of `from`, which is empty afterwards, into `to`, which is made by this. */
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
