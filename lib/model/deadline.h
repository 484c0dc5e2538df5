/*
 * model/deadline.h -- evaluating the deadlines of a worker's threads.
 *
 * A deadline is 0 while its thread waits for work, else a time of CLOCK_MONOTONIC, PFI_NO_DEADLINE if the work has no
 * limit. Deadlines are read from shared memory that the worker writes, so they are only compared as numbers: the
 * caller copies them first. Pure.
 */
#ifndef PFI_MODEL_DEADLINE_H
#define PFI_MODEL_DEADLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PFI_NO_DEADLINE UINT64_MAX

/* The deadline of one thread, copied from its thread slot. */
struct pfi_thread_deadline {
	uint64_t deadline_ms;
	uint64_t since_ms; /* when the current or last work began; 0: none yet */
	bool exists;       /* the worker has a thread with this number */
};

struct pfi_deadline_summary {
	uint32_t busy;       /* deadlines that are set                                         */
	uint32_t expired;    /* of these: passed                                               */
	uint64_t expired_ms; /* the earliest of the passed deadlines, 0: none                  */
	uint32_t usable;     /* threads that can accept work; 0 if the first thread's deadline */
			     /* has passed                                                     */
	uint64_t next_ms;    /* the next deadline, or time at which work becomes slow; 0: none */
};

static inline bool pfi_deadline_is_past(uint64_t deadline_ms, uint64_t now_ms)
{
	return deadline_ms != 0 && now_ms >= deadline_ms;
}

/** The earlier of two times; 0 is never. */
static inline uint64_t pfi_earlier_ms(uint64_t one_ms, uint64_t other_ms)
{
	if (one_ms == 0 || other_ms == 0)
		return one_ms + other_ms;
	return one_ms < other_ms ? one_ms : other_ms;
}

/** `since_ms` + `timeout_ms`, without overflow; 0, never, if `timeout_ms` is 0. */
static inline uint64_t pfi_deadline_after_ms(uint64_t since_ms, uint64_t timeout_ms)
{
	if (timeout_ms == 0)
		return 0;
	return timeout_ms > UINT64_MAX - since_ms ? UINT64_MAX : since_ms + timeout_ms;
}

/** Summarize the deadlines of one worker, the first thread's first. Work is slow after `slow_ms`, 0: never. */
struct pfi_deadline_summary pfi_deadlines_summarize(const struct pfi_thread_deadline *threads, size_t count,
						    uint64_t slow_ms, uint64_t now_ms);

/** When the current work becomes slow; 0: never, or the thread is idle. */
uint64_t pfi_deadline_slow_at_ms(const struct pfi_thread_deadline *thread, uint64_t slow_ms);

/** If the arbiter's turn at `now_ms` comes much later than `due_ms` (0: it had no deadline), the time until which no
 *  deadline is enforced, else 0: `period_ms` later, at most PFI_GRACE_MAX_MS, as for 0. After a suspend, a SIGSTOP or a stopped virtual machine all deadlines have passed at once, and
 *  no worker is at fault. */
uint64_t pfi_deadline_grace_until_ms(uint64_t due_ms, uint64_t now_ms, uint64_t period_ms);

#endif
