/*
 * arbiter/watches.h -- descriptors of the application, or of a library beside this one, that the arbiter polls for it.
 */
#ifndef ARBITER_WATCHES_H
#define ARBITER_WATCHES_H

#include "arbiter/loop.h"

#include <stdint.h>

struct prefork_arbiter;

enum { PFI_WATCHES_MAX = 16 };

/* Written by watches.c. */
struct pfi_watches {
	struct pfi_watch {
		uint32_t id; /* 0: unused */
		int fd;      /* owned     */
		void (*ready)(struct prefork_arbiter *arbiter, int fd, void *user);
		void *user;
	} list[PFI_WATCHES_MAX];
	uint32_t last_id;
};

/* A watched descriptor is readable. */
void pfi_watches_process(struct prefork_arbiter *arbiter, struct pfi_tag tag);

void pfi_watches_close(struct prefork_arbiter *arbiter);

#endif
