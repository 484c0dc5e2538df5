/* Calls the handler, sends its response, and then keeps the connection for the next request or closes it. */
#include "http/internal.h"

#include "base/times.h"
#include "http/access.h"
#include "http/http_clock.h"
#include "http/error_page.h"
#include "http/statsd_worker.h"
#include "http/suspend.h"

#include <prefork/error.h>
#include <prefork/listener.h>
#include <prefork/service.h>
#include <prefork/worker.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	DISCARD_TURN = 64 * 1024, /* bytes discarded before other connections have a turn */
};

enum prefork_next pfi_exchange_lingering_close(struct prefork_request *request)
{
	char buffer[16 * 1024];
	size_t turn = 0;

	for (;;) {
		const ptrdiff_t n = prefork_connection_read(request->connection, buffer, sizeof buffer);
		if (n == -EAGAIN)
			return PREFORK_WAIT_READABLE;
		if (n <= 0)
			return PREFORK_CLOSE;
		turn += (size_t)n;
		if (turn >= DISCARD_TURN)
			return PREFORK_AGAIN;
	}
}

/* close(2) with unread input sends RST, and the client may lose the response before it has read it. So shut down
 * the output, and discard input for a while (RFC 9112 9.6). */
static enum prefork_next begin_lingering_close(struct prefork_request *request)
{
	request->phase = PFI_PHASE_LINGERING_CLOSE;
	prefork_connection_end_output(request->connection);
	prefork_connection_set_deadline(request->connection, PFI_LINGER_CLOSE_MS);
	return pfi_exchange_lingering_close(request);
}

/* The access log line, and the metrics, of a response. */
static void report(struct prefork_request *request, struct pfi_access_response *line)
{
	const struct pfi_http *const http = request->http;

	line->took_us = request->has_head ? pfi_http_now_us() - request->began_us : 0;
	if (http->access != NULL)
		pfi_access_write(http->access, request, line);
	if (http->metrics != NULL)
		pfi_statsd_worker_record(http->metrics, line->status, line->took_us);
}

/* Report a response that the handler has begun. */
static void log_response(struct prefork_request *request)
{
	const struct pfi_response *const response = &request->response;
	struct pfi_access_response line = {
		.status = response->status,
		.sent = pfi_response_sent(request),
		.head = response->out.bytes,
		.head_length = response->head_length,
	};

	if (request->http->reports)
		report(request, &line);
}

static size_t head_size(const struct pfi_out *out)
{
	const char *const body = memmem(out->bytes, out->length, "\r\n\r\n", 4);

	return body != NULL ? (size_t)(body - out->bytes) + 4 : out->length;
}

/* Report an error response of the library. */
static void log_error_response(struct prefork_request *request, int status, const struct pfi_out *out)
{
	const size_t head = head_size(out);
	struct pfi_access_response line = {
		.status = status,
		.sent = out->length - head,
		.head = out->bytes,
		.head_length = head,
	};

	if (request->http->reports)
		report(request, &line);
}

void pfi_exchange_log_abandoned(struct prefork_request *request)
{
	if (pfi_response_is_begun(request))
		log_response(request);
}

/* Build an error response in the buffer of `out`, or in new memory that `out` then points at. */
static int make_error_response(struct prefork_request *request, struct pfi_http_error http_error, struct pfi_out *out)
{
	const struct pfi_http *const http = request->http;
	const bool to_head = request->has_head && pfi_request_is_head(request);
	struct prefork_error_page page = { .http_error = http_error };

	if (http->service.error_page != NULL)
		http->service.error_page(&page, request->has_head ? request : NULL, http->user);
	const int r = pfi_error_page_response(&page, out, pfi_http_date(), to_head);
	pfi_error_page_clear(&page);
	return r;
}

/* Nothing may follow an interim response that was cut, or overtake one that is in the spool. */
static bool queue_error_response(struct prefork_request *request, const struct pfi_out *out)
{
	return !request->pending.is_cut && pfi_pending_output_is_flushed(&request->pending) &&
	       prefork_connection_write(request->connection, out->bytes, out->length) != PREFORK_CLOSE;
}

enum prefork_next pfi_exchange_respond_error(struct prefork_request *request, struct pfi_http_error http_error)
{
	char buffer[1024];
	struct pfi_out out = { buffer, 0, sizeof buffer };
	const int r = make_error_response(request, http_error, &out);

	log_error_response(request, http_error.status, &out);
	const bool is_queued = r == 0 && queue_error_response(request, &out);
	if (out.bytes != buffer)
		free(out.bytes);
	return is_queued ? begin_lingering_close(request) : PREFORK_CLOSE;
}

