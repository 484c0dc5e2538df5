/* Binds a unix socket to a path. If the path is the socket of a server that has exited, it is replaced. */
#include "listener/unix_path.h"

#include "listener/explain.h"
#include "os/fd.h"
#include "os/fdtable.h"
#include "os/open.h"
#include "os/path.h"

#include <prefork/error.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* 0: a server listens there, its process id or 0 in *ret_owner; -ECONNREFUSED: no process does. */
static int probe(const struct sockaddr_un *socket_address, socklen_t size, pid_t *ret_owner)
{
	struct ucred server = { 0 };
	socklen_t server_size = sizeof server;
	int fd = pfi_open_socket(AF_UNIX, SOCK_NONBLOCK);

	if (fd < 0)
		return fd;
	int r = connect(fd, (const struct sockaddr *)socket_address, size) < 0 ? -errno : 0;
	if (r == -EAGAIN)
		r = 0; /* its backlog is full, so a process listens */
	else if (r == 0)
		(void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &server, &server_size);
	*ret_owner = server.pid;
	pfi_close(&fd);
	return r;
}

static bool is_same_file(const char *path, const struct stat *expected)
{
	struct stat now;

	return lstat(path, &now) == 0 && now.st_dev == expected->st_dev && now.st_ino == expected->st_ino;
}

static int not_a_socket(const char *path)
{
	return prefork_fail(-EEXIST, "cannot listen on unix:%s: the path exists and is not a socket; remove it, "
				     "or choose another path", path);
}

static int cannot_bind(int error, const char *path)
{
	char why[PFI_PATH_WHY_MAX];

	return prefork_fail(error, "cannot listen on unix:%s: %s", path, pfi_path_why(error, why));
}

/* Remove a socket that no process listens on. 0: the path is free, retry. */
static int clear_stale(const struct sockaddr_un *socket_address, socklen_t size)
{
	const char *const path = socket_address->sun_path;
	struct stat before;
	pid_t owner = 0;

	if (lstat(path, &before) < 0)
		return errno == ENOENT ? 0
				       : prefork_fail(-errno, "cannot examine %s: %s", path,
						      strerror(errno));
	if (!S_ISSOCK(before.st_mode))
		return not_a_socket(path);
	const int r = probe(socket_address, size, &owner);
	if (r == 0) {
		char text[sizeof socket_address->sun_path + 8];

		(void)snprintf(text, sizeof text, "unix:%s", path);
		return pfi_explain_taken(text, owner);
	}
	if (r == -ENOENT)
		return 0;
	if (r != -ECONNREFUSED)
		return prefork_fail(r,
				    "cannot listen on unix:%s: it exists, and whether a process "
				    "listens there is not known: %s",
				    path, strerror(-r));
	if (is_same_file(path, &before) && unlink(path) < 0 && errno != ENOENT)
		return prefork_fail(-errno, "cannot remove the stale socket %s: %s", path, strerror(errno));
	return 0;
}

/* Through an O_PATH descriptor of the file: chmod(2) by name would follow a link. */
static int set_owner_and_mode(const char *path, mode_t mode, uid_t uid, gid_t gid, int *ret_file)
{
	char by_fd[64];
	struct stat made;
	int r = 0;

	pfi_fdtable_begin();
	int fd = pfi_fdtable_enter(open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC), PFI_FD_PATH);
	pfi_fdtable_end();
	if (fd < 0)
		r = fd;
	else if (fstat(fd, &made) < 0)
		r = -errno;
	else if (!S_ISSOCK(made.st_mode))
		r = -EEXIST;
	else if ((uid != (uid_t)-1 || gid != (gid_t)-1) && fchownat(fd, "", uid, gid, AT_EMPTY_PATH) < 0)
		r = -errno;
	/* The owner first: the old owner must not have the new mode. chmod(2) works on O_PATH through /proc only. */
	(void)snprintf(by_fd, sizeof by_fd, "/proc/self/fd/%d", fd);
	if (r == 0 && chmod(by_fd, mode) < 0)
		r = -errno;
	if (r == 0)
		*ret_file = fd;
	else
		pfi_close(&fd);
	return r;
}

int pfi_unix_path_bind(int fd, const struct sockaddr_un *socket_address, socklen_t size, mode_t mode,
                       uid_t uid, gid_t gid, int *ret_file)
{
	const char *const path = socket_address->sun_path;
	int r = 0;

	/* bind(2) creates the file with the mode of the socket, minus the umask: never wider than requested, not even
	 * until set_owner_and_mode(). */
	if (fchmod(fd, mode) < 0)
		return prefork_fail(-errno, "cannot set the mode of %s: %s", path, strerror(errno));
	for (int tries = 0; bind(fd, (const struct sockaddr *)socket_address, size) < 0; tries++) {
		r = -errno;
		if (r != -EADDRINUSE || tries == 3)
			return cannot_bind(r, path);
		r = clear_stale(socket_address, size);
		if (r < 0)
			return r;
	}
	r = set_owner_and_mode(path, mode, uid, gid, ret_file);
	if (r == 0)
		return 0;
	if (r != -EEXIST && r != -ENOENT) /* then the file is another one by now */
		(void)unlink(path);
	return prefork_fail(r, r == -EPERM ? "cannot set owner and mode of %s: only root can set another user, or a group "
					     "that this user is not in (socket_user, socket_group)"
					   : "cannot set owner and mode of %s: %s", path, strerror(-r));
}

int pfi_unix_path_try(const char *path)
{
	struct stat there;
	int r;

	if (lstat(path, &there) == 0)
		return S_ISSOCK(there.st_mode) ? 0 : not_a_socket(path);
	r = errno == ENOENT ? pfi_path_may_make(path) : -errno;
	return r < 0 ? cannot_bind(r, path) : 0;
}

void pfi_unix_path_remove(const char *path, int file)
{
	struct stat ours;

	if (fstat(file, &ours) == 0 && is_same_file(path, &ours))
		(void)unlink(path);
}
