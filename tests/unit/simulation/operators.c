#include "world.h"

void note_decision(struct pfi_decision decision)
{
	if (!decision.given)
		return;
	w.verdicts++;
	if (decision.verdict == PREFORK_RELOAD_FAILED) {
		promise(w.supervisor.rollout.desired == w.generation_before);
		for (uint32_t p = 0; p < w.supervisor.pool_count; p++)
			promise(w.scaled[p] || w.pools[p].target == w.targets[p]);
	}
	if (decision.verdict == PREFORK_RELOAD_DONE) {
		promise(w.supervisor.rollout.desired == decision.generation);
		for (uint32_t p = 0; p < w.supervisor.pool_count; p++)
			check_done(p);
	}
}

static void reload(void)
{
	if (w.generation + 1 == GENERATIONS)
		return;
	w.generation++;
	w.quality[w.generation] = (uint8_t)(pick(2) ? 0 : pick(4));
	w.reloads++;
	w.generation_before = w.supervisor.rollout.desired;
	note_decision(pfi_supervisor_reload(&w.supervisor, w.generation));
	for (uint32_t p = 0; p < w.supervisor.pool_count; p++) {
		w.operator_spawns += 2 * w.pools[p].policy.workers_max + 5;
		w.targets[p] = w.pools[p].target;
		w.scaled[p] = false;
		if (pick(2) || w.pools[p].target == 0) /* as the arbiter does */
			pfi_supervisor_propose(&w.supervisor, p, 1 + (uint32_t)pick(w.pools[p].policy.workers_max));
	}
}

static void stop(bool graceful)
{
	if (w.stop_at_ms == 0 || !graceful)
		w.stop_at_ms = w.now_ms;
	note_decision(pfi_supervisor_stop(&w.supervisor, graceful, 0, w.now_ms));
}

static void kill_some(void)
{
	for (uint32_t p = 0; p < w.supervisor.pool_count; p++) {
		for (uint32_t s = 0; s < w.worker_count; s++) {
			if (!pfi_slot_is_current(&w.slots[p][s]) || pick(2))
				continue;
			w.processes[p][s].exits_at_ms = w.now_ms;
			w.processes[p][s].reason = PREFORK_REASON_KILLED;
		}
	}
}

void operators_act(void)
{
	const uint32_t p = (uint32_t)pick(w.supervisor.pool_count);
	const uint32_t s = (uint32_t)pick(w.worker_count);

	if (pick(500) == 0)
		w.outage = !w.outage;
	if (pick(w.kills ? 500 : 5000) == 0)
		w.kills = !w.kills;
	if (w.kills)
		kill_some();
	if (pick(w.pause) != 0)
		return;
	switch (pick(2000)) {
	case 0 ... 19:
		reload();
		break;
	case 20 ... 39:
		w.operator_spawns += w.pools[p].policy.workers_max;
		w.scaled[p] = true;
		promise(pfi_supervisor_scale(&w.supervisor, p, (uint32_t)pick(w.pools[p].policy.workers_max + 1)) == 0);
		break;
	case 40 ... 69: /* SIGKILL, by an operator or the kernel */
		if (w.slots[p][s].state != PFI_STATE_EMPTY) {
			w.processes[p][s].exits_at_ms = w.now_ms;
			w.processes[p][s].reason = PREFORK_REASON_KILLED;
		}
		break;
	case 70 ... 74: { /* the machine is suspended: every process stops */
		const uint64_t suspended_ms = 2000 + pick(100000);

		w.now_ms += suspended_ms;
		w.lost_ms += suspended_ms;
		break;
	}
	case 75:
		stop(true);
		break;
	case 76:
		if (one_in(3))
			stop(false);
		break;
	default:
		break;
	}
}
