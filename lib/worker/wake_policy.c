#include "worker/wake_policy.h"

enum {
	INTERVAL_MIN_MS = 10,
	INTERVAL_MAX_MS = 1000,
	PROOF_CALLS = 64, /* so many calls alone, and the try was worth it */
	SCORE_SLOW = 4,
	SCORE_MAX = 16, /* four slow calls in a row, or every fifth for a while */
};

static void end_single_runner(struct pfi_wake_policy *policy, uint64_t now_ms)
{
	if (policy->calls >= PROOF_CALLS || policy->interval_ms == 0)
		policy->interval_ms = INTERVAL_MIN_MS;
	else if (policy->interval_ms < INTERVAL_MAX_MS / 2)
		policy->interval_ms *= 2;
	else
		policy->interval_ms = INTERVAL_MAX_MS;
	policy->try_at_ms = now_ms + policy->interval_ms;
	policy->single_runner = false;
}

void pfi_wake_policy_overlap(struct pfi_wake_policy *policy, uint64_t now_ms)
{
	if (policy->single_runner || now_ms < policy->try_at_ms)
		return;
	policy->single_runner = true;
	policy->slow_score = 0;
	policy->calls = 0;
}

void pfi_wake_policy_called(struct pfi_wake_policy *policy, uint64_t took_us, uint64_t now_ms)
{
	if (!policy->single_runner)
		return;
	if (policy->calls < PROOF_CALLS)
		policy->calls++;
	if (took_us >= PFI_WAKE_SLOW_US)
		policy->slow_score += SCORE_SLOW;
	else if (policy->slow_score > 0)
		policy->slow_score--;
	if (policy->slow_score >= SCORE_MAX)
		end_single_runner(policy, now_ms);
}

void pfi_wake_policy_stalled(struct pfi_wake_policy *policy, uint64_t now_ms)
{
	if (policy->single_runner)
		end_single_runner(policy, now_ms);
}

void pfi_wake_policy_idle(struct pfi_wake_policy *policy)
{
	policy->single_runner = false;
}
