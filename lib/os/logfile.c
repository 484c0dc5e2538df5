/* Opens and reopens the file of a log, writes without blocking or raising signals, and counts lines that are lost. */
#include "os/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "os/fd.h"
#include "os/fdtable.h"
#include "os/path.h"

enum { FLAGS = O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC };

/* Open the file of `fd` again: O_NONBLOCK of the new open file description is not shared with other processes. */
static int reopen_fd(int fd)
{
	char path[32];

	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	pfi_fdtable_begin();
	fd = pfi_fdtable_enter(open(path, FLAGS), PFI_FD_LOG);
	pfi_fdtable_end();
	return fd;
}

/* Opened without waiting first: there may be no reader. */
int pfi_logfile_open_waiting(int fd)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISFIFO(status.st_mode) && !S_ISCHR(status.st_mode))
		return -ENOTSUP;
	fd = reopen_fd(fd);
	if (fd >= 0)
		(void)fcntl(fd, F_SETFL, FLAGS & ~O_NONBLOCK & ~O_CLOEXEC & ~O_NOCTTY);
	return fd;
}

/* Of a descriptor that this process has opened itself. */
static enum pfi_logfile_kind kind_of(int fd)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return PFI_LOGFILE_POLLED;
	if (S_ISSOCK(status.st_mode))
		return PFI_LOGFILE_SOCKET;
	return S_ISFIFO(status.st_mode) ? PFI_LOGFILE_PIPE : PFI_LOGFILE_PLAIN;
}

static int open_standard(struct pfi_logfile *file, int standard_fd)
{
	struct stat status;

	if (fstat(standard_fd, &status) < 0)
		return -errno;
	file->kind = kind_of(standard_fd);
	if (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode)) {
		file->fd = reopen_fd(standard_fd);
		if (file->fd >= 0)
			return 0;
		file->kind = PFI_LOGFILE_POLLED; /* no /proc, a pipe of another user, or a pipe without a reader */
	}
	pfi_fdtable_begin();
	file->fd = pfi_fdtable_enter(fcntl(standard_fd, F_DUPFD_CLOEXEC, 3), PFI_FD_LOG);
	pfi_fdtable_end();
	return file->fd < 0 ? file->fd : 0;
}

/* The path made absolute, so that a chdir(2) does not change it. Returns *new*; NULL and errno. */
static char *absolute(const char *path)
{
	char directory[PATH_MAX];
	char *joined = NULL;

	if (path[0] == '/')
		return strdup(path);
	if (getcwd(directory, sizeof directory) == NULL)
		return NULL;
	return asprintf(&joined, "%s/%s", directory, path) < 0 ? NULL : joined;
}

static int open_path(const char *path)
{
	bool is_new = true;
	int fd;

	pfi_fdtable_begin();
	fd = open(path, FLAGS | O_CREAT | O_EXCL, 0644);
	if (fd < 0 && errno == EEXIST) {
		is_new = false;
		fd = open(path, FLAGS | O_CREAT, 0644);
	}
	fd = pfi_fdtable_enter(fd, PFI_FD_LOG);
	pfi_fdtable_set_new(fd, is_new);
	pfi_fdtable_end();
	return fd;
}

/* dup3(2) replaces the file atomically: a write in another thread goes to the old or the new file. */
static int replace(const struct pfi_logfile *file, int fd)
{
	if (dup3(fd, file->fd, O_CLOEXEC) < 0)
		return -errno;
	pfi_fdtable_set_new(file->fd, pfi_fdtable_is_new(fd));
	pfi_fdtable_set_new(fd, false);
	return 0;
}

void pfi_logfiles_give(uint32_t arbiter, uid_t uid, gid_t gid)
{
	int fd;

	while ((fd = pfi_fdtable_find_new(arbiter)) >= 0) {
		const int r = fchown(fd, uid, gid);

		(void)r; /* on an error it stays as it is: workers have the descriptor */
		pfi_fdtable_set_new(fd, false);
	}
}

