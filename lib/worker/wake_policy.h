/*
 * pace -- whether the threads of a worker go for work together or one by one.
 *
 * Spread: every idle thread waits at the poller, and each event wakes one. That
 * is right when callbacks take their time. Where they are short it is waste: a
 * second thread is woken for what the first would have done sooner, and the two
 * fight for a lock, such as an interpreter's, that only one can have. Then one
 * thread takes all, *alone*, and the others sleep; somebody must watch that it
 * comes back, and say so when it does not.
 *
 * Which of the two it is cannot be known, only tried. Where callbacks of two
 * threads overlap, one is left alone; slow callbacks, or one that does not come
 * back, end that, and the next try comes later, up to a second. Pure.
 */
#ifndef WORKER_WAKE_POLICY_H
#define WORKER_WAKE_POLICY_H

#include <stdbool.h>
#include <stdint.h>

enum {
	PFI_WAKE_SLOW_US = 50, /* about what waking another thread costs                 */
	PFI_WAKE_STALL_MS = 1, /* a callback that has taken this long is waiting for something */
};

struct pfi_wake_policy {
	bool single_runner;
	unsigned slow_score;       /* of callbacks that were slow; the quick ones take it back */
	unsigned calls;       /* while alone                                              */
	uint64_t try_at_ms;   /* not before                                               */
	uint64_t interval_ms; /* from a failed try to the next                            */
};

/* All members zero is spread, and ready to try. */

/* A thread has found work while another is in a callback. */
void pfi_wake_policy_overlap(struct pfi_wake_policy *policy, uint64_t now_ms);

/* The thread that is alone has come back from a callback. */
void pfi_wake_policy_called(struct pfi_wake_policy *policy, uint64_t took_us, uint64_t now_ms);

/* It has not come back for PFI_WAKE_STALL_MS. */
void pfi_wake_policy_stalled(struct pfi_wake_policy *policy, uint64_t now_ms);

/* It had nothing to do for about as long. */
void pfi_wake_policy_idle(struct pfi_wake_policy *policy);

#endif
