/* The response on its way: pieces that are there, a file, or what a callback gives. */
#include "http/pending_output.h"
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
	const int r = pfi_spool_has_more(&request->late) ? pfi_pending_output_send(request) : 0;

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
			return pfi_pending_output_discard(request, (int)n);
		if (n > 0) {
			left -= (size_t)n;
			if (left == 0)
				return 0;
			forget_sent(pieces, count, (size_t)n);
		}
		int r = pfi_pending_output_add(request, pieces, count, left);
		if (r == 0 || request->error != 0)
			return r;
		r = pfi_pending_output_wait(request);
		if (r < 0)
			return r;
	}
}

/* Send a response's pieces, the first of which is its head. One buffer costs the kernel
 * less than two: a small body is copied behind the head. */
int pfi_response_send_head(struct prefork_request *request, struct iovec *pieces, int count)
{
	const size_t size = request->response.out.size;
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
int pfi_response_send_piece(struct prefork_request *request, const void *bytes, size_t size)
{
	struct pfi_response *const response = &request->response;
	const bool chunked = response->body == PFI_RESPONSE_CHUNKED && size > 0;
	char prefix[PFI_CHUNK_PREFIX_MAX];
	struct iovec pieces[4];
	const bool has_head = response->out.length > 0;
	int count = 0;

	if (has_head)
		pieces[count++] = (struct iovec){ response->out.bytes, response->out.length };
	if (chunked)
		pieces[count++] = (struct iovec){ prefix, pfi_chunk_prefix(prefix, size) };
	if (size > 0 && response->body != PFI_RESPONSE_NONE)
		pieces[count++] = (struct iovec){ (void *)(uintptr_t)bytes, size };
	if (chunked)
		pieces[count++] = (struct iovec){ (void *)(uintptr_t)"\r\n", 2 };
	response->out.length = 0;
	response->sent += size;
	if (has_head)
		return pfi_response_send_head(request, pieces, count);
	return count > 0 ? pfi_request_send(request, pieces, count) : 0;
}

/* What was promised and is not there can only be told by breaking off. */
int pfi_response_end_pieces(struct prefork_request *request)
{
	struct pfi_response *const response = &request->response;
	struct iovec piece = { (void *)(uintptr_t)"0\r\n\r\n", 5 };

	if (response->body == PFI_RESPONSE_LENGTH && response->sent < response->length)
		return pfi_request_handler_failed(request, prefork_fail(-EINVAL, "the body is shorter than its Content-Length"));
	pfi_response_enter(response, PFI_STAGE_DONE);
	return response->body == PFI_RESPONSE_CHUNKED ? pfi_request_send(request, &piece, 1) : 0;
}

/* Sending it has failed: by the file, which the log says, or because the client is gone. */
static int fail_file(struct prefork_request *request, int error)
{
	if (error == 0)
		return pfi_request_handler_failed(request, prefork_fail(-EIO, "the file of the body ends too early"));
	if (error == -EIO || error == -EINVAL || error == -EBADF || error == -EISDIR || error == -EOVERFLOW)
		return pfi_request_handler_failed(request, prefork_fail(error, "the file of the body: %s", strerror(-error)));
	return pfi_request_fail(request, error);
}

/* As much of the file as the client takes. MORE: it must take some first. */
static enum pfi_verdict send_file(struct prefork_request *request)
{
	struct pfi_response *const response = &request->response;
	const uint64_t turn_end = response->sent + TURN_MAX;

	while (response->body != PFI_RESPONSE_NONE && response->sent < response->length) {
		if (response->sent >= turn_end)
			return PFI_MORE;
		const uint64_t left = response->length - response->sent;
		const ptrdiff_t n = prefork_connection_send_file(request->connection, response->file, &response->file_offset,
		                                                 left < FILE_PIECE ? (size_t)left : FILE_PIECE);
		if (n == -EAGAIN)
			return PFI_MORE;
		if (n <= 0) {
			(void)fail_file(request, (int)n);
			return PFI_BAD;
		}
		response->sent += (uint64_t)n;
	}
	pfi_response_enter(response, PFI_STAGE_DONE);
	return PFI_DONE;
}

static enum pfi_verdict send_pulled(struct prefork_request *request)
{
	struct pfi_response *const response = &request->response;
	const size_t ahead = prefork_connection_is_offloaded(request->connection) ? AHEAD_MAX : 0;
	const uint64_t turn_end = response->sent + TURN_MAX;

	for (;;) {
		const void *bytes = NULL;
		if (prefork_connection_pending(request->connection) > ahead || response->sent >= turn_end ||
		    pfi_spool_has_more(&request->late))
			return PFI_MORE;
		if (response->sent > 0)
			prefork_worker_beat(request->worker);
		const ptrdiff_t n = response->body == PFI_RESPONSE_NONE ? 0 : response->pull(request, &bytes, response->pull_user);
		if (n < 0) {
			(void)pfi_request_handler_failed(request, (int)n);
			return PFI_BAD;
		}
		const bool over = response->body == PFI_RESPONSE_LENGTH && (uint64_t)n > response->length - response->sent;
		if (pfi_response_send_piece(request, bytes, over ? (size_t)(response->length - response->sent) : (size_t)n) < 0)
			return PFI_BAD;
		if (over) {
			(void)pfi_request_handler_failed(request, prefork_fail(-EINVAL, "the body is longer than its Content-Length"));
			return PFI_BAD;
		}
		if (n == 0)
			return pfi_response_end_pieces(request) < 0 ? PFI_BAD : PFI_DONE;
	}
}

enum pfi_verdict pfi_response_send_source(struct prefork_request *request)
{
	return request->response.pull != NULL ? send_pulled(request) : send_file(request);
}
