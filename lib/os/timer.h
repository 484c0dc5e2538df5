/*
 * timer -- a one-shot timerfd.
 *
 * It expires at a time of CLOCK_MONOTONIC and is readable from then on, until it is cleared or set again.
 * Close-on-exec, non-blocking, and may be shared across a fork.
 */
#ifndef OS_TIMER_H
#define OS_TIMER_H

#include <stdint.h>

int pfi_timer_open(void); /* a descriptor, or a negative errno */

/* Expire at `at_ms`, at once if that is past; 0 disarms. 0 or a negative errno. */
int pfi_timer_set(int fd, uint64_t at_ms);

/* Make it unreadable. 0; -EAGAIN: it had not expired. */
int pfi_timer_clear(int fd);

void pfi_timer_close(int *fd);

#endif
