/*
 * watch -- a one-shot timer that is a file descriptor.
 *
 * A timer fires once it is at or past a point of CLOCK_MONOTONIC, stays
 * readable until it is cleared or set anew, and costs nothing while disarmed. Descriptors are
 * close-on-exec, non-blocking, and may be shared across fork.
 */
#ifndef OS_TIMER_H
#define OS_TIMER_H

#include <stdint.h>

int pfi_timer_open(void); /* a descriptor, or a negative errno */

/* Fire at `at_ms`; 0 disarms. A time gone by fires at once. 0 or a negative errno. */
int pfi_timer_set(int fd, uint64_t at_ms);

/* Make it not readable. 0, or -EAGAIN: it had not fired. */
int pfi_timer_clear(int fd);

void pfi_timer_close(int *fd);

#endif
