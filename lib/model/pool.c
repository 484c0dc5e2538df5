/* The state of one pool: number of workers wanted, canary, failures and back-off. */
#include "model/pool.h"

#include "model/deadline.h"

#include <prefork/error.h>

#include <assert.h>
#include <errno.h>

/* After the canaries, this many boot failures in a row end the reload with a rollback. */
enum { CANDIDATE_FAILURES_MAX = 3 };

uint32_t pfi_pool_desired_workers(const struct pfi_pool *pool)
{
	return pool->target > pool->fatal_exits ? pool->target - pool->fatal_exits : 0;
}

static bool is_canary(const struct pfi_pool *pool, uint32_t slot)
{
	return pool->canary.slot == slot &&
	       pool->canary.incarnation == pool->worker_table.slots[slot].incarnation;
}

/* Workers other than the canary, which may still be rolled back. */
struct presence {
	bool accepts; /* at least one is ready */
	bool boots;
};

static struct presence find_presence(const struct pfi_pool *pool)
{
	struct presence found = { false, false };

	for (uint32_t i = 0; i < pool->worker_table.count; i++) {
		const enum pfi_state state = pool->worker_table.slots[i].state;

		if (is_canary(pool, i))
			continue;
		found.accepts |= state == PFI_STATE_SERVING || state == PFI_STATE_DUMPING;
		found.boots |= state == PFI_STATE_BOOTING;
	}
	return found;
}

struct pfi_next_start pfi_pool_next_start(const struct pfi_pool *pool)
{
	const uint64_t boot_ms = pool->boot.earliest_ms, run_ms = pool->run.earliest_ms;
	const uint64_t soon_ms = pool->forked_ms + pool->policy.run.first_ms;
	const struct presence found = find_presence(pool);
	struct pfi_next_start start = { boot_ms > run_ms ? boot_ms : run_ms,
					pool->boot.streak > 0 || pool->run.streak > 0 };

	if (pool->ever_ready && pool->last_was_healthy && !found.accepts && !found.boots &&
	    soon_ms < start.earliest_ms)
		start = (struct pfi_next_start){ soon_ms, true };
	return start;
}

static bool can_boot(const struct pfi_pool *pool)
{
	return pool->ever_ready && pool->boot.streak == 0 && pfi_pool_desired_workers(pool) > 0;
}

uint32_t pfi_pool_starts_max(const struct pfi_pool *pool)
{
	const struct presence found = find_presence(pool);

	return pool->pending_listeners > 0 && !found.accepts && !found.boots && can_boot(pool);
}

bool pfi_pool_drains(const struct pfi_pool *pool, bool gave_up)
{
	const struct presence found = find_presence(pool);

	return pool->pending_listeners > 0 && (found.accepts || (!gave_up && (found.boots || can_boot(pool))));
}

bool pfi_pool_needs_canary(const struct pfi_pool *pool)
{
	return pool->target > 0 || (pool->proposed != UINT32_MAX && pool->proposed > 0);
}

void pfi_pool_reset_failures(struct pfi_pool *pool)
{
	pool->boot = (struct pfi_backoff){ 0 };
	pool->run = (struct pfi_backoff){ 0 };
	pool->canary = (struct pfi_canary){ .slot = UINT32_MAX };
	pool->last_was_healthy = false;
	pool->candidate_failures = 0;
	pool->fatal_exits = 0;
}

void pfi_pool_propose(struct pfi_pool *pool, uint32_t target)
{
	pool->proposed = target;
	pool->proposed_base = pool->target;
}

void pfi_pool_reload(struct pfi_pool *pool)
{
	pool->canary = (struct pfi_canary){ .slot = UINT32_MAX };
	pool->proposed = UINT32_MAX;
	pool->target_change = 0;
}

static uint32_t clamp(int64_t target, uint32_t least, uint32_t most)
{
	return target < least ? least : target > most ? most : (uint32_t)target;
}

/* Scaling during the probation is added to the target of the candidate, within the limits of the pool. */
void pfi_pool_adopt_proposal(struct pfi_pool *pool)
{
	const int64_t by = (int64_t)pool->proposed - pool->proposed_base;

	if (pool->proposed == UINT32_MAX)
		return;
	pool->target_before = pool->target;
	pool->target = clamp(pool->target + by, 1, pool->policy.workers_max);
	pool->target_change = (int64_t)pool->target - pool->target_before;
	pool->proposed = UINT32_MAX;
}

/* The target becomes 0 only if it was 0 before the rollout. */
void pfi_pool_undo_proposal(struct pfi_pool *pool)
{
	if (pool->target_change != 0)
		pool->target = clamp(pool->target - pool->target_change, pool->target_before > 0,
				     pool->policy.workers_max);
	pool->proposed = UINT32_MAX;
	pool->target_change = 0;
}

