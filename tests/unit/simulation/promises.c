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

static bool is_there(uint32_t p)
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
	return w.was_ready[p] && w.ledgers[p].row == 0 && pfi_pool_wanted(&w.pools[p]) > 0;
}

/* A pool without a worker has the next one soon, unless the workers themselves fail. */
static bool may_start_alone(uint32_t p)
{
	return w.was_ready[p] && w.planned[p].blameless && !is_there(p) &&
	       w.now_ms >= w.forked_ms[p] + w.pools[p].policy.run.first_ms;
}

static uint32_t surge_of(uint32_t p)
{
	const struct pfi_policy *const policy = &w.pools[p].policy;

	return policy->surge + policy->max_unavailable == 0 ? 1 : policy->surge;
}

static uint32_t count_alive(uint32_t p)
{
	uint32_t alive = 0;

	for (uint32_t s = 0; s < w.worker_count; s++)
		alive += w.slots[p][s].state != PFI_STATE_EMPTY;
	return alive;
}

static bool has_vacancy(uint32_t p)
{
	return count_alive(p) < (surge_of(p) > 0 ? w.worker_count : pfi_pool_wanted(&w.pools[p]));
}

void check_presence(void)
{
	for (uint32_t p = 0; p < w.supervisor.pool_count && w.supervisor.phase == PFI_PHASE_RUNNING; p++) {
		w.planned[p] = w.ledgers[p];
		promise(!may_start_alone(p) || pfi_pool_wanted(&w.pools[p]) == 0 || !has_vacancy(p));
	}
}

void check_order(uint32_t p, const struct pfi_order *order)
{
	const struct pfi_slot *const slot = &w.slots[p][order->slot];
	const struct process *const process = &w.processes[p][order->slot];
	const struct pfi_pool *const pool = &w.pools[p];
	const uint32_t wanted = pfi_pool_wanted(pool);

	promise(order->slot < w.worker_count);
	promise(pfi_lifecycle_step(slot->state, order->event).action != PFI_ACTION_REFUSE);
	if (order->event == PFI_EVENT_FORKED) {
		promise(w.supervisor.phase < PFI_PHASE_LEAVING);
		/* Without a surge no worker is started before the process that it replaces is gone. */
		if (surge_of(p) == 0)
			promise(count_alive(p) < (wanted > 0 ? wanted : 1));
		/* A stop starts one worker, when there is none, to accept pending connections. */
		if (w.supervisor.phase == PFI_PHASE_REFUSING)
			promise(pool->queued > 0 && !is_there(p) && is_likely_to_boot(p) && w.supervisor.result == 0);
		/* A failure is waited out, except by the one that is to prove itself. */
		if (!pfi_supervisor_is_probation(&w.supervisor, p, order->generation))
			promise(may_start_alone(p) ||
				(w.now_ms >= w.planned[p].boot_ms && w.now_ms >= w.planned[p].run_ms));
	}
	if (order->event == PFI_EVENT_TIMEOUT || order->event == PFI_EVENT_STUCK) {
		const struct pfi_deadline_summary look = look_at(process);

		promise(order->event == PFI_EVENT_TIMEOUT || look.able == 0 || slot->state == PFI_STATE_DRAINING);
		promise(look.late > 0); /* an idle worker is never killed for silence */
	}
	if (slot->state == PFI_STATE_SERVING)
		promise(order->event != PFI_EVENT_OVERDUE);
	/* After a suspend nobody is judged on the first look. */
	if (w.overslept)
		promise(order->event == PFI_EVENT_FORKED || order->event == PFI_EVENT_RETIRE ||
			  order->event == PFI_EVENT_QUIT);
	/* Nobody takes back what is being proved, nor touches what it may replace. */
	if (w.supervisor.rollout.state == PFI_ROLLOUT_PROVING && order->event == PFI_EVENT_RETIRE) {
		promise(order->slot != pool->canary.slot);
		/* Without a surge it takes the place of one. */
		if (slot->state == PFI_STATE_SERVING && (surge_of(p) > 0 || pool->canary.slot != UINT32_MAX))
			promise(count_ready(p) - is_ready(p, pool->canary.slot) > wanted);
	}
	if (order->event != PFI_EVENT_RETIRE || slot->state != PFI_STATE_SERVING ||
	    w.supervisor.phase >= PFI_PHASE_LEAVING)
		return;

	/* Never fewer than wanted, save by the policy's own leave. */
	const uint32_t ready = count_ready(p);
	const uint32_t most = wanted < ready ? wanted : ready;
	const uint32_t spare = pool->policy.max_unavailable;

	promise(ready - 1 + spare >= most);
	/* A generation that never became ready never makes a ready one leave. */
	if (slot->generation < w.supervisor.rollout.wanted && wanted > 0)
		promise(w.has_been_ready[p][w.supervisor.rollout.wanted] || ready > wanted);
}

