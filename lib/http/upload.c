/* The request body: collected before the handler is called, or read while the handler runs. */
#include "http/http_clock.h"
#include "base/required.h"
#include "http/rate.h"
#include "http/request.h"

#include <prefork/error.h>
#include <prefork/service.h>

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

enum {
	SKIP_MAX = 64 * 1024,  /* bytes of an unread body that are discarded to keep the connection */
	TURN_MAX = 256 * 1024, /* bytes of a body that are collected before other connections have a turn */
};

void pfi_upload_start(struct prefork_request *request)
{
	const enum pfi_verdict verdict =
		pfi_body_start(&request->body, &request->framing, &request->http->config.limits);

	/* A client that has sent a part of the body does not wait for 100 Continue (RFC 9110 10.1.1). */
	request->continue_due = verdict == PFI_MORE && request->framing.expects_continue &&
	                        request->in_at == request->in_end;
	request->skipped = 0;
	request->uploaded = 0;
	request->upload_us = 0;
	request->collect_us = 0;
}

bool pfi_upload_is_received(const struct prefork_request *request)
{
	return request->body.kind == PFI_BODY_LENGTH && request->body.left <= request->in_end - request->in_at;
}

uint64_t pfi_upload_timeout_ms(const struct prefork_request *request)
{
	const struct pfi_http_config *const config = &request->http->config;
	uint64_t took_ms = request->upload_us / 1000;

	if (config->body_rate > 0 && request->collect_us > 0)
		took_ms = (pfi_http_now_us() - request->collect_us) / 1000;
	return pfi_rate_timeout_ms(config->body_timeout_ms, config->body_rate, request->uploaded, took_ms);
}

/* Wait until the client has sent more. Only this time counts towards body_rate: between two reads the handler may take
 * any time. */
static int wait_for_client(struct prefork_request *request)
{
	const uint64_t wait_ms = pfi_upload_timeout_ms(request), before_us = pfi_http_now_us();
	int r = -ETIMEDOUT;

	if (wait_ms > 0)
		r = prefork_connection_wait(request->connection, PREFORK_WAIT_READABLE, wait_ms);
	request->upload_us += pfi_http_now_us() - before_us;
	return r;
}

static ptrdiff_t receive(struct prefork_request *request, char *to, size_t size)
{
	const ptrdiff_t n = prefork_connection_read(request->connection, to, size);

	request->uploaded += n > 0 ? (size_t)n : 0;
	return n;
}

static int refuse(struct prefork_request *request, int error, uint16_t status, const char *problem)
{
	request->http_error = (struct pfi_http_error){ status, problem };
	(void)prefork_fail(error, "the request body: %s", problem);
	return pfi_request_fail(request, error);
}

static int refuse_framing(struct prefork_request *request)
{
	const struct pfi_http_error http_error = request->body.chunk.http_error;

	return refuse(request, http_error.status == 413 ? -EFBIG : -EPROTO, http_error.status, http_error.detail);
}

static int refuse_read(struct prefork_request *request, ptrdiff_t n)
{
	if (n == -ETIMEDOUT)
		return refuse(request, -ETIMEDOUT, 408, "no data arrived for too long");
	if (n == -EINTR)
		return pfi_request_fail(request, -EINTR);
	if (n == -ECANCELED) /* the task is wanted for something else: the body may be read later */
		return -ECANCELED;
	return refuse(request, -ECONNRESET, 400, "the client closed the connection before its end");
}

static int send_continue(struct prefork_request *request)
{
	static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
	struct iovec piece = { (void *)(uintptr_t)line, sizeof line - 1 };

	const int locked = pfi_request_lock(request, &request->output);
	if (locked < 0)
		return locked;
	const bool has_response = request->response.stage > PFI_STAGE_HEAD;
	const int r = has_response ? 0 : pfi_request_send(request, &piece, 1);
	request->continue_due = r == -ECANCELED; /* nothing is sent then */
	pfi_request_unlock(&request->output);
	return r;
}

/* Keep the byte if it belongs to a trailer field. */
static int keep_trailer(struct prefork_request *request, char byte)
{
	if (request->body.kind != PFI_BODY_CHUNKED)
		return 0;
	if (request->body.done)
		pfi_trailers_end(&request->trailers, request->http->config.limits.underscores == PFI_UNDERSCORES_KEEP);
	else if (pfi_chunk_in_trailer(&request->body.chunk) && pfi_trailers_add(&request->trailers, byte) < 0)
		return refuse(request, -ENOMEM, 500, "no memory for its trailer");
	return 0;
}