void pfi_pool_forked(struct pfi_pool *pool, uint32_t slot, uint32_t generation, bool canary,
		     uint64_t now_ms)
{
	pfi_worker_table_occupy(&pool->worker_table, slot, generation, now_ms);
	if (!canary)
		pool->forked_ms = now_ms;
	else
		pool->canary = (struct pfi_canary){ slot, pool->worker_table.slots[slot].incarnation, false };
}

/* Whether the server stops after too many boot failures, or retries without end. */
static bool stops_after_failures(const struct pfi_pool *pool)
{
	switch (pool->policy.boot_failure_policy) {
	case PFI_BOOT_FAILURE_STOP:
		return true;
	case PFI_BOOT_FAILURE_AUTO:
		return !pool->ever_ready;
	default:
		return false;
	}
}

static pfi_pool_result boot_failed(struct pfi_pool *pool, enum prefork_reason reason, uint64_t now_ms,
				 uint64_t chance)
{
	pool->candidate_failures++;
	pfi_backoff_failed(&pool->boot, &pool->policy.boot, false, now_ms, chance);
	pool->last_was_healthy = reason == PREFORK_REASON_KILLED;
	if (!stops_after_failures(pool))
		return 0;
	/* At the first start, a failure that the worker reports ends the start at once. A worker that was killed, or
	 * that reported a temporary failure, is retried. */
	if (!pool->ever_ready && reason == PREFORK_REASON_APP)
		return PREFORK_EAPP;
	if (!pool->ever_ready && reason == PREFORK_REASON_BOOT)
		return PREFORK_EBOOT;
	if (!pool->ever_ready && reason == PREFORK_REASON_FATAL)
		return PREFORK_EFATAL;
	return pfi_backoff_is_exhausted(&pool->boot, &pool->policy.boot, now_ms) ? PREFORK_EBOOT : 0;
}

static pfi_pool_result run_failed(struct pfi_pool *pool, bool served, bool sick, uint64_t now_ms, uint64_t chance)
{
	pfi_backoff_failed(&pool->run, &pool->policy.run, served, now_ms, chance);
	if (pool->run.streak == 1 && !sick)
		pool->run.earliest_ms = 0; /* the first failure of a row is not delayed */
	pool->last_was_healthy = served;
	if (pool->policy.boot_failure_policy == PFI_BOOT_FAILURE_STOP &&
	    pfi_backoff_is_exhausted(&pool->run, &pool->policy.run, now_ms))
		return -ECHILD;
	return 0;
}

pfi_pool_result pfi_pool_fork_failed(struct pfi_pool *pool, bool canary, uint64_t now_ms, uint64_t chance)
{
	if (canary) {
		pool->canary.failed = true;
		return 0;
	}
	return boot_failed(pool, PREFORK_REASON_UNKNOWN, now_ms, chance);
}

enum pfi_step_action pfi_pool_send_event(struct pfi_pool *pool, uint32_t slot, enum pfi_event event,
				   uint64_t now_ms, uint64_t chance, pfi_pool_result *ret)
{
	const struct pfi_slot before = pool->worker_table.slots[slot];
	const enum pfi_step_action action = pfi_worker_table_step(&pool->worker_table, slot, event, now_ms);

	*ret = 0;
	if (action == PFI_ACTION_REFUSE)
		return action;
	/* A failure counts when the worker is stopped because of it, and not when it exits: the replacement starts
	 * before that. */
	if (before.state == PFI_STATE_BOOTING && event == PFI_EVENT_READY) {
		pool->ever_ready = true;
		pool->candidate_failures = 0;
		pfi_backoff_served(&pool->boot, &pool->policy.boot, now_ms);
	} else if (is_canary(pool, slot) && !pfi_slot_is_current(&pool->worker_table.slots[slot])) {
		pool->canary.failed = true;
	} else if (before.state == PFI_STATE_BOOTING && event == PFI_EVENT_OVERDUE) {
		*ret = boot_failed(pool, PREFORK_REASON_TIMEOUT, now_ms, chance);
	} else if (before.state == PFI_STATE_SERVING && (event == PFI_EVENT_TIMEOUT || event == PFI_EVENT_STUCK)) {
		*ret = run_failed(pool, true, false, now_ms, chance);
	} else if (before.state == PFI_STATE_SERVING && event == PFI_EVENT_RETIRE && before.wants_retire) {
		/* Not a failure, but it limits how often workers are replaced. */
		*ret = run_failed(pool, true, false, now_ms, chance);
	}
	return action;
}

