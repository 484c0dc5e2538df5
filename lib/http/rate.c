/* Converts a least rate in bytes per second to the time that a client still has. */
#include "http/rate.h"

uint64_t pfi_rate_timeout_ms(uint64_t timeout_ms, uint64_t rate, uint64_t bytes, uint64_t waited_ms)
{
	if (rate == 0)
		return timeout_ms;
	/* bytes * 1000 / rate would overflow at 16 PiB. */
	const uint64_t earned_ms = bytes / rate * 1000 + bytes % rate * 1000 / rate;
	const uint64_t allowed_ms = timeout_ms <= UINT64_MAX - earned_ms ? timeout_ms + earned_ms : UINT64_MAX;
	if (waited_ms >= allowed_ms)
		return 0;
	return allowed_ms - waited_ms < timeout_ms ? allowed_ms - waited_ms : timeout_ms;
}
