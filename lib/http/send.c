/* The response on its way: pieces that are there, a file, or what a callback gives. */
#include "http/late.h"
#include "http/request.h"

#include <prefork/error.h>
#include <prefork/service.h>
#include <prefork/worker.h>

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

enum {
	FILE_PIECE = 256 * 1024,
	AHEAD_MAX = 128 * 1024, /* more is not asked of a callback while so much waits for the client */
	TURN_MAX = 1024 * 1024, /* is sent before other connections have a turn                       */
};

static void forget_sent(struct iovec *pieces, int count, size_t sent)
{
	for (int i = 0; i < count; i++) {
		const size_t part = sent < pieces[i].iov_len ? sent : pieces[i].iov_len;
		pieces[i].iov_base = (char *)pieces[i].iov_base + part;
		pieces[i].iov_len -= part;
		sent -= part;
	}
}

/* What the client takes now: how much, or a negative errno. What came before goes first. */
static ptrdiff_t send_now(struct prefork_request *request, const struct iovec *pieces, int count)
{
	const int r = pfi_spool_has_more(&request->late) ? pfi_late_send(request) : 0;

	return r < 0 ? r : prefork_connection_send(request->connection, pieces, count);
}

int pfi_request_send(struct prefork_request *request, struct iovec *pieces, int count)
{
	size_t left = 0;

	for (int i = 0; i < count; i++)
		left += pieces[i].iov_len;
	for (;;) {
		const ptrdiff_t n = send_now(request, pieces, count);
		if (n < 0 && n != -EAGAIN)
			return pfi_late_give_up(request, (int)n);
		if (n > 0) {
			left -= (size_t)n;
			if (left == 0)
				return 0;
			forget_sent(pieces, count, (size_t)n);
		}
		int r = pfi_late_keep(request, pieces, count, left);
		if (r == 0 || request->error != 0)
			return r;
		r = pfi_late_wait(request);
		if (r < 0)
			return r;
	}
}

/* Send a response's pieces, the first of which is its head. One buffer costs the kernel
 * less than two: a small body is copied behind the head. */
int pfi_reply_joined(struct prefork_request *request, struct iovec *pieces, int count)
{
	const size_t size = request->reply.out.size;
	size_t end = pieces[0].iov_len;
	size_t whole = end;

	for (int i = 1; i < count; i++)
		whole = pieces[i].iov_len <= size - whole ? whole + pieces[i].iov_len : size;
	if (whole >= size)
		return pfi_request_send(request, pieces, count);
	for (int i = 1; i < count; i++) {
		memcpy((char *)pieces[0].iov_base + end, pieces[i].iov_base, pieces[i].iov_len);
		end += pieces[i].iov_len;
	}
	pieces[0].iov_len = end;
	return pfi_request_send(request, pieces, 1);
}

/* One piece, with the head before it if it has not left and its chunk around it. */
int pfi_reply_piece(struct prefork_request *request, const void *bytes, size_t size)
{
	struct pfi_reply *const reply = &request->reply;
	const bool chunked = reply->body == PFI_REPLY_CHUNKED && size > 0;
	char prefix[PFI_CHUNK_PREFIX_MAX];
	struct iovec pieces[4];
	const bool has_head = reply->out.length > 0;
	int count = 0;

	if (has_head)
		pieces[count++] = (struct iovec){ reply->out.bytes, reply->out.length };
	if (chunked)
		pieces[count++] = (struct iovec){ prefix, pfi_chunk_prefix(prefix, size) };
	if (size > 0 && reply->body != PFI_REPLY_NONE)
		pieces[count++] = (struct iovec){ (void *)(uintptr_t)bytes, size };
	if (chunked)
		pieces[count++] = (struct iovec){ (void *)(uintptr_t)"\r\n", 2 };
	reply->out.length = 0;
	reply->sent += size;
	if (has_head)
		return pfi_reply_joined(request, pieces, count);
	return count > 0 ? pfi_request_send(request, pieces, count) : 0;
}

