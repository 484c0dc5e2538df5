/* Binds, accepts and connects the sockets of commands, and compares the user ids of both ends. */
#include "os/query_socket.h"

#include "os/fd.h"
#include "os/open.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 8 };

static socklen_t name_of(pid_t pid, ino_t inode, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	const int length = snprintf(ret->sun_path + 1, sizeof ret->sun_path - 1, "prefork-%d-%ju", (int)pid, (uintmax_t)inode);

	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
}

static bool get_peer(int fd, struct ucred *ret)
{
	socklen_t size = sizeof *ret;

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, ret, &size) == 0;
}

/* Runs in the server. */
static bool may_request(int fd)
{
	struct ucred peer;

	return get_peer(fd, &peer) && (peer.uid == 0 || peer.uid == geteuid());
}

/* Runs in the command. The name is free for any process to bind, so the peer has to be the process that has locked the
 * pid file. Root may request a reload of the server of any user; another user's request would be refused. 0,
 * -ECONNREFUSED, -EPERM. */
static int check_server(int fd, pid_t pid)
{
	struct ucred peer;

	if (!get_peer(fd, &peer) || peer.pid != pid)
		return -ECONNREFUSED;
	return geteuid() == 0 || peer.uid == geteuid() ? 0 : -EPERM;
}

int pfi_query_listen(pid_t pid, ino_t inode)
{
	struct sockaddr_un name;
	const socklen_t size = name_of(pid, inode, &name);
	int fd = pfi_open_query_socket(SOCK_NONBLOCK), r;

	if (fd < 0)
		return fd;
	if (bind(fd, (const struct sockaddr *)&name, size) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	r = -errno;
	pfi_close(&fd);
	return r;
}

int pfi_query_accept(int listener)
{
	int fd = pfi_accept(listener, NULL, NULL);

	if (fd < 0)
		return -errno;
	if (may_request(fd))
		return fd;
	pfi_close(&fd);
	return -EPERM;
}

int pfi_query_connect(pid_t pid, ino_t inode)
{
	struct sockaddr_un name;
	const socklen_t size = name_of(pid, inode, &name);
	int fd = pfi_open_query_socket(0), r = 0;

	if (fd < 0)
		return fd;
	if (connect(fd, (const struct sockaddr *)&name, size) < 0)
		r = -errno;
	else
		r = check_server(fd, pid);
	if (r < 0)
		pfi_close(&fd);
	return r < 0 ? r : fd;
}
