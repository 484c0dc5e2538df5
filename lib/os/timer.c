/* Opens, sets and clears timerfds that expire at a time of CLOCK_MONOTONIC. */
#include "os/timer.h"

#include "os/fd.h"
#include "os/fdtable.h"

#include <prefork/error.h>

#include <errno.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

int pfi_timer_open(void)
{
	pfi_fdtable_begin();
	const int fd = pfi_fdtable_enter(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), PFI_FD_TIMER);
	pfi_fdtable_end();
	return fd >= 0 ? fd : prefork_fail(fd, "cannot open a timer");
}

int pfi_timer_set(int fd, uint64_t at_ms)
{
	/* The kernel clamps times that it cannot represent to its maximum, which is never reached. */
	const struct itimerspec at = {
		.it_value = { .tv_sec = (time_t)(at_ms / 1000), .tv_nsec = (long)(at_ms % 1000) * 1000000 },
	};

	return timerfd_settime(fd, TFD_TIMER_ABSTIME, &at, NULL) < 0 ? -errno : 0;
}

int pfi_timer_clear(int fd)
{
	uint64_t expirations;

	return read(fd, &expirations, sizeof expirations) < 0 ? -errno : 0;
}

void pfi_timer_close(int *fd)
{
	pfi_close(fd);
}
