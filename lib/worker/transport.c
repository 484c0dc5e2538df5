/* The transport of plain sockets: recv(2), sendmsg(2), sendfile(2), shutdown(2); and how a worker gets another one. */
#include "worker/connection.h"

#include "base/required.h"
#include "base/struct_size.h"
#include "os/fdtable.h"
#include "worker/worker.h"

#include <prefork/error.h>

#include <errno.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

/* After prefork_forget_in_child(), in a process that the application has forked, the library's descriptors are
 * closed, and their numbers may be files of the application: the functions return -EBADF. */

ptrdiff_t prefork_socket_receive(struct prefork_connection *connection, void *bytes, size_t size)
{
	PFI_RETURN_IF_NULL(connection, -EINVAL);

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

ptrdiff_t prefork_socket_send(struct prefork_connection *connection, const struct iovec *pieces, int count)
{
	PFI_RETURN_IF_NULL(connection, -EINVAL);

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
ptrdiff_t prefork_socket_send_file(struct prefork_connection *connection, int fd, int64_t *offset, size_t size)
{
	PFI_RETURN_IF_NULL(connection, -EINVAL);
	PFI_RETURN_IF_NULL(offset, -EINVAL);

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

int prefork_socket_end_output(struct prefork_connection *connection)
{
	PFI_RETURN_IF_NULL(connection, -EINVAL);
	if (pfi_fdtable_is_forgotten())
		return -EBADF;
	return shutdown(connection->fd, SHUT_WR) < 0 ? -errno : 0;
}

const struct prefork_transport pfi_transport_plain = {
	.struct_size = sizeof pfi_transport_plain,
	.receive = prefork_socket_receive,
	.send = prefork_socket_send,
	.send_file = prefork_socket_send_file,
	.end_output = prefork_socket_end_output,
};

/* The worker's transport takes over from the socket here: what comes before, such as a PROXY header, is not part of it. */
static enum prefork_next establish(struct prefork_connection *connection)
{
	const struct prefork_transport *const transport = &connection->worker->transport;

	connection->transport = transport;
	return transport->establish ? transport->establish(connection) : PREFORK_AGAIN;
}

static void timed_out(struct prefork_connection *connection)
{
	if (connection->transport->timed_out)
		connection->transport->timed_out(connection);
}

static const struct pfi_connection_stage stage = { .proceed = establish, .timed_out = timed_out };

int prefork_worker_set_transport(struct prefork_worker *worker, const struct prefork_transport *transport, void *user)
{
	PFI_RETURN_IF_NULL(worker, -EINVAL);
	PFI_RETURN_IF_NULL(transport, -EINVAL);

	const int r = pfi_struct_check(transport, transport->struct_size,
				       PFI_SIZE_WITH(struct prefork_transport, end_output), sizeof *transport,
				       "struct prefork_transport");

	if (r < 0)
		return r;
	if (!transport->receive || !transport->send || !transport->send_file || !transport->end_output)
		return prefork_fail(-EINVAL, "a function of struct prefork_transport is NULL");
	if (worker->transport_given || worker->is_ready)
		return prefork_fail(-EBUSY, "the worker has a transport, or serves already");
	pfi_struct_copy(&worker->transport, sizeof worker->transport, transport, transport->struct_size);
	worker->transport_given = transport;
	worker->transport_user = user;
	pfi_stage_add(worker, &stage);
	return 0;
}

bool prefork_connection_is_secure(const struct prefork_connection *connection)
{
	PFI_RETURN_IF_NULL(connection, false);
	return (connection->transport->traits & PREFORK_TRANSPORT_SECURE) != 0;
}

void *prefork_transport_user(const struct prefork_connection *connection)
{
	PFI_RETURN_IF_NULL(connection, NULL);
	return connection->worker->transport_user;
}

void prefork_transport_set_data(struct prefork_connection *connection, void *data)
{
	PFI_RETURN_IF_NULL(connection, );
	connection->transport_data = data;
}

void *prefork_transport_data(const struct prefork_connection *connection, const struct prefork_transport *transport)
{
	PFI_RETURN_IF_NULL(connection, NULL);
	return connection->worker->transport_given == transport ? connection->transport_data : NULL;
}

void prefork_transport_set_input(struct prefork_connection *connection, bool is_buffered)
{
	PFI_RETURN_IF_NULL(connection, );
	connection->input_buffered = is_buffered;
}

void prefork_transport_set_output(struct prefork_connection *connection, size_t size)
{
	PFI_RETURN_IF_NULL(connection, );
	atomic_store_explicit(&connection->transport_output, size, memory_order_relaxed);
}
