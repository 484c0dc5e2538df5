#include "os/parent_death.h"

#include "os/open.h"

#include <prefork/error.h>

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static _Atomic int armed; /* the rest is meaningful, and only read from then on */
static _Atomic int started;
static pid_t arbiter_pid;
static timer_t kill_timer;
static struct itimerspec fuse_length;

int pfi_arbiter_pidfd_open(void)
{
	const int fd = pfi_open_pidfd(getpid());

	if (fd == -ENOSYS)
		return prefork_fail(fd, "the system call pidfd_open(2) is missing: Linux 5.4 or newer is needed, and valgrind 3.19 "
				    "does not know the call (docs/debugging.md)");
	return fd >= 0 ? fd : prefork_fail(fd, "cannot open a pidfd: %s; Linux 5.4 or newer is needed, and a "
					     "sandbox that allows pidfd_open(2)", strerror(-fd));
}

int pfi_parent_death_arm(pid_t arbiter, uint64_t orphan_timeout_ms)
{
	/* SIGKILL, so that it works whatever the application has blocked. */
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL };

	pfi_parent_death_disarm();
	if (timer_create(CLOCK_MONOTONIC, &event, &kill_timer) < 0)
		return prefork_fail(-errno, "cannot create a timer");
	if (orphan_timeout_ms == 0)
		orphan_timeout_ms = 1; /* 0 would disarm the timer */
	fuse_length.it_value.tv_sec = (time_t)(orphan_timeout_ms / 1000);
	fuse_length.it_value.tv_nsec = (long)(orphan_timeout_ms % 1000) * 1000000;
	arbiter_pid = arbiter;
	atomic_store(&started, 0);
	atomic_store(&armed, 1);

	if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0) {
		const int r = -errno;

		pfi_parent_death_disarm();
		return prefork_fail(r, "cannot ask for a signal at the parent's death");
	}
	if (getppid() != arbiter) { /* it ended before it was asked for */
		pfi_parent_death_disarm();
		return prefork_fail(-ESRCH, "the arbiter is gone");
	}
	return 0;
}

void pfi_kill_timer_start(void)
{
	if (atomic_load(&armed) && !atomic_exchange(&started, 1))
		(void)timer_settime(kill_timer, 0, &fuse_length, NULL);
}

void pfi_parent_death_on_term(int signo)
{
	(void)signo;
	if (atomic_load(&armed) && getppid() != arbiter_pid)
		pfi_kill_timer_start();
}

/* The kernel has given this process neither the timer nor the signal at the parent's death. */
void pfi_parent_death_forget(void)
{
	atomic_store(&armed, 0);
}

void pfi_parent_death_disarm(void)
{
	if (!atomic_exchange(&armed, 0))
		return;
	(void)prctl(PR_SET_PDEATHSIG, 0);
	(void)timer_delete(kill_timer);
}
