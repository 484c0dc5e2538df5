/* Compares the deadlines of a worker's threads with the clock. */
#include "model/deadline.h"

#include "base/times.h"

uint64_t pfi_deadline_slow_at_ms(const struct pfi_thread_deadline *thread, uint64_t slow_ms)
{
	if (thread->deadline_ms == 0 || thread->since_ms == 0)
		return 0;
	return pfi_deadline_after_ms(thread->since_ms, slow_ms);
}

struct pfi_deadline_summary pfi_deadlines_summarize(const struct pfi_thread_deadline *threads, size_t count,
						    uint64_t slow_ms, uint64_t now_ms)
{
	struct pfi_deadline_summary summary = { 0 };
	bool has_worker_threads = false;

	for (size_t i = 1; i < count; i++)
		has_worker_threads = has_worker_threads || threads[i].exists;
	for (size_t i = 0; i < count; i++) {
		const uint64_t deadline_ms = threads[i].deadline_ms;
		const uint64_t slow_at_ms = pfi_deadline_slow_at_ms(&threads[i], slow_ms);
		const bool has_expired = pfi_deadline_is_past(deadline_ms, now_ms);

		summary.busy += deadline_ms != 0;
		summary.expired += has_expired;
		if (has_expired)
			summary.expired_ms = pfi_earlier_ms(summary.expired_ms, deadline_ms);
		/* If there are worker threads, the first thread runs no callbacks: it is not stuck while they all
		 * are, and yet no request is handled. */
		summary.usable += threads[i].exists && !has_expired && (i > 0 || !has_worker_threads);
		if (deadline_ms != 0 && !has_expired && deadline_ms != PFI_NO_DEADLINE)
			summary.next_ms = pfi_earlier_ms(summary.next_ms, deadline_ms);
		if (slow_at_ms > now_ms)
			summary.next_ms = pfi_earlier_ms(summary.next_ms, slow_at_ms);
	}
	/* Only the first thread reads the control channel: without it the worker cannot drain. */
	if (count > 0 && pfi_deadline_is_past(threads[0].deadline_ms, now_ms))
		summary.usable = 0;
	return summary;
}

uint64_t pfi_deadline_grace_until_ms(uint64_t due_ms, uint64_t now_ms, uint64_t period_ms)
{
	if (due_ms == 0 || now_ms < due_ms || now_ms - due_ms < PFI_LATE_TURN_MS)
		return 0;
	if (period_ms == 0 || period_ms > PFI_GRACE_MAX_MS)
		period_ms = PFI_GRACE_MAX_MS;
	return now_ms + period_ms;
}
