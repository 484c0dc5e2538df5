/* The response: built in a room of the request's, sent as soon as it is whole. */
#include "http/request.h"

#include "http/clock.h"
#include "http/status.h"

#include <prefork/error.h>
#include <prefork/service.h>
#include <prefork/worker.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

enum {
	FILE_PIECE = 256 * 1024,
	KEPT_MAX = 1024 * 1024,  /* of a response that a thread beside an event loop leaves to the loop */
	AHEAD_MAX = 128 * 1024,  /* more is not asked of a callback while so much waits for the client  */
};

void pfi_reply_start(struct prefork_request *request)
{
	const struct pfi_out out = request->reply.out;

	request->reply = (struct pfi_reply){ .file = -1, .out = { out.bytes, 0, out.size } };
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

static int keep_rest(struct prefork_request *request, const struct iovec *pieces, int count)
{
	for (int i = 0; i < count; i++)
		if (pieces[i].iov_len > 0 &&
		    prefork_connection_write(request->connection, pieces[i].iov_base, pieces[i].iov_len) ==
			    PREFORK_CLOSE)
			return pfi_request_fail(request, -ECONNRESET);
	return 0;
}

/* Whether `left` bytes more need not be waited for here. */
static bool may_keep(const struct prefork_connection *connection, size_t left)
{
	if (!prefork_connection_may_block(connection))
		return true;
	return prefork_connection_is_offloaded(connection) &&
	       left + prefork_connection_pending(connection) <= KEPT_MAX;
}

int pfi_request_send(struct prefork_request *request, struct iovec *pieces, int count)
{
	struct prefork_connection *const connection = request->connection;
	size_t left = 0;

	for (int i = 0; i < count; i++)
		left += pieces[i].iov_len;
	for (;;) {
		const ptrdiff_t n = prefork_connection_send(connection, pieces, count);
		if (n < 0 && n != -EAGAIN)
			return pfi_request_fail(request, (int)n);
		if (n > 0) {
			left -= (size_t)n;
			if (left == 0)
				return 0;
			forget_sent(pieces, count, (size_t)n);
		}
		if (may_keep(connection, left))
			return keep_rest(request, pieces, count);
		const int r = prefork_connection_wait(connection, PREFORK_WAIT_WRITABLE,
		                                      request->http->config.write_timeout_ms);
		if (r < 0)
			return pfi_request_fail(request, r);
	}
}

/* Room for `size` more bytes of head. */
static int make_room(struct prefork_request *request, size_t size)
{
	struct pfi_out *const out = &request->reply.out;
	size_t want = out->size * 2;

	if (pfi_out_fits(out, size))
		return 0;
	if (size > PFI_OUT_MAX || out->length + size > PFI_OUT_MAX)
		return prefork_fail(-E2BIG, "the head of a response is larger than 1 MiB");
	while (want < out->length + size)
		want *= 2;
	char *const bytes = malloc(want);
	if (bytes == NULL)
		return prefork_fail(-ENOMEM, "no memory for the head of a response");
	memcpy(bytes, out->bytes, out->length);
	if (out->bytes != request->out_room)
		free(out->bytes);
	out->bytes = bytes;
	out->size = want;
	return 0;
}

static int expect_stage(struct prefork_request *request, enum pfi_stage stage)
{
	if (request->error != 0)
		return request->error;
	if (request->reply.stage == stage)
		return 0;
	return prefork_fail(-EALREADY, request->reply.stage < stage ? "the response was not started" :
	                                                              "the response was begun already");
}

int prefork_response_start(struct prefork_request *request, int status, const char *reason)
{
	int r = expect_stage(request, PFI_STAGE_NONE);

	if (r == 0 && status == 101)
		r = prefork_fail(-EINVAL, "status 101: the protocol cannot be switched");
	if (r == 0)
		r = make_room(request, 64 + (reason != NULL ? strlen(reason) : 0));
	if (r < 0)
		return r;
	r = pfi_response_line(&request->reply.out, status, reason);
	if (r < 0)
		return prefork_fail(r, "status %d is not 100 to 999, or its reason has control characters", status);
	request->reply.status = status;
	request->reply.stage = PFI_STAGE_HEAD;
	return 0;
}

static int note_length(struct prefork_request *request, const char *value, size_t size)
{
	struct pfi_reply *const reply = &request->reply;

	if (reply->has_length || pfi_length_parse(value, size, &reply->length) != 0 || reply->length > INT64_MAX)
		return prefork_fail(-EINVAL, "a Content-Length that is no number, or a second one");
	reply->has_length = true;
	return 0;
}

/* What a known field means for the rest of the head. */
static int note_field(struct prefork_request *request, enum pfi_field_id id, const char *value, size_t size)
{
	if (id == PFI_FIELD_CONTENT_LENGTH)
		return note_length(request, value, size);
	if (pfi_field_rules(id) & PFI_FIELD_HOP)
		return prefork_fail(-EPERM, "the field %s belongs to the connection", pfi_field_name(id));
	request->reply.has_date |= id == PFI_FIELD_DATE;
	request->reply.has_server |= id == PFI_FIELD_SERVER;
	return 0;
}

int prefork_response_header(struct prefork_request *request, const char *name, size_t name_size,
                            const char *value, size_t value_size)
{
	int r = expect_stage(request, PFI_STAGE_HEAD);
	const enum pfi_field_id id = pfi_field_find(name, name_size);

	if (r == 0 && (name_size > PFI_OUT_MAX || value_size > PFI_OUT_MAX))
		r = prefork_fail(-E2BIG, "a field of more than 1 MiB");
	if (r == 0)
		r = make_room(request, name_size + value_size + 4);
	if (r == 0 && id != PFI_FIELD_OTHER)
		r = note_field(request, id, value, value_size);
	if (r < 0)
		return r;
	if (id == PFI_FIELD_CONTENT_LENGTH && (request->reply.status < 200 || request->reply.status == 204))
		return 0; /* must not be sent there (RFC 9110 8.6) */
	if (id != PFI_FIELD_OTHER)
		r = pfi_response_known_field(&request->reply.out, name, name_size, value, value_size);
	else
		r = pfi_response_field(&request->reply.out, name, name_size, value, value_size);
	return r < 0 ? prefork_fail(r, "a field whose name is no token, or whose value has control characters") : 0;
}

int prefork_response_field(struct prefork_request *request, const char *name, const char *value)
{
	return prefork_response_header(request, name, strlen(name), value, strlen(value));
}

int prefork_response_close(struct prefork_request *request)
{
	if (request->reply.stage > PFI_STAGE_HEAD)
		return prefork_fail(-EALREADY, "the response was begun already");
	request->keep_alive = false;
	return 0;
}

int prefork_response_reset(struct prefork_request *request)
{
	if (request->reply.stage > PFI_STAGE_HEAD)
		return prefork_fail(-EALREADY, "the response was begun already");
	pfi_reply_start(request);
	return 0;
}

/* The end of the head: what the library says, and the empty line. Interim heads have the line only. */
static int seal(struct prefork_request *request, bool has_body)
{
	struct pfi_reply *const reply = &request->reply;
	struct pfi_out *const out = &reply->out;
	const bool to_head = pfi_request_is_head(request);
	int r = make_room(request, 256);

	if (r < 0)
		return pfi_request_blame(request, r);
	if (prefork_worker_stay(request->worker) != PREFORK_STAY)
		request->keep_alive = false;
	if (!has_body && !reply->has_length && !to_head && !pfi_status_bodiless(reply->status)) {
		reply->has_length = true;
		(void)pfi_response_length(out, 0);
	}
	reply->body = (uint8_t)pfi_reply_body(reply->status, to_head, request->head.minor, reply->has_length);
	if (!reply->has_server)
		(void)PFI_OUT_LITERAL(out, "Server: prefork\r\n");
	if (!reply->has_date)
		(void)pfi_response_date(out, pfi_http_date());
	if (reply->body == PFI_REPLY_CHUNKED)
		(void)PFI_OUT_LITERAL(out, "Transfer-Encoding: chunked\r\n");
	if (reply->body == PFI_REPLY_CLOSE)
		request->keep_alive = false;
	if (!request->keep_alive)
		(void)PFI_OUT_LITERAL(out, "Connection: close\r\n");
	else if (request->head.minor == 0)
		(void)PFI_OUT_LITERAL(out, "Connection: keep-alive\r\n");
	reply->stage = PFI_STAGE_PIECES;
	r = PFI_OUT_LITERAL(out, "\r\n");
	reply->head_length = out->length;
	return r;
}

static int interim(struct prefork_request *request)
{
	struct pfi_out *const out = &request->reply.out;
	struct iovec piece;
	int r = make_room(request, 2);

	if (r < 0)
		return r;
	(void)PFI_OUT_LITERAL(out, "\r\n");
	piece = (struct iovec){ out->bytes, out->length };
	if (request->head.minor > 0)
		r = pfi_request_send(request, &piece, 1);
	pfi_reply_start(request);
	return r;
}

static bool is_interim(const struct prefork_request *request)
{
	return request->reply.stage == PFI_STAGE_HEAD && request->reply.status < 200;
}

/* Send a response's pieces, the first of which is its head. One buffer costs the kernel
 * less than two: a small body is copied behind the head. */
static int send_joined(struct prefork_request *request, struct iovec *pieces, int count)
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

int prefork_response_bytes(struct prefork_request *request, const void *bytes, size_t size)
{
	struct pfi_reply *const reply = &request->reply;
	int r = expect_stage(request, PFI_STAGE_HEAD);

	if (r < 0)
		return r;
	if (is_interim(request) || (reply->has_length && reply->length != size && size > 0))
		return prefork_fail(-EINVAL, "a body of %zu bytes does not go with its head", size);
	if (!reply->has_length && !pfi_status_bodiless(reply->status)) {
		if ((r = make_room(request, 64)) < 0)
			return r;
		reply->has_length = true;
		reply->length = size;
		(void)pfi_response_length(&reply->out, size);
	}
	if ((r = seal(request, true)) < 0)
		return r;
	struct iovec pieces[] = { { reply->out.bytes, reply->out.length }, { (void *)(uintptr_t)bytes, size } };
	reply->out.length = 0;
	r = send_joined(request, pieces, reply->body == PFI_REPLY_NONE || size == 0 ? 1 : 2);
	reply->sent = size;
	reply->stage = PFI_STAGE_DONE;
	return r;
}

/* One piece, with the head before it if it has not left and its chunk around it. */
static int send_piece(struct prefork_request *request, const void *bytes, size_t size)
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
		return send_joined(request, pieces, count);
	return count > 0 ? pfi_request_send(request, pieces, count) : 0;
}

