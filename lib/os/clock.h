/*
 * clock -- CLOCK_MONOTONIC, the clock of all times of the library.
 *
 * It never jumps, and does not advance while the machine is suspended. It is read in the vDSO, without a system call.
 * Only log lines have wall time.
 */
#ifndef OS_CLOCK_H
#define OS_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t pfi_now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* does not fail for this clock */
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
