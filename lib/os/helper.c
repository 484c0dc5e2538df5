/* Forks a short-lived child, or executes a program, whose output is read from a pipe once it has exited. */
#include "os/helper.h"

#include "os/fd.h"
#include "os/fdtable.h"
#include "os/spawn.h"

#include <prefork/error.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { NOT_EXECUTED = 127 };

struct start {
	int (*task)(void *arg, int fd);
	void *arg;
	const char *path;
	char *const *argv;
	int fd;
	pid_t parent;
};

/* Runs in the child: async-signal-safe until the task begins. */
static int run(void *arg)
{
	const struct start *const start = arg;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != start->parent)
		return NOT_EXECUTED;
	pfi_fdtable_keep(start->fd);
	pfi_fdtable_close_rest(0);
	(void)pfi_fdtable_close_unlisted(); /* before Linux 5.9 they stay open until it exits */
	pfi_spawn_unblock();
	if (start->task)
		return start->task(start->arg, start->fd);
	if (dup2(start->fd, STDOUT_FILENO) >= 0)
		(void)execve(start->path, start->argv, environ);
	return NOT_EXECUTED;
}

static int open_pipe(int ends[2])
{
	int r;

	pfi_fdtable_begin();
	r = pipe2(ends, O_CLOEXEC) < 0 ? -errno : 0;
	if (r == 0) {
		ends[0] = pfi_fdtable_enter(ends[0], PFI_FD_CHANNEL);
		ends[1] = pfi_fdtable_enter(ends[1], PFI_FD_CHANNEL);
	}
	pfi_fdtable_end();
	if (r == 0)
		r = ends[0] < 0 ? ends[0] : ends[1] < 0 ? ends[1] : pfi_fd_set_nonblock(ends[0], true);
	return r;
}

static int begin(struct start *start, struct pfi_helper *ret)
{
	struct pfi_child child = { 0, -1 };
	int ends[2] = { -1, -1 };
	int r = open_pipe(ends);

	if (r < 0)
		(void)prefork_fail(r, "cannot start a helper: no pipe: %s", strerror(-r));
	start->fd = ends[1];
	start->parent = getpid();
	if (r == 0)
		r = pfi_spawn(run, start, &child);
	pfi_close(&ends[1]);
	if (r < 0) {
		pfi_close(&ends[0]);
		return r;
	}
	*ret = (struct pfi_helper){ .pid = child.pid, .pidfd = child.pidfd, .fd = ends[0] };
	return 0;
}

int pfi_helper_fork(int (*task)(void *arg, int fd), void *arg, struct pfi_helper *ret)
{
	struct start start = { .task = task, .arg = arg };

	return begin(&start, ret);
}

int pfi_helper_exec(const char *path, char *const argv[], struct pfi_helper *ret)
{
	struct start start = { .path = path, .argv = argv };

	return begin(&start, ret);
}

size_t pfi_helper_read(const struct pfi_helper *helper, void *bytes, size_t size)
{
	size_t used = 0;

	while (used < size) {
		const ssize_t n = read(helper->fd, (char *)bytes + used, size - used);

		if (n > 0)
			used += (size_t)n;
		else if (n == 0 || errno != EINTR)
			break;
	}
	return used;
}

void pfi_helper_close(struct pfi_helper *helper)
{
	pfi_close(&helper->fd);
	pfi_close(&helper->pidfd);
	helper->pid = 0;
}
