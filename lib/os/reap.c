#include "os/reap.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* By number, because neither every libc's enum nor its wrapper has it. */
#define WAIT_BY_PIDFD 3 /* P_PIDFD, Linux 5.4 */

static uint64_t microseconds(struct timeval time)
{
	return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_usec;
}

static bool has_ended(int pidfd)
{
	struct pollfd pfd = { .fd = pidfd, .events = POLLIN };

	return poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLIN);
}

int pfi_reap(int pidfd, struct pfi_exit_status *ret)
{
	siginfo_t info = { 0 };
	struct rusage usage = { 0 };

	/* The bare call, for the rusage of exactly this child. */
	if (syscall(SYS_waitid, WAIT_BY_PIDFD, pidfd, &info, WEXITED | WNOHANG, &usage) < 0) {
		if (errno != ECHILD)
			return -errno;
		/* Not our child any more: reaped by the host, or by the kernel for
		 * one that ignores SIGCHLD. Believe only the pidfd. */
		if (!has_ended(pidfd))
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
