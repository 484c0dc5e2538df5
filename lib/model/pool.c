#include "model/pool.h"

#include "model/deadline.h"

#include <prefork/error.h>

#include <assert.h>
#include <errno.h>

/* A candidate that was proved by its canary may fail to boot this often in a
 * row before it is taken back. */
enum { CANDIDATE_FAILURES_MAX = 3 };

uint32_t pfi_pool_wanted(const struct pfi_pool *pool)
{
	return pool->target > pool->lost ? pool->target - pool->lost : 0;
}

static bool is_canary(const struct pfi_pool *pool, uint32_t slot)
{
	return pool->canary.slot == slot &&
	       pool->canary.incarnation == pool->worker_table.slots[slot].incarnation;
}

/* Workers that are there to stay, as far as is known: without the canary. */
struct presence {
	bool accepts; /* one that is ready */
	bool boots;
};

static struct presence presence_of(const struct pfi_pool *pool)
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
	const uint64_t boot_ms = pool->boot.not_before_ms, run_ms = pool->run.not_before_ms;
	const uint64_t soon_ms = pool->forked_ms + pool->policy.run.first_ms;
	const struct presence found = presence_of(pool);
	struct pfi_next_start start = { boot_ms > run_ms ? boot_ms : run_ms,
					pool->boot.streak > 0 || pool->run.streak > 0 };

	if (pool->ever_ready && pool->blameless && !found.accepts && !found.boots && soon_ms < start.not_before_ms)
		start = (struct pfi_next_start){ soon_ms, true };
	return start;
}

static bool can_boot(const struct pfi_pool *pool)
{
	return pool->ever_ready && pool->boot.streak == 0 && pfi_pool_wanted(pool) > 0;
}

uint32_t pfi_pool_rescue(const struct pfi_pool *pool)
{
	const struct presence found = presence_of(pool);

	return pool->queued > 0 && !found.accepts && !found.boots && can_boot(pool);
}

bool pfi_pool_drains(const struct pfi_pool *pool, bool gave_up)
{
	const struct presence found = presence_of(pool);

	return pool->queued > 0 && (found.accepts || (!gave_up && (found.boots || can_boot(pool))));
}

bool pfi_pool_needs_canary(const struct pfi_pool *pool)
{
	return pool->target > 0 || (pool->proposed != UINT32_MAX && pool->proposed > 0);
}

void pfi_pool_fresh_start(struct pfi_pool *pool)
{
	pool->boot = (struct pfi_backoff){ 0 };
	pool->run = (struct pfi_backoff){ 0 };
	pool->canary = (struct pfi_canary){ .slot = UINT32_MAX };
	pool->blameless = false;
	pool->candidate_failures = 0;
	pool->lost = 0;
}

void pfi_pool_propose(struct pfi_pool *pool, uint32_t target)
{
	pool->proposed = target;
	pool->proposed_over = pool->target;
}

void pfi_pool_reload(struct pfi_pool *pool)
{
	pool->canary = (struct pfi_canary){ .slot = UINT32_MAX };
	pool->proposed = UINT32_MAX;
	pool->gained = 0;
}

static uint32_t clamp(int64_t target, uint32_t least, uint32_t most)
{
	return target < least ? least : target > most ? most : (uint32_t)target;
}

/* What was scaled while the candidate was on probation counts on top, as far as there is room. */
void pfi_pool_adopt_proposal(struct pfi_pool *pool)
{
	const int64_t by = (int64_t)pool->proposed - pool->proposed_over;

	if (pool->proposed == UINT32_MAX)
		return;
	pool->replaced = pool->target;
	pool->target = clamp(pool->target + by, 1, pool->policy.workers_max);
	pool->gained = (int64_t)pool->target - pool->replaced;
	pool->proposed = UINT32_MAX;
}

