/* Decides whether an idle thread is woken for the next event. Pure; decision 6 explains the trial. */
#include "worker/wake_policy.h"

enum {
	INTERVAL_MIN_MS = 10,
	INTERVAL_MAX_MS = 1000,
	SUCCESS_CALLS = 64, /* a trial of this many callbacks has not failed */
	SCORE_SLOW = 4,
	SCORE_MAX = 16, /* 4 slow callbacks in a row, or more than every fifth over time */
};

static void end_single_runner(struct pfi_wake_policy *policy, uint64_t now_ms)
{
	if (policy->trial_calls >= SUCCESS_CALLS || policy->retry_interval_ms == 0)
		policy->retry_interval_ms = INTERVAL_MIN_MS;
	else if (policy->retry_interval_ms < INTERVAL_MAX_MS / 2)
		policy->retry_interval_ms *= 2;
	else
		policy->retry_interval_ms = INTERVAL_MAX_MS;
	policy->next_trial_ms = now_ms + policy->retry_interval_ms;
	policy->single_runner = false;
}

void pfi_wake_policy_overlap(struct pfi_wake_policy *policy, uint64_t now_ms)
{
	if (policy->single_runner || now_ms < policy->next_trial_ms)
		return;
	policy->single_runner = true;
	policy->slow_score = 0;
	policy->trial_calls = 0;
}

void pfi_wake_policy_called(struct pfi_wake_policy *policy, uint64_t took_us, uint64_t now_ms)
{
	if (!policy->single_runner)
		return;
	if (policy->trial_calls < SUCCESS_CALLS)
		policy->trial_calls++;
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
