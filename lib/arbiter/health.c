/*
 * A worker's threads store their deadlines in the scoreboard. The timerfd that the worker and the arbiter share, its
 * watchdog timer, is armed for the earliest:
 *
 *     worker thread              watchdog timer (timerfd)            arbiter
 *        |-- store deadline          |                                  |
 *        |-- arm, if earlier ------->|                                  |
 *        |   (works)                 |-- fires: EPOLLIN --------------->|-- reads all deadlines, never writes
 *        |-- store 0                 |                                  |-- overdue: stack dump, later SIGABRT
 */
#include "arbiter/health.h"

#include "arbiter/arbiter.h"
#include "arbiter/flood_control.h"
#include "arbiter/score_reader.h"
#include "arbiter/stack_dumps.h"
#include "model/deadline.h"

#include <inttypes.h>

enum {
	CHECK_PAUSE_MS = 10,  /* between checks, however close the next deadline is                      */
	SLOW_LINES_MAX = 8,   /* a check: a worker with more slow requests has a problem of another kind */
};

void pfi_health_init(struct prefork_process *process, uint64_t soft_timeout_ms)
{
	process->health.soft_timeout_ms = soft_timeout_ms;
}

/* If a deadline is long past when the arbiter first reads it, the arbiter did not run (SIGSTOP, a suspended machine),
 * and perhaps the worker did not either. The worker gets one more period, once for each deadline: by storing new
 * deadlines a worker can only extend its own time. */
static void extend_deadline(struct prefork_process *process, struct pfi_slot *slot, uint64_t late_ms, uint64_t now_ms)
{
	const struct pfi_policy *const policy = &process->arbiter->models[process->pool].policy;
	const uint64_t until_ms = pfi_deadline_grace_until_ms(late_ms, now_ms, policy->request_timeout_ms);

	if (late_ms == 0 || late_ms == process->health.grace_deadline_ms)
		return;
	process->health.grace_deadline_ms = late_ms;
	if (until_ms > slot->grace_until_ms)
		slot->grace_until_ms = until_ms;
}

/* Each moment lies between two checks, so that each slow request is logged once. */
static void log_slow(const struct prefork_process *process, const struct pfi_thread_deadline *deadlines,
		     uint64_t now_ms)
{
	char activity[PFI_ACTIVITY_SIZE + 1];
	unsigned logged = 0;

	for (unsigned i = 0; i < pfi_score_threads(process) && logged < SLOW_LINES_MAX; i++) {
		const uint64_t slow_ms = pfi_deadline_slow_at_ms(&deadlines[i], process->health.soft_timeout_ms);
		const uint64_t duration_ms = now_ms - deadlines[i].since_ms;

		if (slow_ms <= process->health.checked_ms || slow_ms > now_ms)
			continue;
		logged++;
		pfi_score_read_activity(process, i, activity);
		pfi_process_log(process, PREFORK_LOG_WARNING, "request_slow",
				PFI_PAIRS(PREFORK_NUMBER("thread", i), PREFORK_NUMBER("duration_ms", duration_ms)),
				"SLOW (pid:%d, thread %u): busy for %" PRIu64 " ms%s%s", (int)process->pid, i,
				duration_ms, activity[0] ? ": " : "", activity);
	}
}

static unsigned read_deadlines(struct prefork_process *process, struct pfi_thread_deadline *deadlines)
{
	const unsigned first = pfi_score_read_deadlines(process, deadlines, &process->health.requests);

	pfi_score_read_activity(process, first, process->health.activity);
	process->health.is_busy = deadlines[first].deadline_ms != 0;
	return first;
}

void pfi_health_read_activity(struct prefork_process *process)
{
	struct pfi_thread_deadline deadlines[PFI_THREAD_SLOTS_MAX];

	(void)read_deadlines(process, deadlines);
}

void pfi_health_check(struct prefork_arbiter *arbiter, struct prefork_process *process, uint64_t now_ms)
{
	struct pfi_thread_deadline deadlines[PFI_THREAD_SLOTS_MAX];

	(void)read_deadlines(process, deadlines);

	const struct pfi_deadline_summary summary = pfi_deadlines_summarize(
		deadlines, pfi_score_threads(process), process->health.soft_timeout_ms, now_ms);
	struct pfi_slot *const slot = pfi_process_slot(process);

	slot->busy = summary.busy;
	slot->expired = summary.expired;
	slot->usable = summary.usable;
	extend_deadline(process, slot, summary.expired_ms, now_ms);
	slot->other_connections = pfi_score_other_connections(process, summary.expired);
	slot->undumped = pfi_stack_dumps_mark(process, deadlines, process->health.checked_ms, now_ms);
	log_slow(process, deadlines, now_ms);
	process->health.checked_ms = now_ms;
	/* A corrupted deadline that is always near must not make the arbiter spin. */
	slot->next_ms = summary.next_ms == 0 || summary.next_ms >= now_ms + CHECK_PAUSE_MS ? summary.next_ms :
											     now_ms + CHECK_PAUSE_MS;
	slot->next_ms = pfi_earlier_ms(slot->next_ms, pfi_flood_unmute(arbiter, process, now_ms));
}

/* After a request timeout the overdue thread is known already. Else, of the busy threads the one that began last most
 * likely crashed the worker; if none is busy, the thread that worked last. */
unsigned pfi_health_post_mortem(struct prefork_process *process)
{
	struct pfi_thread_deadline deadlines[PFI_THREAD_SLOTS_MAX];
	unsigned best = read_deadlines(process, deadlines), busy = 0;
	const bool timed_out = process->stop.cause == PFI_CAUSE_REQUEST_TIMEOUT;

	for (unsigned i = 0; i < pfi_score_threads(process); i++) {
		const bool is_busy = deadlines[i].deadline_ms != 0, best_is_busy = deadlines[best].deadline_ms != 0;

		busy += is_busy;
		if (!timed_out && ((is_busy && !best_is_busy) ||
				   (is_busy == best_is_busy && deadlines[i].since_ms > deadlines[best].since_ms)))
			best = i;
	}
	pfi_score_read_activity(process, best, process->health.activity);
	return busy;
}
