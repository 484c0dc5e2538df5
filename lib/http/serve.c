/* Joins the parsers to a worker: one struct prefork_service, whose connections
 * walk through the phases of enum pfi_phase. */
#include "http/request.h"

#include <prefork/error.h>
#include <prefork/service.h>
#include <prefork/worker.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#include "http/access.h"
#include "http/options.h"

enum {
	LINGER_MS = 2000,
	LINGER_MAX = 64 * 1024,
	LAST_REQUEST_MS = 2000, /* what an idle client is given when the worker leaves */
	BODY_ROOM = 1024,       /* behind a head, for the framing of its body */
};

const char *pfi_http_date(void)
{
	static _Thread_local struct pfi_date_cache cache;
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return pfi_date_cached(&cache, (uint64_t)now.tv_sec);
}

static struct prefork_request *pool_take(struct pfi_http *http)
{
	pthread_mutex_lock(&http->lock);
	struct prefork_request *request = http->free;
	if (request != NULL)
		http->free = request->next;
	pthread_mutex_unlock(&http->lock);
	if (request == NULL) {
		request = malloc(sizeof *request + http->config.limits.fields_max * sizeof request->fields[0]);
		if (request == NULL)
			return NULL;
		request->in = request->in_room;
		request->in_size = sizeof request->in_room;
		request->is_collected = false;
		request->spool = (struct pfi_spool)PFI_SPOOL_EMPTY;
		request->trailers = (struct pfi_trailers){ 0 };
		request->reply.out = (struct pfi_out){ request->out_room, 0, sizeof request->out_room };
		request->http = http;
	}
	return request;
}

/* Long heads and bodies are rare; what they needed is not kept for the next one. */
static void give_back_memory(struct prefork_request *request)
{
	if (request->reply.out.bytes != request->out_room) {
		free(request->reply.out.bytes);
		request->reply.out = (struct pfi_out){ request->out_room, 0, sizeof request->out_room };
	}
	if (request->is_collected)
		pfi_spool_clear(&request->spool);
	request->is_collected = false;
	if (request->trailers.bytes != NULL)
		pfi_trailers_clear(&request->trailers);
}

static void pool_put(struct prefork_request *request)
{
	struct pfi_http *const http = request->http;

	give_back_memory(request);
	if (request->in != request->in_room)
		free(request->in);
	request->in = request->in_room;
	request->in_size = sizeof request->in_room;
	pthread_mutex_lock(&http->lock);
	request->next = http->free;
	http->free = request;
	pthread_mutex_unlock(&http->lock);
}

/* The next request begins where the last one ended. */
static void begin_request(struct prefork_request *request)
{
	const size_t rest = request->in_end - request->in_at;

	if (rest > 0 && request->in_at > 0)
		memmove(request->in, request->in + request->in_at, rest);
	if (rest == 0 && request->in != request->in_room) {
		free(request->in);
		request->in = request->in_room;
		request->in_size = sizeof request->in_room;
	}
	request->in_from = request->in_at = 0;
	request->in_end = rest;
	request->phase = PFI_PHASE_IDLE;
	request->error = 0;
	request->refusal = (struct pfi_refusal){ 0, NULL };
	request->user = NULL;
	request->in_handle = false;
	request->has_head = false;
	request->skipped = 0;
	give_back_memory(request);
	pfi_reply_start(request);
	pfi_head_start(&request->head, request->fields, &request->http->config.limits);
}

static enum prefork_next linger(struct prefork_request *request)
{
	char room[4096];

	for (;;) {
		const ptrdiff_t n = prefork_connection_read(request->connection, room, sizeof room);
		if (n == -EAGAIN)
			return PREFORK_WAIT_READABLE;
		if (n <= 0)
			return PREFORK_CLOSE;
		request->skipped += (size_t)n;
		if (request->skipped > LINGER_MAX)
			return PREFORK_CLOSE;
	}
}

/* A close with bytes unread resets the connection, and the client may never see
 * its answer: end our side, and listen to the rest for a while. */
static enum prefork_next begin_linger(struct prefork_request *request)
{
	request->phase = PFI_PHASE_LINGER;
	request->skipped = 0;
	prefork_connection_end_output(request->connection);
	prefork_connection_set_deadline(request->connection, LINGER_MS);
	return linger(request);
}

