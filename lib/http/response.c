/* The public functions by which a handler responds. The head is built in a buffer of the request, and sent together
 * with the first piece of the body. */
#include "http/request.h"

#include "base/required.h"
#include "http/body_file.h"
#include "http/http_clock.h"
#include "http/status.h"
#include "http/suspend.h"

#include <prefork/error.h>
#include <prefork/service.h>
#include <prefork/worker.h>

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

void pfi_response_start(struct prefork_request *request)
{
	struct pfi_response *const response = &request->response;

	memset(&response->body, 0, offsetof(struct pfi_response, out) - offsetof(struct pfi_response, body));
	response->out.length = 0;
	pfi_response_enter(response, PFI_STAGE_NONE); /* last: see pfi_response_claim() */
}

/* Make space for `size` more bytes of the head. */
static int ensure_space(struct prefork_request *request, size_t size)
{
	struct pfi_out *const out = &request->response.out;
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
	if (out->bytes != request->out_buffer)
		free(out->bytes);
	out->bytes = bytes;
	out->size = want;
	return 0;
}

static int refuse_stage(const struct prefork_request *request, enum pfi_stage stage)
{
	return prefork_fail(-EALREADY, request->response.stage < stage ? "the response was not started" :
	                                                              "the response was begun already");
}

static int expect_stage(struct prefork_request *request, enum pfi_stage stage)
{
	if (request->error != 0)
		return request->error;
	if (request->response.stage == stage)
		return 0;
	return refuse_stage(request, stage);
}

/* From here on the response is built by this thread only. */
static int claim(struct prefork_request *request)
{
	if (!pfi_suspend_is_requested(request))
		pfi_response_enter(&request->response, PFI_STAGE_HEAD);
	else if (!pfi_response_claim(&request->response, PFI_STAGE_HEAD))
		return request->error != 0 ? request->error : refuse_stage(request, PFI_STAGE_NONE);
	return 0;
}

static int build_line(struct prefork_request *request, int status, const char *reason)
{
	int r = ensure_space(request, 64 + (reason != NULL ? strlen(reason) : 0));

	if (r < 0)
		return r;
	r = pfi_response_line(&request->response.out, status, reason);
	return r == 0 ? 0 : prefork_fail(r, "status %d is not 100 to 999, or its reason has control characters", status);
}

int prefork_response_start(struct prefork_request *request, int status, const char *reason)
{
	PFI_RETURN_IF_NULL(request, -EINVAL);

	int r = expect_stage(request, PFI_STAGE_NONE);

	if (r == 0 && status == 101)
		r = prefork_fail(-EINVAL, "status 101: the protocol cannot be switched");
	if (r == 0)
		r = claim(request);
	if (r < 0)
		return r;
	r = build_line(request, status, reason);
	if (r < 0)
		pfi_response_start(request);
	else
		request->response.status = status;
	return r;
}

static int apply_length(struct prefork_request *request, const char *value, size_t size)
{
	struct pfi_response *const response = &request->response;

	if (response->has_length || pfi_length_parse(value, size, &response->length) != 0 || response->length > INT64_MAX)
		return prefork_fail(-EINVAL, "a Content-Length that is no number, or a second one");
	response->has_length = true;
	return 0;
}

/* What a known field changes in the rest of the head. */
static int apply_field(struct prefork_request *request, enum pfi_field_id id, const char *value, size_t size)
{
	if (id == PFI_FIELD_CONTENT_LENGTH)
		return apply_length(request, value, size);
	if (pfi_field_rules(id) & PFI_FIELD_HOP)
		return prefork_fail(-EPERM, "the field %s belongs to the connection", pfi_field_name(id));
	request->response.has_date |= id == PFI_FIELD_DATE;
	request->response.has_server |= id == PFI_FIELD_SERVER;
	return 0;
}

static int add_field(struct prefork_request *request, const char *name, size_t name_size, const char *value,
                     size_t value_size)
{
	int r = expect_stage(request, PFI_STAGE_HEAD);
	const enum pfi_field_id id = pfi_field_find(name, name_size);

	if (r == 0 && (name_size > PFI_OUT_MAX || value_size > PFI_OUT_MAX))
		r = prefork_fail(-E2BIG, "a field of more than 1 MiB");
	if (r == 0)
		r = ensure_space(request, name_size + value_size + 4);
	if (r == 0 && id != PFI_FIELD_OTHER)
		r = apply_field(request, id, value, value_size);
	if (r < 0)
		return r;
	if (id == PFI_FIELD_CONTENT_LENGTH && (request->response.status < 200 || request->response.status == 204))
		return 0; /* must not be sent there (RFC 9110 8.6) */
	if (id != PFI_FIELD_OTHER)
		r = pfi_response_known_field(&request->response.out, name, name_size, value, value_size);
	else
		r = pfi_response_field(&request->response.out, name, name_size, value, value_size);
	return r < 0 ? prefork_fail(r, "a field whose name is no token, or whose value has control characters") : 0;
}