/* Nobody at all is wanted only where that was so before. */
void pfi_pool_undo_proposal(struct pfi_pool *pool)
{
	if (pool->gained != 0)
		pool->target = clamp(pool->target - pool->gained, pool->replaced > 0, pool->policy.workers_max);
	pool->proposed = UINT32_MAX;
	pool->gained = 0;
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

/* Should the server end, rather than try for ever? */
static bool gives_up(const struct pfi_pool *pool)
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
	pool->blameless = reason == PREFORK_REASON_KILLED;
	if (!gives_up(pool))
		return 0;
	/* A worker that says what is wrong at the very first start is not asked
	 * twice; one that was killed, or is short of something, is. */
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
		pool->run.not_before_ms = 0; /* one death proves nothing: only a row of them waits */
	pool->blameless = served;
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
	/* What it did is counted when it is ended for it: its replacement is
	 * not to wait for its end. */
	if (before.state == PFI_STATE_BOOTING && event == PFI_EVENT_READY) {
		pool->ever_ready = true;
		pool->candidate_failures = 0;
		pfi_backoff_healed(&pool->boot, &pool->policy.boot, now_ms);
	} else if (is_canary(pool, slot) && !pfi_slot_is_current(&pool->worker_table.slots[slot])) {
		pool->canary.failed = true;
	} else if (before.state == PFI_STATE_BOOTING && event == PFI_EVENT_OVERDUE) {
		*ret = boot_failed(pool, PREFORK_REASON_TIMEOUT, now_ms, chance);
	} else if (before.state == PFI_STATE_SERVING && (event == PFI_EVENT_TIMEOUT || event == PFI_EVENT_STUCK)) {
		*ret = run_failed(pool, true, false, now_ms, chance);
	} else if (before.state == PFI_STATE_SERVING && event == PFI_EVENT_RETIRE && before.wants_retire) {
		*ret = run_failed(pool, true, false, now_ms, chance); /* it failed at nothing: only too many wait */
	}
	return action;
}

pfi_pool_result pfi_pool_exited(struct pfi_pool *pool, uint32_t slot, enum prefork_reason reason,
			    uint64_t requests, uint64_t now_ms, uint64_t chance)
{
	const struct pfi_slot dead = pool->worker_table.slots[slot];
	const bool served = requests > 0 || (dead.ready_ms != 0 &&
					     now_ms - dead.ready_ms >= pool->policy.healthy_ms);
	const bool canary = is_canary(pool, slot);

	if (pfi_worker_table_step(&pool->worker_table, slot, PFI_EVENT_EXITED, now_ms) != PFI_ACTION_RELEASE)
		return 0;
	if (canary) {
		pool->canary.failed = true;
		return 0;
	}
	if (!pfi_slot_is_current(&dead))
		return 0; /* it was to leave, and counted when it was told so */
	if (reason == PREFORK_REASON_FATAL && pool->lost < pool->target)
		pool->lost++;
	if (dead.state == PFI_STATE_BOOTING)
		return boot_failed(pool, reason, now_ms, chance);

	const bool sick = reason == PREFORK_REASON_SICK;

	/* Who was killed from outside has done nothing wrong; too many in a period still wait. */
	return run_failed(pool, reason == PREFORK_REASON_KILLED || (served && !sick), sick, now_ms, chance);
}

uint64_t pfi_pool_heal(struct pfi_pool *pool, uint64_t now_ms)
{
	uint64_t again_ms = 0;

	if (pool->run.streak == 0)
		return 0;
	if (now_ms < pool->run.not_before_ms)
		return pool->run.not_before_ms; /* the pause that was announced is kept */
	for (uint32_t i = 0; i < pool->worker_table.count; i++) {
		const struct pfi_slot *const slot = &pool->worker_table.slots[i];
		const uint64_t at_ms = slot->ready_ms + pool->policy.healthy_ms;

		if (slot->state != PFI_STATE_SERVING)
			continue;
		if (now_ms < at_ms) {
			again_ms = pfi_earlier_ms(again_ms, at_ms);
			continue;
		}
		pfi_backoff_healed(&pool->run, &pool->policy.run, now_ms);
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
		return PFI_PROGRESS_GOOD; /* nobody is wanted here, and so nobody has to prove anything */
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

		if (pfi_slot_is_current(slot) && slot->generation != rollout->wanted)
			return PFI_PROGRESS_UNDERWAY;
	}

	const struct pfi_worker_counts counts = pfi_worker_table_count(&pool->worker_table, rollout->wanted, UINT32_MAX);

	return counts.current_ready + counts.outdated_ready >= pfi_pool_wanted(pool) ? PFI_PROGRESS_GOOD :
										       PFI_PROGRESS_UNDERWAY;
}
