#include "worker/pace.h"

enum {
	INTERVAL_MIN_MS = 10,
	INTERVAL_MAX_MS = 1000,
	PROOF_CALLS = 64, /* so many calls alone, and the try was worth it */
	BLAME_SLOW = 4,
	BLAME_MAX = 16, /* four slow calls in a row, or every fifth for a while */
};

static void give_up(struct pfi_pace *pace, uint64_t now_ms)
{
	if (pace->calls >= PROOF_CALLS || pace->interval_ms == 0)
		pace->interval_ms = INTERVAL_MIN_MS;
	else if (pace->interval_ms < INTERVAL_MAX_MS / 2)
		pace->interval_ms *= 2;
	else
		pace->interval_ms = INTERVAL_MAX_MS;
	pace->try_at_ms = now_ms + pace->interval_ms;
	pace->alone = false;
}

void pfi_pace_overlap(struct pfi_pace *pace, uint64_t now_ms)
{
	if (pace->alone || now_ms < pace->try_at_ms)
		return;
	pace->alone = true;
	pace->blame = 0;
	pace->calls = 0;
}

void pfi_pace_called(struct pfi_pace *pace, uint64_t took_us, uint64_t now_ms)
{
	if (!pace->alone)
		return;
	if (pace->calls < PROOF_CALLS)
		pace->calls++;
	if (took_us >= PFI_PACE_SLOW_US)
		pace->blame += BLAME_SLOW;
	else if (pace->blame > 0)
		pace->blame--;
	if (pace->blame >= BLAME_MAX)
		give_up(pace, now_ms);
}

void pfi_pace_stalled(struct pfi_pace *pace, uint64_t now_ms)
{
	if (pace->alone)
		give_up(pace, now_ms);
}

void pfi_pace_rested(struct pfi_pace *pace)
{
	pace->alone = false;
}