int prefork_response_header(struct prefork_request *request, const char *name, size_t name_size,
                            const char *value, size_t value_size)
{
	PFI_RETURN_IF_NULL(request, -EINVAL);
	PFI_RETURN_IF_NO_BYTES(name, name_size, -EINVAL);
	PFI_RETURN_IF_NO_BYTES(value, value_size, -EINVAL);
	return add_field(request, name, name_size, value, value_size);
}

int prefork_response_field(struct prefork_request *request, const char *name, const char *value)
{
	PFI_RETURN_IF_NULL(request, -EINVAL);
	PFI_RETURN_IF_NULL(name, -EINVAL);
	PFI_RETURN_IF_NULL(value, -EINVAL);
	return add_field(request, name, strlen(name), value, strlen(value));
}

int prefork_response_close(struct prefork_request *request)
{
	PFI_RETURN_IF_NULL(request, -EINVAL);
	if (request->response.stage > PFI_STAGE_HEAD)
		return prefork_fail(-EALREADY, "the response was begun already");
	request->keep_alive = false;
	return 0;
}

int prefork_response_reset(struct prefork_request *request)
{
	PFI_RETURN_IF_NULL(request, -EINVAL);
	if (request->response.stage > PFI_STAGE_HEAD)
		return prefork_fail(-EALREADY, "the response was begun already");
	pfi_response_start(request);
	return 0;
}

/* Complete the head: the library's fields, and the empty line. An interim head gets the empty line only. */
static int finish_head(struct prefork_request *request, bool has_body)
{
	struct pfi_response *const response = &request->response;
	struct pfi_out *const out = &response->out;
	const bool to_head = pfi_request_is_head(request);
	int r = ensure_space(request, 256);

	if (r < 0)
		return pfi_request_handler_failed(request, r);
	if (prefork_worker_directive(request->worker) != PREFORK_CONTINUE || !pfi_upload_may_stay_unread(request))
		request->keep_alive = false;
	if (!has_body && !response->has_length && !to_head && !pfi_status_bodiless(response->status)) {
		response->has_length = true;
		(void)pfi_response_length(out, 0);
	}
	response->body = (uint8_t)pfi_response_body(response->status, to_head, pfi_request_response_minor(request), response->has_length);
	if (!response->has_server)
		(void)PFI_OUT_LITERAL(out, "Server: prefork\r\n");
	if (!response->has_date)
		(void)pfi_response_date(out, pfi_http_date());
	if (response->body == PFI_RESPONSE_CHUNKED)
		(void)PFI_OUT_LITERAL(out, "Transfer-Encoding: chunked\r\n");
	if (response->body == PFI_RESPONSE_CLOSE)
		request->keep_alive = false;
	if (!request->keep_alive)
		(void)PFI_OUT_LITERAL(out, "Connection: close\r\n");
	else if (pfi_request_response_minor(request) == 0)
		(void)PFI_OUT_LITERAL(out, "Connection: keep-alive\r\n");
	pfi_response_enter(response, PFI_STAGE_PIECES);
	r = PFI_OUT_LITERAL(out, "\r\n");
	response->head_length = out->length;
	return r;
}

static int interim(struct prefork_request *request)
{
	struct pfi_out *const out = &request->response.out;
	struct iovec piece;
	int r = ensure_space(request, 2);

	if (r < 0)
		return r;
	(void)PFI_OUT_LITERAL(out, "\r\n");
	piece = (struct iovec){ out->bytes, out->length };
	if (pfi_request_response_minor(request) > 0)
		r = pfi_request_send(request, &piece, 1);
	pfi_response_start(request);
	return r;
}

/* Whether Content-Length fits the body. If no body is sent (HEAD, 304), any Content-Length fits an empty one. */
static bool fits_content_length(const struct prefork_request *request, size_t size)
{
	const struct pfi_response *const response = &request->response;

	if (pfi_response_is_interim(request))
		return false;
	return !response->has_length || response->length == size ||
	       (size == 0 && (pfi_request_is_head(request) || pfi_status_bodiless(response->status)));
}

