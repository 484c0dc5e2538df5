#include "model/deadline.h"

/* A busy machine makes a turn late by tens of milliseconds, a suspend by
 * seconds. The price of a grace given in error is one period more for a stuck
 * worker, so it is bounded too. */
enum { MUCH_TOO_LATE_MS = 1000, GRACE_MAX_MS = 10000 };

struct pfi_look pfi_deadline_look(const uint64_t *words_ms, size_t count, uint64_t now_ms)
{
	struct pfi_look look = { 0 };

	for (size_t i = 0; i < count; i++) {
		if (words_ms[i] == 0)
			continue;
		look.busy++;
		if (pfi_deadline_is_past(words_ms[i], now_ms)) {
			look.late++;
			look.late_ms = pfi_earlier_ms(look.late_ms, words_ms[i]);
		} else {
			look.next_ms = pfi_earlier_ms(look.next_ms, words_ms[i]);
		}
	}
	return look;
}

uint64_t pfi_deadline_grace_until_ms(uint64_t due_ms, uint64_t now_ms, uint64_t period_ms)
{
	if (due_ms == 0 || now_ms < due_ms || now_ms - due_ms < MUCH_TOO_LATE_MS)
		return 0;
	if (period_ms == 0 || period_ms > GRACE_MAX_MS)
		period_ms = GRACE_MAX_MS;
	return now_ms + period_ms;
}