int prefork_response_write(struct prefork_request *request, const void *bytes, size_t size)
{
	struct pfi_reply *const reply = &request->reply;
	int r = request->error;

	if (r < 0)
		return r;
	if (reply->stage != PFI_STAGE_PIECES && (r = expect_stage(request, PFI_STAGE_HEAD)) < 0)
		return r;
	if (is_interim(request))
		return prefork_fail(-EINVAL, "an interim response has no body");
	if (reply->stage == PFI_STAGE_HEAD && (r = seal(request, true)) < 0)
		return r;
	const bool over = reply->body == PFI_REPLY_LENGTH && size > reply->length - reply->sent;
	r = send_piece(request, bytes, over ? (size_t)(reply->length - reply->sent) : size);
	if (r == 0 && over)
		r = prefork_fail(-EINVAL, "the body is longer than its Content-Length");
	return r;
}

/* What was promised and is not there can only be told by breaking off. */
static int end_pieces(struct prefork_request *request)
{
	struct pfi_reply *const reply = &request->reply;
	struct iovec piece = { (void *)(uintptr_t)"0\r\n\r\n", 5 };

	if (reply->body == PFI_REPLY_LENGTH && reply->sent < reply->length)
		return pfi_request_blame(request, prefork_fail(-EINVAL, "the body is shorter than its Content-Length"));
	reply->stage = PFI_STAGE_DONE;
	return reply->body == PFI_REPLY_CHUNKED ? pfi_request_send(request, &piece, 1) : 0;
}

