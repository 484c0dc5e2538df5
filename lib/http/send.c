/* Sends pieces of a response. What the client does not take now becomes pending output; a thread that may
 * block waits here when that is full. */
#include "http/pending_output.h"
#include "http/suspend.h"

#include <prefork/error.h>
#include <prefork/service.h>
#include <prefork/worker.h>

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

enum {
	AHEAD_MAX = 128 * 1024, /* `pull` is not called while more than this is queued */
	TURN_MAX = 1024 * 1024, /* is sent before other connections have a turn */
};

int pfi_request_abort_output(struct prefork_request *request, int error)
{
	pfi_pending_output_discard(&request->pending);
	return pfi_request_fail(request, error);
}

/* Record why the file of the application was not sent. Only errors of the file are the application's; a lost client is
 * not. */
static int fail_file(struct prefork_request *request, int error)
{
	pfi_pending_output_discard(&request->pending);
	if (error == -ENODATA)
		return pfi_request_handler_failed(request, prefork_fail(-EIO, "the file of the body ends too early"));
	if (error == -EIO || error == -EINVAL || error == -EBADF || error == -EISDIR || error == -EOVERFLOW)
		return pfi_request_handler_failed(request, prefork_fail(error, "the file of the body: %s", strerror(-error)));
	return pfi_request_fail(request, error);
}

int pfi_request_flush(struct prefork_request *request)
{
	struct pfi_pending_output *const out = &request->pending;

	if (request->error != 0)
		out->file_left = 0; /* what was written before the error is sent, its file is not begun */
	const int r = pfi_pending_output_send(out);
	if (r == 0 || r == -EAGAIN)
		return r;
	return pfi_spool_has_more(&out->spool) ? pfi_request_abort_output(request, r) : fail_file(request, r);
}

static void forget_sent(struct iovec *pieces, int count, size_t sent)
{
	for (int i = 0; i < count; i++) {
		const size_t part = sent < pieces[i].iov_len ? sent : pieces[i].iov_len;
		pieces[i].iov_base = (char *)pieces[i].iov_base + part;
		pieces[i].iov_len -= part;
		sent -= part;
	}
}

/* Send without waiting, after the output that is pending. Bytes sent, or a negative errno. */
static ptrdiff_t send_now(struct prefork_request *request, const struct iovec *pieces, int count)
{
	const int r = pfi_pending_output_is_flushed(&request->pending) ? 0 : pfi_request_flush(request);

	return r < 0 ? r : prefork_connection_send(request->connection, pieces, count);
}

/* An application's own thread could wait in an event loop without threads, too. But at the end of the request
 * the loop would wait for that thread. */
static bool may_wait(const struct prefork_request *request)
{
	return prefork_worker_may_block(request->worker) && prefork_connection_may_block(request->connection);
}

/* If no file can be created, the queue may exceed its limit by one piece in two cases: no thread may wait here, or the
 * piece was pulled, and `pull` is not called again before the client has taken it. In both, memory stays bounded. */
static bool may_exceed_memory(const struct prefork_request *request)
{
	if (pfi_spool_has_more(&request->pending.spool))
		return false;
	return request->response.pull != NULL || (request->response.sent == 0 && !may_wait(request));
}

/* Copy pieces to the pending output. 0; or a negative errno: either the request's error now, or there is no space. */
static int keep(struct prefork_request *request, const struct iovec *pieces, int count, size_t size)
{
	struct pfi_pending_output *const out = &request->pending;
	int r = pfi_pending_output_add(out, pieces, count, size);

	if (r == 0)
		return 0;
	if (r != -ECONNRESET) {
		if (r != -ENOBUFS)
			pfi_request_log_spool_error(request);
		if (may_exceed_memory(request))
			r = pfi_pending_output_add_to_queue(out, pieces, count);
	}
	return r == -ECONNRESET ? pfi_request_abort_output(request, r) : r;
}

static const char no_space[] =
	"more of the response is pending than may be kept, and in an event loop no thread can wait for the client: "
	"use prefork_response_pull() (in WSGI, yield the body), or set threads";

/* Wait until the client has taken something. 0; -ECANCELED: the task is wanted for something else; or a negative errno,
 * which is then the request's: the client takes nothing or too little, the worker quits, or no thread may wait here. */
static int wait_until_writable(struct prefork_request *request)
{
	const struct pfi_http_config *const config = &request->http->config;
	uint64_t wait_ms;
	bool has_taken;
	int r;

	if (!may_wait(request))
		return pfi_request_handler_failed(request, prefork_fail(-ENOBUFS, no_space));
	do {
		wait_ms = pfi_pending_output_begin_wait(&request->pending, config->write_timeout_ms, config->response_rate);
		if (wait_ms == 0)
			return pfi_request_abort_output(request, prefork_fail(-ETIMEDOUT, "the client takes its response too slowly"));
		r = prefork_connection_wait(request->connection, PREFORK_WAIT_WRITABLE, wait_ms);
		has_taken = pfi_pending_output_end_wait(&request->pending);
	} while (r == -ETIMEDOUT && has_taken); /* slow, but above response_rate */
	return r < 0 && r != -ECANCELED ? pfi_request_abort_output(request, r) : r;
}

