/* Combines the models of all pools: the phases of a stop, the rollout, and the plan. */
#include "model/supervisor.h"

#include "base/times.h"
#include "model/deadline.h"
#include "model/shortage.h"

#include <prefork/error.h>

#include <assert.h>
#include <errno.h>

void pfi_supervisor_init(struct pfi_supervisor *supervisor, struct pfi_pool *pools, uint32_t pool_count,
			 uint64_t seed)
{
	*supervisor = (struct pfi_supervisor){
		.pools = pools, .pool_count = pool_count, .seed = seed, .rollout = { .desired = 1 }
	};
	for (uint32_t i = 0; i < pool_count; i++)
		pfi_pool_reset_failures(&pools[i]);
	for (uint32_t i = 0; i < pool_count; i++)
		pfi_pool_reload(&pools[i]);
}

static uint64_t chance(struct pfi_supervisor *supervisor)
{
	return pfi_random(&supervisor->seed);
}

static void give_up(struct pfi_supervisor *supervisor, int result, uint64_t now_ms)
{
	const struct pfi_decision decision = pfi_supervisor_stop(supervisor, true, result, now_ms);

	if (decision.given)
		supervisor->pending = decision; /* pfi_supervisor_turn() returns it; at most one is in progress */
}

/* Stop gracefully if a pool returned an error. */
static void stop_on(struct pfi_supervisor *supervisor, pfi_pool_result result, uint64_t now_ms)
{
	if (result != 0 && supervisor->phase == PFI_PHASE_RUNNING)
		give_up(supervisor, result, now_ms);
}

struct pfi_decision pfi_supervisor_reload(struct pfi_supervisor *supervisor, uint32_t generation)
{
	if (supervisor->phase != PFI_PHASE_RUNNING)
		return (struct pfi_decision){ true, PREFORK_RELOAD_STOPPED, generation };
	for (uint32_t i = 0; i < supervisor->pool_count; i++)
		pfi_pool_reload(&supervisor->pools[i]);
	return pfi_rollout_begin(&supervisor->rollout, generation);
}

void pfi_supervisor_propose(struct pfi_supervisor *supervisor, uint32_t pool, uint32_t target)
{
	assert(pool < supervisor->pool_count);

	if (supervisor->rollout.state == PFI_ROLLOUT_PROVING)
		pfi_pool_propose(&supervisor->pools[pool], target);
}

struct pfi_decision pfi_supervisor_stop(struct pfi_supervisor *supervisor, bool graceful, int result,
				      uint64_t now_ms)
{
	const enum pfi_server_phase phase = graceful ? PFI_PHASE_REFUSING : PFI_PHASE_QUITTING;

	if (supervisor->phase == PFI_PHASE_RUNNING)
		supervisor->result = result;
	if (phase > supervisor->phase) { /* phases only advance */
		supervisor->phase = phase;
		supervisor->phase_since_ms = now_ms;
	}
	return pfi_rollout_stop(&supervisor->rollout);
}

int pfi_supervisor_scale(struct pfi_supervisor *supervisor, uint32_t pool, uint32_t target)
{
	assert(pool < supervisor->pool_count);

	if (target > supervisor->pools[pool].policy.workers_max)
		return -ERANGE;
	supervisor->pools[pool].target = target;
	supervisor->pools[pool].fatal_exits = 0;
	if (target == 0) /* a reload in progress must not start workers again */
		supervisor->pools[pool].proposed = UINT32_MAX;
	return 0;
}

bool pfi_supervisor_starts_canary(const struct pfi_supervisor *supervisor, uint32_t pool,
				 uint32_t generation)
{
	return supervisor->rollout.state == PFI_ROLLOUT_PROVING &&
	       generation == supervisor->rollout.candidate &&
	       supervisor->pools[pool].canary.slot == UINT32_MAX;
}

void pfi_supervisor_forked(struct pfi_supervisor *supervisor, uint32_t pool, uint32_t slot,
			   uint32_t generation, uint64_t now_ms)
{
	const bool canary = pfi_supervisor_starts_canary(supervisor, pool, generation);

	pfi_pool_forked(&supervisor->pools[pool], slot, generation, canary, now_ms);
}

void pfi_supervisor_fork_failed(struct pfi_supervisor *supervisor, uint32_t pool, uint32_t generation,
				uint64_t now_ms)
{
	const bool canary = pfi_supervisor_starts_canary(supervisor, pool, generation);

	stop_on(supervisor, pfi_pool_fork_failed(&supervisor->pools[pool], canary, now_ms, chance(supervisor)),
	     now_ms);
}