int pfi_logfile_open(struct pfi_logfile *file, const char *path, int standard_fd)
{
	*file = (struct pfi_logfile){ .fd = -1 };
	atomic_init(&file->pid, getpid());
	if (strcmp(path, "-") == 0)
		return open_standard(file, standard_fd);
	file->path = absolute(path);
	if (file->path == NULL)
		return -errno;
	file->fd = open_path(file->path);
	if (file->fd < 0) {
		const int r = file->fd;

		pfi_logfile_close(file);
		return r;
	}
	file->kind = kind_of(file->fd);
	return 0;
}

int pfi_logfile_check(const char *path, int standard_fd)
{
	struct stat status;
	int fd;

	if (strcmp(path, "-") == 0)
		return fstat(standard_fd, &status) < 0 ? -errno : 0;
	if (stat(path, &status) < 0)
		return errno == ENOENT ? pfi_path_may_make(path) : -errno;
	if (S_ISFIFO(status.st_mode))
		return faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) < 0 ? -errno : 0;
	fd = open(path, FLAGS);
	if (fd < 0)
		return -errno;
	pfi_close(&fd);
	return 0;
}

void pfi_logfile_close(struct pfi_logfile *file)
{
	pfi_close(&file->fd);
	free(file->path);
	file->path = NULL;
}

/* Of the thread that is between begin and end. */
static _Thread_local struct {
	bool is_open;
	int fds[PFI_LOGFILE_REOPENED_MAX];
	size_t count;
} reopened;

void pfi_logfile_begin_reopen(void)
{
	reopened.is_open = true;
}

void pfi_logfile_end_reopen(void)
{
	reopened.is_open = false;
	reopened.count = 0;
}

const int *pfi_logfile_reopened(size_t *ret_count)
{
	*ret_count = reopened.count;
	return reopened.fds;
}

static void add_reopened(int fd)
{
	if (reopened.is_open && reopened.count < PFI_LOGFILE_REOPENED_MAX)
		reopened.fds[reopened.count++] = fd;
}

static bool was_reopened(int fd)
{
	for (size_t i = 0; i < reopened.count; i++) {
		if (reopened.fds[i] == fd)
			return true;
	}
	return false;
}

void pfi_logfile_adopt(int fd, int opened)
{
	if (pfi_fdtable_look_up(fd).kind == PFI_FD_LOG && dup3(opened, fd, O_CLOEXEC) >= 0)
		add_reopened(fd);
	pfi_close(&opened);
}

int pfi_logfile_reopen(struct pfi_logfile *file)
{
	int fd, r;

	if (file->path == NULL)
		return 0;
	if (was_reopened(file->fd)) {
		file->kind = kind_of(file->fd);
		return 0;
	}
	fd = open_path(file->path);
	if (fd < 0)
		return fd;
	r = replace(file, fd);
	if (r == 0)
		file->kind = kind_of(fd);
	pfi_close(&fd);
	if (r == 0)
		add_reopened(file->fd);
	return r;
}

int pfi_logfile_move(struct pfi_logfile *file, const char *path, int standard_fd)
{
	struct pfi_logfile other;
	char *const old_path = file->path;
	int r = pfi_logfile_open(&other, path, standard_fd);

	if (r < 0)
		return r;
	r = replace(file, other.fd);
	if (r < 0) {
		pfi_logfile_close(&other);
		return r;
	}
	file->kind = other.kind;
	file->path = other.path;
	other.path = old_path;
	pfi_logfile_close(&other);
	return 0;
}

static atomic_bool ignores_file_size; /* this process ignores SIGXFSZ */

void pfi_logfile_expect_ignored_signals(void)
{
	atomic_store(&ignores_file_size, true);
}

/* writev(2) without SIGPIPE, for a pipe without a reader, and SIGXFSZ, at RLIMIT_FSIZE: blocked during the call, and
 * consumed afterwards. A signal that was pending before stays pending. */
