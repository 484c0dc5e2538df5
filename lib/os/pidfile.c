/* Creates, locks, renames and removes a pid file. No other process ever sees one that is incomplete. */
#include "os/pidfile.h"

#include "base/number.h"
#include "os/fd.h"
#include "os/fdtable.h"
#include "os/path.h"

#include <prefork/error.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TRIES_MAX = 200, PAUSE_MS = 1, MODE = 0644, CONTENT_MAX = 32 };

static int failed(int error, const char *path, const char *what)
{
	char why[PFI_PATH_WHY_MAX];

	return prefork_fail(error, "cannot %s the pid file %s: %s", what, path, pfi_path_why(error, why));
}

/* The pid, 0 if the file is empty, or -EINVAL. */
static int read_pid(int fd, pid_t *ret)
{
	char text[CONTENT_MAX];
	int64_t number = 0;
	const ssize_t n = pread(fd, text, sizeof text - 1, 0);

	if (n < 0)
		return -errno;
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	if (n == sizeof text - 1 || (n > 0 && (pfi_parse_whole(text, &number) < 0 || number <= 0 || number > INT_MAX)))
		return -EINVAL;
	*ret = (pid_t)number;
	return 0;
}

/* O_NONBLOCK: a pipe of that name must not make the start wait. */
static int open_there(const char *path)
{
	pfi_fdtable_begin();
	const int fd = pfi_fdtable_enter(open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC), PFI_FD_PIDFILE);
	pfi_fdtable_end();
	return fd;
}

static bool has_name(int fd, const char *path)
{
	struct stat open_file, named;

	return fstat(fd, &open_file) == 0 && lstat(path, &named) == 0 && open_file.st_dev == named.st_dev &&
	       open_file.st_ino == named.st_ino;
}

/* A new file beside `path`, complete and locked, its name in `temporary`. A descriptor or a negative errno. */
static int make_temporary(char *temporary)
{
	char text[CONTENT_MAX];
	const int length = snprintf(text, sizeof text, "%d\n", (int)getpid());
	int r = 0;

	pfi_fdtable_begin();
	int fd = pfi_fdtable_enter(mkostemp(temporary, O_CLOEXEC), PFI_FD_PIDFILE);
	pfi_fdtable_end();
	if (fd < 0)
		return fd;
	/* A file system without modes refuses them (EPERM): its mount options say who may read. */
	if ((fchmod(fd, MODE) < 0 && errno != EPERM && errno != EOPNOTSUPP) || flock(fd, LOCK_EX | LOCK_NB) < 0)
		r = -errno;
	else if (write(fd, text, (size_t)length) != length)
		r = -ENOSPC;
	if (r == 0)
		return fd;
	(void)unlink(temporary);
	pfi_close(&fd);
	return r;
}

static int refuse_locked(const char *path, pid_t pid)
{
	if (pid > 0)
		return prefork_fail(-EEXIST, "the server with process id %d is running: it has locked the pid file %s",
				    (int)pid, path);
	return prefork_fail(-EEXIST, "another process has locked the pid file %s", path);
}

/* Open the file that has the name. A descriptor; -ENOENT, or an error with its message. */
static int open_pidfile(const char *path, pid_t *ret_pid)
{
	struct stat status;
	int fd = open_there(path);

	if (fd == -ELOOP)
		return prefork_fail(fd, "%s is a symbolic link, which a pid file must not be: name the file itself", path);
	if (fd < 0)
		return fd == -ENOENT ? fd : failed(fd, path, "open");
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && read_pid(fd, ret_pid) == 0)
		return fd;
	pfi_close(&fd);
	return prefork_fail(-EINVAL, "%s exists and is not a pid file: remove it, or give another name", path);
}

/* A locked file that is empty, or whose owner is gone, is that of a starter, which is about to replace it. */
static bool is_of_starter(pid_t pid)
{
	return pid == 0 || (kill(pid, 0) < 0 && errno == ESRCH);
}

/* Lock the file that has the name. Its owner is gone then, and no other starter can replace it. A descriptor; -ENOENT:
 * the name is free, or has another file by now; -EAGAIN: another starter, which is about to replace the file, holds the
 * lock; or an error with its message. */
static int lock_stale(const char *path, bool is_last_try)
{
	pid_t pid = 0;
	int fd = open_pidfile(path, &pid), r = 0;

	if (fd < 0)
		return fd;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		r = errno != EWOULDBLOCK ? failed(-errno, path, "lock") :
		    is_of_starter(pid) && !is_last_try ? -EAGAIN :
							 refuse_locked(path, pid);
	else if (!has_name(fd, path))
		r = -ENOENT;
	if (r < 0)
		pfi_close(&fd);
	return r < 0 ? r : fd;
}

/*
 * Give the file the name unless there is one: link(2) does not replace a file. On a file system without hard links (vfat,
 * exfat, some of FUSE) an empty file gets the name. It is not locked, so that this starter, or another one, replaces it
 * as it does a stale one. 0; -EEXIST: replace the file; or another negative errno.
 */
static int claim_name(const char *temporary, const char *path)
{
	if (link(temporary, path) == 0)
		return unlink(temporary) < 0 ? -errno : 0;
	if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS)
		return -errno;
	pfi_fdtable_begin();
	int fd = pfi_fdtable_enter(open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOCTTY | O_CLOEXEC, MODE), PFI_FD_PIDFILE);
	pfi_fdtable_end();
	if (fd < 0)
		return fd;
	pfi_close(&fd);
	return -EEXIST;
}