/* A line of the access log for the response that the host has begun. */
static void note_access(struct prefork_request *request)
{
	const struct pfi_reply *const reply = &request->reply;
	const struct pfi_answer answer = {
		.status = reply->status,
		.sent = reply->body == PFI_REPLY_NONE ? 0 : reply->sent,
		.head = reply->out.bytes,
		.head_length = reply->head_length,
	};

	if (request->http->access != NULL)
		pfi_access_write(request->http->access, request, &answer);
}

/* And one for an answer of our own. */
static void note_refusal(struct prefork_request *request, int status, const struct pfi_out *out)
{
	const char *const body = memmem(out->bytes, out->length, "\r\n\r\n", 4);
	const size_t head = body != NULL ? (size_t)(body - out->bytes) + 4 : out->length;
	const struct pfi_answer answer = { status, out->length - head, out->bytes, head };

	if (request->http->access != NULL)
		pfi_access_write(request->http->access, request, &answer);
}

static enum prefork_next refuse(struct prefork_request *request, struct pfi_refusal refusal)
{
	char room[1024];
	struct pfi_out out = { room, 0, sizeof room };
	const int r = pfi_error_reply(&out, refusal.status, refusal.problem, pfi_http_date(), false);

	note_refusal(request, refusal.status, &out);
	if (r < 0 ||
	    prefork_connection_write(request->connection, out.bytes, out.length) == PREFORK_CLOSE)
		return PREFORK_CLOSE;
	return begin_linger(request);
}

static void finish(struct prefork_request *request)
{
	if (!request->in_handle)
		return;
	request->in_handle = false;
	if (prefork_response_begun(request))
		note_access(request);
	if (request->http->service.finished != NULL)
		request->http->service.finished(request, request->http->user);
}

/* A body that ends with its connection must not end as if it were whole. */
static enum prefork_next break_off(struct prefork_request *request)
{
	const struct linger now = { .l_onoff = 1, .l_linger = 0 };

	if (request->reply.body == PFI_REPLY_CLOSE)
		(void)setsockopt(prefork_connection_fd(request->connection), SOL_SOCKET, SO_LINGER, &now, sizeof now);
	return PREFORK_CLOSE;
}

/* The response has been handed over: the next request, or the end. */
static enum prefork_next after_response(struct prefork_request *request)
{
	const struct pfi_http_config *const config = &request->http->config;

	finish(request);
	if (!request->body.done) {
		const enum pfi_verdict verdict = request->keep_alive ? pfi_upload_skip(request) : PFI_BAD;
		if (verdict == PFI_BAD)
			return begin_linger(request);
		if (verdict == PFI_MORE) {
			if (request->phase != PFI_PHASE_SKIP)
				prefork_connection_set_deadline(request->connection, LINGER_MS);
			request->phase = PFI_PHASE_SKIP;
			return PREFORK_WAIT_READABLE;
		}
	}
	if (!request->keep_alive)
		return request->in_at < request->in_end ? begin_linger(request) : PREFORK_CLOSE;
	begin_request(request);
	prefork_connection_set_deadline(request->connection, config->keepalive_ms);
	return request->in_end > 0 ? PREFORK_AGAIN : PREFORK_WAIT_READABLE;
}

/* The request failed: tell the client why, as long as nothing was told yet. */
static enum prefork_next after_failure(struct prefork_request *request)
{
	static const struct pfi_refusal failed = { 500, NULL };
	const bool begun = prefork_response_begun(request);
	const struct pfi_refusal refusal = request->refusal.status != 0 ? request->refusal : failed;

	finish(request);
	if (request->error == -EINTR || begun)
		return break_off(request);
	return refuse(request, refusal);
}

/* Until the client has taken some of it. */
static enum prefork_next wait_to_send(struct prefork_request *request)
{
	request->phase = PFI_PHASE_SEND;
	request->unsent = prefork_connection_pending(request->connection);
	prefork_connection_set_deadline(request->connection, request->http->config.write_timeout_ms);
	return PREFORK_WAIT_WRITABLE;
}

