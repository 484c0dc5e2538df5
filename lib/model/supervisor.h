/*
 * model/supervisor.h -- all decisions of an arbiter, without an arbiter.
 *
 * What happens comes in as calls (ready, died, reload, stop, scale), each of
 * which only edits what is wanted. Once per turn the arbiter calls
 * pfi_supervisor_turn(), then pfi_supervisor_plan() for each pool, and carries
 * out the orders. Time comes in as a number, so a simulation can live through
 * years in seconds. Pure; pools and slots belong to the caller.
 */
#ifndef PFI_MODEL_SUPERVISOR_H
#define PFI_MODEL_SUPERVISOR_H

#include "model/pool.h"

/* How far a stop has come. It never goes back. */
enum pfi_phase {
	PFI_PHASE_RUNNING,
	PFI_PHASE_REFUSING, /* new clients are refused, those in the queues are still served */
	PFI_PHASE_LEAVING,  /* listeners closed, workers asked to leave                      */
	PFI_PHASE_QUITTING, /* the same, at once                                             */
};

struct pfi_supervisor {
	struct pfi_pool *pools;
	uint32_t pool_count;
	enum pfi_phase phase;
	uint64_t phase_since_ms;
	uint64_t linger_ms;         /* how long to refuse before the listeners close; 0: not at all */
	uint64_t linger_max_ms;     /* and how long at most, if the queues do not empty             */
	int result;                 /* what the server ends with                                    */
	struct pfi_rollout rollout;
	struct pfi_decision pending;     /* on a reload that a stop of our own has ended                 */
	uint64_t due_ms;            /* when the next turn should come, 0: whenever                  */
	uint64_t grace_until_ms;    /* nobody is judged before, after a turn that came too late     */
	uint64_t seed;
};

struct pfi_turn {
	enum pfi_phase phase;
	struct pfi_decision decision;
	bool finished;    /* the stop is complete: nobody is left */
	uint64_t wake_ms; /* 0: nothing is due                    */
};

/** `pools` with policy, worker table and target filled in; everything else starts here. */
void pfi_supervisor_init(struct pfi_supervisor *supervisor, struct pfi_pool *pools, uint32_t pool_count,
			 uint64_t seed);

/** Roll out `generation`. The decision on a reload that this supersedes; while
 *  stopping, the decision on this one. */
struct pfi_decision pfi_supervisor_reload(struct pfi_supervisor *supervisor, uint32_t generation);

/** The generation that was just given to reload wants `target` workers in this pool.
 *  They are wanted from when it is proved, and no more when it fails after that. */
void pfi_supervisor_propose(struct pfi_supervisor *supervisor, uint32_t pool, uint32_t target);

/** Stop; a quick stop overtakes a graceful one, not the other way round. The
 *  first `result` counts. The decision on a reload that this ends. */
struct pfi_decision pfi_supervisor_stop(struct pfi_supervisor *supervisor, bool graceful, int result,
				      uint64_t now_ms);

/** Want `target` workers. 0, or -ERANGE above the pool's workers_max. */
int pfi_supervisor_scale(struct pfi_supervisor *supervisor, uint32_t pool, uint32_t target);

/** True when a process forked into this pool now with `generation` would be its canary. */
bool pfi_supervisor_is_probation(const struct pfi_supervisor *supervisor, uint32_t pool,
				 uint32_t generation);

void pfi_supervisor_forked(struct pfi_supervisor *supervisor, uint32_t pool, uint32_t slot,
			   uint32_t generation, uint64_t now_ms);
void pfi_supervisor_fork_failed(struct pfi_supervisor *supervisor, uint32_t pool, uint32_t generation,
				uint64_t now_ms);
enum pfi_step_action pfi_supervisor_send_event(struct pfi_supervisor *supervisor, uint32_t pool, uint32_t slot,
					 enum pfi_event event, uint64_t now_ms);
void pfi_supervisor_exited(struct pfi_supervisor *supervisor, uint32_t pool, uint32_t slot,
			 enum prefork_reason reason, uint64_t requests, uint64_t now_ms);

/** Advance phases and rollout. Call once per turn, before the plans. */
struct pfi_turn pfi_supervisor_turn(struct pfi_supervisor *supervisor, uint64_t now_ms);

/** How many workers this pool may start now, as far as a stop is concerned; UINT32_MAX without one. */
uint32_t pfi_supervisor_starts_max(const struct pfi_supervisor *supervisor, uint32_t pool);

/** The orders for one pool. */
void pfi_supervisor_plan(const struct pfi_supervisor *supervisor, uint32_t pool, uint64_t now_ms,
			 struct pfi_orders *ret);

/** The turn is over; the next should come at `due_ms` (0: whenever). */
void pfi_supervisor_rest(struct pfi_supervisor *supervisor, uint64_t due_ms);

#endif
