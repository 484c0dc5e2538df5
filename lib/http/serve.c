/* The service of a worker: selects the next step by the phase of the connection (enum pfi_phase). */
#include "http/internal.h"

#include "base/times.h"
#include "http/access.h"
#include "http/http_log.h"
#include "http/http_options.h"
#include "http/statsd_worker.h"
#include "http/suspend.h"

#include <prefork/error.h>
#include <prefork/proxy.h>
#include <prefork/service.h>
#include <prefork/strategy.h>
#include <prefork/worker.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { OUTPUT_BUSY_MS = 20 }; /* another thread uses a suspended request: until the next try */

/* Attach a request object to a new connection. NULL: no memory, or the peer may not use uwsgi. */
static struct prefork_request *attach_request(struct prefork_worker *worker, struct prefork_connection *connection,
                                              struct pfi_http *http)
{
	const bool is_allowed = !http->config.is_uwsgi || pfi_uwsgi_is_allowed(http, worker, connection);
	struct prefork_request *const request = is_allowed ? pfi_request_pool_take(http) : NULL;

	if (request == NULL)
		return NULL;
	request->connection = request->pending.connection = connection;
	request->worker = worker;
	request->in_at = request->in_end = 0;
	request->body.done = true;
	request->framing.keep_alive = true; /* until a header says otherwise, the client may send more */
	pfi_request_begin(request);
	request->is_first = true;
	request->is_tls = prefork_connection_is_secure(connection) ||
	                  (prefork_connection_proxy_ssl(connection) & PREFORK_PROXY_CLIENT_SSL) != 0;
	if (http->config.is_uwsgi)
		request->client = (struct pfi_uwsgi_client){ 0 };
	prefork_connection_set_user(connection, request);
	/* With defer_accept the kernel has already waited that long for the first data. */
	prefork_connection_set_deadline(connection, http->config.header_timeout_ms);
	return request;
}

/* A new connection is attached here and not in a callback `accepted`: with its request, which is usually received
 * already, it costs one callback. It is the first callback of every connection, except perhaps `closed`. */
static enum prefork_next on_ready(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	struct prefork_request *request = prefork_connection_user(connection);

	if (request == NULL)
		request = attach_request(worker, connection, user);
	if (request == NULL)
		return PREFORK_CLOSE; /* not allowed, or no memory */
	switch ((enum pfi_phase)request->phase) {
	case PFI_PHASE_IDLE:
	case PFI_PHASE_HEAD:
		return pfi_receive_head(request);
	case PFI_PHASE_COLLECT:
		return pfi_receive_body(request);
	case PFI_PHASE_SUSPENDED:
		return pfi_exchange_resume(request);
	case PFI_PHASE_SEND:
		return pfi_exchange_send(request);
	case PFI_PHASE_SKIP:
		return pfi_exchange_finish(request);
	case PFI_PHASE_LINGERING_CLOSE:
		return pfi_exchange_lingering_close(request);
	}
	return PREFORK_CLOSE;
}

static enum prefork_next on_timed_out(struct prefork_worker *worker, struct prefork_connection *connection,
                                      void *user)
{
	static const struct pfi_http_error header_timed_out = { 408, "the header took too long" };
	struct prefork_request *const request = prefork_connection_user(connection);

	(void)worker;
	(void)user;
	switch ((enum pfi_phase)request->phase) {
	case PFI_PHASE_HEAD:
		return pfi_exchange_respond_error(request, header_timed_out);
	case PFI_PHASE_COLLECT:
		return pfi_receive_body_timed_out(request);
	case PFI_PHASE_SUSPENDED:
		return pfi_exchange_resume_timed_out(request);
	case PFI_PHASE_SEND:
		return pfi_exchange_send_timed_out(request);
	case PFI_PHASE_IDLE:
		return pfi_exchange_idle_timed_out(request);
	case PFI_PHASE_SKIP:
	case PFI_PHASE_LINGERING_CLOSE:
		break;
	}
	return PREFORK_CLOSE;
}

static uint64_t shorter_ms(uint64_t a_ms, uint64_t b_ms)
{
	return a_ms < b_ms ? a_ms : b_ms;
}

/* How long an idle connection of a draining worker may still send a request. A new connection has had no response, and
 * its client would not retry by itself: it has the time of any first request, unless the whole server stops. */
