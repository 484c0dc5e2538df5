/*
 * model/lanes.h -- who accepts from which lane, where each slot has a socket of its
 * own (reuse_port).
 *
 * Each worker that serves is at home in one lane; while one is replaced, its
 * replacement shares its lane, so a surge needs no more sockets. A lane that nobody
 * is at home in has a keeper among those that serve: no client waits for a worker
 * that is not there. Pure; the arrays belong to the caller.
 */
#ifndef PFI_MODEL_LANES_H
#define PFI_MODEL_LANES_H

#include <stdbool.h>
#include <stdint.h>

#define PFI_NOBODY UINT32_MAX /* also: nowhere */

struct pfi_lanes {
	uint32_t lanes;  /* that listen                               */
	uint32_t seats;
	uint32_t *home;   /* by seat: a lane, or PFI_NOBODY           */
	uint32_t *keeper; /* by lane: a seat, or PFI_NOBODY           */
	uint32_t *residents; /* by lane, and                          */
	uint32_t *burden;    /* by seat: for settle to count in       */
};

/** Settle everybody anew, with as few moves as can be. `serves` by seat. */
void pfi_lanes_settle(struct pfi_lanes *lanes, const bool *serves);

/** Is this seat to accept from this lane? */
bool pfi_lanes_has(const struct pfi_lanes *lanes, uint32_t seat, uint32_t lane);

/** How many lanes should listen, given how many do, how many are wanted and how many
 *  workers serve: more only when somebody is there for them. At least one. */
uint32_t pfi_lanes_wanted(uint32_t open, uint32_t wanted, uint32_t serving);

#endif
