/* The only file that forks. The child starts with all signals blocked and default dispositions. */
#include "os/spawn.h"

#include "os/fd.h"
#include "os/fdtable.h"
#include "os/open.h"

#include <prefork/error.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NEVER_STARTED = 127 };

int pfi_thread_count(void)
{
	struct stat tasks;

	/* The directory has a link for each thread, and two of its own. */
	if (stat("/proc/self/task", &tasks) < 0)
		return -errno;
	return tasks.st_nlink > 2 ? (int)tasks.st_nlink - 2 : 1;
}

static void flush_stdio(void)
{
	FILE *const shared[] = { stdout, stderr };

	if (pfi_thread_count() == 1) {
		(void)fflush(NULL);
		return;
	}
	/* fflush(NULL) waits for the lock of every stream, and a thread that waits in getchar(3) holds that of
	 * standard input. */
	for (size_t i = 0; i < sizeof shared / sizeof shared[0]; i++) {
		if (ftrylockfile(shared[i]) == 0) {
			(void)fflush(shared[i]);
			funlockfile(shared[i]);
		}
	}
}

static void reset_dispositions(void)
{
	const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS };
	const struct sigaction plain = { .sa_handler = SIG_DFL };
	sigset_t keep;

	(void)sigemptyset(&keep);
	for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
		(void)sigaddset(&keep, faults[i]);
	for (int signo = 1; signo <= SIGRTMAX; signo++) {
		if (!sigismember(&keep, signo))
			(void)sigaction(signo, &plain, NULL); /* fails for SIGKILL, SIGSTOP, and those of the C library */
	}
}

/* Wait for the byte that the parent sends once it has the pidfd. At end of file it has failed or exited. */
static _Noreturn void run_child(int go_fd, int (*child)(void *arg), void *arg)
{
	char go;
	ssize_t n;

	do
		n = read(go_fd, &go, 1);
	while (n < 0 && errno == EINTR);
	pfi_close(&go_fd);
	if (n != 1)
		_exit(NEVER_STARTED);
	reset_dispositions();
	_exit(child(arg));
}

/* Runs in the parent: open the pidfd, then release the child. Closes its end of the pair in any case. */
static int release_child(pid_t pid, int *go_fd, struct pfi_child *ret)
{
	int pidfd = pfi_open_pidfd(pid);
	int r = pidfd < 0 ? pidfd : 0;

	/* While the child waits for the byte, the pid is its own. If the send fails, it was killed, and if SIGCHLD is
	 * ignored, the pid may already be that of another process when the pidfd is opened. */
	if (r == 0 && send(*go_fd, "g", 1, MSG_NOSIGNAL) < 0)
		r = -ECHILD;
	pfi_close(go_fd);
	if (r == 0) {
		*ret = (struct pfi_child){ .pid = pid, .pidfd = pidfd };
		return 0;
	}
	pfi_close(&pidfd);
	if (r != -ECHILD)
		(void)kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	return r;
}

int pfi_spawn(int (*child)(void *arg), void *arg, struct pfi_child *ret)
{
	int go_fds[2]; /* child, parent */
	sigset_t all, before;

	int r = pfi_open_pair(SOCK_STREAM, go_fds);
	if (r < 0)
		return prefork_fail(r, "cannot start a process: no socket pair: %s", strerror(-r));
	flush_stdio();
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);

	pfi_fdtable_set_spawning(true);
	const pid_t pid = fork();
	r = pid < 0 ? -errno : 0;
	pfi_fdtable_set_spawning(false);
	if (pid == 0) {
		pfi_close(&go_fds[1]);
		run_child(go_fds[0], child, arg);
	}
	pfi_close(&go_fds[0]);
	if (r == 0)
		r = release_child(pid, &go_fds[1], ret);
	pfi_close(&go_fds[1]);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r == 0 ? 0 : prefork_fail(r, "cannot start a process: %s", strerror(-r));
}

void pfi_spawn_unblock(void)
{
	sigset_t none;

	/* Not the mask of the parent: in a worker of an application that blocks SIGTERM for a signalfd, SIGTERM would
	 * have no effect. */
	(void)sigemptyset(&none);
	(void)pthread_sigmask(SIG_SETMASK, &none, NULL);
}
