/* Keeps and sends the output that a client has not taken yet: the queue of the connection, then a spool file, then
 * the application's file. */
#include "http/pending_output.h"

#include "http/http_clock.h"
#include "http/rate.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
	FILE_PIECE = 256 * 1024,
	COPY_PIECE = 16 * 1024, /* on the stack */
	TURN_PIECES = 4, /* are sent before other connections have a turn */
};

void pfi_pending_output_init(struct pfi_pending_output *out, struct pfi_spool_store *store, size_t memory_max)
{
	*out = (struct pfi_pending_output){
		.store = store,
		.memory_max = memory_max,
		.spool = PFI_SPOOL_EMPTY,
		.file = -1,
	};
}

void pfi_pending_output_clear(struct pfi_pending_output *out)
{
	if (out->spool.fd >= 0)
		pfi_spool_clear(&out->spool, out->store);
}

/* If memory runs out after the first piece, that piece is queued already: the pieces must not be sent
 * a second time, so the caller has to give the connection up. */
int pfi_pending_output_add_to_queue(struct pfi_pending_output *out, const struct iovec *pieces, int count)
{
	for (int i = 0; i < count; i++)
		if (pieces[i].iov_len > 0 &&
		    prefork_connection_write(out->connection, pieces[i].iov_base, pieces[i].iov_len) == PREFORK_CLOSE)
			return -ECONNRESET;
	return 0;
}

/* The spool is sent after the queue, so nothing may be queued while the spool has bytes. */
static bool fits_queue(const struct pfi_pending_output *out, size_t size)
{
	return !pfi_spool_has_more(&out->spool) &&
	       size + prefork_connection_pending(out->connection) <= out->memory_max;
}

int pfi_pending_output_add(struct pfi_pending_output *out, const struct iovec *pieces, int count, size_t size)
{
	if (fits_queue(out, size))
		return pfi_pending_output_add_to_queue(out, pieces, count);
	return pfi_spool_append(&out->spool, out->store, pieces, count);
}

void pfi_pending_output_add_file(struct pfi_pending_output *out, int file, int64_t offset, uint64_t size)
{
	out->file = file;
	out->file_offset = offset;
	out->file_left = size;
}

static ptrdiff_t send_range(struct pfi_pending_output *out, int fd, int64_t offset, uint64_t left)
{
	return prefork_connection_send_file(out->connection, fd, &offset, left < FILE_PIECE ? (size_t)left : FILE_PIECE);
}

static int send_from_spool(struct pfi_pending_output *out)
{
	struct pfi_spool *const spool = &out->spool;
	const ptrdiff_t n = send_range(out, spool->fd, (int64_t)spool->at, spool->length - spool->at);

	if (n > 0)
		spool->at += (uint64_t)n;
	return n > 0 ? 0 : n < 0 ? (int)n : -EIO;
}

/* For file systems on which sendfile(2) fails, or sends old data (setting sendfile). */
static ptrdiff_t send_copy(struct pfi_pending_output *out)
{
	char bytes[COPY_PIECE];
	struct iovec piece = { .iov_base = bytes };
	ssize_t n;

	do
		n = pread(out->file, bytes, out->file_left < sizeof bytes ? (size_t)out->file_left : sizeof bytes,
		          out->file_offset);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 ? -errno : 0;
	piece.iov_len = (size_t)n;
	n = prefork_connection_send(out->connection, &piece, 1);
	return n == 0 ? -EAGAIN : n;
}

static int send_from_file(struct pfi_pending_output *out)
{
	const ptrdiff_t n = out->copies_file ? send_copy(out) :
	                                       send_range(out, out->file, out->file_offset, out->file_left);

	if (n > 0) {
		out->file_offset += n;
		out->file_left -= (uint64_t)n;
		out->file_sent += (uint64_t)n;
	}
	return n > 0 ? 0 : n < 0 ? (int)n : -ENODATA;
}

int pfi_pending_output_send(struct pfi_pending_output *out)
{
	for (int i = 0; !pfi_pending_output_is_flushed(out); i++) {
		int r = -EAGAIN;

		if (i < TURN_PIECES)
			r = pfi_spool_has_more(&out->spool) ? send_from_spool(out) : send_from_file(out);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The kernel reports a socket as writable only when a third of its send buffer is free. Without the bytes in
 * that buffer (SIOCOUTQ) a client that takes a little at a time would appear to take nothing. */
uint64_t pfi_pending_output_left(const struct pfi_pending_output *out)
{
	int in_kernel = 0; /* stays 0 where the transport has no SIOCOUTQ */

	(void)ioctl(prefork_connection_fd(out->connection), SIOCOUTQ, &in_kernel);
	return prefork_connection_pending(out->connection) + (out->spool.length - out->spool.at) + out->file_left +
	       (uint64_t)in_kernel;
}

uint64_t pfi_pending_output_begin_wait(struct pfi_pending_output *out, uint64_t timeout_ms, uint64_t rate)
{
	out->left = pfi_pending_output_left(out);
	out->wait_us = pfi_http_now_us();
	return pfi_rate_timeout_ms(timeout_ms, rate, out->taken, out->waited_us / 1000);
}

bool pfi_pending_output_end_wait(struct pfi_pending_output *out)
{
	const uint64_t left = pfi_pending_output_left(out);
	const bool has_taken = left < out->left;

	out->waited_us += pfi_http_now_us() - out->wait_us;
	out->taken += has_taken ? out->left - left : 0;
	return has_taken;
}

/* Milliseconds since the last ACK of the client, which until the next request is that of the end of the response, or of
 * a keep-alive probe: the caller extends a connection once by it. UINT64_MAX: not TCP. */
static uint64_t since_last_ack_ms(const struct pfi_pending_output *out)
{
	struct tcp_info info = { 0 };
	socklen_t size = sizeof info;

	if (getsockopt(prefork_connection_fd(out->connection), IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
		return UINT64_MAX;
	return info.tcpi_last_ack_recv;
}

uint64_t pfi_pending_output_idle_ms(struct pfi_pending_output *out, uint64_t keepalive_ms, uint64_t timeout_ms,
                                    uint64_t rate)
{
	const uint64_t left = pfi_pending_output_left(out);

	if (left > 0 && out->left > 0) {
		if (left >= out->left) /* not since wait_us, but the window of a slow client opens rarely */
			return (pfi_http_now_us() - out->wait_us) / 1000 < timeout_ms ? keepalive_ms : 0;
		(void)pfi_pending_output_end_wait(out);
	}
	if (left > 0)
		return pfi_pending_output_begin_wait(out, timeout_ms, rate) > 0 ? keepalive_ms : 0;
	/* A client that has received all ACKs that within a round trip, which is not worth another timer. */
	const uint64_t idle_ms = out->left < UINT64_MAX ? since_last_ack_ms(out) : UINT64_MAX;
	out->left = UINT64_MAX;
	return idle_ms < keepalive_ms - keepalive_ms / 4 ? keepalive_ms - idle_ms : 0;
}

void pfi_pending_output_discard(struct pfi_pending_output *out)
{
	out->spool.at = out->spool.length;
	out->file_left = 0;
	out->is_cut = true;
}