/* Copy data from the input buffer. Bytes copied, or a negative errno. */
static ptrdiff_t take(struct prefork_request *request, char *to, size_t size)
{
	size_t got = 0;

	while (got < size && request->in_at < request->in_end && !request->body.done) {
		const char *const from = request->in + request->in_at;
		size_t length = request->in_end - request->in_at;
		const uint64_t contiguous = pfi_body_contiguous(&request->body);
		struct pfi_span data;
		size_t used;
		/* Framing is parsed byte by byte, so that the parser never returns more data than
		 * fits into `to`. */
		if (contiguous > 0 && length > size - got)
			length = size - got;
		if (contiguous == 0 && length > 1)
			length = 1;
		if (pfi_body_feed(&request->body, from, length, &used, &data) == PFI_BAD)
			return got > 0 ? (ptrdiff_t)got : refuse_framing(request);
		if (contiguous == 0 && keep_trailer(request, *from) < 0)
			return request->error;
		memcpy(to + got, from + data.at, data.length);
		got += data.length;
		request->in_at += used;
	}
	return (ptrdiff_t)got;
}

/* Read more of the body and its framing into the input buffer, after the head, which the handler still reads.
 * process_head() has made BODY_SPACE there. */
static ptrdiff_t refill(struct prefork_request *request, bool may_wait)
{
	const size_t base = request->in_from + request->head.at;
	char *to = request->in + base;
	ptrdiff_t n;

	if (request->in_at == request->in_end)
		request->in_at = request->in_end = base;
	to = request->in + request->in_end;
	for (;;) {
		n = receive(request, to, request->in_size - request->in_end);
		if (n != -EAGAIN || !may_wait)
			break;
		const int r = wait_for_client(request);
		if (r < 0)
			return r;
	}
	if (n > 0)
		request->in_end += (size_t)n;
	return n == 0 ? -ECONNRESET : n;
}

/* Read data from the socket into the handler's buffer, without a copy. */
static ptrdiff_t read_direct(struct prefork_request *request, char *to, size_t size)
{
	const uint64_t contiguous = pfi_body_contiguous(&request->body);

	for (;;) {
		const ptrdiff_t n = receive(request, to, contiguous < size ? (size_t)contiguous : size);
		if (n > 0)
			(void)pfi_body_skip(&request->body, (uint64_t)n);
		if (n != -EAGAIN)
			return n == 0 ? -ECONNRESET : n;
		const int r = wait_for_client(request);
		if (r < 0)
			return r;
	}
}

static ptrdiff_t read_blocking(struct prefork_request *request, char *to, size_t size)
{
	const int r = request->continue_due ? send_continue(request) : 0;

	if (r < 0)
		return r;
	while (!request->body.done) {
		ptrdiff_t n = take(request, to, size);
		if (n != 0)
			return n;
		if (request->body.done)
			break;
		if (pfi_body_contiguous(&request->body) > 0) {
			n = read_direct(request, to, size);
			if (n > 0)
				return n;
		} else {
			n = refill(request, true);
		}
		if (n < 0)
			return refuse_read(request, n);
	}
	return 0;
}

/* The caller has locked `input`. */
static ptrdiff_t read_body(struct prefork_request *request, void *bytes, size_t size)
{
	if (request->error != 0)
		return request->error;
	if (size == 0)
		return 0;
	const ptrdiff_t n = request->is_collected ? pfi_spool_read(&request->spool, bytes, size) : 0;
	if (n < 0)
		return pfi_request_handler_failed(request, (int)n);
	return n > 0 || request->body.done ? n : read_blocking(request, bytes, size);
}

ptrdiff_t prefork_request_read(struct prefork_request *request, void *bytes, size_t size)
{
	PFI_RETURN_IF_NULL(request, -EINVAL);
	PFI_RETURN_IF_NO_BYTES(bytes, size, -EINVAL);
	const int r = pfi_request_lock(request, &request->input);
	if (r < 0)
		return r;
	const ptrdiff_t n = read_body(request, bytes, size);
	pfi_request_unlock(&request->input);
	return n;
}

static const char too_large[] = "it is larger than spool_limit allows";

/* Whether a body of this length exceeds what one body may have in memory, and in a file. */
static bool exceeds_file_limit(const struct prefork_request *request, uint64_t length)
{
	const struct pfi_spool_store *const store = &request->http->config.store;

	return length > store->memory_max && length > store->file_max;
}

/* The spool takes no more. If threads can wait, the handler reads the rest itself. Otherwise the client gets 413 if
 * this body alone is too large, 507 if the limits of all together or the disk are exhausted: a retry may succeed. */