/* As a response of the handler: the rest of the request continues as after that. */
static void send_error_response(struct prefork_request *request, struct pfi_http_error http_error)
{
	char buffer[1024];
	struct pfi_out made = { buffer, 0, sizeof buffer };
	struct pfi_response *const response = &request->response;

	response->status = http_error.status;
	if (make_error_response(request, http_error, &made) == 0 && queue_error_response(request, &made)) {
		const size_t head = head_size(&made);

		response->body = PFI_RESPONSE_LENGTH;
		response->length = response->sent = made.length - head;
		if (pfi_out_add(&response->out, made.bytes, head) == 0)
			response->head_length = head;
		response->out.length = 0;
		prefork_connection_end_output(request->connection);
	}
	if (made.bytes != buffer)
		free(made.bytes);
}

/* In HTTP/1.0 end of file could make a truncated body look complete: that client waits until the request is resumed. */
bool pfi_exchange_end_suspended(struct prefork_request *request, int error, struct pfi_http_error http_error)
{
	/* First, so that no other response is started. */
	if (pfi_request_fail(request, error) == -ETIMEDOUT && error != -ETIMEDOUT)
		return true; /* it was ended before */
	if (pthread_mutex_trylock(&request->output) != 0)
		return false;
	if (pfi_response_claim(&request->response, PFI_STAGE_DONE))
		send_error_response(request, http_error);
	else if (pfi_request_response_minor(request) > 0)
		(void)shutdown(prefork_connection_fd(request->connection), SHUT_RDWR);
	(void)pthread_mutex_unlock(&request->output);
	return true;
}

void pfi_request_finish(struct prefork_request *request)
{
	if (!pfi_request_in_handler(request))
		return;
	atomic_store_explicit(&request->run, PFI_RUN_NONE, memory_order_relaxed);
	if (pfi_response_is_begun(request))
		log_response(request);
	if (request->http->service.finished != NULL)
		request->http->service.finished(request, request->http->user);
}

/* Input that is unread, here or in the kernel. A client that sent "Connection: close" sends nothing after this
 * request; another may have pipelined the next one. */
