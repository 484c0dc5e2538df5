/*
 * model/supervisor.h -- all decisions of an arbiter, without system calls.
 *
 * Events and requests are calls (forked, exited, reload, stop, scale) that change the desired or the recorded state.
 * Once per turn the arbiter calls pfi_supervisor_turn(), then pfi_supervisor_plan() for each pool, and carries out the
 * orders. Time is a parameter, so that a simulation runs years in seconds. Pure; pools and slots belong to the caller.
 */
#ifndef PFI_MODEL_SUPERVISOR_H
#define PFI_MODEL_SUPERVISOR_H

#include "model/pool.h"

/* The phase of a stop. It only advances. */
enum pfi_server_phase {
	PFI_PHASE_RUNNING,
	PFI_PHASE_REFUSING, /* new connections are refused, pending ones are served */
	PFI_PHASE_DRAINING, /* listeners are closed, workers drain                  */
	PFI_PHASE_QUITTING, /* listeners are closed, workers quit                   */
};

struct pfi_supervisor {
	struct pfi_pool *pools;
	uint32_t pool_count;
	enum pfi_server_phase phase;
	uint64_t phase_since_ms;
	uint64_t linger_ms;         /* the shortest time of PFI_PHASE_REFUSING; 0: none               */
	uint64_t linger_max_ms;     /* the longest, while connections are pending                     */
	int result;                 /* of the server                                                  */
	struct pfi_rollout rollout;
	struct pfi_decision pending; /* on a reload that a stop because of failures has ended         */
	uint64_t due_ms;            /* when the next turn should begin, 0: no time is set             */
	uint64_t grace_until_ms;    /* no deadline is enforced before, after a late turn              */
	uint64_t seed;
};

struct pfi_turn {
	enum pfi_server_phase phase;
	struct pfi_decision decision;
	bool finished;    /* the stop is complete: no worker is left */
	uint64_t wake_ms; /* 0: nothing is due                       */
};

/** The caller has set policy, worker table and target of each pool. */
void pfi_supervisor_init(struct pfi_supervisor *supervisor, struct pfi_pool *pools, uint32_t pool_count,
			 uint64_t seed);

/** Roll out `generation`. Returns the decision on a reload that this supersedes; during a stop, that on this one. */
struct pfi_decision pfi_supervisor_reload(struct pfi_supervisor *supervisor, uint32_t generation);

/** The generation of the reload that has just begun has `target` workers in this pool. The target is adopted when the
 *  candidate is proved, and undone if it fails afterwards. */
void pfi_supervisor_propose(struct pfi_supervisor *supervisor, uint32_t pool, uint32_t target);

/** Stop. A quick stop may follow a graceful one, not the reverse. The first `result` is kept. Returns the decision on
 *  the reload that this ends. */
struct pfi_decision pfi_supervisor_stop(struct pfi_supervisor *supervisor, bool graceful, int result,
				      uint64_t now_ms);

/** Set the number of workers. 0, or -ERANGE above the pool's workers_max. */
int pfi_supervisor_scale(struct pfi_supervisor *supervisor, uint32_t pool, uint32_t target);

/** True if a process of `generation` that is forked into this pool now would be its canary. */
bool pfi_supervisor_starts_canary(const struct pfi_supervisor *supervisor, uint32_t pool,
				 uint32_t generation);

void pfi_supervisor_forked(struct pfi_supervisor *supervisor, uint32_t pool, uint32_t slot,
			   uint32_t generation, uint64_t now_ms);
void pfi_supervisor_fork_failed(struct pfi_supervisor *supervisor, uint32_t pool, uint32_t generation,
				uint64_t now_ms);
enum pfi_step_action pfi_supervisor_send_event(struct pfi_supervisor *supervisor, uint32_t pool, uint32_t slot,
					 enum pfi_event event, uint64_t now_ms);
void pfi_supervisor_exited(struct pfi_supervisor *supervisor, uint32_t pool, uint32_t slot,
			 enum prefork_reason reason, uint64_t requests, uint64_t now_ms);

/** Advance the stop and the rollout. Called once per turn, before the plans. */
struct pfi_turn pfi_supervisor_turn(struct pfi_supervisor *supervisor, uint64_t now_ms);

/** How many workers this pool may start during a stop; UINT32_MAX if there is none. */
uint32_t pfi_supervisor_starts_max(const struct pfi_supervisor *supervisor, uint32_t pool);

/** The orders for one pool. */
void pfi_supervisor_plan(const struct pfi_supervisor *supervisor, uint32_t pool, uint64_t now_ms,
			 struct pfi_orders *ret);

/** The turn is over; the next should begin at `due_ms` (0: after the next event). If it is much later, deadlines have a
 *  grace. */
void pfi_supervisor_set_next_turn(struct pfi_supervisor *supervisor, uint64_t due_ms);

#endif
