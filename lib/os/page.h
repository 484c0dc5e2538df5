/*
 * page -- one page (or a few) of shared memory per slot, in one mapping made
 * before the first fork.
 *
 * The mapping never moves or grows. The arbiter sees all of it; a child keeps
 * only its own slot, so that a worker gone wild can harm no other.
 */
#ifndef OS_PAGE_H
#define OS_PAGE_H

#include <stddef.h>

struct pfi_pages {
	unsigned char *base; /* of slot 0, even when slot 0 is no longer mapped */
	size_t stride;       /* bytes per slot: whole pages */
	size_t first;        /* the slots that are still mapped here */
	size_t count;
};

/* Map zeroed pages for `slots` slots of at least `bytes_each`. 0, -EINVAL when
 * either is 0, -ENOMEM (also for a size that no machine has). */
int pfi_pages_open(size_t slots, size_t bytes_each, struct pfi_pages *ret);

/* The page of `slot`, or NULL when it is not mapped in this process. */
void *pfi_page(const struct pfi_pages *pages, size_t slot);

/* Runs in the child: unmap what lies below and above its own slot. 0 or -EINVAL. */
int pfi_pages_keep(struct pfi_pages *pages, size_t slot);

/* Unmap what is left. Harmless when closed, or zeroed and never opened. */
void pfi_pages_close(struct pfi_pages *pages);

#endif
