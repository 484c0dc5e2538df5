#include "world.h"

static uint32_t count_ready(uint32_t p)
{
	uint32_t ready = 0;

	for (uint32_t s = 0; s < w.worker_count; s++)
		ready += w.slots[p][s].state == PFI_STATE_SERVING;
	return ready;
}

static uint32_t is_ready(uint32_t p, uint32_t slot)
{
	return slot < w.worker_count && w.slots[p][slot].state == PFI_STATE_SERVING;
}

static bool has_worker(uint32_t p)
{
	for (uint32_t s = 0; s < w.worker_count; s++) {
		if (w.slots[p][s].state >= PFI_STATE_BOOTING && w.slots[p][s].state <= PFI_STATE_DUMPING &&
		    !is_canary(p, s))
			return true;
	}
	return false;
}

static bool is_likely_to_boot(uint32_t p)
{
	return w.was_ready[p] && w.failures[p].failed_boots == 0 && pfi_pool_desired_workers(&w.pools[p]) > 0;
}

/* A pool without workers starts one in spite of a back-off, unless the workers fail by themselves. */
static bool skips_backoff(uint32_t p)
{
	return w.was_ready[p] && w.planned_failures[p].last_was_healthy && !has_worker(p) &&
	       w.now_ms >= w.forked_ms[p] + w.pools[p].policy.run.first_ms;
}

static uint32_t surge_of(uint32_t p)
{
	const struct pfi_policy *const policy = &w.pools[p].policy;

	return policy->surge + policy->max_unavailable == 0 ? 1 : policy->surge;
}

static uint32_t count_processes(uint32_t p)
{
	uint32_t alive = 0;

	for (uint32_t s = 0; s < w.worker_count; s++)
		alive += w.slots[p][s].state != PFI_STATE_EMPTY;
	return alive;
}

static bool has_free_slot(uint32_t p)
{
	return count_processes(p) < (surge_of(p) > 0 ? w.worker_count : pfi_pool_desired_workers(&w.pools[p]));
}

void check_empty_pools(void)
{
	for (uint32_t p = 0; p < w.supervisor.pool_count && w.supervisor.phase == PFI_PHASE_RUNNING; p++) {
		w.planned_failures[p] = w.failures[p];
		promise(!skips_backoff(p) || pfi_pool_desired_workers(&w.pools[p]) == 0 || !has_free_slot(p));
	}
}

void check_order(uint32_t p, const struct pfi_order *order)
{
	const struct pfi_slot *const slot = &w.slots[p][order->slot];
	const struct process *const process = &w.processes[p][order->slot];
	const struct pfi_pool *const pool = &w.pools[p];
	const uint32_t wanted = pfi_pool_desired_workers(pool);

	promise(order->slot < w.worker_count);
	promise(pfi_lifecycle_step(slot->state, order->event).action != PFI_ACTION_REFUSE);
	if (order->event == PFI_EVENT_FORKED) {
		promise(w.supervisor.phase < PFI_PHASE_DRAINING);
		/* Without a surge no worker is started before the process that it replaces is gone. */
		if (surge_of(p) == 0)
			promise(count_processes(p) < (wanted > 0 ? wanted : 1));
		/* During a stop without workers one worker is started, to accept pending connections. */
		if (w.supervisor.phase == PFI_PHASE_REFUSING)
			promise(pool->pending_listeners > 0 && !has_worker(p) && is_likely_to_boot(p) && w.supervisor.result == 0);
		/* Every start but that of a canary waits for the end of the back-off. */
		if (!pfi_supervisor_starts_canary(&w.supervisor, p, order->generation))
			promise(skips_backoff(p) ||
				(w.now_ms >= w.planned_failures[p].boot_ms && w.now_ms >= w.planned_failures[p].run_ms));
	}
	if (order->event == PFI_EVENT_TIMEOUT || order->event == PFI_EVENT_STUCK) {
		const struct pfi_deadline_summary check = summarize(process);

		promise(order->event == PFI_EVENT_TIMEOUT || check.usable == 0 || slot->state == PFI_STATE_DRAINING);
		promise(check.expired > 0); /* an idle worker has no deadline */
	}
	if (slot->state == PFI_STATE_SERVING)
		promise(order->event != PFI_EVENT_OVERDUE);
	/* After a suspend the first health check enforces no deadline. */
	if (w.is_late)
		promise(order->event == PFI_EVENT_FORKED || order->event == PFI_EVENT_RETIRE ||
			  order->event == PFI_EVENT_QUIT);
	/* While a canary is on probation, neither the canary nor, with a surge, a worker that it may replace is retired. */
	if (w.supervisor.rollout.state == PFI_ROLLOUT_PROVING && order->event == PFI_EVENT_RETIRE) {
		promise(order->slot != pool->canary.slot);
		/* Without a surge one ready worker leaves for the canary. */
		if (slot->state == PFI_STATE_SERVING && (surge_of(p) > 0 || pool->canary.slot != UINT32_MAX))
			promise(count_ready(p) - is_ready(p, pool->canary.slot) > wanted);
	}
	if (order->event != PFI_EVENT_RETIRE || slot->state != PFI_STATE_SERVING ||
	    w.supervisor.phase >= PFI_PHASE_DRAINING)
		return;

	/* The number of ready workers falls below the target by max_unavailable at most. */
	const uint32_t ready = count_ready(p);
	const uint32_t most = wanted < ready ? wanted : ready;
	promise(ready - 1 + pool->policy.max_unavailable >= most);
	/* A generation of which no worker was ready replaces no ready worker. */
	if (slot->generation < w.supervisor.rollout.desired && wanted > 0)
		promise(w.has_been_ready[p][w.supervisor.rollout.desired] || ready > wanted);
}

