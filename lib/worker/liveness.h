/*
 * liveness -- the deadlines by which a worker shows the arbiter that its threads are not stuck.
 *
 * Each thread has a deadline in its thread slot of the scoreboard: 0 while it waits for
 * work, otherwise the time by which it must have stored a new one. The arbiter does not poll
 * the slots. It reads them when the watchdog timer of the worker expires, an inherited
 * timerfd that only the worker sets. Invariant after every function of this header:
 *
 *     the timer expires at or before the earliest deadline ahead, and at or before the time
 *     at which current work becomes slow; or it has expired since that thread became busy,
 *     and the arbiter has remembered the deadline that it read then.
 *
 * A thread that becomes busy stores its deadline, then a full fence orders the store before
 * the read of the clock. If the timer has not expired by that clock, the arbiter finds the
 * deadline when it does. If it has, the thread sets the timer again. That is one system call
 * per worker and timeout, and none per request.
 *
 * Setting a timer discards an expiration that the arbiter has not read (timerfd_settime(2)),
 * perhaps the one that reports another thread as stuck. Therefore, if a deadline has already
 * passed, a thread that sets the timer lets it expire soon, at intervals that double from
 * 10 ms to 10 s.
 *
 * Threads: begin, end, beat, extend, pause and resume are for the thread with that number.
 * The timer is shared by all; `lock` is held while it is set.
 */
#ifndef WORKER_LIVENESS_H
#define WORKER_LIVENESS_H

#include "model/worker_score.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

struct pfi_liveness {
	struct pfi_worker_score *score;  /* borrowed                                             */
	unsigned thread_slots;           /* threads are numbered 0 to thread_slots - 1           */
	int watchdog;                    /* timerfd, borrowed                                    */
	uint64_t timeout_ms;             /* of a request; 0: no limit                            */
	uint64_t slow_ms;                /* then the arbiter logs a request as slow; 0: never    */
	_Atomic uint64_t watchdog_at_ms; /* when the timer expires, or has; 0: do not rely on it */
	uint64_t repeat_ms;              /* interval while a deadline has passed; under `lock`   */
	pthread_mutex_t lock;
};

void pfi_liveness_init(struct pfi_liveness *liveness, struct pfi_worker_score *score, unsigned thread_slots, int watchdog,
                       uint64_t timeout_ms, uint64_t slow_ms);
void pfi_liveness_finish(struct pfi_liveness *liveness);

/* `thread` begins work, or ends it and waits for more. */
void pfi_liveness_begin(struct pfi_liveness *liveness, unsigned thread);

/* As pfi_liveness_begin(), with another limit than that of a request; 0: none. */
void pfi_liveness_begin_within(struct pfi_liveness *liveness, unsigned thread, uint64_t timeout_ms);

static inline void pfi_liveness_end(struct pfi_liveness *liveness, unsigned thread)
{
	atomic_store_explicit(&liveness->score->thread_slots[thread].deadline_ms, 0, memory_order_release);
}

/* When the current or last work began. */
static inline uint64_t pfi_liveness_since_ms(const struct pfi_liveness *liveness, unsigned thread)
{
	return atomic_load_explicit(&liveness->score->thread_slots[thread].since_ms, memory_order_relaxed);
}

/* The current work makes progress: restart its deadline, unless that is later already. */
void pfi_liveness_beat(struct pfi_liveness *liveness, unsigned thread);

/* Set the deadline of the current work to `more_ms` from now; 0: none. */
void pfi_liveness_extend(struct pfi_liveness *liveness, unsigned thread, uint64_t more_ms);

/* The current work waits for its client, without a deadline. Resume takes what pause has returned,
 * and moves the deadline by the duration of the wait. */
struct pfi_pause {
	uint64_t deadline_ms;
	uint64_t since_ms;
};
struct pfi_pause pfi_liveness_pause(struct pfi_liveness *liveness, unsigned thread);
void pfi_liveness_resume(struct pfi_liveness *liveness, unsigned thread, struct pfi_pause pause);

#endif