static int send_whole(struct prefork_request *request, const void *bytes, size_t size)
{
	struct pfi_response *const response = &request->response;
	int r = expect_stage(request, PFI_STAGE_HEAD);

	if (r < 0)
		return r;
	if (!fits_content_length(request, size))
		return prefork_fail(-EINVAL, "a body of %zu bytes does not go with its head, which has a Content-Length of %llu "
		                             "or is an interim one",
		                    size, (unsigned long long)response->length);
	/* An empty body in a response to HEAD does not mean that the response to GET has none. */
	if (!response->has_length && !pfi_status_bodiless(response->status) && (size > 0 || !pfi_request_is_head(request))) {
		if ((r = ensure_space(request, 64)) < 0)
			return r;
		response->has_length = true;
		response->length = size;
		(void)pfi_response_length(&response->out, size);
	}
	if ((r = finish_head(request, true)) < 0)
		return r;
	const size_t head_length = response->out.length;
	response->out.length = 0;
	do { /* a wait of a task that is cancelled begins again: a whole body is not written a second time */
		struct iovec pieces[] = { { response->out.bytes, head_length }, { (void *)(uintptr_t)bytes, size } };

		r = pfi_response_send_head(request, pieces, response->body == PFI_RESPONSE_NONE || size == 0 ? 1 : 2);
	} while (r == -ECANCELED);
	response->sent = size;
	pfi_response_enter(response, PFI_STAGE_DONE);
	return r;
}

int prefork_response_bytes(struct prefork_request *request, const void *bytes, size_t size)
{
	PFI_RETURN_IF_NULL(request, -EINVAL);
	PFI_RETURN_IF_NO_BYTES(bytes, size, -EINVAL);
	return send_whole(request, bytes, size);
}

/* Whether the end of the output may be sent in one packet with the response, at close(2). Input that arrives in between
 * would turn the close into RST, and the response, which is held back until then, would be lost. So only if the
 * client has announced that nothing follows. */
static bool end_follows(const struct prefork_request *request)
{
	return !request->framing.keep_alive && request->framing.body == PFI_BODY_NONE &&
	       request->in_at == request->in_end;
}

int prefork_response_last(struct prefork_request *request, const void *bytes, size_t size)
{
	PFI_RETURN_IF_NULL(request, -EINVAL);
	PFI_RETURN_IF_NO_BYTES(bytes, size, -EINVAL);
	if (end_follows(request))
		prefork_connection_end_follows(request->connection);
	return send_whole(request, bytes, size);
}

/* Whether the client has disconnected. If no body is sent, no send(2) fails: the only sign is an EOF or an error on
 * input. */
