/* Bounds how often a worker with corrupted memory can wake the arbiter: its watchdog timer is muted for a while. */
#include "arbiter/flood_control.h"

#include "arbiter/arbiter.h"
#include "model/deadline.h"
#include "os/timer.h"

enum {
	TIMER_EVENTS_A_SECOND = 100,
	EMPTY_TURNS_A_SECOND = 100,
	EMPTY_PAUSE_MS = 10,
};

void pfi_flood_log(struct prefork_process *process, const char *what)
{
	if (!process->flood.logged)
		pfi_process_log(process, PREFORK_LOG_WARNING, "worker_misbehaves", PFI_NO_PAIRS,
				"Worker (pid:%d) misbehaves: %s", (int)process->pid, what);
	process->flood.logged = true;
}

uint64_t pfi_flood_unmute(struct prefork_arbiter *arbiter, struct prefork_process *process, uint64_t now_ms)
{
	const struct pfi_tag tag = { PFI_SOURCE_WATCHDOG, process->worker_index, pfi_process_slot(process)->incarnation };

	if (!pfi_deadline_is_past(process->flood.muted_until_ms, now_ms))
		return process->flood.muted_until_ms;
	process->flood.muted_until_ms = pfi_loop_add(arbiter, process->watchdog, tag) < 0 ? now_ms + 1000 : 0;
	return process->flood.muted_until_ms;
}

/* Muted for the rest of the second only: else a worker could hang unseen afterwards. */
void pfi_flood_count_watchdog(struct prefork_arbiter *arbiter, struct prefork_process *process, uint64_t now_ms)
{
	if (now_ms - process->flood.since_ms >= 1000) {
		process->flood.since_ms = now_ms;
		process->flood.timer_events = 0;
	}
	if (++process->flood.timer_events <= TIMER_EVENTS_A_SECOND)
		return;
	pfi_flood_log(process, "its watchdog timer fires more than 100 times per second; muted for the rest of each second "
			       "(is its memory corrupted?)");
	pfi_loop_remove(arbiter, process->watchdog);
	(void)pfi_timer_set(process->watchdog, 0);
	process->flood.muted_until_ms = process->flood.since_ms + 1000;
}

/* A worker that re-arms its watchdog timer just after it fired wakes the arbiter, whose epoll_wait(2) then returns
 * nothing: which worker that is cannot be seen. So all timers are muted for a moment. */
void pfi_flood_count_empty_turn(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	if (now_ms - arbiter->flood.since_ms >= 1000) {
		arbiter->flood.since_ms = now_ms;
		arbiter->flood.empty_turns = 0;
	}
	if (++arbiter->flood.empty_turns <= EMPTY_TURNS_A_SECOND)
		return;
	for (unsigned i = 0; i < arbiter->processes_max; i++) {
		struct prefork_process *const process = &arbiter->processes[i];

		if (process->pid == 0 || process->flood.muted_until_ms != 0)
			continue;
		pfi_loop_remove(arbiter, process->watchdog);
		process->flood.muted_until_ms = now_ms + EMPTY_PAUSE_MS;
		pfi_process_slot(process)->next_ms =
			pfi_earlier_ms(pfi_process_slot(process)->next_ms, process->flood.muted_until_ms);
	}
}
