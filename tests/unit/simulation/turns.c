#include "world.h"

/* The shortest wait after a failure: 500 ms, less a fifth. */
enum { WAIT_LEAST_MS = 400 };

bool is_canary(uint32_t p, uint32_t slot)
{
	const struct pfi_canary *const canary = &w.pools[p].canary;

	return canary->slot == slot && canary->incarnation == w.slots[p][slot].incarnation;
}

static void note_boot_failure(uint32_t p, bool killed)
{
	w.failures[p].last_was_healthy = killed;
	w.failures[p].boot_ms = w.now_ms + WAIT_LEAST_MS;
	w.failures[p].failed_boots++;
}

/* A canary that fails leaves the record of its pool as it was. */
static void check_record(uint32_t p, const struct pfi_pool *before)
{
	const struct pfi_pool *const now = &w.pools[p];

	promise(now->boot.streak == before->boot.streak && now->boot.earliest_ms == before->boot.earliest_ms);
	promise(now->run.streak == before->run.streak && now->run.earliest_ms == before->run.earliest_ms);
	promise(now->fatal_exits == before->fatal_exits);
}

/* One failure more than failures_max in a period delays no start. */
static void note_exit(uint32_t p, bool last_was_healthy)
{
	struct failures *const failures = &w.failures[p];
	const struct pfi_intensity *const limits = &w.pools[p].policy.run;

	failures->last_was_healthy = last_was_healthy;
	if (failures->exits == 0 || w.now_ms - failures->period_at_ms >= limits->period_ms) {
		failures->period_at_ms = w.now_ms;
		failures->exits = 0;
	}
	if (++failures->exits <= limits->failures_max + 1)
		return;
	/* In the next period failures are counted from 0, if a worker serves. */
	failures->run_ms = w.now_ms + WAIT_LEAST_MS;
	if (failures->run_ms > failures->period_at_ms + limits->period_ms)
		failures->run_ms = failures->period_at_ms + limits->period_ms;
}

enum pfi_step_action send_event(uint32_t p, uint32_t slot, enum pfi_event event)
{
	const struct pfi_slot before = w.slots[p][slot];
	const struct pfi_pool pool = w.pools[p];
	const bool canary = is_canary(p, slot);
	const enum pfi_step_action action = pfi_supervisor_send_event(&w.supervisor, p, slot, event, w.now_ms);

	if (action == PFI_ACTION_REFUSE)
		return action;
	if (canary && event != PFI_EVENT_READY)
		check_record(p, &pool);
	if (before.state == PFI_STATE_BOOTING && event == PFI_EVENT_READY)
		w.failures[p].boot_ms = w.failures[p].failed_boots = 0;
	else if (!canary && before.state == PFI_STATE_BOOTING && event == PFI_EVENT_OVERDUE)
		note_boot_failure(p, false);
	else if (!canary && before.state == PFI_STATE_SERVING &&
		 (event == PFI_EVENT_TIMEOUT || event == PFI_EVENT_STUCK || (event == PFI_EVENT_RETIRE && before.wants_retire)))
		note_exit(p, true);
	return action;
}

void end_process(uint32_t p, uint32_t slot)
{
	const struct process *const process = &w.processes[p][slot];
	const enum pfi_state state = w.slots[p][slot].state;
	const bool canary = is_canary(p, slot);
	const struct pfi_pool pool = w.pools[p];
	const uint64_t ready_ms = w.slots[p][slot].ready_ms;
	const bool killed = process->reason == PREFORK_REASON_KILLED;
	const bool served = process->requests > 0 || (ready_ms != 0 && w.now_ms - ready_ms >= pool.policy.healthy_ms);

	pfi_supervisor_exited(&w.supervisor, p, slot, process->reason, process->requests, w.now_ms);
	if (canary)
		check_record(p, &pool);
	if (!canary && state == PFI_STATE_BOOTING)
		note_boot_failure(p, killed);
	if (!canary && state == PFI_STATE_SERVING)
		note_exit(p, killed || (served && process->reason != PREFORK_REASON_SICK));
}

static void fork_failed(uint32_t p, uint32_t generation)
{
	const bool canary = pfi_supervisor_starts_canary(&w.supervisor, p, generation);

	pfi_supervisor_fork_failed(&w.supervisor, p, generation, w.now_ms);
	if (!canary)
		note_boot_failure(p, false);
}

