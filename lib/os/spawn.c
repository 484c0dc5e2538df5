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

	/* One link for each thread, and the directory's own two. */
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
	/* fflush(NULL) waits for the lock of every stream, and a thread of the host
	 * that sits in getchar() holds one for as long as its user thinks. */
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
			(void)sigaction(signo, &plain, NULL); /* refused for KILL, STOP and libc's own */
	}
}

/* Wait for the parent to say go. End of file: it failed, or it is gone. */
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

/* The parent's half. Closes its end of the pair in any case. */
static int let_go(pid_t pid, int *go_fd, struct pfi_child *ret)
{
	int pidfd = pfi_open_pidfd(pid);
	int r = pidfd < 0 ? pidfd : 0;

	/* It still waits for us, so the pid was its own when the pidfd was opened.
	 * If nobody is there to read, it was killed, and the pid may be anybody's. */
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
		r = let_go(pid, &go_fds[1], ret);
	pfi_close(&go_fds[1]);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r == 0 ? 0 : prefork_fail(r, "cannot start a process: %s", strerror(-r));
}

void pfi_spawn_unblock(void)
{
	sigset_t none;

	/* Not the parent's mask: a host that blocks SIGTERM for a signalfd of its
	 * own would give birth to workers that cannot be asked to leave. */
	(void)sigemptyset(&none);
	(void)pthread_sigmask(SIG_SETMASK, &none, NULL);
}
