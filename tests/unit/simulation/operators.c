#include "world.h"

void note_decision(struct pfi_decision decision)
{
	if (!decision.given)
		return;
	w.verdicts++;
	if (decision.verdict == PREFORK_RELOAD_FAILED) {
		promise(w.supervisor.rollout.wanted == w.fall_back);
		for (uint32_t p = 0; p < w.supervisor.pool_count; p++)
			promise(w.scaled[p] || w.pools[p].target == w.targets[p]);
	}
	if (decision.verdict == PREFORK_RELOAD_DONE) {
		promise(w.supervisor.rollout.wanted == decision.generation);
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
	w.fall_back = w.supervisor.rollout.wanted;
	note_decision(pfi_supervisor_reload(&w.supervisor, w.generation));
	for (uint32_t p = 0; p < w.supervisor.pool_count; p++) {
		w.asked_spawns += 2 * w.pools[p].policy.workers_max + 5;
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
			w.processes[p][s].dies_at_ms = w.now_ms;
			w.processes[p][s].reason = PREFORK_REASON_KILLED;
		}
	}
}

void something_happens(void)
{
	const uint32_t p = (uint32_t)pick(w.supervisor.pool_count);
	const uint32_t s = (uint32_t)pick(w.worker_count);

	if (pick(500) == 0)
		w.outage = !w.outage;
	if (pick(w.storm ? 500 : 5000) == 0)
		w.storm = !w.storm;
	if (w.storm)
		kill_some();
	if (pick(w.unrest) != 0)
		return;
	switch (pick(2000)) {
	case 0 ... 19:
		reload();
		break;
	case 20 ... 39:
		w.asked_spawns += w.pools[p].policy.workers_max;
		w.scaled[p] = true;
		promise(pfi_supervisor_scale(&w.supervisor, p, (uint32_t)pick(w.pools[p].policy.workers_max + 1)) == 0);
		break;
	case 40 ... 69: /* kill -9, or the kernel */
		if (w.slots[p][s].state != PFI_STATE_EMPTY) {
			w.processes[p][s].dies_at_ms = w.now_ms;
			w.processes[p][s].reason = PREFORK_REASON_KILLED;
		}
		break;
	case 70 ... 74: { /* the lid was closed: everybody stood still */
		const uint64_t away_ms = 2000 + pick(100000);

		w.now_ms += away_ms;
		w.grace_deadline_ms += away_ms;
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
