/*
 * scoreboard -- shared memory for each slot, in one mapping that is made before the first fork.
 *
 * The mapping does not move or grow. The arbiter maps all slots; a worker keeps only its own, so that one that
 * overwrites its memory does not damage the slots of others.
 */
#ifndef OS_SCOREBOARD_H
#define OS_SCOREBOARD_H

#include <stddef.h>

struct pfi_scoreboard {
	unsigned char *base; /* of slot 0, also if that is not mapped here */
	size_t stride;       /* bytes per slot, a multiple of the page size */
	size_t first;        /* the slots that are mapped here: `count` from `first` */
	size_t count;
};

/* Map `slots` slots of at least `bytes_each` bytes, all 0. 0; -EINVAL: one of them is 0; -ENOMEM, also if the size
 * overflows. */
int pfi_scoreboard_open(size_t slots, size_t bytes_each, struct pfi_scoreboard *ret);

/* The memory of `slot`, NULL if it is not mapped in this process. */
void *pfi_scoreboard_at(const struct pfi_scoreboard *scoreboard, size_t slot);

/* Runs in the child: unmap all slots but its own. 0 or -EINVAL. */
int pfi_scoreboard_keep(struct pfi_scoreboard *scoreboard, size_t slot);

/* Unmap all slots. No effect if it is closed, or all 0. */
void pfi_scoreboard_close(struct pfi_scoreboard *scoreboard);

#endif
