/* The transport of plain sockets: recv(2), sendmsg(2), sendfile(2), shutdown(2). */
#include "worker/connection.h"

#include "os/fdtable.h"

#include <errno.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

/* After prefork_forget_in_child(), in a process that the application has forked, the library's descriptors are
 * closed, and their numbers may be files of the application: the functions return -EBADF. */

static ptrdiff_t plain_receive(struct prefork_connection *connection, void *bytes, size_t size)
{
	ssize_t n;

	if (pfi_fdtable_is_forgotten())
		return -EBADF;
	do
		n = recv(connection->fd, bytes, size, 0);
	while (n < 0 && errno == EINTR);
	connection->read_drained = n < 0 ? errno == EAGAIN : n > 0 && (size_t)n < size;
	return n < 0 ? -errno : n;
}

/* The usual case: send(2) copies no struct msghdr and no iovec from user space. */
static ptrdiff_t send_one(int fd, const struct iovec *piece, int flags)
{
	ssize_t n;

	do
		n = send(fd, piece->iov_base, piece->iov_len, flags);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static ptrdiff_t plain_send(struct prefork_connection *connection, const struct iovec *pieces, int count)
{
	const int flags = MSG_NOSIGNAL | (connection->end_follows ? MSG_MORE : 0);

	if (pfi_fdtable_is_forgotten())
		return -EBADF;
	if (count == 1)
		return send_one(connection->fd, pieces, flags);
	/* sendmsg(2) does not write to the pieces, but struct msghdr has no const. */
	const struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)pieces,
		                        .msg_iovlen = (size_t)count };
	ssize_t n;

	do
		n = sendmsg(connection->fd, &message, flags);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* sendfile(2) has no MSG_NOSIGNAL; a worker ignores SIGPIPE. */
static ptrdiff_t plain_send_file(struct prefork_connection *connection, int fd, int64_t *offset, size_t size)
{
	off_t at = (off_t)*offset;
	ssize_t n;

	if (pfi_fdtable_is_forgotten())
		return -EBADF;
	do
		n = sendfile(connection->fd, fd, &at, size);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	*offset = at;
	return n;
}

static int plain_end_output(struct prefork_connection *connection)
{
	if (pfi_fdtable_is_forgotten())
		return -EBADF;
	return shutdown(connection->fd, SHUT_WR) < 0 ? -errno : 0;
}

const struct pfi_transport pfi_transport_plain = {
	.receive = plain_receive,
	.send = plain_send,
	.send_file = plain_send_file,
	.end_output = plain_end_output,
};