pfi_pool_result pfi_pool_exited(struct pfi_pool *pool, uint32_t slot, enum prefork_reason reason,
			    uint64_t requests, uint64_t now_ms, uint64_t chance)
{
	const struct pfi_slot slot_before = pool->worker_table.slots[slot];
	const bool served = requests > 0 || (slot_before.ready_ms != 0 &&
					     now_ms - slot_before.ready_ms >= pool->policy.healthy_ms);
	const bool canary = is_canary(pool, slot);

	if (pfi_worker_table_step(&pool->worker_table, slot, PFI_EVENT_EXITED, now_ms) != PFI_ACTION_RELEASE)
		return 0;
	if (canary) {
		pool->canary.failed = true;
		return 0;
	}
	if (!pfi_slot_is_current(&slot_before))
		return 0; /* the arbiter stopped it, and counted the failure then */
	if (reason == PREFORK_REASON_FATAL && pool->fatal_exits < pool->target)
		pool->fatal_exits++;
	if (slot_before.state == PFI_STATE_BOOTING)
		return boot_failed(pool, reason, now_ms, chance);

	const bool sick = reason == PREFORK_REASON_SICK;

	/* A worker that another process killed was healthy, but counts in the period. */
	return run_failed(pool, reason == PREFORK_REASON_KILLED || (served && !sick), sick, now_ms, chance);
}

uint64_t pfi_pool_update_backoff(struct pfi_pool *pool, uint64_t now_ms)
{
	uint64_t again_ms = 0;

	if (pool->run.streak == 0)
		return 0;
	if (now_ms < pool->run.earliest_ms)
		return pool->run.earliest_ms; /* the delay that was logged is kept */
	for (uint32_t i = 0; i < pool->worker_table.count; i++) {
		const struct pfi_slot *const slot = &pool->worker_table.slots[i];
		const uint64_t at_ms = slot->ready_ms + pool->policy.healthy_ms;

		if (slot->state != PFI_STATE_SERVING)
			continue;
		if (now_ms < at_ms) {
			again_ms = pfi_earlier_ms(again_ms, at_ms);
			continue;
		}
		pfi_backoff_served(&pool->run, &pool->policy.run, now_ms);
		if (pool->run.streak == 0)
			return 0;
		return pool->run.period_at_ms + pool->policy.run.period_ms;
	}
	return again_ms;
}

static enum pfi_progress canary_progress(const struct pfi_pool *pool, uint64_t now_ms,
					 uint64_t *ret_wake_ms)
{
	if (pool->canary.failed)
		return PFI_PROGRESS_FAILED;
	if (!pfi_pool_needs_canary(pool))
		return PFI_PROGRESS_GOOD; /* a pool of 0 workers has no canary */
	if (pool->canary.slot == UINT32_MAX)
		return PFI_PROGRESS_UNDERWAY;

	const struct pfi_slot *const slot = &pool->worker_table.slots[pool->canary.slot];

	if (slot->state == PFI_STATE_BOOTING)
		return PFI_PROGRESS_UNDERWAY;
	if (slot->state != PFI_STATE_SERVING)
		return PFI_PROGRESS_FAILED;
	if (now_ms - slot->ready_ms >= pool->policy.canary_ms)
		return PFI_PROGRESS_GOOD;
	*ret_wake_ms = slot->ready_ms + pool->policy.canary_ms;
	return PFI_PROGRESS_UNDERWAY;
}

enum pfi_progress pfi_pool_progress(const struct pfi_pool *pool, const struct pfi_rollout *rollout,
				    uint64_t now_ms, uint64_t *ret_wake_ms)
{
	*ret_wake_ms = 0;
	if (rollout->state == PFI_ROLLOUT_PROVING)
		return canary_progress(pool, now_ms, ret_wake_ms);
	if (pool->candidate_failures >= CANDIDATE_FAILURES_MAX)
		return PFI_PROGRESS_FAILED;

	for (uint32_t i = 0; i < pool->worker_table.count; i++) {
		const struct pfi_slot *const slot = &pool->worker_table.slots[i];

		if (pfi_slot_is_current(slot) && slot->generation != rollout->desired)
			return PFI_PROGRESS_UNDERWAY;
	}

	const struct pfi_worker_counts counts = pfi_worker_table_count(&pool->worker_table, rollout->desired,
								       UINT32_MAX);

	return counts.current_ready + counts.outdated_ready >= pfi_pool_desired_workers(pool) ? PFI_PROGRESS_GOOD :
										       PFI_PROGRESS_UNDERWAY;
}