static uint64_t idle_ms(const struct prefork_request *request)
{
	const struct pfi_http_config *const config = &request->http->config;

	if (request->is_first)
		return prefork_worker_empties_queues(request->worker) ?
			       shorter_ms(config->drain_first_ms, PFI_LAST_REQUEST_MS) :
			       config->drain_first_ms;
	return shorter_ms(config->keepalive_ms, prefork_connection_drain_ms(request->connection));
}

/* On an idle connection the next request may be in flight: it is served, with "Connection: close". If there is no time
 * for that, the deadline is 1 ms and not a close, because prefork_connection_expire() serves a request that has been
 * received already. */
static enum prefork_next on_draining(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	struct prefork_request *const request = prefork_connection_user(connection);

	(void)worker;
	(void)user;
	if (request->phase == PFI_PHASE_IDLE) {
		const uint64_t wait_ms = idle_ms(request);

		prefork_connection_set_deadline(connection, wait_ms > 0 ? wait_ms : 1);
	}
	return request->phase == PFI_PHASE_SEND || request->phase == PFI_PHASE_SUSPENDED ? PREFORK_WAIT_WRITABLE :
	                                                                                   PREFORK_WAIT_READABLE;
}

/* Close with RST instead of FIN. If the body is delimited by the close (HTTP/1.0), FIN would make a truncated body look
 * complete. If the client took too little, the kernel would keep its send buffer for as long as the client likes. */