int prefork_response_end(struct prefork_request *request)
{
	struct pfi_reply *const reply = &request->reply;
	int r = request->error;

	if (r < 0)
		return r;
	if (is_interim(request))
		return interim(request);
	if (reply->stage == PFI_STAGE_PIECES)
		return end_pieces(request);
	r = expect_stage(request, PFI_STAGE_HEAD);
	if (r == 0)
		r = seal(request, false);
	if (r == 0)
		r = send_piece(request, NULL, 0);
	return r == 0 ? end_pieces(request) : r;
}

int prefork_response_file(struct prefork_request *request, int fd, int64_t offset, int64_t size)
{
	struct pfi_reply *const reply = &request->reply;
	int r = expect_stage(request, PFI_STAGE_HEAD);

	if (r < 0)
		return r;
	if (fd < 0 || offset < 0 || size < 0 || is_interim(request) ||
	    (reply->has_length && reply->length != (uint64_t)size))
		return prefork_fail(-EINVAL, "a file range that does not go with its head");
	if (!reply->has_length && !pfi_status_bodiless(reply->status)) {
		if ((r = make_room(request, 64)) < 0)
			return r;
		reply->has_length = true;
		reply->length = (uint64_t)size;
		(void)pfi_response_length(&reply->out, (uint64_t)size);
	}
	if ((r = seal(request, true)) < 0 || (r = send_piece(request, NULL, 0)) < 0)
		return r;
	reply->file = fd;
	reply->file_offset = offset;
	reply->stage = PFI_STAGE_SOURCE;
	return 0;
}

