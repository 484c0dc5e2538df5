#include "worker/wake_policy.h"

enum {
	INTERVAL_MIN_MS = 10,
	INTERVAL_MAX_MS = 1000,
	PROOF_CALLS = 64, /* so many calls alone, and the try was worth it */
	BLAME_SLOW = 4,
	BLAME_MAX = 16, /* four slow calls in a row, or every fifth for a while */
};

static void give_up(struct pfi_wake_policy *wake_policy, uint64_t now_ms)
{
	if (wake_policy->calls >= PROOF_CALLS || wake_policy->interval_ms == 0)
		wake_policy->interval_ms = INTERVAL_MIN_MS;
	else if (wake_policy->interval_ms < INTERVAL_MAX_MS / 2)
		wake_policy->interval_ms *= 2;
	else
		wake_policy->interval_ms = INTERVAL_MAX_MS;
	wake_policy->try_at_ms = now_ms + wake_policy->interval_ms;
	wake_policy->alone = false;
}

void pfi_wake_policy_overlap(struct pfi_wake_policy *wake_policy, uint64_t now_ms)
{
	if (wake_policy->alone || now_ms < wake_policy->try_at_ms)
		return;
	wake_policy->alone = true;
	wake_policy->blame = 0;
	wake_policy->calls = 0;
}

void pfi_wake_policy_called(struct pfi_wake_policy *wake_policy, uint64_t took_us, uint64_t now_ms)
{
	if (!wake_policy->alone)
		return;
	if (wake_policy->calls < PROOF_CALLS)
		wake_policy->calls++;
	if (took_us >= PFI_WAKE_SLOW_US)
		wake_policy->blame += BLAME_SLOW;
	else if (wake_policy->blame > 0)
		wake_policy->blame--;
	if (wake_policy->blame >= BLAME_MAX)
		give_up(wake_policy, now_ms);
}

void pfi_wake_policy_stalled(struct pfi_wake_policy *wake_policy, uint64_t now_ms)
{
	if (wake_policy->alone)
		give_up(wake_policy, now_ms);
}

void pfi_wake_policy_idle(struct pfi_wake_policy *wake_policy)
{
	wake_policy->alone = false;
}