/* False: the start of a worker failed. */
static bool carry_out(uint32_t p, const struct pfi_order *order)
{
	struct process *const process = &w.processes[p][order->slot];
	uint64_t soon_ms = w.now_ms + 1 + pick(20);

	check_order(p, order);
	if (order->event == PFI_EVENT_FORKED) {
		w.spawns++;
		if (one_in(100)) {
			fork_failed(p, order->generation);
			return false;
		}
		if (!pfi_supervisor_starts_canary(&w.supervisor, p, order->generation))
			w.forked_ms[p] = w.now_ms;
		pfi_supervisor_forked(&w.supervisor, p, order->slot, order->generation, w.now_ms);
		start_process(p, order->slot, order->generation);
		return true;
	}
	switch (send_event(p, order->slot, order->event)) {
	case PFI_ACTION_DUMP:
		for (uint32_t i = 0; i < THREADS; i++)
			process->dumped[i] = process->deadlines_ms[i];
		w.slots[p][order->slot].undumped = 0;
		break;
	case PFI_ACTION_DRAIN:
		process->notified_ms = w.now_ms;
		soon_ms += pick(w.pools[p].policy.graceful_timeout_ms * 3 / 2);
		if (!process->ignores_signals && process->hung_since_ms == 0)
			process->exits_at_ms = pfi_earlier_ms(process->exits_at_ms, soon_ms);
		break;
	case PFI_ACTION_QUIT:
	case PFI_ACTION_ABORT:
		if (process->notified_ms == 0)
			process->notified_ms = w.now_ms;
		if (!process->ignores_signals)
			process->exits_at_ms = pfi_earlier_ms(process->exits_at_ms, soon_ms);
		break;
	case PFI_ACTION_KILL:
		process->exits_at_ms = pfi_earlier_ms(process->exits_at_ms,
						     process->in_kernel ? w.now_ms + pick(KILL_MAX_MS) : soon_ms);
		break;
	default:
		ck_abort_msg("the order has no action");
	}
	return true;
}

static void check_health(void)
{
	for (uint32_t p = 0; p < w.supervisor.pool_count; p++) {
		for (uint32_t s = 0; s < w.worker_count; s++) {
			struct pfi_slot *const slot = &w.slots[p][s];

			if (slot->state == PFI_STATE_EMPTY)
				continue;
			const struct process *const process = &w.processes[p][s];
			const struct pfi_deadline_summary check = summarize(process);

			slot->busy = check.busy;
			slot->expired = check.expired;
			slot->usable = check.usable;
			slot->other_connections = check.busy - check.expired;
			slot->undumped = 0;
			for (uint32_t i = 0; i < THREADS; i++)
				slot->undumped += pfi_deadline_is_past(process->deadlines_ms[i], w.now_ms) &&
						process->dumped[i] != process->deadlines_ms[i];
			slot->next_ms = check.next_ms;
		}
	}
}

/* One turn of the arbiter. True: the stop is complete. */
bool turn(void)
{
	struct pfi_orders orders;
	struct pfi_turn result;
	uint64_t wake_ms;
	const uint64_t grace_before_ms = w.supervisor.grace_until_ms;
	bool more;
	int rounds = 0;

	w.is_late = w.supervisor.due_ms != 0 && w.now_ms >= w.supervisor.due_ms + 1000;
	check_health();
	do {
		promise(rounds++ < 50); /* a turn ends */
		const struct pfi_supervisor before = w.supervisor;

		result = pfi_supervisor_turn(&w.supervisor, w.now_ms);
		check_canary_time(&before);
		check_rollback(&before, result.decision);
		note_decision(result.decision);
		for (uint32_t p = 0; p < w.supervisor.pool_count && before.rollout.desired != w.supervisor.rollout.desired; p++)
			w.failures[p] = (struct failures){ 0 }; /* the records are those of another generation */
		wake_ms = result.wake_ms;
		more = false;
		for (uint32_t p = 0; p < w.supervisor.pool_count; p++) {
			pfi_supervisor_plan(&w.supervisor, p, w.now_ms, &orders);
			wake_ms = pfi_earlier_ms(wake_ms, orders.wake_ms);
			more |= orders.more || orders.count > 0;
			const enum pfi_server_phase phase = w.supervisor.phase;
			bool can_start = true;

			w.planned_failures[p] = w.failures[p];
			for (uint32_t i = 0; i < orders.count; i++) {
				if ((can_start && w.supervisor.phase == phase) || orders.list[i].event != PFI_EVENT_FORKED)
					can_start &= carry_out(p, &orders.list[i]);
			}
		}
	} while (more);
	if (w.supervisor.grace_until_ms != grace_before_ms)
		w.lost_ms += w.supervisor.grace_until_ms - w.now_ms;
	if (!result.finished && pick(8) == 0)
		check_wake(wake_ms);
	pfi_supervisor_set_next_turn(&w.supervisor, wake_ms);
	return result.finished;
}