/* A reload that is done has everybody replaced, and as many as are wanted. */
void check_done(uint32_t p)
{
	promise(count_ready(p) >= pfi_pool_wanted(&w.pools[p]));
	promise(w.pools[p].target > 0 || w.scaled[p]); /* a reload brings workers back */
	for (uint32_t s = 0; s < w.worker_count; s++) {
		const struct pfi_slot *const slot = &w.slots[p][s];

		promise(!pfi_slot_is_current(slot) || slot->generation == w.supervisor.rollout.wanted);
	}
}

/* Once it is proved, only a row of failed boots takes a generation back, and that for sure. */
void check_taking_back(const struct pfi_supervisor *before, struct pfi_decision decision)
{
	enum { ROW = 3 };
	uint64_t longest = 0;

	if (before->rollout.state != PFI_ROLLOUT_ROLLING || w.supervisor.phase != PFI_PHASE_RUNNING)
		return;
	for (uint32_t p = 0; p < w.supervisor.pool_count; p++) {
		if (w.ledgers[p].row > longest)
			longest = w.ledgers[p].row;
	}
	promise((longest >= ROW) == (decision.given && decision.verdict == PREFORK_RELOAD_FAILED));
}

/* Those that serve and were not told to stop it, without the canary. */
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
			    w.now_ms >= w.supervisor.grace_until_ms) /* nobody else can go on: at once */
				promise(slot->late == 0 || (slot->able > 0 && slot->unseen == 0));
			if (slot->state == PFI_STATE_DUMPING && w.now_ms >= w.supervisor.grace_until_ms)
				promise(count_serving(p) < pfi_pool_wanted(pool)); /* it is still missed */
			if (slot->state == PFI_STATE_EMPTY || slot->state == PFI_STATE_DUMPING || process->hung_since_ms == 0)
				continue;
			/* A stuck one that nobody misses is gone within timeout and ladder. */
			const uint64_t from_ms = process->told_ms > process->hung_since_ms ? process->told_ms :
											     process->hung_since_ms;

			promise(w.now_ms <= from_ms + step_ms + pool->policy.graceful_timeout_ms +
							    (process->in_kernel ? NEVER_DIES_MS : 0) + 100 + w.grace_deadline_ms -
								    process->hung_excused_ms);
		}
		if (w.supervisor.phase == PFI_PHASE_RUNNING)
			promise(staying <= pool->target + (pool->policy.surge > 1 ? pool->policy.surge : 1) + 1);
		/* What a candidate wants is not done before it is proved. */
		if (w.supervisor.rollout.state == PFI_ROLLOUT_PROVING)
			promise(w.scaled[p] || pool->target == w.targets[p]);
		promise(pool->target <= pool->policy.workers_max);
		if (w.supervisor.rollout.state == PFI_ROLLOUT_IDLE && w.supervisor.phase == PFI_PHASE_RUNNING)
			promise(pool->canary.slot == UINT32_MAX);
	}
	promise(w.reloads == w.verdicts + (w.supervisor.rollout.state != PFI_ROLLOUT_IDLE) + w.supervisor.pending.given);
}

