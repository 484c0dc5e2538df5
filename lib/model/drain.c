/* Limits the time that a connection of a draining worker may wait for a request. */
#include "model/drain.h"

enum { CLEANUP_MS = 1000 };

uint64_t pfi_drain_end_ms(uint64_t start_ms, uint64_t graceful_ms)
{
	return graceful_ms > 0 ? start_ms + (graceful_ms - graceful_ms / 4) : UINT64_MAX;
}

uint64_t pfi_drain_until_ms(uint64_t now_ms, uint64_t wait_ms, uint64_t end_ms)
{
	const uint64_t until_ms = wait_ms > UINT64_MAX - now_ms ? UINT64_MAX : now_ms + wait_ms;

	if (until_ms <= end_ms)
		return until_ms;
	return end_ms > now_ms ? end_ms : now_ms;
}

uint64_t pfi_drain_cancel_ms(uint64_t end_ms, uint64_t graceful_ms)
{
	const uint64_t cleanup_ms = graceful_ms / 8 < CLEANUP_MS ? graceful_ms / 8 : CLEANUP_MS;

	if (graceful_ms == 0 || end_ms == 0 || end_ms == UINT64_MAX)
		return 0;
	return end_ms + graceful_ms / 4 - cleanup_ms;
}
