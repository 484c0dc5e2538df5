/* Detects the exit of the arbiter in a worker: pidfd, PR_SET_PDEATHSIG and a kill timer. */
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

static _Atomic int armed; /* set last: handlers read the variables below only if it is set */
static _Atomic int started;
static pid_t arbiter_pid;
static timer_t kill_timer;
static struct itimerspec kill_delay;

int pfi_arbiter_pidfd_open(void)
{
	const int fd = pfi_open_pidfd(getpid());

	if (fd == -ENOSYS)
		return prefork_fail(fd, "the system call pidfd_open(2) is missing: it needs Linux 5.4 or newer, and "
				    "valgrind 3.19 does not support it (docs/debugging.md)");
	return fd >= 0 ? fd : prefork_fail(fd, "cannot open a pidfd: %s; Linux 5.4 or newer is needed, and a "
					     "sandbox that allows pidfd_open(2)", strerror(-fd));
}

int pfi_parent_death_arm(pid_t arbiter, uint64_t orphan_timeout_ms)
{
	/* SIGKILL, because the application cannot block or handle it. */
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL };

	pfi_parent_death_disarm();
	if (timer_create(CLOCK_MONOTONIC, &event, &kill_timer) < 0)
		return prefork_fail(-errno, "cannot create a timer");
	if (orphan_timeout_ms == 0)
		orphan_timeout_ms = 1; /* 0 would disarm it (timer_settime(2)) */
	kill_delay.it_value.tv_sec = (time_t)(orphan_timeout_ms / 1000);
	kill_delay.it_value.tv_nsec = (long)(orphan_timeout_ms % 1000) * 1000000;
	arbiter_pid = arbiter;
	atomic_store(&started, 0);
	atomic_store(&armed, 1);

	if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0) {
		const int r = -errno;

		pfi_parent_death_disarm();
		return prefork_fail(r, "cannot request a signal for the exit of the parent");
	}
	if (getppid() != arbiter) { /* it exited before prctl(2), and no signal will come */
		pfi_parent_death_disarm();
		return prefork_fail(-ESRCH, "the arbiter has exited");
	}
	return 0;
}

void pfi_kill_timer_start(void)
{
	if (atomic_load(&armed) && !atomic_exchange(&started, 1))
		(void)timer_settime(kill_timer, 0, &kill_delay, NULL);
}

void pfi_parent_death_on_term(int signo)
{
	(void)signo;
	if (atomic_load(&armed) && getppid() != arbiter_pid)
		pfi_kill_timer_start();
}

/* A forked child does not inherit timers and PR_SET_PDEATHSIG. */
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
