/* The Date field, cached per thread, and the monotonic clock in microseconds. */
#include "http/http_clock.h"

#include "http/date.h"

#include <time.h>

const char *pfi_http_date(void)
{
	static _Thread_local struct pfi_date_cache cache;
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return pfi_date_cached(&cache, (uint64_t)now.tv_sec);
}

uint64_t pfi_http_now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}
