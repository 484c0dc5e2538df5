/* Computes the delay before the next start from the number of failures in a row. */
#include "model/backoff.h"

uint64_t pfi_random(uint64_t *seed)
{
	uint64_t x = *seed ? *seed : UINT64_C(0x9E3779B97F4A7C15);

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	*seed = x;
	return x;
}

uint64_t pfi_backoff_delay_ms(const struct pfi_intensity *limits, uint32_t streak, uint64_t chance)
{
	uint64_t delay_ms = limits->first_ms;

	if (streak == 0)
		return 0;
	for (uint32_t i = 1; i < streak && delay_ms < limits->cap_ms; i++)
		delay_ms += delay_ms / 2 + (delay_ms < 2); /* 1 / 2 is 0, and 1 ms must grow, too */
	if (delay_ms > limits->cap_ms)
		delay_ms = limits->cap_ms;
	/* 80 to 120 %, so that pools that failed at the same time do not start workers at the same time. */
	delay_ms = delay_ms * (800 + chance % 401) / 1000;
	return delay_ms < limits->cap_ms ? delay_ms : limits->cap_ms;
}

static bool period_is_over(const struct pfi_backoff *backoff, const struct pfi_intensity *limits,
			   uint64_t now_ms)
{
	return now_ms - backoff->period_at_ms >= limits->period_ms;
}

bool pfi_backoff_is_exhausted(const struct pfi_backoff *backoff, const struct pfi_intensity *limits,
			      uint64_t now_ms)
{
	return backoff->recent >= limits->failures_max && !period_is_over(backoff, limits, now_ms);
}

void pfi_backoff_failed(struct pfi_backoff *backoff, const struct pfi_intensity *limits, bool served,
			uint64_t now_ms, uint64_t chance)
{
	if (backoff->recent == 0 || period_is_over(backoff, limits, now_ms)) {
		backoff->period_at_ms = now_ms;
		backoff->recent = 0;
	}
	if (backoff->recent < UINT32_MAX)
		backoff->recent++;
	if (served && backoff->recent <= limits->failures_max)
		backoff->streak = 0;
	else if (backoff->streak < UINT32_MAX)
		backoff->streak++;

	const uint64_t at_ms = now_ms + pfi_backoff_delay_ms(limits, backoff->streak, chance);

	if (at_ms > backoff->earliest_ms)
		backoff->earliest_ms = at_ms;
}

void pfi_backoff_served(struct pfi_backoff *backoff, const struct pfi_intensity *limits,
			uint64_t now_ms)
{
	if (pfi_backoff_is_exhausted(backoff, limits, now_ms))
		return;
	backoff->streak = 0;
	backoff->earliest_ms = 0;
}
