/*
 * liveness -- how the threads of a worker show the arbiter that they are not stuck.
 *
 * Each thread has a deadline word in the shared page: 0 while it waits for
 * work, else the time by which it must have written again. The arbiter does
 * not poll the words. It sleeps until the worker's *watch* fires, an inherited
 * timer that only the worker sets, and looks then. What must stay true, after
 * every function here has returned:
 *
 *     the watch fires at or before the earliest deadline that lies ahead, and before
 *     that when work in hand becomes slow; or it has fired since that thread became
 *     busy, and who looked then looks again in time.
 *
 * So a thread that turns busy stores its deadline first and reads the clock
 * after a full fence. Either the watch has not fired by that clock, and
 * whoever looks when it fires finds the deadline, or it has, and the thread
 * sets it anew: one system call per worker and timeout, none per request.
 *
 * Setting a timer throws away an expiry that the arbiter has not read yet, and
 * with it the news that a sister thread is late. Whoever sets the watch while
 * a deadline lies behind therefore has it fire again soon, ever less often.
 *
 * Threads: begin, end, extend, pause and resume by the thread that has the
 * number; the watch itself is shared and has a lock, taken when it is set.
 */
#ifndef WORKER_LIVENESS_H
#define WORKER_LIVENESS_H

#include "model/worker_score.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

struct pfi_liveness {
	struct pfi_worker_score *score; /* borrowed; the worker's memory is ours to believe, not the page's */
	unsigned thread_slots;        /* threads with a number: 0 to cells - 1                            */
	int watchdog;             /* borrowed timer                                                   */
	uint64_t timeout_ms;   /* of a request; 0: no limit                                        */
	uint64_t slow_ms;      /* after which the arbiter notes it in the log; 0: never            */
	_Atomic uint64_t watchdog_at_ms; /* what the watch was last set for; 0: never                 */
	uint64_t repeat_ms;           /* under `lock`                                              */
	pthread_mutex_t lock;         /* held while the watch is set                               */
};

void pfi_liveness_init(struct pfi_liveness *liveness, struct pfi_worker_score *score, unsigned thread_slots, int watchdog,
                       uint64_t timeout_ms, uint64_t slow_ms);
void pfi_liveness_finish(struct pfi_liveness *liveness);

/* Thread `thread` has work in hand, or waits for some. */
void pfi_liveness_begin(struct pfi_liveness *liveness, unsigned thread);

static inline void pfi_liveness_end(struct pfi_liveness *liveness, unsigned thread)
{
	atomic_store_explicit(&liveness->score->thread_slots[thread].deadline_ms, 0, memory_order_release);
}

/* When the work in hand, or the last, began. */
static inline uint64_t pfi_liveness_since_ms(const struct pfi_liveness *liveness, unsigned thread)
{
	return atomic_load_explicit(&liveness->score->thread_slots[thread].since_ms, memory_order_relaxed);
}

/* The work in hand goes on: as begun anew, unless its deadline lies further ahead. */
void pfi_liveness_beat(struct pfi_liveness *liveness, unsigned thread);

/* The deadline of the work in hand is `more_ms` from now; 0: it has none. */
void pfi_liveness_extend(struct pfi_liveness *liveness, unsigned thread, uint64_t more_ms);

/* Work that waits for its client: what pause returns is for resume, which moves the
 * deadline by as long as the wait took. */
struct pfi_pause {
	uint64_t deadline_ms;
	uint64_t since_ms;
};
struct pfi_pause pfi_liveness_pause(struct pfi_liveness *liveness, unsigned thread);
void pfi_liveness_resume(struct pfi_liveness *liveness, unsigned thread, struct pfi_pause pause);

#endif
