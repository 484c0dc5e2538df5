/*
 * arbiter/lookups.h -- host names in bind that a reload adds: looked up by a child, with a time limit.
 */
#ifndef ARBITER_LOOKUPS_H
#define ARBITER_LOOKUPS_H

#include "os/helper.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pfi_generation;
struct prefork_arbiter;

/* Written by lookups.c. */
struct pfi_lookup {
	uint32_t generation; /* that the names are for; 0: no reload waits */
	struct pfi_helper helper;
	bool has_exited; /* the helper, and was reaped */
	uint64_t limit_ms, until_ms;
	char **hosts;
	size_t count;
};

/* The program that a process with several threads executes; tests replace it. */
extern const char *pfi_lookup_program;

/* Start looking up the names of `generation` that are not known yet. 1: a child does it, 0: there are none, or a
 * negative errno with an error message. */
int pfi_lookup_start(struct prefork_arbiter *arbiter, struct pfi_generation *generation, uint64_t now_ms);

/* The pidfd of the helper is readable. */
void pfi_lookup_child_event(struct prefork_arbiter *arbiter, uint32_t generation);

/* The helper has exited: give its results to the generation. 0, or a negative errno with an error message. */
int pfi_lookup_apply(struct prefork_arbiter *arbiter, struct pfi_generation *generation);

/* The helper has not exited in time: record the error message. -ETIMEDOUT. */
int pfi_lookup_timed_out(const struct prefork_arbiter *arbiter);

/* Kill the helper if it runs, and free everything. */
void pfi_lookup_end(struct prefork_arbiter *arbiter);

#endif
