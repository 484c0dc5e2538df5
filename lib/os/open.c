/* Opens sockets, epoll sets, eventfds and pidfds, and enters each in the table of the library's descriptors. */
#include "os/open.h"

#include "os/fd.h"
#include "os/fdtable.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

static int enter_and_end(int fd, enum pfi_fd_kind kind)
{
	const int r = pfi_fdtable_enter(fd, kind);

	pfi_fdtable_end();
	return r;
}

int pfi_open_epoll(void)
{
	pfi_fdtable_begin();
	return enter_and_end(epoll_create1(EPOLL_CLOEXEC), PFI_FD_EPOLL);
}

int pfi_open_eventfd(void)
{
	pfi_fdtable_begin();
	return enter_and_end(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), PFI_FD_EVENT);
}

int pfi_open_pidfd(int pid)
{
	pfi_fdtable_begin();
	return enter_and_end((int)syscall(SYS_pidfd_open, pid, 0U), PFI_FD_PIDFD); /* pidfd_open(2) sets close-on-exec */
}

int pfi_open_socket(int family, int flags)
{
	pfi_fdtable_begin();
	return enter_and_end(socket(family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0), PFI_FD_LISTENER);
}

int pfi_open_query_socket(int flags)
{
	pfi_fdtable_begin();
	return enter_and_end(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0), PFI_FD_CHANNEL);
}

int pfi_open_log_socket(int family)
{
	pfi_fdtable_begin();
	return enter_and_end(socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), PFI_FD_LOG);
}

int pfi_open_datagram(void)
{
	pfi_fdtable_begin();
	return enter_and_end(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), PFI_FD_NOTIFY);
}

int pfi_open_pair(int type, int fds[2])
{
	int pair[2] = { -1, -1 }, r;

	pfi_fdtable_begin();
	r = socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair) < 0 ? -errno : 0;
	if (r == 0) {
		pair[0] = pfi_fdtable_enter(pair[0], PFI_FD_CHANNEL);
		pair[1] = pfi_fdtable_enter(pair[1], PFI_FD_CHANNEL);
		r = pair[0] < 0 ? pair[0] : pair[1] < 0 ? pair[1] : 0;
	}
	pfi_fdtable_end();
	for (int i = 0; i < 2; i++) {
		if (r == 0)
			fds[i] = pair[i];
		else
			pfi_close(&pair[i]);
	}
	return r;
}

int pfi_accept(int listener, struct sockaddr *address, socklen_t *size)
{
	pfi_fdtable_begin();
	const int fd = pfi_fdtable_enter_connection(accept4(listener, address, size, SOCK_NONBLOCK | SOCK_CLOEXEC));

	pfi_fdtable_end();
	if (fd >= 0)
		return fd;
	errno = -fd;
	return -1;
}