/* Nobody is started faster than the budgets allow, whatever the workers do. */
void check_spawn_rate(void)
{
	const uint64_t elapsed_ms = w.now_ms - w.began_ms;
	uint64_t most = w.asked_spawns;

	for (uint32_t p = 0; p < w.supervisor.pool_count; p++) {
		const struct pfi_policy *const policy = &w.pools[p].policy;

		/* A failed boot is followed by a wait of 400 ms at least. */
		most += (elapsed_ms / policy->run.period_ms + 2) * (policy->run.failures_max + 10);
		most += elapsed_ms / 400 + policy->workers_max;
		/* A pool that has no worker left tries one, but not two in the shortest wait. */
		most += elapsed_ms / policy->run.first_ms + 1;
	}
	promise(w.spawns <= most);
}

/* After the drain time only connections are waited for that a worker accepts, or may. */
static void check_drain(void)
{
	bool useful = false;

	if (w.supervisor.phase != PFI_PHASE_REFUSING)
		return;
	for (uint32_t p = 0; p < w.supervisor.pool_count; p++)
		useful |= w.pools[p].queued > 0 && (is_there(p) || is_likely_to_boot(p));
	promise(useful || w.now_ms < w.supervisor.phase_since_ms + w.supervisor.linger_ms);
}

void check_stop(void)
{
	check_drain();
	uint64_t most_ms = w.supervisor.linger_max_ms;

	if (w.stop_at_ms == 0 && w.supervisor.phase != PFI_PHASE_RUNNING)
		w.stop_at_ms = w.now_ms; /* it gave up by itself */
	if (w.stop_at_ms == 0)
		return;
	for (uint32_t p = 0; p < w.supervisor.pool_count; p++)
		most_ms += w.pools[p].policy.graceful_timeout_ms + 3000;
	promise(w.now_ms <= w.stop_at_ms + most_ms + NEVER_DIES_MS + 1000 + w.grace_deadline_ms);
}

/* Between now and the wake-up that was asked for, nothing is due. */
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

/* What was on probation is wanted only when each pool's canary had lived for the canary time. */
void check_proof(const struct pfi_supervisor *before)
{
	if (before->rollout.state != PFI_ROLLOUT_PROVING || w.supervisor.rollout.wanted == before->rollout.wanted)
		return;
	promise(w.supervisor.rollout.wanted == before->rollout.candidate);
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

/* When nothing fails any more everything comes to what is wanted, and then to rest. */
void check_convergence(void)
{
	w.calm = true;
	for (uint32_t p = 0; p < w.supervisor.pool_count; p++) {
		for (uint32_t s = 0; s < w.worker_count; s++) {
			struct process *const process = &w.processes[p][s];

			process->deaf = process->in_kernel = process->garbage = false;
			process->says_leave_at_ms = 0;
			if (w.slots[p][s].state == PFI_STATE_SERVING)
				process->dies_at_ms = 0;
		}
	}
	const uint64_t until_ms = w.now_ms + 200000;

	while (w.now_ms < until_ms) {
		advance_clock();
		processes_act();
		(void)turn();
	}
	w.calm = false;
	if (w.supervisor.phase != PFI_PHASE_RUNNING)
		return; /* what was failing already was too much for it */
	for (uint32_t p = 0; p < w.supervisor.pool_count; p++) {
		const struct pfi_worker_counts counts =
			pfi_worker_table_count(&w.pools[p].worker_table, w.supervisor.rollout.wanted, UINT32_MAX);

		promise(counts.current_ready == pfi_pool_wanted(&w.pools[p]));
		promise(counts.outdated_ready + counts.outdated_booting == 0);
	}
	promise(w.supervisor.rollout.state == PFI_ROLLOUT_IDLE);
}
