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
	uint32_t generation; /* whose bind has the names; 0: no reload waits for a lookup */
	struct pfi_helper helper;
	bool has_exited;   /* the helper has exited and was reaped */
	uint64_t limit_ms; /* the setting lookup_timeout           */
	uint64_t until_ms; /* when the limit expires               */
	char **hosts;      /* the names that are looked up         */
	size_t count;
};

/* The program that a process with several threads executes; tests replace it. */
extern const char *pfi_lookup_program;

/* Start to look up the host names of `generation` whose addresses are not known yet. 1: a child looks them up; 0: there
 * are none; or a negative errno with an error message. */
int pfi_lookup_start(struct prefork_arbiter *arbiter, struct pfi_generation *generation, uint64_t now_ms);

/* The pidfd of the helper is readable. */
void pfi_lookup_child_event(struct prefork_arbiter *arbiter, uint32_t generation);

/* The helper has exited: copy its results to the generation. 0, or a negative errno with an error message. */
int pfi_lookup_apply(struct prefork_arbiter *arbiter, struct pfi_generation *generation);

/* The helper has not exited within lookup_timeout: set the error message and return -ETIMEDOUT. */
int pfi_lookup_timed_out(const struct prefork_arbiter *arbiter);

/* Kill the helper if it runs, and free everything. */
void pfi_lookup_end(struct prefork_arbiter *arbiter);

#endif
