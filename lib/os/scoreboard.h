/*
 * page -- one page (or a few) of shared memory per slot, in one mapping made
 * before the first fork.
 *
 * The mapping never moves or grows. The arbiter sees all of it; a child keeps
 * only its own slot, so that a worker gone wild can harm no other.
 */
#ifndef OS_SCOREBOARD_H
#define OS_SCOREBOARD_H

#include <stddef.h>

struct pfi_scoreboard {
	unsigned char *base; /* of slot 0, even when slot 0 is no longer mapped */
	size_t stride;       /* bytes per slot: whole pages */
	size_t first;        /* the slots that are still mapped here */
	size_t count;
};

/* Map zeroed pages for `slots` slots of at least `bytes_each`. 0, -EINVAL when
 * either is 0, -ENOMEM (also for a size that no machine has). */
int pfi_scoreboard_open(size_t slots, size_t bytes_each, struct pfi_scoreboard *ret);

/* The page of `slot`, or NULL when it is not mapped in this process. */
void *pfi_scoreboard_at(const struct pfi_scoreboard *scoreboard, size_t slot);

/* Runs in the child: unmap what lies below and above its own slot. 0 or -EINVAL. */
int pfi_scoreboard_keep(struct pfi_scoreboard *scoreboard, size_t slot);

/* Unmap what is left. Harmless when closed, or zeroed and never opened. */
void pfi_scoreboard_close(struct pfi_scoreboard *scoreboard);

#endif
