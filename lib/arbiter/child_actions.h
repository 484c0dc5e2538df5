/*
 * arbiter/child_actions.h -- move a worker through its lifecycle, and carry out the action of each transition.
 *
 * The only place where a worker is sent a drain message or a signal.
 */
#ifndef ARBITER_CHILD_ACTIONS_H
#define ARBITER_CHILD_ACTIONS_H

#include "model/exit_record.h"

#include <stdbool.h>
#include <stdint.h>

struct pfi_order;
struct prefork_arbiter;
struct prefork_process;

/* Written by child_actions.c. */
struct pfi_process_stop {
	enum pfi_cause cause; /* why the arbiter stops it                                           */
	uint64_t drain_at_ms; /* when to send the drain message; 0: none is delayed                 */
	bool drains_queue;    /* the drain message asks it to accept what is in the backlog before */
};

/* Apply the event of `order` to its slot. */
void pfi_child_apply(struct prefork_arbiter *arbiter, unsigned pool, const struct pfi_order *order, uint64_t now_ms);

/* The worker drains by its own decision. */
void pfi_child_drains(struct prefork_arbiter *arbiter, struct prefork_process *process, uint64_t now_ms);

/* Send the drain messages that are due. Returns when the next is, 0: there is none. */
uint64_t pfi_children_drain_due(struct prefork_arbiter *arbiter, uint64_t now_ms);

#endif