enum pfi_step_action pfi_supervisor_send_event(struct pfi_supervisor *supervisor, uint32_t pool, uint32_t slot,
					 enum pfi_event event, uint64_t now_ms)
{
	pfi_pool_result result;
	const enum pfi_step_action action = pfi_pool_send_event(&supervisor->pools[pool], slot, event, now_ms,
							  chance(supervisor), &result);

	stop_on(supervisor, result, now_ms);
	return action;
}

void pfi_supervisor_exited(struct pfi_supervisor *supervisor, uint32_t pool, uint32_t slot,
			 enum prefork_reason reason, uint64_t requests, uint64_t now_ms)
{
	stop_on(supervisor,
	     pfi_pool_exited(&supervisor->pools[pool], slot, reason, requests, now_ms, chance(supervisor)),
	     now_ms);
}

static struct pfi_decision advance_rollout(struct pfi_supervisor *supervisor, uint64_t now_ms,
					 uint64_t *wake_ms)
{
	struct pfi_rollout *const rollout = &supervisor->rollout;
	const struct pfi_rollout before = *rollout;
	enum pfi_progress worst = PFI_PROGRESS_GOOD;

	if (rollout->state == PFI_ROLLOUT_IDLE)
		return (struct pfi_decision){ .given = false };
	for (uint32_t i = 0; i < supervisor->pool_count; i++) {
		uint64_t at_ms;
		const enum pfi_progress progress =
			pfi_pool_progress(&supervisor->pools[i], rollout, now_ms, &at_ms);

		*wake_ms = pfi_earlier_ms(*wake_ms, at_ms);
		if (progress < worst)
			worst = progress;
	}

	const struct pfi_decision decision = pfi_rollout_advance(rollout, worst);

	if (rollout->desired != before.desired || rollout->state != before.state) {
		for (uint32_t i = 0; i < supervisor->pool_count; i++) {
			struct pfi_pool *const pool = &supervisor->pools[i];

			/* A failed canary does not reset the back-off of the other workers. */
			if (rollout->desired != before.desired)
				pfi_pool_reset_failures(pool);
			pool->canary = (struct pfi_canary){ .slot = UINT32_MAX };
			if (rollout->state == PFI_ROLLOUT_ROLLING)
				pfi_pool_adopt_proposal(pool);
			else if (decision.verdict == PREFORK_RELOAD_FAILED)
				pfi_pool_undo_proposal(pool);
		}
	}
	return decision;
}

/* All workers have exited with PREFORK_EXIT_FATAL, which forbids replacements. */
static bool are_all_fatal(const struct pfi_supervisor *supervisor)
{
	uint32_t fatal_exits = 0;

	for (uint32_t i = 0; i < supervisor->pool_count; i++) {
		const struct pfi_pool *const pool = &supervisor->pools[i];

		fatal_exits += pool->fatal_exits;
		if (pfi_pool_desired_workers(pool) > 0 || !pfi_worker_table_is_empty(&pool->worker_table))
			return false;
	}
	return fatal_exits > 0;
}

/* The server stops because of failures, and no worker can accept the pending connections. */
static bool has_no_ready_worker(const struct pfi_supervisor *supervisor)
{
	if (supervisor->result == 0)
		return false;
	for (uint32_t i = 0; i < supervisor->pool_count; i++) {
		const struct pfi_worker_counts counts = pfi_worker_table_count(&supervisor->pools[i].worker_table,
								   supervisor->rollout.desired, UINT32_MAX);

		if (counts.current_ready > 0 || counts.outdated_ready > 0)
			return false;
	}
	return true;
}

/* Whether a worker will accept pending connections: otherwise the stop does not wait for them. */
static bool drains(const struct pfi_supervisor *supervisor, uint64_t now_ms)
{
	for (uint32_t i = 0; i < supervisor->pool_count; i++) {
		const struct pfi_pool *const pool = &supervisor->pools[i];

		if (pfi_pool_drains(pool, supervisor->result != 0) &&
		    !pfi_shortage_is_total(&pool->worker_table, now_ms))
			return true;
	}
	return false;
}

static void advance_phase(struct pfi_supervisor *supervisor, uint64_t now_ms, uint64_t *wake_ms)
{
	const uint64_t since_ms = supervisor->phase_since_ms;

	if (supervisor->phase != PFI_PHASE_REFUSING)
		return;

	const uint64_t end_ms = pfi_deadline_after_ms(since_ms, supervisor->linger_max_ms);
	const bool lingered = now_ms - since_ms >= supervisor->linger_ms;

	if ((lingered && !drains(supervisor, now_ms)) || supervisor->linger_ms == 0 ||
	    pfi_deadline_is_past(end_ms, now_ms) || has_no_ready_worker(supervisor)) {
		supervisor->phase = PFI_PHASE_DRAINING;
		supervisor->phase_since_ms = now_ms;
		return;
	}
	*wake_ms = pfi_earlier_ms(*wake_ms, lingered ? now_ms + PFI_DRAIN_POLL_MS :
						       since_ms + supervisor->linger_ms);
	*wake_ms = pfi_earlier_ms(*wake_ms, end_ms);
}

