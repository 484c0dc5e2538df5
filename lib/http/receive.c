/* Reads the head, and collects the body unless the handler reads it itself (setting stream_uploads). */
#include "http/internal.h"

#include "http/http_clock.h"
#include "http/request.h"

#include <prefork/error.h>
#include <prefork/proxy.h>
#include <prefork/service.h>
#include <prefork/worker.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BODY_SPACE = 1024 }; /* after the head, to read chunk sizes and trailers into */

/* The host of an absolute target is followed by its path, so it cannot be terminated in place: Host points at a copy
 * after the head. */
static int copy_host(struct prefork_request *request)
{
	struct pfi_head *const head = &request->head;
	const size_t length = head->authority.length;

	if (pfi_head_field(head, PFI_FIELD_HOST) == NULL)
		return 0;
	const int64_t at = pfi_request_open_gap(request, length + 1);
	if (at < 0)
		return -ENOMEM;
	char *const base = request->in + request->in_from;
	memcpy(base + at, base + head->authority.at, length);
	request->fields[head->first[PFI_FIELD_HOST]].value = (struct pfi_span){ (uint32_t)at, (uint32_t)length };
	return 0;
}

/* A chunked body that is collected whole has a known length. Replace Transfer-Encoding by Content-Length in its head,
 * as RFC 9112 7.1.3 decodes it. There is exactly one Transfer-Encoding: pfi_framing_decide() refuses more. */
static int decode_framing(struct prefork_request *request)
{
	static const char name[] = "Content-Length";
	struct pfi_head *const head = &request->head;
	const uint16_t index = head->first[PFI_FIELD_TRANSFER_ENCODING];
	char text[sizeof name + 21];

	if (request->framing.body != PFI_BODY_CHUNKED)
		return 0;
	memcpy(text, name, sizeof name);
	const size_t digits = pfi_decimal(text + sizeof name, request->spool.length), size = sizeof name + digits + 1;
	text[size - 1] = '\0';
	const int64_t at = pfi_request_open_gap(request, size);
	if (at < 0)
		return pfi_request_handler_failed(request, prefork_fail(-ENOMEM, "no memory for the length of its body"));
	memcpy(request->in + request->in_from + at, text, size);
	request->fields[index] = (struct pfi_field){
		.name = { (uint32_t)at, sizeof name - 1 },
		.value = { (uint32_t)(at + (int64_t)sizeof name), (uint32_t)digits },
		.id = PFI_FIELD_CONTENT_LENGTH,
	};
	head->seen ^= PFI_FIELD_BIT(PFI_FIELD_TRANSFER_ENCODING) | PFI_FIELD_BIT(PFI_FIELD_CONTENT_LENGTH);
	head->first[PFI_FIELD_CONTENT_LENGTH] = index;
	request->framing.length = request->spool.length;
	request->framing.body = request->spool.length > 0 ? PFI_BODY_LENGTH : PFI_BODY_NONE;
	return 0;
}

enum prefork_next pfi_receive_body_timed_out(struct prefork_request *request)
{
	request->http_error = (struct pfi_http_error){ 408, "the body took too long" };
	(void)pfi_request_fail(request, -ETIMEDOUT);
	return pfi_exchange_failed(request);
}

enum prefork_next pfi_receive_body(struct prefork_request *request)
{
	switch (pfi_upload_collect(request)) {
	case PFI_DONE:
		if (request->body.done && decode_framing(request) < 0)
			return pfi_exchange_failed(request);
		return pfi_exchange_call_handler(request);
	case PFI_BAD:
		return pfi_exchange_failed(request);
	case PFI_MORE:
		break;
	}
	request->phase = PFI_PHASE_COLLECT;
	const uint64_t wait_ms = pfi_upload_timeout_ms(request);
	if (wait_ms == 0)
		return pfi_receive_body_timed_out(request);
	prefork_connection_set_deadline(request->connection, wait_ms);
	return PREFORK_WAIT_READABLE;
}

/* Put a NUL after each text, over the delimiter that ended it: the public functions return C strings. */
static void terminate_texts(struct prefork_request *request)
{
	char *const base = request->in + request->in_from;
	const struct pfi_head *const head = &request->head;

	base[head->method.at + head->method.length] = '\0';
	base[head->target.at + head->target.length] = '\0';
	for (uint32_t i = 0; i < head->fields_count; i++) {
		const struct pfi_field *const field = &request->fields[i];
		base[field->name.at + field->name.length] = '\0';
		base[field->value.at + field->value.length] = '\0';
	}
}

/* Whether the sender of the header fields is a trusted proxy. Behind a proxy that forwards connections, the sender is
 * its client: what it wrote reaches this server unchanged, as do header fields over uwsgi. A client on a unix socket of
 * that proxy has no address here, and is not one on a unix socket of this server. */
static bool is_trusted(struct prefork_request *request)
{
	const struct pfi_forwarded *const forwarded = &request->http->config.forwarded;
	const struct pfi_uwsgi_client *const client = pfi_request_client(request);
	const char *const peer = prefork_request_peer(request, NULL);

	if (*peer == '\0' && ((client != NULL && client->is_known) ||
	                      prefork_connection_proxy_destination(request->connection, NULL) != NULL))
		return forwarded->peers.all;
	return pfi_forwarded_is_trusted(forwarded, peer);
}

/* The scheme that a trusted proxy reports by header fields, or else that of the connection. False: the fields contradict
 * each other. */