/* The rest of pieces that a cancelled wait has cut: nothing is pending before them, so that memory has at most this. */
static int keep_beyond_limit(struct prefork_request *request, const struct iovec *pieces, int count)
{
	const int r = pfi_pending_output_add_to_queue(&request->pending, pieces, count);

	return r < 0 ? pfi_request_abort_output(request, r) : 0;
}

int pfi_request_send(struct prefork_request *request, struct iovec *pieces, int count)
{
	size_t left = 0;
	bool is_cut = false;

	for (int i = 0; i < count; i++)
		left += pieces[i].iov_len;
	for (;;) {
		const ptrdiff_t n = send_now(request, pieces, count);
		if (n < 0 && n != -EAGAIN)
			return pfi_request_abort_output(request, (int)n);
		if (n > 0) {
			left -= (size_t)n;
			if (left == 0)
				return 0;
			forget_sent(pieces, count, (size_t)n);
			is_cut = true;
		}
		int r = keep(request, pieces, count, left);
		if (r == 0 || request->error != 0)
			return r;
		r = wait_until_writable(request);
		if (r == -ECANCELED && is_cut)
			return keep_beyond_limit(request, pieces, count);
		if (r < 0)
			return r;
	}
}

/* Send pieces of which the first is the head. sendmsg(2) costs less with one buffer than with two, so a small body is
 * copied after the head. */
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
	const size_t head_length = response->out.length;
	int r = 0;

	response->out.length = 0;
	response->sent += size;
	if (has_head)
		r = pfi_response_send_head(request, pieces, count);
	else if (count > 0)
		r = pfi_request_send(request, pieces, count);
	if (r == -ECANCELED) { /* nothing is sent: the piece may be written again */
		response->out.length = head_length;
		response->sent -= size;
	}
	return r;
}

/* A body that is too short can only be reported by closing the connection: the head is sent already. */
int pfi_response_end_pieces(struct prefork_request *request)
{
	struct pfi_response *const response = &request->response;
	struct iovec piece = { (void *)(uintptr_t)"0\r\n\r\n", 5 };

	if (response->body == PFI_RESPONSE_LENGTH && response->sent < response->length)
		return pfi_request_handler_failed(request, prefork_fail(-EINVAL, "the body is shorter than its Content-Length"));
	const int r = response->body == PFI_RESPONSE_CHUNKED ? pfi_request_send(request, &piece, 1) : 0;
	/* After the send: pfi_response_close() waits only for a response that is not DONE, and another thread may
	 * send this chunk while the handler returns. */
	if (r == 0)
		pfi_response_enter(response, PFI_STAGE_DONE);
	return r;
}

/* Send what `pull` has returned: `size` bytes, 0 at the end, or its error. MORE: `pull` may be called again. */
static enum pfi_verdict send_pulled(struct prefork_request *request, const void *bytes, ptrdiff_t size)
{
	struct pfi_response *const response = &request->response;

	if (size < 0) {
		(void)pfi_request_handler_failed(request, (int)size);
		return PFI_BAD;
	}
	const bool over = response->body == PFI_RESPONSE_LENGTH && (uint64_t)size > response->length - response->sent;
	if (pfi_response_send_piece(request, bytes, over ? (size_t)(response->length - response->sent) : (size_t)size) < 0)
		return PFI_BAD;
	if (over) {
		(void)pfi_request_handler_failed(request, prefork_fail(-EINVAL, "the body is longer than its Content-Length"));
		return PFI_BAD;
	}
	if (size == 0)
		return pfi_response_end_pieces(request) < 0 ? PFI_BAD : PFI_DONE;
	return PFI_MORE;
}

enum pfi_verdict pfi_response_send_pulled(struct prefork_request *request)
{
	struct pfi_response *const response = &request->response;
	const size_t ahead = prefork_connection_is_offloaded(request->connection) ? AHEAD_MAX : 0;
	const uint64_t turn_end = response->sent + TURN_MAX;
	enum pfi_verdict verdict = PFI_MORE;

	while (verdict == PFI_MORE) {
		const void *bytes = NULL;
		if (prefork_connection_pending(request->connection) > ahead || response->sent >= turn_end ||
		    !pfi_pending_output_is_flushed(&request->pending))
			return PFI_MORE;
		if (response->sent > 0)
			prefork_worker_beat(request->worker);
		pfi_run_begin(request);
		const ptrdiff_t n = response->body == PFI_RESPONSE_NONE ? 0 : response->pull(request, &bytes, response->pull_user);
		const bool is_suspended = !pfi_run_end(request);
		if (n != 0 || !is_suspended) /* otherwise it is not the end: `pull` is called again */
			verdict = send_pulled(request, bytes, n);
		if (is_suspended)
			return PFI_MORE; /* an error is the request's by now, and ends it after it is resumed */
	}
	return verdict;
}