static enum pfi_verdict stop_collecting(struct prefork_request *request, int error)
{
	if (prefork_worker_may_block(request->worker)) {
		if (error != -ENOBUFS)
			pfi_request_log_spool_error(request);
		return PFI_DONE;
	}
	if (error == -ENOBUFS && exceeds_file_limit(request, request->spool.length + 1))
		return refuse(request, -EFBIG, 413, too_large) < 0 ? PFI_BAD : PFI_DONE;
	const bool is_full = error == -ENOBUFS || error == -ENOSPC || error == -EDQUOT || error == -EFBIG;

	request->http_error = (struct pfi_http_error){ is_full ? 507 : 500, "the body cannot be kept" };
	(void)pfi_request_handler_failed(request, error);
	return PFI_BAD;
}

/* Copy some of the body, from the input buffer or the connection. As prefork_connection_read(). */
static ptrdiff_t collect_some(struct prefork_request *request, char *to, size_t size)
{
	const uint64_t contiguous = pfi_body_contiguous(&request->body);
	ptrdiff_t n = take(request, to, size);

	if (n != 0 || request->body.done || request->error != 0)
		return n;
	if (contiguous == 0)
		return (n = refill(request, false)) > 0 ? 0 : n;
	n = receive(request, to, contiguous < size ? (size_t)contiguous : size);
	if (n > 0)
		(void)pfi_body_skip(&request->body, (uint64_t)n);
	return n == 0 ? -ECONNRESET : n;
}

static enum pfi_verdict collect(struct prefork_request *request)
{
	struct pfi_spool_store *const store = &request->http->config.store;
	struct pfi_spool *const spool = &request->spool;
	size_t turn = 0;

	if (request->continue_due && send_continue(request) < 0)
		return PFI_BAD;
	while (!request->body.done) {
		const bool is_measured = request->body.kind == PFI_BODY_LENGTH;
		char *to;
		size_t size;
		int r;

		/* Other connections have a turn; data in the socket makes this one ready again. */
		if (turn >= TURN_MAX && request->in_at == request->in_end)
			return PFI_MORE;
		r = pfi_spool_space(spool, store, is_measured ? request->body.left : 0, &to, &size);
		if (r < 0)
			return stop_collecting(request, r);
		const ptrdiff_t n = collect_some(request, to, size);
		if (n == -EAGAIN)
			return PFI_MORE;
		if (n < 0) {
			(void)(request->error == 0 ? refuse_read(request, n) : 0);
			return PFI_BAD;
		}
		pfi_spool_add(spool, (size_t)n);
		turn += (size_t)n;
	}
	pfi_spool_end(spool, store);
	return PFI_DONE;
}

enum pfi_verdict pfi_upload_collect(struct prefork_request *request)
{
	/* Without a thread that can wait, refuse it now: the client need not send what would be discarded. */
	if (request->collect_us == 0 && !prefork_worker_may_block(request->worker) &&
	    request->body.kind == PFI_BODY_LENGTH && exceeds_file_limit(request, request->body.left))
		return refuse(request, -EFBIG, 413, too_large) < 0 ? PFI_BAD : PFI_DONE;
	if (request->collect_us == 0) {
		request->collect_us = pfi_http_now_us();
		request->is_collected = true;
		request->spool.may_use_fallback = !prefork_worker_may_block(request->worker);
	}
	const enum pfi_verdict verdict = collect(request);
	if (verdict == PFI_DONE) {
		request->upload_us = pfi_http_now_us() - request->collect_us;
		request->collect_us = 0;
	}
	return verdict;
}

bool pfi_upload_can_be_skipped(const struct prefork_request *request)
{
	/* A client that waits for 100 Continue may send the body, or not: the meaning of the next byte is unknown. */
	return !request->continue_due && pfi_body_contiguous(&request->body) <= SKIP_MAX;
}

bool pfi_upload_rest_may_stay_unread(struct prefork_request *request)
{
	if (pthread_mutex_trylock(&request->input) != 0)
		return false;
	const bool can_be = pfi_upload_can_be_skipped(request);
	pfi_request_unlock(&request->input);
	return can_be;
}

enum pfi_verdict pfi_upload_skip(struct prefork_request *request)
{
	char buffer[4096];

	if (!pfi_upload_can_be_skipped(request))
		return PFI_BAD;
	while (!request->body.done) {
		ptrdiff_t n = take(request, buffer, sizeof buffer);
		if (n < 0)
			return PFI_BAD;
		request->skipped += (size_t)n;
		if (request->skipped > SKIP_MAX)
			return PFI_BAD;
		if (n > 0 || request->body.done)
			continue;
		n = refill(request, false);
		if (n == -EAGAIN)
			return PFI_MORE;
		if (n < 0)
			return PFI_BAD;
	}
	return PFI_DONE;
}
