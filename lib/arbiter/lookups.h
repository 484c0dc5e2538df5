/*
 * arbiter/lookups.h -- host names, looked up by a child, with a time limit: those in bind that a reload adds, and those of
 * other programs (PREFORK_OPTION_ADDRESS) at the start and at each reload.
 */
#ifndef ARBITER_LOOKUPS_H
#define ARBITER_LOOKUPS_H

#include "arbiter/limited_child.h"

#include <stddef.h>
#include <stdint.h>

struct pfi_generation;
struct prefork_arbiter;

/* Written by lookups.c. */
struct pfi_lookup {
	uint32_t generation; /* whose bind has the names; 0: no reload waits for a lookup */
	struct pfi_limited_child child; /* its limit is the setting lookup_timeout */
	char **hosts; /* the names that are looked up: first those of bind, without which the reload fails */
	size_t count, required;
};

/* The program that a process with several threads executes; tests replace it. */
extern const char *pfi_lookup_program;

/* Start to look up the host names of `generation` whose addresses are not known yet. 1: a child looks them up; 0: there
 * are none; or a negative errno with an error message. */
int pfi_lookup_start(struct prefork_arbiter *arbiter, struct pfi_generation *generation, uint64_t now_ms);

/* At the start: look up the host names of other programs, and wait for at most lookup_timeout. A name without an address
 * is logged. */
void pfi_lookup_peers(struct prefork_arbiter *arbiter, struct pfi_generation *generation);

/* The pidfd of the helper is readable. */
void pfi_lookup_child_event(struct prefork_arbiter *arbiter, uint32_t generation);

/* The helper has exited, or lookup_timeout is over: copy its results to the generation. 0, or a negative errno with an
 * error message: a name of bind has no address. */
int pfi_lookup_apply(struct prefork_arbiter *arbiter, struct pfi_generation *generation);

/* Kill the helper if it runs, and free everything. */
void pfi_lookup_end(struct prefork_arbiter *arbiter);

#endif