/* What was promised and is not there can only be told by breaking off. */
int pfi_reply_end_pieces(struct prefork_request *request)
{
	struct pfi_reply *const reply = &request->reply;
	struct iovec piece = { (void *)(uintptr_t)"0\r\n\r\n", 5 };

	if (reply->body == PFI_REPLY_LENGTH && reply->sent < reply->length)
		return pfi_request_blame(request, prefork_fail(-EINVAL, "the body is shorter than its Content-Length"));
	pfi_reply_enter(reply, PFI_STAGE_DONE);
	return reply->body == PFI_REPLY_CHUNKED ? pfi_request_send(request, &piece, 1) : 0;
}

/* Sending it has failed: by the file, which the log says, or because the client is gone. */
static int fail_file(struct prefork_request *request, int error)
{
	if (error == 0)
		return pfi_request_blame(request, prefork_fail(-EIO, "the file of the body ends too early"));
	if (error == -EIO || error == -EINVAL || error == -EBADF || error == -EISDIR || error == -EOVERFLOW)
		return pfi_request_blame(request, prefork_fail(error, "the file of the body: %s", strerror(-error)));
	return pfi_request_fail(request, error);
}

/* As much of the file as the client takes. MORE: it must take some first. */
static enum pfi_verdict send_file(struct prefork_request *request)
{
	struct pfi_reply *const reply = &request->reply;
	const uint64_t turn_end = reply->sent + TURN_MAX;

	while (reply->body != PFI_REPLY_NONE && reply->sent < reply->length) {
		if (reply->sent >= turn_end)
			return PFI_MORE;
		const uint64_t left = reply->length - reply->sent;
		const ptrdiff_t n = prefork_connection_send_file(request->connection, reply->file, &reply->file_offset,
		                                                 left < FILE_PIECE ? (size_t)left : FILE_PIECE);
		if (n == -EAGAIN)
			return PFI_MORE;
		if (n <= 0) {
			(void)fail_file(request, (int)n);
			return PFI_BAD;
		}
		reply->sent += (uint64_t)n;
	}
	pfi_reply_enter(reply, PFI_STAGE_DONE);
	return PFI_DONE;
}

static enum pfi_verdict send_pulled(struct prefork_request *request)
{
	struct pfi_reply *const reply = &request->reply;
	const size_t ahead = prefork_connection_is_offloaded(request->connection) ? AHEAD_MAX : 0;
	const uint64_t turn_end = reply->sent + TURN_MAX;

	for (;;) {
		const void *bytes = NULL;
		if (prefork_connection_pending(request->connection) > ahead || reply->sent >= turn_end ||
		    pfi_spool_has_more(&request->late))
			return PFI_MORE;
		if (reply->sent > 0)
			prefork_worker_beat(request->worker);
		const ptrdiff_t n = reply->body == PFI_REPLY_NONE ? 0 : reply->pull(request, &bytes, reply->pull_user);
		if (n < 0) {
			(void)pfi_request_blame(request, (int)n);
			return PFI_BAD;
		}
		const bool over = reply->body == PFI_REPLY_LENGTH && (uint64_t)n > reply->length - reply->sent;
		if (pfi_reply_piece(request, bytes, over ? (size_t)(reply->length - reply->sent) : (size_t)n) < 0)
			return PFI_BAD;
		if (over) {
			(void)pfi_request_blame(request, prefork_fail(-EINVAL, "the body is longer than its Content-Length"));
			return PFI_BAD;
		}
		if (n == 0)
			return pfi_reply_end_pieces(request) < 0 ? PFI_BAD : PFI_DONE;
	}
}

enum pfi_verdict pfi_reply_send_source(struct prefork_request *request)
{
	return request->reply.pull != NULL ? send_pulled(request) : send_file(request);
}