/* At the end of a reload every worker is of its generation, and as many are ready as are wanted. */
void check_done(uint32_t p)
{
	promise(count_ready(p) >= pfi_pool_desired_workers(&w.pools[p]));
	promise(w.pools[p].target > 0 || w.scaled[p]); /* a reload brings workers back */
	for (uint32_t s = 0; s < w.worker_count; s++) {
		const struct pfi_slot *const slot = &w.slots[p][s];

		promise(!pfi_slot_is_current(slot) || slot->generation == w.supervisor.rollout.desired);
	}
}

/* After the canary time a rollout is rolled back after ROW failed boots without a success, and only then. */
void check_rollback(const struct pfi_supervisor *before, struct pfi_decision decision)
{
	enum { ROW = 3 };
	uint64_t longest = 0;

	if (before->rollout.state != PFI_ROLLOUT_ROLLING || w.supervisor.phase != PFI_PHASE_RUNNING)
		return;
	for (uint32_t p = 0; p < w.supervisor.pool_count; p++) {
		if (w.failures[p].failed_boots > longest)
			longest = w.failures[p].failed_boots;
	}
	promise((longest >= ROW) == (decision.given && decision.verdict == PREFORK_RELOAD_FAILED));
}

/* Workers that serve and have no drain request, without the canary. */
static uint32_t count_serving(uint32_t p)
{
	uint32_t serving = 0;

	for (uint32_t s = 0; s < w.worker_count; s++)
		serving += w.slots[p][s].state == PFI_STATE_SERVING && s != w.pools[p].canary.slot;
	return serving;
}

void check_numbers(void)
{
	for (uint32_t p = 0; p < w.supervisor.pool_count; p++) {
		const struct pfi_pool *const pool = &w.pools[p];
		uint32_t staying = 0;

		for (uint32_t s = 0; s < w.worker_count; s++) {
			const struct process *const process = &w.processes[p][s];
			const struct pfi_slot *const slot = &w.slots[p][s];
			const uint64_t step_ms = pool->policy.abort_timeout_ms ? pool->policy.abort_timeout_ms : 1000;

			staying += pfi_slot_is_current(slot);
			if (slot->state >= PFI_STATE_SERVING && slot->state <= PFI_STATE_DRAINING &&
			    w.now_ms >= w.supervisor.grace_until_ms) /* no other thread can serve: no delay */
				promise(slot->expired == 0 || (slot->usable > 0 && slot->undumped == 0));
			if (slot->state == PFI_STATE_DUMPING && w.now_ms >= w.supervisor.grace_until_ms)
				promise(count_serving(p) < pfi_pool_desired_workers(pool)); /* it is needed until a replacement serves */
			if (slot->state == PFI_STATE_EMPTY || slot->state == PFI_STATE_DUMPING || process->hung_since_ms == 0)
				continue;
			/* A stuck worker that is not needed exits within its timeout and the abort and kill timeouts. */
			const uint64_t from_ms = process->notified_ms > process->hung_since_ms ? process->notified_ms :
											     process->hung_since_ms;

			promise(w.now_ms <= from_ms + step_ms + pool->policy.graceful_timeout_ms +
							    (process->in_kernel ? KILL_MAX_MS : 0) + 100 + w.lost_ms -
								    process->hung_lost_ms);
		}
		if (w.supervisor.phase == PFI_PHASE_RUNNING)
			promise(staying <= pool->target + (pool->policy.surge > 1 ? pool->policy.surge : 1) + 1);
		/* A candidate does not change the target before the end of the canary time. */
		if (w.supervisor.rollout.state == PFI_ROLLOUT_PROVING)
			promise(w.scaled[p] || pool->target == w.targets[p]);
		promise(pool->target <= pool->policy.workers_max);
		if (w.supervisor.rollout.state == PFI_ROLLOUT_IDLE && w.supervisor.phase == PFI_PHASE_RUNNING)
			promise(pool->canary.slot == UINT32_MAX);
	}
	promise(w.reloads == w.verdicts + (w.supervisor.rollout.state != PFI_ROLLOUT_IDLE) + w.supervisor.pending.given);
}

