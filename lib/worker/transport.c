#include "worker/connection.h"

#include "os/fdtable.h"

#include <errno.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

/* In a process that the application has forked, and that called prefork_forget_in_child(), the number
 * may be a file's of the application: nothing is read from it, or written to it. */

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

/* One piece is the usual case, and sendmsg(2) would read its description first. */
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
	/* The cast takes away a const that sendmsg(2) keeps, and its type does not say. */
	const struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)pieces,
		                        .msg_iovlen = (size_t)count };
	ssize_t n;

	do
		n = sendmsg(connection->fd, &message, flags);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* A worker ignores SIGPIPE, which sendfile(2) cannot be asked to keep back. */
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