static enum prefork_next go_on_sending(struct prefork_request *request)
{
	switch (pfi_reply_proceed(request)) {
	case PFI_DONE: /* as far as the host is concerned */
		if (prefork_connection_pending(request->connection) > 0)
			return wait_to_send(request);
		return after_response(request);
	case PFI_BAD:
		if (request->error == 0)
			(void)pfi_request_blame(request, prefork_fail(-EPROTO, "it was handled, and never answered"));
		return after_failure(request);
	case PFI_MORE:
		break;
	}
	return wait_to_send(request);
}

/* The loop has noted what it read in its own place; a thread of its pool has another. */
static void note_again(struct prefork_request *request)
{
	char text[96];
	const int size = snprintf(text, sizeof text, "%s %s", prefork_request_method(request, NULL),
	                          prefork_request_target(request, NULL));

	prefork_worker_note(request->worker, text, size < (int)sizeof text ? (size_t)size : sizeof text - 1);
}

/* May block. */
static enum prefork_next call_handle(struct prefork_worker *worker, struct prefork_connection *connection,
                                     void *user)
{
	struct prefork_request *const request = user;
	struct pfi_http *const http = request->http;

	(void)worker;
	if (prefork_connection_is_offloaded(connection))
		note_again(request);
	request->in_handle = true;
	prefork_error_clear(); /* what is there is of another request */
	const int r = http->service.handle(request, http->user);
	prefork_worker_count_request(request->worker);
	if (r < 0)
		(void)pfi_request_blame(request, r);
	return request->error != 0 ? after_failure(request) : go_on_sending(request);
}

/* A client that is told at once can go elsewhere; one that waits in vain asks again, and there is
 * twice the work. */
static bool is_overloaded(const struct prefork_request *request)
{
	const uint64_t queue_max = request->http->config.queue_max;

	return queue_max > 0 && prefork_worker_queued(request->worker) >= queue_max;
}

static const struct pfi_refusal overload = { 503, "too many requests are waiting already" };

static enum prefork_next handle(struct prefork_request *request)
{
	if (is_overloaded(request))
		return refuse(request, overload);
	prefork_connection_set_deadline(request->connection, 0);
	return prefork_connection_offload(request->connection, call_handle, request);
}

/* May block: it calls the host. */
static enum prefork_next call_go_on(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	(void)worker;
	(void)connection;
	return go_on_sending(user);
}

/* The client has taken something. A file needs nobody but the kernel until its end. */
static enum prefork_next send_more(struct prefork_request *request)
{
	if (pfi_reply_is_file(request) && pfi_reply_proceed(request) == PFI_MORE)
		return wait_to_send(request);
	return prefork_connection_offload(request->connection, call_go_on, request);
}

static enum prefork_next collect(struct prefork_request *request)
{
	switch (pfi_upload_collect(request)) {
	case PFI_DONE:
		return handle(request);
	case PFI_BAD:
		return after_failure(request);
	case PFI_MORE:
		break;
	}
	request->phase = PFI_PHASE_COLLECT;
	prefork_connection_set_deadline(request->connection, request->http->config.body_timeout_ms);
	return PREFORK_WAIT_READABLE;
}

/* A NUL behind each text, over the delimiter that ended it. */
static void end_texts(struct prefork_request *request)
{
	char *const base = request->in + request->in_from;
	const struct pfi_head *const head = &request->head;

	base[head->method.at + head->method.length] = '\0';
	base[head->target.at + head->target.length] = '\0';
	for (uint32_t i = 0; i < head->fields_count; i++) {
		const struct pfi_field *const field = &request->fields[i];
		base[field->name.at + field->name.length] = '\0';
		if (field->value.at > field->name.at) /* not the host of the target, which must stay whole */
			base[field->value.at + field->value.length] = '\0';
	}
}

static int grow_in(struct prefork_request *request)
{
	const size_t size = request->in_size * 2;
	char *const bytes = malloc(size);

	if (bytes == NULL)
		return -ENOMEM;
	memcpy(bytes, request->in, request->in_end);
	if (request->in != request->in_room)
		free(request->in);
	request->in = bytes;
	request->in_size = size;
	return 0;
}

