/* Requests stack dumps: SIGURG to each thread that has missed its deadline, once per deadline and a limited number
 * of times per process. */
#include "arbiter/stack_dumps.h"

#include "arbiter/arbiter.h"
#include "os/dump.h"

/* Limit of dumps per process: each thread needs one or two, and a worker that keeps missing deadlines must not fill the
 * log. */
enum { DUMPS_MAX = 2000 };

uint32_t pfi_stack_dumps_mark(struct prefork_process *process, const struct pfi_thread_deadline *deadlines,
			      uint64_t after_ms, uint64_t now_ms)
{
	uint32_t count = 0;

	for (unsigned i = 0; i < pfi_score_threads(process); i++) {
		uint64_t *const bits = &process->dumps.pending[i / 64];
		const uint64_t bit = UINT64_C(1) << i % 64;
		const uint64_t at_ms = deadlines[i].deadline_ms;

		if (!pfi_deadline_is_past(at_ms, now_ms))
			*bits &= ~bit;
		else if (at_ms > after_ms && process->dumps.requested < DUMPS_MAX)
			*bits |= bit;
		count += (*bits & bit) != 0;
	}
	return count;
}

void pfi_stack_dumps_request(struct prefork_process *process)
{
	char activity[PFI_ACTIVITY_SIZE + 1];

	for (unsigned i = 0; i < pfi_score_threads(process); i++) {
		uint64_t *const bits = &process->dumps.pending[i / 64];
		const uint64_t bit = UINT64_C(1) << i % 64;

		if ((*bits & bit) == 0)
			continue;
		*bits &= ~bit;
		process->dumps.requested++;
		pfi_score_read_activity(process, i, activity);
		pfi_process_log(process, PREFORK_LOG_CRITICAL, "request_timeout", PFI_PAIRS(PREFORK_NUMBER("thread", i)),
				"WORKER TIMEOUT (pid:%d, thread %u): %s%s%s", (int)process->pid, i,
				pfi_cause_text(PFI_CAUSE_REQUEST_TIMEOUT),
				activity[0] ? "; it works on: " : "", activity);
		/* tgkill(2) refuses a number that is not a thread of this process. */
		(void)pfi_dump_ask(process->pid, pfi_score_thread_id(process, i));
	}
	pfi_process_slot(process)->undumped = 0;
}
