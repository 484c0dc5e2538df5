/*
 * model/pool.h -- what one pool remembers: how many workers are wanted, and
 * how its workers have fared.
 *
 * Here the reasons of deaths become waits, and a worker's promise (ready) and
 * proof (service) become trust. Pure. The worker table's slots belong to the caller.
 */
#ifndef PFI_MODEL_POOL_H
#define PFI_MODEL_POOL_H

#include "model/plan.h"
#include "model/rollout.h"

struct pfi_canary {
	uint32_t slot; /* UINT32_MAX: there is none */
	uint32_t incarnation;
	bool failed; /* it, or the attempt to start it */
};

struct pfi_pool {
	struct pfi_policy policy;
	struct pfi_worker_table worker_table;
	uint32_t target;
	uint32_t proposed; /* the target that a candidate brings, UINT32_MAX: none of its own    */
	uint32_t proposed_over; /* what the target was then: what changes meanwhile is added     */
	uint32_t replaced; /* the target that the rollout under way found                      */
	int64_t gained;  /* and what it has added to it                                          */
	uint32_t lost;   /* left with "never try again" since the last reload or scaling */
	bool ever_ready; /* one of its workers, once                                     */
	uint32_t queued; /* its listeners with pending connections; the caller keeps it during a stop */
	struct pfi_backoff boot;
	struct pfi_backoff run;
	uint64_t forked_ms;     /* the last start of one that is no canary                                                  */
	bool blameless;         /* the last worker that failed was killed from outside, or had served */
	struct pfi_canary canary;
	uint32_t candidate_failures; /* boot failures in a row while a reload rolls */
};

struct pfi_next_start {
	uint64_t not_before_ms;
	bool one_by_one; /* the next only when this one is ready */
};

/* A pool's complaint to the supervisor: 0, or a result that the server should
 * end with (PREFORK_EBOOT and the like). */
typedef int pfi_pool_result;

/** How many workers are wanted, without those that will never work. */
uint32_t pfi_pool_wanted(const struct pfi_pool *pool);

/** When the next worker may be started. After failures that is the end of the back-off. A pool whose last
 *  worker was killed from outside, or had served, does not wait that long when it has none left: one
 *  is started at once, but not two within the shortest wait, so that the starts stay bounded. */
struct pfi_next_start pfi_pool_next_start(const struct pfi_pool *pool);

/** During a stop: the workers to start now. One, when connections are pending, no worker is there to
 *  accept them, and the last boot succeeded, so that this one is likely to, too; else 0. */
uint32_t pfi_pool_rescue(const struct pfi_pool *pool);

/** During a stop: pending connections will be accepted, by a worker that is there or, unless
 *  `gave_up`, by one that boots or may be started. */
bool pfi_pool_drains(const struct pfi_pool *pool, bool gave_up);

/** Whether a candidate has to prove itself here: not where nobody is wanted. */
bool pfi_pool_needs_canary(const struct pfi_pool *pool);

/** A process was forked into `slot`; `canary` when it is the candidate's. */
void pfi_pool_forked(struct pfi_pool *pool, uint32_t slot, uint32_t generation, bool canary,
		     uint64_t now_ms);

/** A fork failed: counts as a boot failure. */
pfi_pool_result pfi_pool_fork_failed(struct pfi_pool *pool, bool canary, uint64_t now_ms, uint64_t chance);

/** Tell a slot something, and remember what it means for the pool. Answers
 *  what is to be carried out, REFUSE when the slot is in no state for it. */
enum pfi_step_action pfi_pool_send_event(struct pfi_pool *pool, uint32_t slot, enum pfi_event event,
				   uint64_t now_ms, uint64_t chance, pfi_pool_result *ret);

/** The process in `slot` is gone. `requests` as far as it said. Frees the slot. */
pfi_pool_result pfi_pool_exited(struct pfi_pool *pool, uint32_t slot, enum prefork_reason reason,
			    uint64_t requests, uint64_t now_ms, uint64_t chance);

/** A worker has lived long enough to be trusted; when to look again, or 0. */
uint64_t pfi_pool_heal(struct pfi_pool *pool, uint64_t now_ms);

/** How far this pool has come with a rollout; `*ret_wake_ms` is when to look again. */
enum pfi_progress pfi_pool_progress(const struct pfi_pool *pool, const struct pfi_rollout *rollout,
				    uint64_t now_ms, uint64_t *ret_wake_ms);

/** The candidate wants `target` workers, once it is proved. */
void pfi_pool_propose(struct pfi_pool *pool, uint32_t target);

/** A reload begins: of one before, only what is carried out already stays. */
void pfi_pool_reload(struct pfi_pool *pool);

/** The candidate is proved: its target counts; or, having failed afterwards, no more. */
void pfi_pool_adopt_proposal(struct pfi_pool *pool);
void pfi_pool_undo_proposal(struct pfi_pool *pool);

/** Forget failures and canary: another generation has its chance now. */
void pfi_pool_fresh_start(struct pfi_pool *pool);

#endif
