/*
 * clock -- the one time type of the library: CLOCK_MONOTONIC.
 *
 * It never jumps and stands still while the machine is suspended. Read in the
 * vDSO, so no system call. Wall time belongs in log lines only.
 */
#ifndef OS_CLOCK_H
#define OS_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t pfi_now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static inline uint64_t pfi_now_us(void)
{
	return pfi_now_ns() / 1000;
}

static inline uint64_t pfi_now_ms(void)
{
	return pfi_now_ns() / 1000000;
}

#endif