/* The head is complete: what does it mean? */
static enum prefork_next proceed_head(struct prefork_request *request)
{
	const struct pfi_http_config *const config = &request->http->config;
	const struct pfi_head *const head = &request->head;

	if (config->limits.underscores == PFI_UNDERSCORES_DROP && head->underscores_count > 0)
		pfi_head_drop_underscores(&request->head);
	if (pfi_framing_decide(&request->framing, &request->head, request->in + request->in_from) == PFI_BAD)
		return refuse(request, request->framing.refusal);
	request->in_at = request->in_from + head->at;
	request->has_head = true;
	if (request->http->access != NULL)
		request->began_us = pfi_access_now_us();
	while (request->framing.body != PFI_BODY_NONE && request->in_size - request->in_at < BODY_ROOM)
		if (grow_in(request) < 0)
			return PREFORK_CLOSE;
	prefork_worker_note(request->worker, request->in + request->in_from + head->method.at,
	                    head->target.at + head->target.length - head->method.at);
	end_texts(request);
	request->keep_alive = request->framing.keep_alive && config->keepalive_ms > 0 &&
	                      head->form != PFI_TARGET_AUTHORITY;
	pfi_upload_start(request);
	if (!request->body.done && !prefork_connection_may_block(request->connection))
		return is_overloaded(request) ? refuse(request, overload) : collect(request);
	return handle(request);
}

/* Read once. What is there is looked at; the rest is waited for. */
static enum prefork_next read_head(struct prefork_request *request)
{
	if (request->in_end == 0 || request->head.at + request->in_from >= request->in_end) {
		if (request->in_end == request->in_size && grow_in(request) < 0)
			return PREFORK_CLOSE;
		const ptrdiff_t n = prefork_connection_read(request->connection, request->in + request->in_end,
		                                            request->in_size - request->in_end);
		if (n == -EAGAIN && request->phase == PFI_PHASE_HEAD)
			return PREFORK_WAIT_READABLE;
		if (n <= 0 && n != -EAGAIN)
			return PREFORK_CLOSE;
		request->in_end += n > 0 ? (size_t)n : 0;
	}
	switch (pfi_head_feed(&request->head, request->in + request->in_from, request->in_end - request->in_from)) {
	case PFI_DONE:
		return proceed_head(request);
	case PFI_BAD:
		return refuse(request, request->head.refusal);
	case PFI_MORE:
		break;
	}
	if (request->phase == PFI_PHASE_IDLE && request->in_end > 0) {
		request->phase = PFI_PHASE_HEAD;
		prefork_connection_set_deadline(request->connection, request->http->config.header_timeout_ms);
	}
	return PREFORK_WAIT_READABLE;
}

static enum prefork_next on_ready(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	struct prefork_request *const request = prefork_connection_user(connection);

	(void)worker;
	(void)user;
	switch ((enum pfi_phase)request->phase) {
	case PFI_PHASE_IDLE:
	case PFI_PHASE_HEAD:
		return read_head(request);
	case PFI_PHASE_COLLECT:
		return collect(request);
	case PFI_PHASE_SEND:
		return send_more(request);
	case PFI_PHASE_SKIP:
		return after_response(request);
	case PFI_PHASE_LINGER:
		return linger(request);
	}
	return PREFORK_CLOSE;
}

static enum prefork_next on_accepted(struct prefork_worker *worker, struct prefork_connection *connection,
                                     void *user)
{
	struct pfi_http *const http = user;
	struct prefork_request *const request = pool_take(http);

	if (request == NULL)
		return PREFORK_CLOSE;
	request->connection = connection;
	request->worker = worker;
	request->in_at = request->in_end = 0;
	request->body.done = true;
	begin_request(request);
	prefork_connection_set_user(connection, request);
	/* Who says nothing was held back by the kernel already, for as long as defer_accept says. */
	prefork_connection_set_deadline(connection, http->config.header_timeout_ms);
	return PREFORK_AGAIN;
}