static bool client_is_gone(const struct prefork_request *request)
{
	char byte;
	const ssize_t n = recv(prefork_connection_fd(request->connection), &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

/* The caller has locked `output`, so that pieces of several threads do not mix, and none follows the end. */
static int write_piece(struct prefork_request *request, const void *bytes, size_t size)
{
	struct pfi_response *const response = &request->response;
	int r = request->error;

	if (r < 0)
		return r;
	if (response->is_closed)
		return prefork_fail(-EALREADY, "the response has ended");
	if (response->stage != PFI_STAGE_PIECES && (r = expect_stage(request, PFI_STAGE_HEAD)) < 0)
		return r;
	if (pfi_response_is_interim(request))
		return prefork_fail(-EINVAL, "an interim response has no body");
	if (response->stage == PFI_STAGE_HEAD && (r = finish_head(request, true)) < 0)
		return r;
	if (response->body == PFI_RESPONSE_NONE && response->sent > 0 && client_is_gone(request))
		return pfi_request_fail(request, prefork_fail(-ECONNRESET, "the client has closed the connection"));
	if (response->body != PFI_RESPONSE_NONE && response->sent > 0)
		prefork_worker_beat(request->worker);
	const bool over = response->body == PFI_RESPONSE_LENGTH && size > response->length - response->sent;
	r = pfi_response_send_piece(request, bytes, over ? (size_t)(response->length - response->sent) : size);
	if (r == 0 && over)
		r = prefork_fail(-EINVAL, "the body is longer than its Content-Length");
	return r;
}

int prefork_response_write(struct prefork_request *request, const void *bytes, size_t size)
{
	PFI_RETURN_IF_NULL(request, -EINVAL);
	PFI_RETURN_IF_NO_BYTES(bytes, size, -EINVAL);
	if (request->response.is_closed && request->error == 0)
		return prefork_fail(-EALREADY, "the response has ended");
	int r = pfi_request_lock(request, &request->output);
	if (r < 0)
		return r;
	r = write_piece(request, bytes, size);
	pfi_request_unlock(&request->output);
	return r;
}

/* The caller has locked `output`, or no more pieces are accepted. */
static int end_response(struct prefork_request *request)
{
	struct pfi_response *const response = &request->response;
	int r = request->error;

	if (r < 0)
		return r;
	if (pfi_response_is_interim(request))
		return interim(request);
	if (response->stage == PFI_STAGE_PIECES)
		return pfi_response_end_pieces(request);
	r = expect_stage(request, PFI_STAGE_HEAD);
	if (r == 0)
		r = finish_head(request, false);
	if (r == 0)
		r = pfi_response_send_piece(request, NULL, 0);
	return r == 0 ? pfi_response_end_pieces(request) : r;
}

/* Close before locking: the mutex is not fair, and threads that write without a pause would starve this one. */
int prefork_response_end(struct prefork_request *request)
{
	PFI_RETURN_IF_NULL(request, -EINVAL);
	if (!pfi_response_is_interim(request))
		atomic_store_explicit(&request->response.is_closed, true, memory_order_relaxed);
	int r = pfi_request_lock(request, &request->output);
	if (r < 0)
		return r;
	r = end_response(request);
	pfi_request_unlock(&request->output);
	return r;
}

void pfi_response_refuse_pieces(struct prefork_request *request)
{
	atomic_store_explicit(&request->response.is_closed, true, memory_order_relaxed);
	while (pfi_request_lock(request, &request->output) < 0) /* cancelled: the writer is still there */
		;
	pfi_request_unlock(&request->output);
}

int prefork_response_file(struct prefork_request *request, int fd, int64_t offset, int64_t size)
{
	PFI_RETURN_IF_NULL(request, -EINVAL);

	struct pfi_response *const response = &request->response;
	int r = expect_stage(request, PFI_STAGE_HEAD);

	if (r < 0)
		return r;
	if (fd < 0 || offset < 0 || size < 0 || pfi_response_is_interim(request) ||
	    (response->has_length && response->length != (uint64_t)size))
		return prefork_fail(-EINVAL, "a file range with a negative number, or one that Content-Length contradicts");
	if ((r = pfi_body_file_check(fd)) < 0) /* before the head is sent: later, an error could only close the connection */
		return r;
	if (!response->has_length && !pfi_status_bodiless(response->status)) {
		if ((r = ensure_space(request, 64)) < 0)
			return r;
		response->has_length = true;
		response->length = (uint64_t)size;
		(void)pfi_response_length(&response->out, (uint64_t)size);
	}
	if ((r = finish_head(request, true)) < 0)
		return r;
	do /* as in send_whole() */
		r = pfi_response_send_piece(request, NULL, 0);
	while (r == -ECANCELED);
	if (r < 0)
		return r;
	if (response->body != PFI_RESPONSE_NONE)
		pfi_pending_output_add_file(&request->pending, fd, offset, (uint64_t)size);
	pfi_response_enter(response, PFI_STAGE_DONE);
	return 0;
}

int prefork_response_pull(struct prefork_request *request,
                          ptrdiff_t (*pull)(struct prefork_request *request, const void **ret_bytes, void *user),
                          void *user)
{
	PFI_RETURN_IF_NULL(request, -EINVAL);
	PFI_RETURN_IF_NULL(pull, -EINVAL);

	int r = expect_stage(request, PFI_STAGE_HEAD);

	if (r == 0 && pfi_response_is_interim(request))
		r = prefork_fail(-EINVAL, "no callback, or an interim response");
	if (r == 0)
		r = finish_head(request, true);
	if (r < 0)
		return r;
	request->response.pull = pull;
	request->response.pull_user = user;
	pfi_response_enter(&request->response, PFI_STAGE_PULL);
	return 0;
}

/* If the wait of a task is cancelled, the loop waits instead. */
static enum pfi_verdict proceed_to_end(struct prefork_request *request)
{
	const int r = end_response(request);

	if (r == -ECANCELED)
		return PFI_MORE;
	return r < 0 ? PFI_BAD : PFI_DONE;
}

enum pfi_verdict pfi_response_proceed(struct prefork_request *request)
{
	const int r = pfi_pending_output_is_flushed(&request->pending) ? 0 : pfi_request_flush(request);

	if (r == -EAGAIN)
		return PFI_MORE;
	if (request->error != 0)
		return PFI_BAD;
	switch ((enum pfi_stage)request->response.stage) {
	case PFI_STAGE_PULL:
		return pfi_response_send_pulled(request);
	case PFI_STAGE_HEAD:
	case PFI_STAGE_PIECES:
		if (pfi_response_is_interim(request))
			return PFI_BAD;
		return proceed_to_end(request);
	case PFI_STAGE_DONE:
		return PFI_DONE;
	case PFI_STAGE_NONE:
		break;
	}
	return PFI_BAD;
}