static bool has_unread_input(const struct prefork_request *request)
{
	char byte;

	return request->in_at < request->in_end ||
	       (request->framing.keep_alive &&
	        recv(prefork_connection_fd(request->connection), &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0);
}

static enum prefork_next end_connection(struct prefork_request *request)
{
	return has_unread_input(request) ? begin_lingering_close(request) : PREFORK_CLOSE;
}

enum prefork_next pfi_exchange_finish(struct prefork_request *request)
{
	const struct pfi_http_config *const config = &request->http->config;

	pfi_request_finish(request);
	if (!request->body.done) {
		const enum pfi_verdict verdict = request->keep_alive ? pfi_upload_skip(request) : PFI_BAD;
		if (verdict == PFI_BAD)
			return begin_lingering_close(request);
		if (verdict == PFI_MORE) {
			if (request->phase != PFI_PHASE_SKIP)
				prefork_connection_set_deadline(request->connection, PFI_LINGER_CLOSE_MS);
			request->phase = PFI_PHASE_SKIP;
			return PREFORK_WAIT_READABLE;
		}
	}
	if (!request->keep_alive)
		return end_connection(request);
	pfi_request_begin(request);
	request->is_first = false;
	prefork_connection_set_deadline(request->connection, config->keepalive_ms);
	return request->in_end > 0 ? PREFORK_AGAIN : PREFORK_WAIT_READABLE;
}

/* A client that is still receiving the response is not idle: the kernel buffers megabytes of it. */
enum prefork_next pfi_exchange_idle_timed_out(struct prefork_request *request)
{
	const struct pfi_http_config *const config = &request->http->config;

	if (request->is_first || prefork_worker_directive(request->worker) != PREFORK_CONTINUE)
		return end_connection(request);
	const uint64_t more_ms = pfi_pending_output_idle_ms(&request->pending, config->keepalive_ms,
	                                                    config->write_timeout_ms, config->response_rate);
	if (more_ms == 0)
		return PREFORK_CLOSE;
	prefork_connection_set_deadline(request->connection, more_ms);
	return PREFORK_WAIT_READABLE;
}

/* Whether the response is complete although the request has an error: the error came after its last byte. */
static bool is_whole(const struct prefork_request *request)
{
	const struct pfi_response *const response = &request->response;

	return response->body == PFI_RESPONSE_LENGTH && pfi_response_sent(request) == response->length &&
	       pfi_response_is_begun(request) && !request->pending.is_cut && request->error != -EINTR &&
	       pfi_pending_output_is_drained(&request->pending);
}

enum prefork_next pfi_exchange_failed(struct prefork_request *request)
{
	static const struct pfi_http_error failed = { 500, NULL };
	const bool begun = pfi_response_is_begun(request);

	pfi_request_finish(request); /* until it returns a thread may read the body, and set request->http_error */
	const struct pfi_http_error http_error = request->http_error.status != 0 ? request->http_error : failed;
	if (is_whole(request))
		return end_connection(request);
	if (request->error == -EINTR || begun)
		return PREFORK_CLOSE;
	return pfi_exchange_respond_error(request, http_error);
}

static enum prefork_next call_continue(struct prefork_worker *worker, struct prefork_connection *connection, void *user);

/* The client takes nothing, or less than response_rate. `finished` may block, so it is called in the pool. */
static enum prefork_next abort_send(struct prefork_request *request)
{
	(void)pfi_request_abort_output(request, -ETIMEDOUT);
	return prefork_connection_offload(request->connection, call_continue, request);
}

static enum prefork_next wait_to_send(struct prefork_request *request)
{
	const struct pfi_http_config *const config = &request->http->config;
	const uint64_t wait_ms =
		pfi_pending_output_begin_wait(&request->pending, config->write_timeout_ms, config->response_rate);

	request->phase = PFI_PHASE_SEND;
	if (wait_ms == 0)
		return abort_send(request);
	prefork_connection_set_deadline(request->connection, wait_ms);
	return PREFORK_WAIT_WRITABLE;
}

static enum prefork_next continue_sending(struct prefork_request *request)
{
	const int error = prefork_connection_error(request->connection);

	if (error < 0)
		(void)pfi_request_abort_output(request, error);
	switch (pfi_response_proceed(request)) {
	case PFI_DONE: /* all of it is sent or pending */
		return pfi_pending_output_is_drained(&request->pending) ? pfi_exchange_finish(request) : wait_to_send(request);
	case PFI_BAD:
		if (request->error == 0)
			(void)pfi_request_handler_failed(request, prefork_fail(-EPROTO, "the handler returned without a response"));
		return pfi_exchange_failed(request);
	case PFI_MORE:
		break;
	}
	return pfi_suspend_is_requested(request) ? pfi_suspend_begin(request) : wait_to_send(request);
}

/* The activity that was set when the head was read is in another thread's slot if the request was offloaded, and
 * overwritten by another request if its body was collected meanwhile. */
__attribute__((noinline)) static void set_activity(struct prefork_request *request)
{
	char text[96];
	const int size = snprintf(text, sizeof text, "%s %s", prefork_request_method(request, NULL),
	                          prefork_request_target(request, NULL));

	prefork_connection_set_activity(request->connection, text,
	                                size < (int)sizeof text ? (size_t)size : sizeof text - 1);
}

/* tcpi_last_data_recv is the time in ms since the last data arrived; unix sockets have no TCP_INFO, and never time out
 * here. Out of line, as set_activity(): a request without queue_timeout must not pay for clearing `info`. */
__attribute__((noinline)) static bool has_waited(const struct prefork_request *request, uint64_t queue_ms)
{
	struct tcp_info info = { 0 };
	socklen_t size = sizeof info;

	return getsockopt(prefork_connection_fd(request->connection), IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
	       info.tcpi_last_data_recv >= queue_ms;
}

/* Whether the request has waited longer than queue_timeout, in the kernel or for a thread. */
static bool queued_too_long(const struct prefork_request *request)
{
	const uint64_t queue_ms = request->http->config.queue_ms;

	return queue_ms > 0 && !request->is_pipelined && has_waited(request, queue_ms);
}

/* `handle` or `resumed` has returned `r`. */
static enum prefork_next after_callback(struct prefork_request *request, int r)
{
	if (r < 0)
		(void)pfi_request_handler_failed(request, r);
	if (!pfi_run_end(request))
		return pfi_suspend_begin(request);
	pfi_response_close(request);
	return continue_sending(request); /* after an error, too: what was written before it is still sent */
}

/* Call `handle` or `resumed`. If this is not the first thread, or a task, the first thread reports meanwhile that the
 * client is gone. */
__attribute__((noinline)) static int call_watched(struct prefork_request *request,
                                                   int (*callback)(struct prefork_request *request, void *user))
{
	const bool may_report = prefork_worker_thread(request->worker) != 0 || prefork_connection_is_task(request->connection);
	const bool is_watched = may_report && prefork_connection_watch(request->connection, 0) == 0; /* fails without memory */
	const int r = callback(request, request->http->user);

	if (is_watched && !pfi_suspend_is_requested(request))
		prefork_connection_unwatch(request->connection);
	return r;
}

static inline int call(struct prefork_request *request, int (*callback)(struct prefork_request *request, void *user))
{
	prefork_error_clear(); /* an error message of an earlier request must not get into this one's log line */
	return request->http->service.client_gone != NULL ? call_watched(request, callback) :
	                                                    callback(request, request->http->user);
}

/* Runs where the handler may block (prefork_connection_offload()). */
static enum prefork_next call_handler(struct prefork_worker *worker, struct prefork_connection *connection,
                                     void *user)
{
	struct prefork_request *const request = user;
	static const struct pfi_http_error queued_too_long_error = { 503, "the request waited too long" };

	(void)worker;
	if (prefork_connection_is_offloaded(connection) || request->phase == PFI_PHASE_COLLECT)
		set_activity(request);
	if (queued_too_long(request))
		return pfi_exchange_respond_error(request, queued_too_long_error);
	pfi_run_begin(request);
	const int r = call(request, request->http->service.handle);
	prefork_worker_count_request(request->worker);
	return after_callback(request, r);
}

static const struct pfi_http_error no_task_error = { 503, "no task could be started" };

static enum prefork_next call_resumed(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	struct prefork_request *const request = user;
	int (*const resumed)(struct prefork_request *request, void *user) = request->http->service.resumed;

	(void)worker;
	(void)connection;
	pfi_suspend_end(request);
	set_activity(request);
	return after_callback(request, resumed != NULL ? call(request, resumed) : 0);
}

enum prefork_next pfi_exchange_resume(struct prefork_request *request)
{
	const int error = prefork_connection_error(request->connection);
	enum prefork_next next;

	if (error < 0)
		(void)pfi_request_abort_output(request, error);
	prefork_connection_set_deadline(request->connection, 0);
	const int r = prefork_connection_try_offload(request->connection, call_resumed, request, &next);
	if (r == 0)
		return next;
	pfi_suspend_end(request);
	request->http_error = no_task_error;
	return after_callback(request, r);
}

enum prefork_next pfi_exchange_resume_timed_out(struct prefork_request *request)
{
	if (pfi_pending_output_end_wait(&request->pending)) /* slow, as in pfi_exchange_send_timed_out() */
		return pfi_suspend_next(request);
	(void)pfi_request_abort_output(request, -ETIMEDOUT);
	return pfi_exchange_resume(request);
}

const struct pfi_http_error pfi_exchange_overload_error = { 503, "too many requests are waiting" };

/* Length of the accept queue of this connection's listener, if all threads are busy; 0 for unix sockets, which have
 * no TCP_INFO, and for reuseport sockets. */
static uint64_t accept_queue_length(const struct prefork_request *request)
{
	const size_t index = prefork_connection_listener(request->connection);
	struct prefork_listener *const listener = prefork_worker_listener(request->worker, index);
	struct tcp_info info = { 0 };
	socklen_t size = sizeof info;

	if (!request->is_first || !prefork_worker_is_full(request->worker) ||
	    getsockopt(prefork_listener_fd(listener), IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
		return 0;
	return info.tcpi_unacked; /* of a listening socket: connections that are not accepted yet */
}

/* The only place that decides whether the queue is full. It counts requests that are handled after this one, each
 * once, wherever they wait. So with any number of threads, only requests beyond the limit get 503. A client that gets
 * 503 at once can try another server; one that times out sends the request again, and the work doubles. */
bool pfi_exchange_is_overloaded(const struct prefork_request *request)
{
	const uint64_t queue_max = request->http->config.queue_max;

	if (queue_max == 0)
		return false;
	return prefork_worker_queued(request->worker) + accept_queue_length(request) +
		       atomic_load_explicit(&request->http->suspended, memory_order_relaxed) >= queue_max;
}

enum prefork_next pfi_exchange_call_handler(struct prefork_request *request)
{
	enum prefork_next next;

	if (pfi_exchange_is_overloaded(request))
		return pfi_exchange_respond_error(request, pfi_exchange_overload_error);
	prefork_connection_set_deadline(request->connection, 0);
	if (prefork_connection_try_offload(request->connection, call_handler, request, &next) < 0)
		return pfi_exchange_respond_error(request, no_task_error);
	return next;
}

static enum prefork_next call_continue(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	(void)worker;
	(void)connection;
	return continue_sending(user);
}

/* The spool and a file are sent from here, without a thread: sendfile(2) does not wait for the client. */
enum prefork_next pfi_exchange_send(struct prefork_request *request)
{
	(void)pfi_pending_output_end_wait(&request->pending);
	if (pfi_request_flush(request) == -EAGAIN)
		return wait_to_send(request);
	return prefork_connection_offload(request->connection, call_continue, request);
}

enum prefork_next pfi_exchange_send_timed_out(struct prefork_request *request)
{
	/* A slow client may take a little without the socket becoming writable. */
	return pfi_pending_output_end_wait(&request->pending) ? wait_to_send(request) : abort_send(request);
}