static bool decide_scheme(struct prefork_request *request)
{
	const struct pfi_forwarded *const forwarded = &request->http->config.forwarded;

	request->is_secure = request->is_tls;
	if (!pfi_forwarded_concerns(forwarded, &request->head) || !is_trusted(request))
		return true;
	const enum pfi_scheme scheme = pfi_forwarded_scheme(forwarded, &request->head, request->in + request->in_from);
	if (scheme != PFI_SCHEME_UNREPORTED)
		request->is_secure = scheme == PFI_SCHEME_SECURE;
	return scheme != PFI_SCHEME_CONTRADICTORY;
}

static bool settle_underscores(struct prefork_request *request)
{
	const struct pfi_http_config *const config = &request->http->config;

	return pfi_forwarded_settle_underscores(&config->forwarded, &request->head, request->in + request->in_from,
	                                        config->limits.underscores, is_trusted(request));
}

/* Whether the handler can be called now: the body is received, or the handler waits for it in its thread. */
static bool is_ready(const struct prefork_request *request)
{
	return request->body.done || pfi_upload_is_received(request) ||
	       (request->http->config.streams_uploads && prefork_worker_may_block(request->worker));
}

/* Setting casefold_http_method. Methods are case-sensitive (RFC 9110 9.1), so the default is off. */
static void fold_method(struct prefork_request *request)
{
	char *const method = request->in + request->in_from + request->head.method.at;

	for (uint32_t i = 0; i < request->head.method.length; i++)
		if (method[i] >= 'a' && method[i] <= 'z')
			method[i] = (char)(method[i] - 'a' + 'A');
}

static enum prefork_next process_head(struct prefork_request *request)
{
	static const struct pfi_http_error contradiction = { 400, "the forwarded schemes contradict each other" };
	static const struct pfi_http_error underscore = { 400, "a header name with an underscore" };
	static const struct pfi_http_error tunnel = { 501, "CONNECT is not served here" };
	const struct pfi_http_config *const config = &request->http->config;
	const struct pfi_head *const head = &request->head;

	if (head->underscores_count > 0 && !settle_underscores(request))
		return pfi_exchange_respond_error(request, underscore);
	if (head->method_is_small && config->limits.fold_method)
		fold_method(request);
	if (pfi_framing_decide(&request->framing, &request->head, request->in + request->in_from) == PFI_BAD)
		return pfi_exchange_respond_error(request, request->framing.http_error);
	if (head->form == PFI_TARGET_AUTHORITY && !(request->http->service.traits & PREFORK_HTTP_CONNECT))
		return pfi_exchange_respond_error(request, tunnel);
	if (!decide_scheme(request))
		return pfi_exchange_respond_error(request, contradiction);
	if (head->form == PFI_TARGET_ABSOLUTE && copy_host(request) < 0)
		return PREFORK_CLOSE;
	request->in_at = request->in_from + head->at;
	request->has_head = true;
	pfi_pending_output_begin(&request->pending); /* again: what the client took of the last response since */
	if (request->http->reports)
		request->began_us = pfi_http_now_us();
	while (request->framing.body != PFI_BODY_NONE && request->in_size - request->in_at < BODY_SPACE)
		if (pfi_request_grow_input(request) < 0)
			return PREFORK_CLOSE;
	prefork_worker_set_activity(request->worker, request->in + request->in_from + head->method.at,
	                    head->target.at + head->target.length - head->method.at);
	terminate_texts(request);
	request->keep_alive = request->framing.keep_alive && config->keepalive_ms > 0 &&
	                      head->form != PFI_TARGET_AUTHORITY && !config->is_uwsgi;
	pfi_upload_start(request);
	if (is_ready(request))
		return pfi_exchange_call_handler(request);
	if (pfi_exchange_is_overloaded(request))
		return pfi_exchange_respond_error(request, pfi_exchange_overload_error);
	return pfi_receive_body(request);
}

static enum pfi_verdict parse_head(struct prefork_request *request)
{
	if (request->http->config.is_uwsgi)
		return pfi_uwsgi_receive(request);
	return pfi_head_feed(&request->head, request->in + request->in_from, request->in_end - request->in_from);
}

/* Read and parse the head. Reads at most once per call, and not at all if a pipelined request is in the buffer. */
enum prefork_next pfi_receive_head(struct prefork_request *request)
{
	if (request->in_end == 0 || request->head.at + request->in_from >= request->in_end) {
		if (request->in_end == request->in_size && pfi_request_grow_input(request) < 0)
			return PREFORK_CLOSE;
		const ptrdiff_t n = prefork_connection_read(request->connection, request->in + request->in_end,
		                                            request->in_size - request->in_end);
		if (n == -EAGAIN && request->phase == PFI_PHASE_HEAD)
			return PREFORK_WAIT_READABLE;
		if (n <= 0 && n != -EAGAIN)
			return PREFORK_CLOSE;
		request->in_end += n > 0 ? (size_t)n : 0;
	}
	switch (parse_head(request)) {
	case PFI_DONE:
		return process_head(request);
	case PFI_BAD:
		return pfi_exchange_respond_error(request, request->head.http_error);
	case PFI_MORE:
		break;
	}
	if (request->phase == PFI_PHASE_IDLE && request->in_end > 0) {
		request->phase = PFI_PHASE_HEAD;
		prefork_connection_set_deadline(request->connection, request->http->config.header_timeout_ms);
	}
	return PREFORK_WAIT_READABLE;
}
