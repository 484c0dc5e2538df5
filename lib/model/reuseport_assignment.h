/*
 * model/reuseport_assignment.h -- which worker accepts from which reuseport socket of a listener (reuse_port).
 *
 * Each serving worker owns one socket. While a worker is replaced, its replacement owns the same socket, so that a
 * surge needs no additional sockets. A socket without an owner has a fallback owner among the serving workers, so that
 * its connections are accepted. Pure; the arrays belong to the caller.
 */
#ifndef PFI_MODEL_REUSEPORT_ASSIGNMENT_H
#define PFI_MODEL_REUSEPORT_ASSIGNMENT_H

#include <stdbool.h>
#include <stdint.h>

#define PFI_UNASSIGNED UINT32_MAX

struct pfi_reuseport_assignment {
	uint32_t sockets; /* that are open */
	uint32_t worker_count;
	uint32_t *owned_socket;   /* by worker_index: a socket, or PFI_UNASSIGNED */
	uint32_t *fallback_owner; /* by socket: a worker, or PFI_UNASSIGNED       */
	uint32_t *owner_count;    /* by socket                                    */
	uint32_t *fallback_count; /* by worker_index; only within pfi_reuseport_assign() */
};

/** Assign all sockets, with as few changes as possible. `serves` by worker_index. */
void pfi_reuseport_assign(struct pfi_reuseport_assignment *sockets, const bool *serves);

/** Whether this worker accepts from this socket. */
bool pfi_reuseport_accepts(const struct pfi_reuseport_assignment *sockets, uint32_t worker_index, uint32_t socket_index);

/** The number of sockets that should be open, given those that are open, the desired number, and the serving workers.
 *  Sockets are added only if there are workers for them. At least 1. */
uint32_t pfi_reuseport_target(uint32_t open, uint32_t desired, uint32_t serving);

#endif
