/*
 * arbiter/listener_table.h -- the listeners of all pools and generations.
 *
 * A listener is opened once, however many pools and generations name it, and closed with the last of them. Inherited
 * sockets (listener/inherit.h) are matched by address or name; a pool without the setting bind serves all of them.
 */
#ifndef ARBITER_LISTENER_TABLE_H
#define ARBITER_LISTENER_TABLE_H

#include "arbiter/generation_table.h"
#include "model/reuseport_assignment.h"

struct prefork_process;

struct pfi_listener_entry {
	struct prefork_listener *listener;
	unsigned users; /* number of pools, in all generations, that have it */
	bool inherited; /* another program has opened it                    */
	bool is_stored; /* in the store of the service manager: by this process, or before its start. Not from the old
			 * arbiter of an upgrade, which may remove it there until this one is promoted */

	/* With the setting reuse_port: which worker accepts from which socket. Written by reuseport_sets.c. */
	struct pfi_reuseport_assignment sockets;
	bool *served;          /* by worker index: the worker has a socket in the last assignment     */
	bool unsettled;        /* part of the assignment failed and must be repeated                  */
	unsigned steered_to;   /* the kernel assigns new connections to the first `steered_to` sockets; 0: to all */
	uint64_t shrink_at_ms; /* when the other sockets stop listening: handshakes on them have had their time  */
	uint32_t number;       /* identifies the listener in events: no two listeners have the same   */
	uint64_t *check_at_ms; /* by socket: when to check the length of its backlog (queues.c)       */
};

/* Open the listeners that the setting bind of `generation` lists. 0, or a negative errno with an error message: then
 * call pfi_listener_table_release() for those that were opened. */
int pfi_listener_table_open(struct prefork_arbiter *arbiter, struct pfi_generation *generation);

/* Release the listeners of one generation, or of all. The arbiter closes its copy of a listener with the last user. */
void pfi_listener_table_release(struct prefork_arbiter *arbiter, struct pfi_generation *generation);
void pfi_listener_table_release_all(struct prefork_arbiter *arbiter);

/* If a pool has listeners, take the inherited sockets out of the environment. Later calls do nothing. Errors as
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