/* The rename replaces a file while its lock is ours. */
static int take_name(const char *temporary, const char *path)
{
	int stale, r = -ENOENT;

	for (int tries = 1; r == -ENOENT || r == -EAGAIN; tries++) {
		if (r == -EAGAIN)
			(void)poll(NULL, 0, PAUSE_MS);
		r = claim_name(temporary, path);
		if (r != -EEXIST)
			return r < 0 ? failed(r, path, "make") : 0;
		r = stale = lock_stale(path, tries >= TRIES_MAX);
		if (stale < 0)
			continue;
		r = rename(temporary, path) < 0 ? failed(-errno, path, "replace") : 0;
		pfi_close(&stale);
	}
	return r;
}

/* As it will be found after a chdir(2). Returns new; NULL: errno. */
static char *absolute(const char *path)
{
	char directory[PATH_MAX];
	char *joined = NULL;

	if (*path == '/')
		return strdup(path);
	if (getcwd(directory, sizeof directory) == NULL)
		return NULL;
	return asprintf(&joined, "%s/%s", directory, path) < 0 ? NULL : joined;
}

static int make(const char *path, int *ret_fd)
{
	char *temporary = NULL;
	int r = asprintf(&temporary, "%s.XXXXXX", path) < 0 ? -ENOMEM : 0, fd = -1;

	if (r < 0)
		return prefork_fail(r, "no memory for the name of a pid file");
	fd = make_temporary(temporary);
	r = fd < 0 ? failed(fd, path, "make") : take_name(temporary, path);
	if (r < 0 && fd >= 0) {
		(void)unlink(temporary);
		pfi_close(&fd);
	}
	free(temporary);
	if (r == 0)
		*ret_fd = fd;
	return r;
}

int pfi_pidfile_create(struct pfi_pidfile *pidfile, const char *path)
{
	struct pfi_pidfile made = { .fd = -1, .path = absolute(path), .pid = getpid() };
	int r;

	*pidfile = PFI_NO_PIDFILE;
	if (made.path == NULL)
		return failed(-errno, path, "make");
	r = make(made.path, &made.fd);
	if (r < 0)
		free(made.path);
	else
		*pidfile = made;
	return r;
}

int pfi_pidfile_rename(struct pfi_pidfile *pidfile, const char *path)
{
	char *const target = absolute(path);
	int r = target == NULL ? -errno : pidfile->fd < 0 ? -EBADF : 0;

	if (r == 0 && !has_name(pidfile->fd, pidfile->path))
		r = -ENOENT;
	else if (r == 0 && rename(pidfile->path, target) < 0)
		r = -errno;
	if (r < 0) {
		free(target);
		return failed(r, path, "rename to");
	}
	free(pidfile->path);
	pidfile->path = target;
	return 0;
}

void pfi_pidfile_remove(struct pfi_pidfile *pidfile)
{
	/* While the lock is held no other starter replaces the file: it is still the one that was examined. */
	if (pidfile->fd >= 0 && pidfile->pid == getpid() && has_name(pidfile->fd, pidfile->path))
		(void)unlink(pidfile->path);
	pfi_close(&pidfile->fd);
	free(pidfile->path);
	*pidfile = PFI_NO_PIDFILE;
}

int pfi_pidfile_remove_stale(const char *path)
{
	struct stat status;
	pid_t pid;
	int fd = open_there(path), r = 0;

	if (fd < 0)
		return 0;
	/* A starter that finds the lock taken tries again: the owner of the file is gone. */
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && read_pid(fd, &pid) == 0) {
		if (flock(fd, LOCK_EX | LOCK_NB) < 0)
			r = -EAGAIN;
		else if (has_name(fd, path))
			(void)unlink(path);
	}
	pfi_close(&fd);
	return r;
}

int pfi_pidfile_check(const char *path)
{
	pid_t pid = 0;
	int fd = open_pidfile(path, &pid), r;

	if (fd < 0 && fd != -ENOENT)
		return fd;
	pfi_close(&fd);
	r = pfi_path_may_make(path);
	return r < 0 ? failed(r, path, "make") : 0;
}

int pfi_pidfile_read(const char *path, pid_t *ret)
{
	pid_t pid = 0;
	int fd = open_there(path);
	int r = fd < 0 ? fd : read_pid(fd, &pid);

	pfi_close(&fd);
	if (r == 0 && pid == 0)
		r = -EINVAL;
	if (r == 0)
		*ret = pid;
	return r;
}

int pfi_pidfile_find_owner(const char *path, pid_t *ret_pid, ino_t *ret_inode)
{
	struct stat status = { 0 };
	pid_t pid = 0;
	int fd = open_pidfile(path, &pid), r = 0;

	if (fd < 0)
		return fd == -ENOENT ? prefork_fail(fd, "there is no pid file %s", path) : fd;
	/* A shared lock, so that two commands at once do not take each other for the server. */
	if (flock(fd, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK)
		r = prefork_fail(-ESRCH, "no server has locked the pid file %s: it has ended", path);
	else if (pid == 0 || fstat(fd, &status) < 0)
		r = prefork_fail(-EINVAL, "the pid file %s holds no pid", path);
	pfi_close(&fd);
	if (r < 0)
		return r;
	*ret_pid = pid;
	*ret_inode = status.st_ino;
	return 0;
}
