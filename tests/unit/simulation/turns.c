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
	w.ledgers[p].blameless = killed;
	w.ledgers[p].boot_ms = w.now_ms + WAIT_LEAST_MS;
	w.ledgers[p].row++;
}

/* A canary that fails leaves the record of its pool as it was. */
static void check_record(uint32_t p, const struct pfi_pool *before)
{
	const struct pfi_pool *const now = &w.pools[p];

	promise(now->boot.streak == before->boot.streak && now->boot.not_before_ms == before->boot.not_before_ms);
	promise(now->run.streak == before->run.streak && now->run.not_before_ms == before->run.not_before_ms);
	promise(now->lost == before->lost);
}

/* One more than a period may have is borne: one death proves nothing. */
static void note_death(uint32_t p, bool blameless)
{
	struct ledger *const ledger = &w.ledgers[p];
	const struct pfi_intensity *const limits = &w.pools[p].policy.run;

	ledger->blameless = blameless;
	if (ledger->deaths == 0 || w.now_ms - ledger->period_at_ms >= limits->period_ms) {
		ledger->period_at_ms = w.now_ms;
		ledger->deaths = 0;
	}
	if (++ledger->deaths <= limits->failures_max + 1)
		return;
	/* The next period is a new beginning, if somebody serves. */
	ledger->run_ms = w.now_ms + WAIT_LEAST_MS;
	if (ledger->run_ms > ledger->period_at_ms + limits->period_ms)
		ledger->run_ms = ledger->period_at_ms + limits->period_ms;
}

enum pfi_step_action told(uint32_t p, uint32_t slot, enum pfi_event event)
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
		w.ledgers[p].boot_ms = w.ledgers[p].row = 0;
	else if (!canary && before.state == PFI_STATE_BOOTING && event == PFI_EVENT_OVERDUE)
		note_boot_failure(p, false);
	else if (!canary && before.state == PFI_STATE_SERVING &&
		 (event == PFI_EVENT_TIMEOUT || event == PFI_EVENT_STUCK || (event == PFI_EVENT_RETIRE && before.wants_retire)))
		note_death(p, true);
	return action;
}

void died(uint32_t p, uint32_t slot)
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
		note_death(p, killed || (served && process->reason != PREFORK_REASON_SICK));
}

static void fork_failed(uint32_t p, uint32_t generation)
{
	const bool canary = pfi_supervisor_is_probation(&w.supervisor, p, generation);

	pfi_supervisor_fork_failed(&w.supervisor, p, generation, w.now_ms);
	if (!canary)
		note_boot_failure(p, false);
}

/* False: it was to start somebody, and could not. */
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
		if (!pfi_supervisor_is_probation(&w.supervisor, p, order->generation))
			w.forked_ms[p] = w.now_ms;
		pfi_supervisor_forked(&w.supervisor, p, order->slot, order->generation, w.now_ms);
		context(p, order->slot, order->generation);
		return true;
	}
	switch (told(p, order->slot, order->event)) {
	case PFI_ACTION_DUMP:
		for (uint32_t i = 0; i < WORDS; i++)
			process->dumped[i] = process->words[i];
		w.slots[p][order->slot].unseen = 0;
		break;
	case PFI_ACTION_DRAIN:
		process->told_ms = w.now_ms;
		soon_ms += pick(w.pools[p].policy.graceful_timeout_ms * 3 / 2);
		if (!process->deaf && process->hung_since_ms == 0)
			process->dies_at_ms = pfi_earlier_ms(process->dies_at_ms, soon_ms);
		break;
	case PFI_ACTION_QUIT:
	case PFI_ACTION_ABORT:
		if (process->told_ms == 0)
			process->told_ms = w.now_ms;
		if (!process->deaf)
			process->dies_at_ms = pfi_earlier_ms(process->dies_at_ms, soon_ms);
		break;
	case PFI_ACTION_KILL:
		process->dies_at_ms = pfi_earlier_ms(process->dies_at_ms,
						     process->in_kernel ? w.now_ms + pick(NEVER_DIES_MS) : soon_ms);
		break;
	default:
		ck_abort_msg("an order without an action");
	}
	return true;
}

static void look_at_pages(void)
{
	for (uint32_t p = 0; p < w.supervisor.pool_count; p++) {
		for (uint32_t s = 0; s < w.worker_count; s++) {
			struct pfi_slot *const slot = &w.slots[p][s];

			if (slot->state == PFI_STATE_EMPTY)
				continue;
			const struct process *const process = &w.processes[p][s];
			const struct pfi_deadline_summary look = look_at(process);

			slot->busy = look.busy;
			slot->late = look.late;
			slot->able = look.able;
			slot->others = look.busy - look.late;
			slot->unseen = 0;
			for (uint32_t i = 0; i < WORDS; i++)
				slot->unseen += pfi_deadline_is_past(process->words[i], w.now_ms) &&
						process->dumped[i] != process->words[i];
			slot->next_ms = look.next_ms;
		}
	}
}

/* One turn, as the arbiter does it. True when all is over. */
bool turn(void)
{
	struct pfi_orders orders;
	struct pfi_turn result;
	uint64_t wake_ms;
	uint64_t spare_ms = w.supervisor.grace_until_ms;
	bool more;
	int rounds = 0;

	w.overslept = w.supervisor.due_ms != 0 && w.now_ms >= w.supervisor.due_ms + 1000;
	look_at_pages();
	do {
		promise(rounds++ < 50); /* a turn comes to rest */
		const struct pfi_supervisor before = w.supervisor;

		result = pfi_supervisor_turn(&w.supervisor, w.now_ms);
		check_proof(&before);
		check_taking_back(&before, result.decision);
		note_decision(result.decision);
		for (uint32_t p = 0; p < w.supervisor.pool_count && before.rollout.wanted != w.supervisor.rollout.wanted; p++)
			w.ledgers[p] = (struct ledger){ 0 }; /* others have their chance */
		wake_ms = result.wake_ms;
		more = false;
		for (uint32_t p = 0; p < w.supervisor.pool_count; p++) {
			pfi_supervisor_plan(&w.supervisor, p, w.now_ms, &orders);
			wake_ms = pfi_earlier_ms(wake_ms, orders.wake_ms);
			more |= orders.more || orders.count > 0;
			const enum pfi_phase phase = w.supervisor.phase;
			bool can_start = true;

			w.planned[p] = w.ledgers[p];
			for (uint32_t i = 0; i < orders.count; i++) {
				if ((can_start && w.supervisor.phase == phase) || orders.list[i].event != PFI_EVENT_FORKED)
					can_start &= carry_out(p, &orders.list[i]);
			}
		}
	} while (more);
	if (w.supervisor.grace_until_ms != spare_ms)
		w.grace_deadline_ms += w.supervisor.grace_until_ms - w.now_ms;
	if (!result.finished && pick(8) == 0)
		check_wake(wake_ms);
	pfi_supervisor_rest(&w.supervisor, wake_ms);
	return result.finished;
}
