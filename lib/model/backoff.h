/*
 * model/backoff.h -- the delay before the next worker is started.
 *
 * Each pool has two: for workers that fail before they are ready, and for workers that fail later. Each failure in a
 * row multiplies the delay by 1.5; a worker that has served resets it to 0. After `failures_max` failures in the
 * current period service no longer resets it: otherwise workers that serve one request and crash would make the arbiter
 * fork without limit. Pure: random numbers are arguments.
 */
#ifndef PFI_MODEL_BACKOFF_H
#define PFI_MODEL_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

struct pfi_intensity {
	uint32_t failures_max; /* tolerated in one period */
	uint64_t period_ms;
	uint64_t first_ms; /* the delay after the first failure */
	uint64_t cap_ms;   /* the longest delay                 */
};

struct pfi_backoff {
	uint32_t streak;        /* failures since a worker last served */
	uint32_t recent;        /* failures in this period             */
	uint64_t period_at_ms;  /* when this period began              */
	uint64_t earliest_ms; /* no start before this time           */
};

/** The delay after `streak` failures in a row: first_ms * 1.5^(streak-1), varied by up to a fifth by `chance`, at most
 *  cap_ms; 0 for no failure. */
uint64_t pfi_backoff_delay_ms(const struct pfi_intensity *limits, uint32_t streak, uint64_t chance);

/** A worker failed; `served`: it has handled requests. */
void pfi_backoff_failed(struct pfi_backoff *backoff, const struct pfi_intensity *limits, bool served,
			uint64_t now_ms, uint64_t chance);

/** A worker has served: reset the delay, unless the period has too many failures. */
void pfi_backoff_served(struct pfi_backoff *backoff, const struct pfi_intensity *limits,
			uint64_t now_ms);

/** True if the period has had more than failures_max failures. */
bool pfi_backoff_is_exhausted(const struct pfi_backoff *backoff, const struct pfi_intensity *limits,
			      uint64_t now_ms);

/** The next pseudo-random number (xorshift). `*seed` must not be 0. */
uint64_t pfi_random(uint64_t *seed);

#endif