/* If the turn is much too late, the arbiter was stopped (a suspend, SIGSTOP), and its workers probably, too. */
static void set_grace(struct pfi_supervisor *supervisor, uint64_t now_ms)
{
	uint64_t period_ms = 0;

	for (uint32_t i = 0; i < supervisor->pool_count; i++)
		period_ms = pfi_earlier_ms(period_ms, supervisor->pools[i].policy.request_timeout_ms);

	const uint64_t until_ms = pfi_deadline_grace_until_ms(supervisor->due_ms, now_ms, period_ms);

	if (until_ms != 0)
		supervisor->grace_until_ms = until_ms;
	supervisor->due_ms = 0; /* a second call in this turn must not start the grace again */
}

struct pfi_turn pfi_supervisor_turn(struct pfi_supervisor *supervisor, uint64_t now_ms)
{
	const enum pfi_rollout_state before = supervisor->rollout.state;
	struct pfi_turn turn = { .finished = true };

	set_grace(supervisor, now_ms);
	turn.decision = advance_rollout(supervisor, now_ms, &turn.wake_ms);
	/* If all pools have 0 workers, the rollout is complete with the probation. */
	if (before == PFI_ROLLOUT_PROVING && supervisor->rollout.state == PFI_ROLLOUT_ROLLING)
		turn.decision = advance_rollout(supervisor, now_ms, &turn.wake_ms);
	if (supervisor->phase == PFI_PHASE_RUNNING && are_all_fatal(supervisor))
		give_up(supervisor, PREFORK_EFATAL, now_ms);
	if (supervisor->pending.given) {
		turn.decision = supervisor->pending;
		supervisor->pending.given = false;
	}
	advance_phase(supervisor, now_ms, &turn.wake_ms);
	turn.phase = supervisor->phase;
	for (uint32_t i = 0; i < supervisor->pool_count; i++) {
		turn.wake_ms = pfi_earlier_ms(turn.wake_ms, pfi_pool_update_backoff(&supervisor->pools[i], now_ms));
		turn.finished &= pfi_worker_table_is_empty(&supervisor->pools[i].worker_table);
	}
	turn.finished &= supervisor->phase >= PFI_PHASE_DRAINING;
	return turn;
}

uint32_t pfi_supervisor_starts_max(const struct pfi_supervisor *supervisor, uint32_t pool)
{
	if (supervisor->phase == PFI_PHASE_RUNNING)
		return UINT32_MAX;
	/* A server that stops because of failures starts no workers. */
	if (supervisor->phase != PFI_PHASE_REFUSING || supervisor->result != 0)
		return 0;
	return pfi_pool_starts_max(&supervisor->pools[pool]);
}

void pfi_supervisor_plan(const struct pfi_supervisor *supervisor, uint32_t pool, uint64_t now_ms,
			 struct pfi_orders *ret)
{
	assert(pool < supervisor->pool_count);

	const struct pfi_pool *const p = &supervisor->pools[pool];
	const struct pfi_rollout *const rollout = &supervisor->rollout;
	const bool proving = rollout->state == PFI_ROLLOUT_PROVING;
	const struct pfi_next_start next = pfi_pool_next_start(p);
	const struct pfi_desired_state desired = {
		.target = pfi_pool_desired_workers(p),
		.generation = rollout->desired,
		.canary = proving ? p->canary.slot : UINT32_MAX,
		.probation = proving && pfi_pool_needs_canary(p) && !p->canary.failed ? rollout->candidate : 0,
		.earliest_ms = next.earliest_ms,
		.grace_until_ms = supervisor->grace_until_ms,
		.starts_max = pfi_supervisor_starts_max(supervisor, pool),
		.one_by_one = next.one_by_one,
		.keep_outdated = proving || supervisor->phase == PFI_PHASE_REFUSING,
		.drain = supervisor->phase >= PFI_PHASE_DRAINING,
		.quit = supervisor->phase == PFI_PHASE_QUITTING,
	};

	pfi_plan(&p->policy, &desired, &p->worker_table, now_ms, ret);
}

void pfi_supervisor_set_next_turn(struct pfi_supervisor *supervisor, uint64_t due_ms)
{
	supervisor->due_ms = due_ms;
}
