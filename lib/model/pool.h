/*
 * model/pool.h -- the state of one pool: the desired number of workers, and the record of their failures.
 *
 * The reasons of exits become delays of the next start (model/backoff.h), and the behaviour of the canary the progress
 * of a reload. Pure. The slots of the worker table belong to the caller.
 */
#ifndef PFI_MODEL_POOL_H
#define PFI_MODEL_POOL_H

#include "model/plan.h"
#include "model/rollout.h"

struct pfi_canary {
	uint32_t slot; /* UINT32_MAX: none */
	uint32_t incarnation;
	bool failed; /* the canary, or the attempt to fork it */
};

struct pfi_pool {
	struct pfi_policy policy;
	struct pfi_worker_table worker_table;
	uint32_t target;
	uint32_t proposed;      /* target of the candidate, UINT32_MAX: unchanged                   */
	uint32_t proposed_base; /* `target` at that time: later scaling is added to `proposed`      */
	uint32_t target_before; /* `target` before the rollout in progress                          */
	int64_t target_change;  /* by the rollout in progress                                       */
	uint32_t fatal_exits;   /* exits with PREFORK_EXIT_FATAL since the last reload or scaling   */
	bool ever_ready;        /* one of its workers was ready                                     */
	uint32_t pending_listeners; /* listeners with pending connections; stored by the caller during a stop */
	struct pfi_backoff boot;
	struct pfi_backoff run;
	uint64_t forked_ms;     /* the last fork, except of canaries                                */
	bool last_was_healthy;  /* the last worker that failed had served, or another process killed it */
	struct pfi_canary canary;
	uint32_t candidate_failures; /* boot failures in a row during a rollout                     */
};

struct pfi_next_start {
	uint64_t earliest_ms;
	bool one_by_one; /* start the next worker when this one is ready */
};

/* 0, or the result with which the server must stop (PREFORK_EBOOT and others). */
typedef int pfi_pool_result;

/** The target without the workers that have exited with PREFORK_EXIT_FATAL. */
uint32_t pfi_pool_desired_workers(const struct pfi_pool *pool);

/** When the next worker may be started: after failures, at the end of the back-off. If the pool has no worker left and
 *  the last one was healthy, one is started at once, but no two within the shortest delay, so that the number of starts
 *  is bounded. */
struct pfi_next_start pfi_pool_next_start(const struct pfi_pool *pool);

/** During a stop, the number of workers to start: 1 if connections are pending, no worker is left to accept them, and
 *  the last boot succeeded; else 0. */
uint32_t pfi_pool_starts_max(const struct pfi_pool *pool);

/** During a stop: whether pending connections will be accepted by a worker that is present or, unless `gave_up`, by one
 *  that boots or may be started. */
bool pfi_pool_drains(const struct pfi_pool *pool, bool gave_up);

/** Whether a candidate is tried in this pool: not if it has 0 workers. */
bool pfi_pool_needs_canary(const struct pfi_pool *pool);

/** A process was forked into `slot`; `canary`: of the candidate. */
void pfi_pool_forked(struct pfi_pool *pool, uint32_t slot, uint32_t generation, bool canary,
		     uint64_t now_ms);

/** A fork failed: counts as a boot failure. */
pfi_pool_result pfi_pool_fork_failed(struct pfi_pool *pool, bool canary, uint64_t now_ms, uint64_t chance);

/** Apply an event to a slot, and record what it means for the pool. Returns the action, which the caller carries out.
 *  */
enum pfi_step_action pfi_pool_send_event(struct pfi_pool *pool, uint32_t slot, enum pfi_event event,
				   uint64_t now_ms, uint64_t chance, pfi_pool_result *ret);

/** The process in `slot` has exited, after `requests` requests. Releases the slot. */
pfi_pool_result pfi_pool_exited(struct pfi_pool *pool, uint32_t slot, enum prefork_reason reason,
			    uint64_t requests, uint64_t now_ms, uint64_t chance);

/** Reset the back-off if a worker has served for healthy_ms. Returns when to call again, 0: not needed. */
uint64_t pfi_pool_update_backoff(struct pfi_pool *pool, uint64_t now_ms);

/** The progress of a rollout in this pool; *ret_wake_ms is when to call again. */
enum pfi_progress pfi_pool_progress(const struct pfi_pool *pool, const struct pfi_rollout *rollout,
				    uint64_t now_ms, uint64_t *ret_wake_ms);

/** Store the target of the candidate, for when it is proved. */
void pfi_pool_propose(struct pfi_pool *pool, uint32_t target);

/** A reload begins: discard the proposal of an earlier one. A target that it has changed stays. */
void pfi_pool_reload(struct pfi_pool *pool);

/** The candidate is proved: its target becomes that of the pool. It failed afterwards: undo that. */
void pfi_pool_adopt_proposal(struct pfi_pool *pool);
void pfi_pool_undo_proposal(struct pfi_pool *pool);

/** Reset failures, back-off and canary, for workers of another generation. */
void pfi_pool_reset_failures(struct pfi_pool *pool);

#endif
