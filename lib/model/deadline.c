#include "model/deadline.h"

#include "base/times.h"

uint64_t pfi_deadline_slow_at_ms(const struct pfi_thread_deadline *word, uint64_t slow_ms)
{
	if (word->deadline_ms == 0 || word->since_ms == 0)
		return 0;
	return pfi_deadline_after_ms(word->since_ms, slow_ms);
}

struct pfi_deadline_summary pfi_deadlines_summarize(const struct pfi_thread_deadline *words, size_t count, uint64_t slow_ms,
				  uint64_t now_ms)
{
	struct pfi_deadline_summary look = { 0 };
	bool has_more = false;

	for (size_t i = 1; i < count; i++)
		has_more = has_more || words[i].exists;
	for (size_t i = 0; i < count; i++) {
		const uint64_t deadline_ms = words[i].deadline_ms;
		const uint64_t slow_at_ms = pfi_deadline_slow_at_ms(&words[i], slow_ms);
		const bool is_late = pfi_deadline_is_past(deadline_ms, now_ms);

		look.busy += deadline_ms != 0;
		look.late += is_late;
		if (is_late)
			look.late_ms = pfi_earlier_ms(look.late_ms, deadline_ms);
		/* Where there are more threads the first only minds them, and their clients: it has
		 * turns of its own, and yet nobody is answered while all others are stuck. */
		look.able += words[i].exists && !is_late && (i > 0 || !has_more);
		if (deadline_ms != 0 && !is_late && deadline_ms != PFI_NO_DEADLINE)
			look.next_ms = pfi_earlier_ms(look.next_ms, deadline_ms);
		if (slow_at_ms > now_ms)
			look.next_ms = pfi_earlier_ms(look.next_ms, slow_at_ms);
	}
	if (count > 0 && pfi_deadline_is_past(words[0].deadline_ms, now_ms))
		look.able = 0;
	return look;
}

uint64_t pfi_deadline_grace_until_ms(uint64_t due_ms, uint64_t now_ms, uint64_t period_ms)
{
	if (due_ms == 0 || now_ms < due_ms || now_ms - due_ms < PFI_LATE_TURN_MS)
		return 0;
	if (period_ms == 0 || period_ms > PFI_GRACE_MAX_MS)
		period_ms = PFI_GRACE_MAX_MS;
	return now_ms + period_ms;
}
