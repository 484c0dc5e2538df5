/*
 * model/worker_table.h -- the workers of one pool, as numbers.
 *
 * A slot has a fixed index, and at most one process at a time. The table has all the data about a process that
 * the plan uses; the arbiter has pids, descriptors and scoreboard slots. Pure; the slots belong to the caller.
 */
#ifndef PFI_MODEL_WORKER_TABLE_H
#define PFI_MODEL_WORKER_TABLE_H

#include "model/lifecycle.h"

#include <stdbool.h>
#include <stdint.h>

struct pfi_slot {
	enum pfi_state state;
	uint32_t generation;  /* of its settings and code              */
	uint32_t incarnation; /* number of processes in this slot so far */
	uint32_t busy;        /* deadlines set at the last health check */
	uint32_t expired;     /* of these: passed                      */
	uint32_t undumped;    /* of these: stack not requested yet     */
	uint32_t usable;      /* threads that can accept more work     */
	uint32_t other_connections; /* present or still to be accepted, without those of stuck threads */
	bool wants_retire;     /* it requested its replacement: max_requests, memory */
	bool shortage_is_own;  /* the limit is one of this process      */
	bool shortage_by_load; /* its connections explain the shortage  */
	uint64_t shortage_ms;  /* since when it cannot accept connections; 0: it can */
	uint64_t spawned_ms;
	uint64_t ready_ms; /* 0: not ready yet         */
	uint64_t since_ms; /* when its state began     */
	uint64_t next_ms;  /* its next deadline, 0: none */
	uint64_t grace_until_ms; /* no deadline is enforced before */
};

struct pfi_worker_table {
	struct pfi_slot *slots;
	uint32_t count;
};

/* Numbers of workers by state. */
struct pfi_worker_counts {
	uint32_t current_ready; /* serving, of the desired generation, no retirement requested */
	uint32_t current_booting;
	uint32_t outdated_ready; /* serving, of another generation or retiring */
	uint32_t outdated_booting;
	uint32_t dumping; /* serving until its replacement is ready */
	uint32_t terminating; /* draining, quitting, aborting, killing */
	uint32_t empty;
};

/** The number of slots of a pool: while `workers_max` workers serve, as many may be draining and `surge` more starting.
 *  */
uint32_t pfi_worker_table_size(uint32_t workers_max, uint32_t surge);

/** Apply an event to a slot and store its next state. Returns the action, which the caller carries out. The only
 *  function that stores a state. */
enum pfi_step_action pfi_worker_table_step(struct pfi_worker_table *worker_table, uint32_t slot, enum pfi_event event,
				     uint64_t now_ms);

/** A process was forked into an empty slot. */
void pfi_worker_table_occupy(struct pfi_worker_table *worker_table, uint32_t slot, uint32_t generation, uint64_t now_ms);

/** Booting or serving. */
bool pfi_slot_is_current(const struct pfi_slot *slot);

/** Count workers, relative to the desired `generation`, without slot `except` (UINT32_MAX: none). */
struct pfi_worker_counts pfi_worker_table_count(const struct pfi_worker_table *worker_table, uint32_t generation,
				    uint32_t except);

/** True when no slot has a process. */
bool pfi_worker_table_is_empty(const struct pfi_worker_table *worker_table);

#endif
