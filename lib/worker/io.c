/* The public functions that read and write a connection, and the buffer of its pending output. */
#include "worker/connection.h"
#include "base/required.h"
#include "os/clock.h"
#include "worker/worker.h"

#include <prefork/error.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

enum {
	OUTPUT_CAPACITY_FIRST = 4096,
	OUTPUT_CAPACITY_KEPT = 64 * 1024, /* a larger buffer is freed once it is empty */
};

ptrdiff_t prefork_connection_read(struct prefork_connection *connection, void *bytes, size_t size)
{
	PFI_RETURN_IF_NULL(connection, -EINVAL);
	PFI_RETURN_IF_NO_BYTES(bytes, size, -EINVAL);

	const ptrdiff_t n = connection->transport->receive(connection, bytes, size);

	if (n > 0) {
		atomic_store_explicit(&connection->received, true, memory_order_relaxed);
		atomic_store_explicit(&connection->responded, false, memory_order_relaxed);
	} else if (n != -EAGAIN) {
		atomic_store_explicit(&connection->peer_closed, true, memory_order_relaxed);
	}
	return n;
}

/* What was sent is a response only if the client has sent something before. */
static void note_response(struct prefork_connection *connection)
{
	const bool received = atomic_load_explicit(&connection->received, memory_order_relaxed);

	atomic_store_explicit(&connection->responded, received, memory_order_relaxed);
}

/* Make space for `size` more bytes. */
static int grow(struct pfi_output *output, size_t size)
{
	const size_t used = output->end - output->start;
	size_t capacity = output->capacity > 0 ? output->capacity : OUTPUT_CAPACITY_FIRST;

	if (size <= output->capacity - output->end)
		return 0;
	if (size > SIZE_MAX / 4 || used > SIZE_MAX / 4)
		return -ENOMEM;
	while (capacity < used + size)
		capacity *= 2;
	char *const bytes = malloc(capacity);
	if (!bytes)
		return -ENOMEM;
	if (used > 0)
		memcpy(bytes, output->bytes + output->start, used);
	free(output->bytes);
	*output = (struct pfi_output){ .bytes = bytes, .end = used, .capacity = capacity };
	return 0;
}

static void clear(struct pfi_output *output)
{
	output->start = output->end = 0;
	if (output->capacity > OUTPUT_CAPACITY_KEPT) {
		free(output->bytes);
		*output = (struct pfi_output){ 0 };
	}
}

/* What the transport has taken goes to the socket. */
static int flush_transport(struct prefork_connection *connection)
{
	const int r = connection->transport->flush(connection);

	if (r < 0 && r != -EAGAIN)
		connection->error = r;
	return r;
}

int pfi_connection_flush(struct prefork_connection *connection)
{
	struct pfi_output *const output = &connection->output;

	if (connection->error < 0)
		return connection->error;
	while (output->end > output->start) {
		const struct iovec piece = { output->bytes + output->start, output->end - output->start };
		const ptrdiff_t n = connection->transport->send(connection, &piece, 1);

		if (n == -EAGAIN)
			return -EAGAIN;
		if (n < 0) {
			connection->error = (int)n;
			return (int)n;
		}
		output->start += (size_t)n;
	}
	clear(output);
	if (connection->ends_output) {
		connection->ends_output = false;
		(void)connection->transport->end_output(connection); /* may fail after a reset */
	}
	return pfi_connection_has_output(connection) ? flush_transport(connection) : 0;
}

enum prefork_next prefork_connection_write(struct prefork_connection *connection, const void *bytes, size_t size)
{
	PFI_RETURN_IF_NULL(connection, PREFORK_CLOSE);
	PFI_RETURN_IF_NO_BYTES(bytes, size, PREFORK_CLOSE);

	ptrdiff_t sent = 0;

	if (connection->error < 0) {
		(void)prefork_fail(connection->error, "the connection is lost: %s", strerror(-connection->error));
		return PREFORK_CLOSE;
	}
	if (!pfi_connection_has_queue(connection) && size > 0) {
		const struct iovec piece = { (void *)(uintptr_t)bytes, size };

		sent = connection->transport->send(connection, &piece, 1);
		if (sent < 0 && sent != -EAGAIN) {
			(void)prefork_fail((int)sent, "the connection is lost: %s", strerror((int)-sent));
			return PREFORK_CLOSE;
		}
		if (sent < 0)
			sent = 0;
	}
	note_response(connection);
	const size_t rest = size - (size_t)sent;
	if (rest == 0)
		return PREFORK_WAIT_READABLE;
	if (grow(&connection->output, rest) < 0) {
		(void)prefork_fail(-ENOMEM, "no memory for %zu bytes of pending output", rest);
		return PREFORK_CLOSE;
	}
	memcpy(connection->output.bytes + connection->output.end, (const char *)bytes + sent, rest);
	connection->output.end += rest;
	return PREFORK_WAIT_READABLE;
}

__attribute__((noinline)) static ptrdiff_t flush_and_send(struct prefork_connection *connection,
                                                          const struct iovec *pieces, int count)
{
	const int r = pfi_connection_flush(connection);

	if (r < 0)
		return r;
	note_response(connection);
	return connection->transport->send(connection, pieces, count);
}

ptrdiff_t prefork_connection_send(struct prefork_connection *connection, const struct iovec *pieces, int count)
{
	PFI_RETURN_IF_NULL(connection, -EINVAL);
	PFI_RETURN_IF_NO_BYTES(pieces, count, -EINVAL);
	if (pfi_connection_has_queue(connection))
		return flush_and_send(connection, pieces, count);
	note_response(connection);
	return connection->transport->send(connection, pieces, count);
}

ptrdiff_t prefork_connection_send_file(struct prefork_connection *connection, int fd, int64_t *offset, size_t size)
{
	PFI_RETURN_IF_NULL(connection, -EINVAL);
	PFI_RETURN_IF_NULL(offset, -EINVAL);
	if (pfi_connection_has_queue(connection)) {
		const int r = pfi_connection_flush(connection);

		if (r < 0)
			return r;
	}
	note_response(connection);
	return connection->transport->send_file(connection, fd, offset, size);
}

int prefork_connection_error(const struct prefork_connection *connection)
{
	PFI_RETURN_IF_NULL(connection, -EINVAL);
	return connection->error;
}

size_t prefork_connection_pending(const struct prefork_connection *connection)
{
	PFI_RETURN_IF_NULL(connection, 0);
	return connection->output.end - connection->output.start +
	       atomic_load_explicit(&connection->transport_output, memory_order_relaxed);
}

void prefork_connection_end_follows(struct prefork_connection *connection)
{
	PFI_RETURN_IF_NULL(connection, );
	connection->end_follows = true;
}

void prefork_connection_end_output(struct prefork_connection *connection)
{
	PFI_RETURN_IF_NULL(connection, );
	connection->ends_output = true;
	if (!pfi_connection_has_queue(connection))
		(void)pfi_connection_flush(connection);
}