int prefork_response_pull(struct prefork_request *request,
                          ptrdiff_t (*pull)(struct prefork_request *request, const void **ret_bytes, void *user),
                          void *user)
{
	int r = expect_stage(request, PFI_STAGE_HEAD);

	if (r == 0 && (pull == NULL || is_interim(request)))
		r = prefork_fail(-EINVAL, "no callback, or an interim response");
	if (r == 0)
		r = seal(request, true);
	if (r < 0)
		return r;
	request->reply.pull = pull;
	request->reply.pull_user = user;
	request->reply.stage = PFI_STAGE_SOURCE;
	return 0;
}

/* As much of the file as the client takes. MORE: it must take some first. */
static enum pfi_verdict send_file(struct prefork_request *request)
{
	struct pfi_reply *const reply = &request->reply;

	while (reply->body != PFI_REPLY_NONE && reply->sent < reply->length) {
		const uint64_t left = reply->length - reply->sent;
		const ptrdiff_t n = prefork_connection_send_file(request->connection, reply->file, &reply->file_offset,
		                                                 left < FILE_PIECE ? (size_t)left : FILE_PIECE);
		if (n == -EAGAIN)
			return PFI_MORE;
		if (n <= 0) {
			(void)(n == 0 ? pfi_request_blame(request, prefork_fail(-EIO, "the file of the body ends too early"))
			              : pfi_request_fail(request, (int)n));
			return PFI_BAD;
		}
		reply->sent += (uint64_t)n;
	}
	reply->stage = PFI_STAGE_DONE;
	return PFI_DONE;
}

static enum pfi_verdict send_pulled(struct prefork_request *request)
{
	struct pfi_reply *const reply = &request->reply;
	const size_t ahead = prefork_connection_is_offloaded(request->connection) ? AHEAD_MAX : 0;

	for (;;) {
		const void *bytes = NULL;
		if (prefork_connection_pending(request->connection) > ahead)
			return PFI_MORE;
		const ptrdiff_t n = reply->body == PFI_REPLY_NONE ? 0 : reply->pull(request, &bytes, reply->pull_user);
		const bool over = n > 0 && reply->body == PFI_REPLY_LENGTH &&
		                  (uint64_t)n > reply->length - reply->sent;
		if (n < 0 || over) {
			(void)pfi_request_blame(request, over ? prefork_fail(-EINVAL, "the body is longer than its "
			                                                     "Content-Length") : (int)n);
			return PFI_BAD;
		}
		if (send_piece(request, bytes, (size_t)n) < 0)
			return PFI_BAD;
		if (n == 0)
			return end_pieces(request) < 0 ? PFI_BAD : PFI_DONE;
	}
}

enum pfi_verdict pfi_reply_proceed(struct prefork_request *request)
{
	if (request->error != 0)
		return PFI_BAD;
	switch ((enum pfi_stage)request->reply.stage) {
	case PFI_STAGE_SOURCE:
		return request->reply.pull != NULL ? send_pulled(request) : send_file(request);
	case PFI_STAGE_HEAD:
	case PFI_STAGE_PIECES:
		if (is_interim(request))
			return PFI_BAD;
		return prefork_response_end(request) < 0 ? PFI_BAD : PFI_DONE;
	case PFI_STAGE_DONE:
		return PFI_DONE;
	case PFI_STAGE_NONE:
		break;
	}
	return PFI_BAD;
}
