/*
 * base/log_limit.h -- bounds how often a line is logged whose cause is under the control of the other end of a
 * connection.
 *
 * One limit per line and worker. The first line passes at once; lines that come within a second after one that has
 * passed are counted, and the next one that passes says how many. Any thread.
 */
#ifndef PFI_BASE_LOG_LIMIT_H
#define PFI_BASE_LOG_LIMIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { PFI_LOG_LIMIT_MS = 1000 };

/* Zero is the initial state. */
struct pfi_log_limit {
	_Atomic uint64_t next_ms; /* no line before this */
	_Atomic uint32_t left_out;
};

/* Whether to write the line now. `ret_left_out`: how many were not written since the last one. */
static inline bool pfi_log_limit_pass(struct pfi_log_limit *limit, uint64_t now_ms, uint32_t *ret_left_out)
{
	uint64_t next_ms = atomic_load_explicit(&limit->next_ms, memory_order_relaxed);

	/* The exchange fails if another thread has passed meanwhile. */
	if (now_ms < next_ms || !atomic_compare_exchange_strong(&limit->next_ms, &next_ms, now_ms + PFI_LOG_LIMIT_MS)) {
		(void)atomic_fetch_add_explicit(&limit->left_out, 1, memory_order_relaxed);
		return false;
	}
	*ret_left_out = atomic_exchange(&limit->left_out, 0);
	return true;
}

#endif