/* The back-off bounds the number of starts, however the workers fail. */
void check_spawn_rate(void)
{
	const uint64_t elapsed_ms = w.now_ms - w.began_ms;
	uint64_t most = w.operator_spawns;

	for (uint32_t p = 0; p < w.supervisor.pool_count; p++) {
		const struct pfi_policy *const policy = &w.pools[p].policy;

		/* A failed boot is followed by a wait of 400 ms at least. */
		most += (elapsed_ms / policy->run.period_ms + 2) * (policy->run.failures_max + 10);
		most += elapsed_ms / 400 + policy->workers_max;
		/* A pool without workers starts at most one in the shortest back-off. */
		most += elapsed_ms / policy->run.first_ms + 1;
	}
	promise(w.spawns <= most);
}

/* After the drain time a stop waits only for connections that a worker can accept. */
static void check_drain(void)
{
	bool useful = false;

	if (w.supervisor.phase != PFI_PHASE_REFUSING)
		return;
	for (uint32_t p = 0; p < w.supervisor.pool_count; p++)
		useful |= w.pools[p].pending_listeners > 0 && (has_worker(p) || is_likely_to_boot(p));
	promise(useful || w.now_ms < w.supervisor.phase_since_ms + w.supervisor.linger_ms);
}

void check_stop(void)
{
	check_drain();
	uint64_t most_ms = w.supervisor.linger_max_ms;

	if (w.stop_at_ms == 0 && w.supervisor.phase != PFI_PHASE_RUNNING)
		w.stop_at_ms = w.now_ms; /* it stops because of a failure */
	if (w.stop_at_ms == 0)
		return;
	for (uint32_t p = 0; p < w.supervisor.pool_count; p++)
		most_ms += w.pools[p].policy.graceful_timeout_ms + 3000;
	promise(w.now_ms <= w.stop_at_ms + most_ms + KILL_MAX_MS + 1000 + w.lost_ms);
}

/* Until the wake-up that the plans ask for there is nothing to do. */
void check_wake(uint64_t wake_ms)
{
	struct pfi_orders orders;
	const uint64_t until_ms = wake_ms == 0 ? w.now_ms + 1000000 : wake_ms - 1;

	if (until_ms < w.now_ms)
		return;
	for (uint32_t p = 0; p < w.supervisor.pool_count; p++) {
		pfi_supervisor_plan(&w.supervisor, p, until_ms, &orders);
		promise(orders.count == 0);
	}
}

/* A candidate becomes the wanted generation when the canary of each pool has been ready for the canary time. */
void check_canary_time(const struct pfi_supervisor *before)
{
	if (before->rollout.state != PFI_ROLLOUT_PROVING || w.supervisor.rollout.desired == before->rollout.desired)
		return;
	promise(w.supervisor.rollout.desired == before->rollout.candidate);
	for (uint32_t p = 0; p < w.supervisor.pool_count; p++) {
		uint64_t oldest_ms = 0;

		for (uint32_t s = 0; s < w.worker_count; s++) {
			const struct pfi_slot *const slot = &w.slots[p][s];

			if (slot->generation == before->rollout.candidate && slot->state == PFI_STATE_SERVING)
				oldest_ms = pfi_earlier_ms(oldest_ms, slot->ready_ms);
		}
		if (w.pools[p].target > 0)
			promise(oldest_ms != 0 && w.now_ms - oldest_ms >= w.pools[p].policy.canary_ms);
	}
}

/* Without further failures every pool reaches its desired state and stays in it. */
void check_convergence(void)
{
	w.without_failures = true;
	for (uint32_t p = 0; p < w.supervisor.pool_count; p++) {
		for (uint32_t s = 0; s < w.worker_count; s++) {
			struct process *const process = &w.processes[p][s];

			process->ignores_signals = process->in_kernel = process->writes_garbage = false;
			process->retires_at_ms = 0;
			if (w.slots[p][s].state == PFI_STATE_SERVING)
				process->exits_at_ms = 0;
		}
	}
	const uint64_t until_ms = w.now_ms + 200000;

	while (w.now_ms < until_ms) {
		advance_clock();
		processes_act();
		(void)turn();
	}
	w.without_failures = false;
	if (w.supervisor.phase != PFI_PHASE_RUNNING)
		return; /* earlier failures have stopped it */
	for (uint32_t p = 0; p < w.supervisor.pool_count; p++) {
		const struct pfi_worker_counts counts =
			pfi_worker_table_count(&w.pools[p].worker_table, w.supervisor.rollout.desired, UINT32_MAX);

		promise(counts.current_ready == pfi_pool_desired_workers(&w.pools[p]));
		promise(counts.outdated_ready + counts.outdated_booting == 0);
	}
	promise(w.supervisor.rollout.state == PFI_ROLLOUT_IDLE);
}
