/*
 * model/deadline.h -- reading deadline words.
 *
 * A word is 0 while its thread waits for work, and otherwise the moment on
 * CLOCK_MONOTONIC by which the thread promised to be done, PFI_NO_DEADLINE when
 * it did not promise. The words come from a page that the worker writes, so they
 * are numbers and nothing else: the caller copies them out, these functions
 * compare them. Pure.
 */
#ifndef PFI_MODEL_DEADLINE_H
#define PFI_MODEL_DEADLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PFI_NO_DEADLINE UINT64_MAX

/* What one thread says of itself, copied out of the page. */
struct pfi_thread_deadline {
	uint64_t deadline_ms;
	uint64_t since_ms; /* when the work in hand, or the last one, began; 0: it never had any */
	bool exists;       /* the number belongs to a thread                                     */
};

struct pfi_deadline_summary {
	uint32_t busy;    /* words that are set                                       */
	uint32_t late;    /* of these, the ones that have passed                      */
	uint64_t late_ms; /* the first of those, 0 for none                           */
	uint32_t able;    /* threads that take, or will take, work: 0 once the first  */
	                  /* thread is late, for nobody else hears the arbiter        */
	uint64_t next_ms; /* the nearest that has not passed, 0 for none; also of the */
	                  /* moments at which work becomes slow                       */
};

static inline bool pfi_deadline_is_past(uint64_t deadline_ms, uint64_t now_ms)
{
	return deadline_ms != 0 && now_ms >= deadline_ms;
}

/** The earlier of two moments, where 0 stands for never. */
static inline uint64_t pfi_earlier_ms(uint64_t one_ms, uint64_t other_ms)
{
	if (one_ms == 0 || other_ms == 0)
		return one_ms + other_ms;
	return one_ms < other_ms ? one_ms : other_ms;
}

/** `since` + `timeout`, where a timeout of 0 stands for never; never overflows. */
static inline uint64_t pfi_deadline_after_ms(uint64_t since_ms, uint64_t timeout_ms)
{
	if (timeout_ms == 0)
		return 0;
	return timeout_ms > UINT64_MAX - since_ms ? UINT64_MAX : since_ms + timeout_ms;
}

/** Look at all words of one worker, the first thread's first. Work is slow after
 *  `slow_ms`, 0: never. */
struct pfi_deadline_summary pfi_deadlines_summarize(const struct pfi_thread_deadline *words, size_t count, uint64_t slow_ms,
				  uint64_t now_ms);

/** When the work in hand becomes slow, 0: never, or there is none. */
uint64_t pfi_deadline_slow_at_ms(const struct pfi_thread_deadline *word, uint64_t slow_ms);

/** How long everybody is spared when our own turn came at `now` and should have come at
 *  `due` (0: whenever): nothing, or until when. After a suspend, a SIGSTOP or a stopped
 *  virtual machine every deadline has passed at once, and not one worker is to blame. */
uint64_t pfi_deadline_grace_until_ms(uint64_t due_ms, uint64_t now_ms, uint64_t period_ms);

#endif