static enum prefork_next on_timed_out(struct prefork_worker *worker, struct prefork_connection *connection,
                                      void *user)
{
	static const struct pfi_refusal late_head = { 408, "the header took too long" };
	struct prefork_request *const request = prefork_connection_user(connection);

	(void)worker;
	(void)user;
	switch ((enum pfi_phase)request->phase) {
	case PFI_PHASE_HEAD:
		return refuse(request, late_head);
	case PFI_PHASE_COLLECT:
		request->refusal = (struct pfi_refusal){ 408, "the body took too long" };
		(void)pfi_request_fail(request, -ETIMEDOUT);
		return after_failure(request);
	case PFI_PHASE_SEND:
		if (prefork_connection_pending(connection) < request->unsent)
			return wait_to_send(request); /* slow, but it takes it */
		(void)pfi_request_fail(request, -ETIMEDOUT);
		return prefork_connection_offload(connection, call_go_on, request);
	case PFI_PHASE_IDLE:
	case PFI_PHASE_SKIP:
	case PFI_PHASE_LINGER:
		break;
	}
	return PREFORK_CLOSE;
}

/* A client between two requests may have sent the next one just now: it gets an
 * answer, and is told that it is the last. */
static enum prefork_next on_leaving(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	struct prefork_request *const request = prefork_connection_user(connection);
	const struct pfi_http_config *const config = &((struct pfi_http *)user)->config;
	const uint64_t wait_ms = config->keepalive_ms > 0 && config->keepalive_ms < LAST_REQUEST_MS ?
	                         config->keepalive_ms : LAST_REQUEST_MS;

	(void)worker;
	if (request->phase == PFI_PHASE_IDLE)
		prefork_connection_set_deadline(connection, wait_ms);
	return request->phase == PFI_PHASE_SEND ? PREFORK_WAIT_WRITABLE : PREFORK_WAIT_READABLE;
}

static void on_closed(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	struct prefork_request *const request = prefork_connection_user(connection);

	(void)worker;
	(void)user;
	if (request == NULL)
		return;
	(void)(request->in_handle ? pfi_request_fail(request, -ECONNRESET) : 0);
	finish(request);
	pool_put(request);
	prefork_connection_set_user(connection, NULL);
}

static int on_start(struct prefork_worker *worker, void *user)
{
	struct pfi_http *const http = user;
	int r = pfi_http_configure(&http->config, prefork_worker_settings(worker));

	if (r == 0)
		r = pfi_access_open(prefork_worker_settings(worker), http->zone_s, &http->access);
	if (r < 0)
		return r;
	return http->service.worker_start != NULL ? http->service.worker_start(worker, http->user) : 0;
}

static void on_stop(struct prefork_worker *worker, void *user)
{
	struct pfi_http *const http = user;

	if (http->service.worker_stop != NULL)
		http->service.worker_stop(worker, http->user);
	while (http->free != NULL) {
		struct prefork_request *const request = http->free;
		http->free = request->next;
		free(request);
	}
	pfi_access_close(http->access, worker);
	http->access = NULL;
}

static const struct prefork_service http_service = {
	.struct_size = sizeof http_service,
	.traits = PREFORK_SERVICE_CLIENT_FIRST,
	.worker_start = on_start,
	.accepted = on_accepted,
	.ready = on_ready,
	.timed_out = on_timed_out,
	.leaving = on_leaving,
	.closed = on_closed,
	.worker_stop = on_stop,
};

const struct prefork_service *pfi_http_table(void)
{
	return &http_service;
}

struct pfi_http *pfi_http_create(const struct prefork_http_service *service, void *user)
{
	struct pfi_http *const http = calloc(1, sizeof *http);

	if (http == NULL)
		return NULL;
	memcpy(&http->service, service, service->struct_size < sizeof http->service ? service->struct_size :
	                                                                             sizeof http->service);
	http->user = user;
	http->zone_s = pfi_access_zone_s();
	(void)pthread_mutex_init(&http->lock, NULL); /* cannot fail without attributes */
	return http;
}

void pfi_http_destroy(struct pfi_http *http)
{
	pthread_mutex_destroy(&http->lock);
	free(http);
}

/* Where the rest of what a request may be asked needs the worker. */

const char *prefork_request_peer(struct prefork_request *request, unsigned *ret_port)
{
	return prefork_connection_peer(request->connection, ret_port);
}

size_t prefork_request_listener(const struct prefork_request *request)
{
	return prefork_connection_listener(request->connection);
}
