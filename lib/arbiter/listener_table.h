/*
 * arbiter/listener_table.h -- the listeners of all pools and generations.
 *
 * A listener is opened once, however many pools and generations name it, and closed with the last of them. Sockets
 * that the starter handed over are matched by address or name; pools whose operator has not set bind serve all of them.
 */
#ifndef ARBITER_LISTENER_TABLE_H
#define ARBITER_LISTENER_TABLE_H

#include "arbiter/generation_table.h"
#include "model/reuseport_assignment.h"

struct prefork_process;

struct pfi_listener_entry {
	struct prefork_listener *listener;
	unsigned users; /* pools of all generations */
	bool inherited; /* from the environment     */

	/* With reuse_port, see reuseport_sets.c. */
	struct pfi_reuseport_assignment sockets;
	bool *served;          /* by worker index, as of the last assignment                          */
	bool unsettled;        /* part of the assignment failed: repeat it                            */
	unsigned steered_to;   /* new connections go to so many sockets only; 0: to all of them       */
	uint64_t shrink_at_ms; /* when handshakes on the other sockets have had their time            */
	uint32_t number;       /* counts all listeners that ever were                                 */
	uint64_t *check_at_ms; /* by socket: when to check its queue, see queues.c                    */
};

/* Open the listeners that `generation` names. 0, or a negative errno with an error message; what was opened for it is
 * closed by pfi_listener_table_release(). */
int pfi_listener_table_open(struct prefork_arbiter *arbiter, struct pfi_generation *generation);

/* Release the listeners of a generation, or of all: the arbiter's copies close with their last user. */
void pfi_listener_table_release(struct prefork_arbiter *arbiter, struct pfi_generation *generation);
void pfi_listener_table_release_all(struct prefork_arbiter *arbiter);

/* Take the sockets that the starter handed over out of the environment, once, if a pool has listeners. As
 * pfi_inherit_take(). */
int pfi_listener_table_inherit(struct prefork_arbiter *arbiter);

/* Close, with a warning, the inherited sockets that no setting names. */
void pfi_listener_table_close_unused(struct prefork_arbiter *arbiter);

/* Have the kernel refuse new connections on every listener. Returns how long handshakes in progress may take, in
 * milliseconds; 0: there is nothing to wait for. */
uint64_t pfi_listener_table_refuse(struct prefork_arbiter *arbiter);

/* `process` is about to drain. Refuse new connections on the listeners that no other worker serves and no current
 * generation names. True if there are any; *ret_linger_ms is how long handshakes in progress may take. */
bool pfi_listener_table_retire(struct prefork_arbiter *arbiter, const struct prefork_process *process,
			       uint64_t *ret_linger_ms);

/* Count for the model how many listeners of each pool have connections in their backlog. */
void pfi_listener_table_count_pending(struct prefork_arbiter *arbiter);

#endif
