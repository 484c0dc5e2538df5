/*
 * wsgi_clock -- CLOCK_MONOTONIC in milliseconds.
 */
#ifndef WSGI_CLOCK_H
#define WSGI_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t wsgi_now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

#endif
