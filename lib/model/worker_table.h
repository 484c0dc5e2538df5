/*
 * model/worker_table.h -- the workers of one pool, as numbers.
 *
 * A slot is a slot: it has an index for ever and a process now and then. What
 * stands here is all that the plan may know of a process; pids, descriptors
 * and pages stay with the arbiter. Pure; the slots belong to the caller.
 */
#ifndef PFI_MODEL_WORKER_TABLE_H
#define PFI_MODEL_WORKER_TABLE_H

#include "model/lifecycle.h"

#include <stdbool.h>
#include <stdint.h>

struct pfi_slot {
	enum pfi_state state;
	uint32_t generation;  /* which settings and code it was born with         */
	uint32_t incarnation; /* how many processes this slot has had             */
	uint32_t busy;        /* deadline words that are set, when last looked at */
	uint32_t late;        /* those of them that have passed                   */
	uint32_t unseen;      /* those of them whose stack was not asked for yet  */
	uint32_t able;        /* threads that can still take work                 */
	uint32_t others;      /* connections beside those of late threads, that it has or may yet get */
	bool wants_retire;     /* it asked to be replaced: requests, age, memory   */
	bool short_own;       /* what it is short of is a limit of its own        */
	bool short_by_load;   /* its connections explain that                     */
	uint64_t short_ms;    /* since when it cannot accept connections, 0: it can */
	uint64_t spawned_ms;
	uint64_t ready_ms; /* 0: not yet                                          */
	uint64_t since_ms; /* when it came into its state                         */
	uint64_t next_ms;  /* its nearest deadline that has not passed, 0: none   */
	uint64_t grace_until_ms; /* its requests are not judged before            */
};

struct pfi_worker_table {
	struct pfi_slot *slots;
	uint32_t count;
};

/* What a plan wants to know of a worker table at one glance. */
struct pfi_worker_counts {
	uint32_t current_ready; /* serving, of the wanted generation, content to stay */
	uint32_t current_booting;
	uint32_t outdated_ready; /* serving, but another generation, or wants to leave */
	uint32_t outdated_booting;
	uint32_t dumping; /* serving until it can be spared */
	uint32_t leaving; /* anything below that            */
	uint32_t empty;
};

/** How many slots a pool needs: while one whole set of workers serves, another
 *  may be leaving and `surge` more be starting. */
uint32_t pfi_worker_table_size(uint32_t workers_max, uint32_t surge);

/** Feed one event to one slot and store where it leads; the action is the
 *  caller's to carry out. The only place that stores a state. */
enum pfi_step_action pfi_worker_table_step(struct pfi_worker_table *worker_table, uint32_t slot, enum pfi_event event,
				     uint64_t now_ms);

/** A process now sits in an empty slot. */
void pfi_worker_table_occupy(struct pfi_worker_table *worker_table, uint32_t slot, uint32_t generation, uint64_t now_ms);

/** The process took work, or is about to: booting or serving. */
bool pfi_slot_is_current(const struct pfi_slot *slot);

/** Counted against the wanted generation; slot `except` (UINT32_MAX: none) is left out. */
struct pfi_worker_counts pfi_worker_table_count(const struct pfi_worker_table *worker_table, uint32_t generation,
				    uint32_t except);

/** True when no slot has a process. */
bool pfi_worker_table_is_empty(const struct pfi_worker_table *worker_table);

#endif
