/*
 * wake policy -- whether an idle thread of a worker is woken for the next event.
 *
 * All waiters: every idle thread waits in the epoll set, and each event wakes one. That is
 * optimal if callbacks block. If they are short, the wake-up costs as much as the callback,
 * and the second thread contends with the first for locks, such as the global lock of an
 * interpreter.
 *
 * Single runner: one thread takes all events, and the others wait on a condition variable.
 * The first thread checks that the single runner makes progress.
 *
 * Which of the two is better cannot be computed, only tried. If the callbacks of two threads
 * overlap, a trial of the single runner begins. Slow callbacks, or one that does not return,
 * end it; after a failed trial the interval until the next one doubles, up to 1 s. Pure.
 */
#ifndef WORKER_WAKE_POLICY_H
#define WORKER_WAKE_POLICY_H

#include <stdbool.h>
#include <stdint.h>

enum {
	PFI_WAKE_SLOW_US = 50, /* a callback this long is slow: about the cost of a wake-up */
	PFI_WAKE_STALL_MS = 1, /* a callback this long is taken to be blocked               */
};

/* All members zero: all waiters, and the first overlap begins a trial. */
struct pfi_wake_policy {
	bool single_runner;
	unsigned slow_score;        /* slow callbacks increase it, short ones decrease it  */
	unsigned trial_calls;       /* callbacks in this trial, up to SUCCESS_CALLS        */
	uint64_t next_trial_ms;     /* no trial begins before this time                    */
	uint64_t retry_interval_ms; /* from the end of the last trial to next_trial_ms     */
};

/* A thread begins a callback while another is in one. */
void pfi_wake_policy_overlap(struct pfi_wake_policy *policy, uint64_t now_ms);

/* A callback of the single runner has returned after `took_us`. */
void pfi_wake_policy_called(struct pfi_wake_policy *policy, uint64_t took_us, uint64_t now_ms);

/* A callback of the single runner has not returned for PFI_WAKE_STALL_MS. */
void pfi_wake_policy_stalled(struct pfi_wake_policy *policy, uint64_t now_ms);

/* The single runner has had no work for about PFI_WAKE_STALL_MS: ends the trial, which has not
 * failed. */
void pfi_wake_policy_idle(struct pfi_wake_policy *policy);

#endif
