/* Sends datagrams to the socket of a service manager, without waiting. */
#include "os/notify_socket.h"

#include "os/fd.h"
#include "os/open.h"
#include "os/rights.h"

#include <prefork/error.h>

#include <errno.h>
#include <string.h>

enum { FDS_MAX = 64 };

int pfi_notify_socket_open(const char *name, struct pfi_notify_socket *ret)
{
	const size_t length = strlen(name);
	struct pfi_notify_socket notify = { .fd = -1, .address.sun_family = AF_UNIX };

	if ((name[0] != '/' && name[0] != '@') || name[1] == '\0')
		return prefork_fail(-EPROTONOSUPPORT, "NOTIFY_SOCKET is %s, which is neither a path nor @NAME", name);
	if (length >= sizeof notify.address.sun_path)
		return prefork_fail(-ENAMETOOLONG, "NOTIFY_SOCKET is too long for a unix socket: %s", name);
	memcpy(notify.address.sun_path, name, length);
	/* An abstract address has no NUL at its end: with one it is another address. */
	notify.size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (name[0] == '/'));
	if (name[0] == '@')
		notify.address.sun_path[0] = '\0';
	notify.fd = pfi_open_datagram();
	if (notify.fd < 0)
		return prefork_fail(notify.fd, "no socket for NOTIFY_SOCKET: %s", strerror(-notify.fd));
	*ret = notify;
	return 0;
}

int pfi_notify_socket_send(const struct pfi_notify_socket *notify, const char *bytes, size_t size, const int *fds,
			   size_t count)
{
	PFI_RIGHTS_BUFFER(FDS_MAX) control = { .bytes = { 0 } };
	struct iovec part = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = size };
	struct msghdr message = {
		.msg_name = (void *)(uintptr_t)&notify->address, .msg_namelen = notify->size, .msg_iov = &part, .msg_iovlen = 1
	};
	ssize_t n;

	if (count > FDS_MAX)
		return -E2BIG;
	if (count > 0)
		pfi_rights_attach(&message, control.bytes, fds, count);
	do
		n = sendmsg(notify->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return 0;
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS ? -EAGAIN : -errno;
}

void pfi_notify_socket_close(struct pfi_notify_socket *notify)
{
	pfi_close(&notify->fd);
}
