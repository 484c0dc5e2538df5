/*
 * model/reuseport_assignment.h -- who accepts from which reuseport socket, where each slot has a socket of its
 * own (reuse_port).
 *
 * Each worker that serves is at home in one reuseport socket; while one is replaced, its
 * replacement shares its reuseport socket, so a surge needs no more sockets. A reuseport socket that nobody
 * is at home in has a fallback owner among those that serve: no client waits for a worker
 * that is not there. Pure; the arrays belong to the caller.
 */
#ifndef PFI_MODEL_REUSEPORT_ASSIGNMENT_H
#define PFI_MODEL_REUSEPORT_ASSIGNMENT_H

#include <stdbool.h>
#include <stdint.h>

#define PFI_NONE_ASSIGNED UINT32_MAX /* also: nowhere */

struct pfi_reuseport_assignment {
	uint32_t sockets;  /* that listen                               */
	uint32_t worker_count;
	uint32_t *home;   /* by slot: a reuseport socket, or PFI_NONE_ASSIGNED           */
	uint32_t *fallback_owner; /* by reuseport socket: a slot, or PFI_NONE_ASSIGNED           */
	uint32_t *owner_count; /* by reuseport socket, and                          */
	uint32_t *burden;    /* by slot: for settle to count in       */
};

/** Settle everybody anew, with as few moves as can be. `serves` by slot. */
void pfi_reuseport_assign(struct pfi_reuseport_assignment *sockets, const bool *serves);

/** Is this slot to accept from this reuseport socket? */
bool pfi_reuseport_accepts(const struct pfi_reuseport_assignment *sockets, uint32_t worker_index, uint32_t socket_index);

/** How many reuseport sockets should listen, given how many do, how many are wanted and how many
 *  workers serve: more only when somebody is there for them. At least one. */
uint32_t pfi_reuseport_target(uint32_t open, uint32_t wanted, uint32_t serving);

#endif