static ssize_t write_quietly(int fd, const struct iovec *parts, int count)
{
	static const struct timespec at_once;
	sigset_t both, raised, pending, before;
	ssize_t n;
	int error;

	(void)sigemptyset(&both);
	(void)sigaddset(&both, SIGPIPE);
	(void)sigaddset(&both, SIGXFSZ);
	(void)sigemptyset(&raised);
	(void)sigemptyset(&pending);
	(void)sigpending(&pending);
	(void)pthread_sigmask(SIG_BLOCK, &both, &before);
	n = writev(fd, parts, count);
	error = errno;
	if (n < 0 && error == EPIPE && !sigismember(&pending, SIGPIPE))
		(void)sigaddset(&raised, SIGPIPE);
	if (n < 0 && error == EFBIG && !sigismember(&pending, SIGXFSZ))
		(void)sigaddset(&raised, SIGXFSZ);
	if (sigismember(&raised, SIGPIPE) || sigismember(&raised, SIGXFSZ))
		while (sigtimedwait(&raised, NULL, &at_once) < 0 && errno == EINTR)
			;
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = error;
	return n;
}

/* Workers ignore SIGXFSZ, which saves three system calls for each line of the access log. */
static ssize_t write_plain(int fd, const struct iovec *parts, int count)
{
	return atomic_load_explicit(&ignores_file_size, memory_order_relaxed) ? writev(fd, parts, count)
									      : write_quietly(fd, parts, count);
}

static ssize_t write_parts(const struct pfi_logfile *file, struct iovec *parts, int count)
{
	struct pollfd writable = { .fd = file->fd, .events = POLLOUT };
	const struct msghdr message = { .msg_iov = parts, .msg_iovlen = (size_t)count };

	switch ((enum pfi_logfile_kind)file->kind) {
	case PFI_LOGFILE_SOCKET:
		return sendmsg(file->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	case PFI_LOGFILE_POLLED:
		/* A pipe that is writable has space for a page (PIPE_BUF), and a line is no longer. */
		if (poll(&writable, 1, 0) <= 0 || !(writable.revents & (POLLOUT | POLLERR | POLLHUP))) {
			errno = EAGAIN;
			return -1;
		}
		return write_quietly(file->fd, parts, count);
	case PFI_LOGFILE_PIPE:
		return write_quietly(file->fd, parts, count);
	case PFI_LOGFILE_PLAIN:
		break;
	}
	return write_plain(file->fd, parts, count);
}

/* Lines that were lost before a fork are counted by the parent. */
static void notice_fork(struct pfi_logfile *file)
{
	const int pid = getpid();

	if (atomic_load_explicit(&file->pid, memory_order_relaxed) != pid) {
		atomic_store(&file->pid, pid);
		atomic_store(&file->lost, 0);
	}
}

bool pfi_logfile_write(struct pfi_logfile *file, const char *bytes, size_t size, unsigned lines)
{
	char newline = '\n';
	struct iovec parts[2] = { { &newline, 1 }, { (void *)bytes, size } };
	const bool torn = atomic_load_explicit(&file->torn, memory_order_relaxed);
	const size_t wanted = size + torn;
	ssize_t n;

	do
		n = torn ? write_parts(file, parts, 2) : write_parts(file, parts + 1, 1);
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t)wanted) {
		if (torn)
			atomic_store(&file->torn, false);
		return true;
	}
	atomic_store(&file->why, n < 0 ? -errno : -ENOSPC);
	if (n > 0) /* the disk was full within a line: the next one begins with a newline */
		atomic_store(&file->torn, bytes[(size_t)n - torn - (n > torn)] != '\n');
	pfi_logfile_count_lost(file, lines);
	return false;
}

void pfi_logfile_count_lost(struct pfi_logfile *file, unsigned lines)
{
	notice_fork(file);
	(void)atomic_fetch_add(&file->lost, lines);
}

unsigned pfi_logfile_take_lost(struct pfi_logfile *file)
{
	if (atomic_load_explicit(&file->lost, memory_order_relaxed) == 0)
		return 0;
	notice_fork(file);
	return atomic_exchange(&file->lost, 0);
}
