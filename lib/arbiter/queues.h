/*
 * arbiter/queues.h -- find reuseport sockets whose worker does not accept because it does not run.
 */
#ifndef ARBITER_QUEUES_H
#define ARBITER_QUEUES_H

#include <stdbool.h>
#include <stdint.h>

struct pfi_listener_entry;
struct prefork_arbiter;
struct prefork_process;

/* Written by queues.c. */
struct pfi_process_queue {
	uint64_t requested_ms; /* when PFI_MESSAGE_POLL was sent, 0: no response is pending              */
	bool is_unresponsive;  /* it has not responded: its sockets belong to other workers meanwhile */
};

/* The backlog of a socket has its first connection. */
void pfi_queue_fired(struct prefork_arbiter *arbiter, unsigned socket_index, uint32_t number, uint64_t now_ms);

/* The worker runs: it has responded. */
void pfi_queue_worker_responded(struct prefork_process *process);

/* Check the sockets of one listener, after their assignment. Returns when to call again, 0: no need. */
uint64_t pfi_queues_turn(struct prefork_arbiter *arbiter, struct pfi_listener_entry *entry, uint64_t now_ms);

/* Stop watching a socket that is about to close. */
void pfi_queue_forget(struct prefork_arbiter *arbiter, const struct pfi_listener_entry *entry, unsigned socket_index);

#endif