static void reset_if_cut(struct prefork_request *request, struct prefork_connection *connection)
{
	const struct linger now = { .l_onoff = 1, .l_linger = 0 };
	const bool is_too_slow = request->error == -ETIMEDOUT && request->pending.is_cut;

	if (is_too_slow || (request->error != 0 && request->response.body == PFI_RESPONSE_CLOSE))
		(void)setsockopt(prefork_connection_fd(connection), SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

/* The same for a connection that stays open until the process ends. Its output is shut down next, so that SO_LINGER would
 * come too late: connect(2) to no address resets it. */
static void reset_if_abandoned(struct prefork_request *request)
{
	static const struct sockaddr nowhere = { .sa_family = AF_UNSPEC };
	const struct pfi_response *const response = &request->response;
	const bool is_whole = response->stage == PFI_STAGE_DONE && pfi_pending_output_is_drained(&request->pending);

	if (pfi_response_is_begun(request) && response->body == PFI_RESPONSE_CLOSE && !is_whole)
		(void)connect(prefork_connection_fd(request->connection), &nowhere, sizeof nowhere);
}

static void on_closed(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	struct prefork_request *const request = prefork_connection_user(connection);

	(void)worker;
	(void)user;
	if (request == NULL)
		return;
	if (pfi_suspend_is_requested(request)) /* resumed, and the worker quits or the client is gone */
		pfi_suspend_end(request);
	(void)(pfi_request_in_handler(request) ? pfi_request_fail(request, -ECONNRESET) : 0);
	pfi_request_finish(request);
	reset_if_cut(request, connection);
	pfi_request_pool_put(request);
	prefork_connection_set_user(connection, NULL);
}

static void report_gone(struct prefork_request *request, struct pfi_http *http)
{
	if (atomic_exchange(&request->is_client_gone, true))
		return;
	if (http->service.client_gone != NULL)
		http->service.client_gone(request, http->user);
}

static void report_abandoned(struct prefork_request *request, struct pfi_http *http)
{
	if (http->service.abandoned != NULL)
		http->service.abandoned(request, http->user);
}

static uint64_t on_suspend_timeout(struct prefork_request *request, struct pfi_http *http)
{
	static const struct pfi_http_error timed_out = { 504, "the response took too long" };

	if (!pfi_suspend_is_pending(request))
		return 0;
	if (!pfi_exchange_end_suspended(request, -ETIMEDOUT, timed_out))
		return OUTPUT_BUSY_MS;
	pfi_http_log(request->worker, PREFORK_LOG_WARNING, "suspend_timeout", NULL,
	             "Request %s %s was not resumed within suspend_timeout", prefork_request_method(request, NULL),
	             prefork_request_target(request, NULL));
	report_abandoned(request, http);
	return 0;
}

/* Three quarters of graceful_timeout have passed, or, `at_end`, the worker does not serve any more. */
static uint64_t on_leaving(struct prefork_request *request, struct pfi_http *http, bool at_end)
{
	static const struct pfi_http_error leaving = { 503, "the server is restarting" };

	if (at_end)
		(void)pfi_request_fail(request, -EINTR);
	else if (!pfi_suspend_is_pending(request))
		return 0;
	else if (request->run == PFI_RUN_SUSPENDING || !pfi_exchange_end_suspended(request, -EINTR, leaving))
		return OUTPUT_BUSY_MS; /* its callback has not returned, or another thread sends a piece */
	if (!pfi_suspend_abandon(request, at_end))
		return 0; /* resumed at this moment */
	pfi_exchange_log_abandoned(request);
	reset_if_abandoned(request);
	report_abandoned(request, http);
	prefork_connection_abandon(request->connection);
	return 0;
}

/* The request belongs to another thread, except for what the functions called here may do. */
static uint64_t on_watched(struct prefork_worker *worker, struct prefork_connection *connection,
                           enum prefork_watch_event event, void *user)
{
	struct prefork_request *const request = prefork_connection_user(connection);
	struct pfi_http *const http = user;

	(void)worker;
	switch (event) {
	case PREFORK_WATCH_HALF_CLOSED:
		if (http->config.client_gone_on_fin)
			report_gone(request, http);
		return 0;
	case PREFORK_WATCH_CLOSED:
		report_gone(request, http);
		return 0;
	case PREFORK_WATCH_TIMED_OUT:
		return on_suspend_timeout(request, http);
	case PREFORK_WATCH_DRAIN_ENDS:
		return on_leaving(request, http, false);
	case PREFORK_WATCH_WORKER_ENDS:
		return on_leaving(request, http, true);
	}
	return 0;
}

static void on_drain_begin(struct prefork_worker *worker, void *user)
{
	struct pfi_http *const http = user;

	if (http->service.drain_begin != NULL)
		http->service.drain_begin(worker, http->user);
}

/* Log it at the start, not when the first request needs a file. */
static void check_spool_directory(struct pfi_http *http, struct prefork_worker *worker)
{
	static const char fallback[] = "uploads are kept in memory, up to 64 MiB in all";
	static const char waited[] = "threads wait for slow clients";

	if (http->config.store.files_max == 0 || pfi_spool_try(&http->config.store) == 0)
		return;
	(void)atomic_flag_test_and_set(&http->has_logged);
	pfi_http_log(worker, PREFORK_LOG_WARNING, "spool_failed", NULL, "spool_dir: %s; %s", prefork_error(),
	             prefork_worker_may_block(worker) ? waited : fallback);
}

static int on_start(struct prefork_worker *worker, void *user)
{
	struct pfi_http *const http = user;
	const struct pfi_http_settings *const values = pfi_http_settings(prefork_worker_settings(worker));
	int r = pfi_http_configure(&http->config, prefork_worker_settings(worker));

	if (r == 0)
		r = pfi_access_open(values, http->zone_s, pfi_access_file_find(&http->access_file, values->accesslog),
		                    http->service.access != NULL, &http->access);
	if (r < 0)
		return r;
	check_spool_directory(http, worker);
	http->metrics = pfi_statsd_worker_open(worker, &http->statsd.target);
	http->reports = http->access != NULL || http->metrics != NULL;
	r = http->service.worker_start != NULL ? http->service.worker_start(worker, http->user) : 0;
	if (r < 0)
		pfi_statsd_worker_close(http->metrics); /* it has counted the lines about the failure */
	return r;
}

static void on_stop(struct prefork_worker *worker, void *user)
{
	struct pfi_http *const http = user;

	pfi_suspend_await_resumers(http);
	if (http->service.worker_stop != NULL)
		http->service.worker_stop(worker, http->user);
	pfi_request_pool_free(http);
	pfi_http_config_clear(&http->config);
	pfi_access_close(http->access, worker);
	pfi_statsd_worker_close(http->metrics);
	http->access = NULL;
	http->metrics = NULL;
	http->reports = false;
}

static const struct prefork_service http_service = {
	.struct_size = sizeof http_service,
	.traits = PREFORK_SERVICE_CLIENT_FIRST | PREFORK_SERVICE_COUNTS |
	          PREFORK_SERVICE_NO_LINGER, /* it has a phase for that */
	.worker_start = on_start,
	.ready = on_ready,
	.timed_out = on_timed_out,
	.draining = on_draining,
	.closed = on_closed,
	.worker_stop = on_stop,
	.drain_begin = on_drain_begin,
	.watched = on_watched,
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
	pfi_http_config_clear(&http->config);
	pthread_mutex_destroy(&http->lock);
	pfi_access_file_close(&http->access_file);
	pfi_statsd_arbiter_close(&http->statsd);
	free(http);
}
