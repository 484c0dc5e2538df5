/*
 * model/backoff.h -- how long to wait before the next worker is started.
 *
 * Each pool has two: one for workers that die before they are ready, one for
 * workers that die afterwards. A failure without service in between makes the
 * wait 1.5 times as long; a worker that has served makes it nothing again. So
 * that workers which serve one request and die cannot make the arbiter fork
 * without end, service counts for nothing once there were `failures_max`
 * failures in the current period. Pure: the chance comes in as a number.
 */
#ifndef PFI_MODEL_BACKOFF_H
#define PFI_MODEL_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

struct pfi_intensity {
	uint32_t failures_max; /* this many in one period are borne */
	uint64_t period_ms;
	uint64_t first_ms; /* the wait after the first failure */
	uint64_t cap_ms;   /* the longest wait                 */
};

struct pfi_backoff {
	uint32_t streak;        /* failures since a worker last served */
	uint32_t recent;        /* failures in this period             */
	uint64_t period_at_ms;  /* when this period began              */
	uint64_t not_before_ms; /* the next start may happen then      */
};

/** The wait after `streak` failures in a row, 0 for none: first 1.5^(streak-1), give or
 *  take a fifth, which `chance` decides, never above the cap. */
uint64_t pfi_backoff_delay_ms(const struct pfi_intensity *limits, uint32_t streak, uint64_t chance);

/** A worker died that should not have; `served` when it had been of use. */
void pfi_backoff_failed(struct pfi_backoff *backoff, const struct pfi_intensity *limits, bool served,
			uint64_t now_ms, uint64_t chance);

/** A worker proved that starting workers works again. Changes nothing in a
 *  period that has had too many failures. */
void pfi_backoff_healed(struct pfi_backoff *backoff, const struct pfi_intensity *limits,
			uint64_t now_ms);

/** True when there were more failures than a period may have. */
bool pfi_backoff_is_exhausted(const struct pfi_backoff *backoff, const struct pfi_intensity *limits,
			      uint64_t now_ms);

/** The next of a row of numbers that look random (xorshift); never keep 0 in `*seed`. */
uint64_t pfi_random(uint64_t *seed);

#endif
