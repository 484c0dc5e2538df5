/* Reaps one child by its pidfd, and never another child of the process. */
#include "os/reap.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Defined here, because the headers of older C libraries lack it. */
#define WAIT_BY_PIDFD 3 /* P_PIDFD, Linux 5.4 */

static uint64_t microseconds(struct timeval time)
{
	return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_usec;
}

static bool has_exited(int pidfd)
{
	struct pollfd pfd = { .fd = pidfd, .events = POLLIN };

	return poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLIN);
}

int pfi_reap(int pidfd, struct pfi_exit_status *ret)
{
	siginfo_t info = { 0 };
	struct rusage usage = { 0 };

	/* The system call also returns the rusage of this child, which waitid(3) does not. */
	if (syscall(SYS_waitid, WAIT_BY_PIDFD, pidfd, &info, WEXITED | WNOHANG, &usage) < 0) {
		if (errno != ECHILD)
			return -errno;
		/* The application has reaped it, or ignores SIGCHLD, so that the kernel has. Whether it has exited is
		 * then known only from the pidfd. */
		if (!has_exited(pidfd))
			return -EAGAIN;
		*ret = (struct pfi_exit_status){ .known = false };
		return 0;
	}
	if (info.si_pid == 0)
		return -EAGAIN;
	*ret = (struct pfi_exit_status){
		.known = true,
		.core = info.si_code == CLD_DUMPED,
		.code = info.si_code == CLD_EXITED ? info.si_status : 0,
		.signo = info.si_code == CLD_EXITED ? 0 : info.si_status,
		.user_us = microseconds(usage.ru_utime),
		.system_us = microseconds(usage.ru_stime),
		.rss_max_kib = (uint64_t)usage.ru_maxrss,
	};
	return 0;
}

int pfi_pidfd_signal(int pidfd, int signo, int value)
{
	siginfo_t info = { 0 };

	info.si_signo = signo;
	info.si_code = SI_QUEUE;
	info.si_pid = getpid();
	info.si_uid = getuid();
	info.si_value.sival_int = value;
	return syscall(SYS_pidfd_send_signal, pidfd, signo, &info, 0U) < 0 ? -errno : 0;
}
