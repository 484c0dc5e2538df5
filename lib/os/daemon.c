/* Forks the daemon and the process that waits for it, and replaces the standard streams by /dev/null. */
#include "os/daemon.h"

#include "os/fd.h"
#include "os/fdtable.h"
#include "os/open.h"
#include "os/reexec.h"
#include "os/spawn.h"

#include <prefork/error.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static bool is_daemon; /* of the process: a second arbiter with the same settings does not fork again */

static int exit_status_of(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return 1;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Runs in the waiter. The daemon has the only other end of the pair; workers close theirs. */
static _Noreturn void wait_for(pid_t daemon, int ready_fd)
{
	char byte;
	ssize_t n;

	do
		n = read(ready_fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	_exit(n == 1 ? 0 : exit_status_of(daemon));
}

static void replace_by_null(int fd)
{
	const int null = open("/dev/null", O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (null < 0)
		return;
	(void)dup2(null, fd);
	(void)close(null);
}

/* Runs in the waiter; returns in the daemon. A process that leads no session cannot get a terminal by opening one. */
static int fork_daemon(int fds[2])
{
	pid_t pid;

	if (setsid() < 0 || (pid = fork()) < 0) {
		(void)fprintf(stderr, "cannot go on in the background: %s\n", strerror(errno));
		_exit(1);
	}
	if (pid > 0) {
		pfi_close(&fds[1]);
		wait_for(pid, fds[0]);
	}
	pfi_close(&fds[0]);
	return fds[1];
}

static int start(bool inherit_stdio, struct pfi_daemon *ret)
{
	int fds[2] = { -1, -1 }, r;
	pid_t pid;

	if (is_daemon || getenv(PFI_REEXEC_PID_VARIABLE) != NULL) /* the process of an upgrade is in the background already */
		return 0;
	if (pfi_thread_count() > 1)
		return prefork_fail(-EBUSY, "daemon: this process has %d threads, and would go on with one", pfi_thread_count());
	r = pfi_open_pair(SOCK_STREAM, fds);
	if (r < 0)
		return prefork_fail(r, "cannot go on in the background: no socket pair: %s", strerror(-r));
	(void)fflush(NULL);
	pid = fork();
	r = -errno;
	if (pid != 0) { /* the waiter must see the end of file when the daemon ends */
		pfi_close(&fds[0]);
		pfi_close(&fds[1]);
	}
	if (pid < 0)
		return prefork_fail(r, "cannot go on in the background: %s", strerror(-r));
	if (pid > 0)
		_exit(exit_status_of(pid));
	is_daemon = true;
	ret->ready_fd = fork_daemon(fds);
	ret->detaches_stdio = !inherit_stdio || isatty(STDERR_FILENO);
	for (int fd = STDIN_FILENO; fd <= STDOUT_FILENO; fd++) {
		if (!inherit_stdio || isatty(fd))
			replace_by_null(fd);
	}
	return 0;
}

int pfi_daemon_start(bool inherit_stdio, struct pfi_daemon *ret)
{
	int r;

	/* Handlers of pthread_atfork(3): this is no fork of the application. */
	pfi_fdtable_set_spawning(true);
	r = start(inherit_stdio, ret);
	pfi_fdtable_set_spawning(false);
	return r;
}

void pfi_daemon_ready(struct pfi_daemon *daemon)
{
	if (daemon->ready_fd < 0)
		return;
	pfi_daemon_detach(daemon);
	(void)send(daemon->ready_fd, "r", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	pfi_close(&daemon->ready_fd);
}

void pfi_daemon_detach(const struct pfi_daemon *daemon)
{
	if (daemon->ready_fd >= 0 && daemon->detaches_stdio)
		replace_by_null(STDERR_FILENO);
}
