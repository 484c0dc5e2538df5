/* Opens, writes and reopens the access log of a worker. A line that cannot be written is counted; it delays no
 * connection. */
#include "http/access.h"

#include "http/access_format.h"
#include "http/http_log.h"
#include "http/http_options.h"
#include "http/request.h"

#include "base/required.h"

#include <prefork/error.h>
#include <prefork/http.h>
#include <prefork/listener.h>
#include <prefork/log.h>
#include <prefork/service.h>
#include <prefork/settings.h>
#include <prefork/worker.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 4096 - 1 }; /* what prefork_log_put() takes, with the end that it adds */

struct pfi_access {
	struct prefork_log *log; /* NULL: lines are for the application only */
	struct pfi_access_format *format;
	int zone_s;
	int pid;
	atomic_bool losing; /* the last line was lost, and the error log has a line about it */
};

static int compile(const struct pfi_http_settings *values, struct pfi_access_format **ret)
{
	return pfi_access_compile(values->access_log_format, getenv, ret);
}

int pfi_access_check(const struct prefork_settings *settings, const struct pfi_http_settings *values)
{
	struct pfi_access_format *format = NULL;
	const char *const path = values->accesslog;
	int r = compile(values, &format);

	pfi_access_format_destroy(format);
	if (r == -EINVAL)
		return prefork_fail(PREFORK_ECONFIG, "%s (%s)", prefork_error(),
		                    pfi_http_origin(settings, &values->access_log_format));
	if (r == 0 && path != NULL && prefork_log_check(path, STDOUT_FILENO) < 0)
		r = prefork_fail(PREFORK_ECONFIG, "accesslog (%s): %s", pfi_http_origin(settings, &values->accesslog),
		                 prefork_error());
	return r;
}

int pfi_access_zone_s(void)
{
	const time_t now = time(NULL);
	struct tm local;

	return localtime_r(&now, &local) != NULL ? (int)local.tm_gmtoff : 0;
}

static bool goes_to_syslog(const struct pfi_http_settings *values)
{
	return values->syslog && !values->disable_redirect_access_to_syslog;
}

/* The file if there is one, and syslog as PREFIX.access, each as the settings say. */
static int open_log(const struct pfi_http_settings *values, struct prefork_log *inherited, struct prefork_log **ret)
{
	const char *const path = values->accesslog != NULL ? values->accesslog : "/dev/null";
	const char *prefix = values->syslog_prefix != NULL && *values->syslog_prefix != '\0' ? values->syslog_prefix :
											       values->proc_name;
	char identity[128];
	int r = 0;

	*ret = inherited;
	if (inherited == NULL && (r = prefork_log_create(path, STDOUT_FILENO, ret)) < 0)
		return prefork_fail(r, "accesslog: %s", prefork_error());
	if (!goes_to_syslog(values))
		return 0;
	if (prefix == NULL || *prefix == '\0')
		prefix = program_invocation_short_name;
	(void)snprintf(identity, sizeof identity, "%.70s.access", prefix);
	r = prefork_log_add_syslog(*ret, values->syslog_addr, identity, values->syslog_facility);
	if (r < 0 && inherited == NULL)
		prefork_log_destroy(*ret);
	return r;
}

int pfi_access_open(const struct pfi_http_settings *values, int zone_s, struct prefork_log *inherited, bool is_asked_for,
                    struct pfi_access **ret)
{
	const bool has_log = values->accesslog != NULL || goes_to_syslog(values);
	struct pfi_access *access;
	int r;

	*ret = NULL;
	if (!has_log && !is_asked_for)
		return 0;
	access = calloc(1, sizeof *access);
	if (access == NULL)
		return prefork_fail(-ENOMEM, "no memory for the access log");
	access->zone_s = zone_s;
	access->pid = getpid();
	r = compile(values, &access->format);
	if (r == 0 && has_log)
		r = open_log(values, inherited, &access->log);
	if (r == 0) {
		*ret = access;
		return 0;
	}
	pfi_access_format_destroy(access->format);
	free(access);
	return r;
}

static void log_lost(struct pfi_access *access, struct prefork_worker *worker)
{
	const unsigned lost = access->log != NULL ? prefork_log_take_lost(access->log) : 0;

	if (lost > 0)
		pfi_http_log(worker, PREFORK_LOG_WARNING, "access_log_lost",
		             &(struct prefork_log_pair)PREFORK_NUMBER("lines", lost),
		             "Access log: %u line%s lost", lost, lost == 1 ? "" : "s");
}

void pfi_access_close(struct pfi_access *access, struct prefork_worker *worker)
{
	if (access == NULL)
		return;
	log_lost(access, worker);
	prefork_log_destroy(access->log);
	pfi_access_format_destroy(access->format);
	free(access);
}

void pfi_access_reopen(struct pfi_access *access, struct prefork_worker *worker)
{
	const int r = access != NULL && access->log != NULL ? prefork_log_reopen(access->log) : 0;

	if (r < 0)
		pfi_http_log(worker, PREFORK_LOG_ERROR, "access_log_reopen_failed", NULL,
		             "Access log cannot be reopened, the old file stays in use: %s", prefork_error());
}

/* The current time in the format of the log, cached per thread for a second. */
static const char *log_time(const struct pfi_access *access, bool is_json)
{
	static _Thread_local struct {
		uint64_t seconds;
		char text[PFI_DATE_LOG_LENGTH];
	} last;
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME_COARSE, &now);
	if (last.seconds != (uint64_t)now.tv_sec) {
		last.seconds = (uint64_t)now.tv_sec;
		(is_json ? pfi_date_format_iso : pfi_date_format_log)(last.seconds, access->zone_s, last.text);
	}
	return last.text;
}

/* The disk may be full, or the pipe without a reader. Log that once, and the number of lost lines when writing works
 * again. */
static void put(struct pfi_access *access, struct prefork_worker *worker, const struct pfi_text *line)
{
	const int r = prefork_log_put(access->log, line->bytes, line->length);

	if (r == 0 && !atomic_load_explicit(&access->losing, memory_order_relaxed))
		return;
	if (atomic_exchange(&access->losing, r < 0) == (r < 0))
		return;
	if (r < 0)
		pfi_http_log(worker, PREFORK_LOG_WARNING, "access_log_failed", NULL,
		             "Access log cannot be written: %s; lines are lost until it can", strerror(-r));
	else
		log_lost(access, worker);
}

/* A line before it is rendered, for the callback `access`. */
struct prefork_access {
	const struct pfi_access_facts *facts;
	const struct pfi_access_format *format;
};

int prefork_access_status(const struct prefork_access *access)
{
	PFI_RETURN_IF_NULL(access, 0);
	return access->facts->status;
}

uint64_t prefork_access_sent(const struct prefork_access *access)
{
	PFI_RETURN_IF_NULL(access, 0);
	return access->facts->sent;
}

uint64_t prefork_access_took_us(const struct prefork_access *access)
{
	PFI_RETURN_IF_NULL(access, 0);
	return access->facts->took_us;
}

size_t prefork_access_line(const struct prefork_access *access, char *bytes, size_t size)
{
	PFI_RETURN_IF_NULL(access, 0);
	PFI_RETURN_IF_NULL(bytes, 0);
	if (size == 0)
		return 0;

	struct pfi_text line;

	pfi_text_init(&line, bytes, size);
	pfi_access_render(access->format, access->facts, &line);
	return line.length;
}

static void write_line(struct pfi_access *access, struct prefork_request *request, const struct pfi_access_facts *facts)
{
	const struct pfi_http *const http = request->http;
	const struct prefork_access line = { facts, access->format };
	char buffer[LINE_MAX_BYTES];
	struct pfi_text text;

	if (http->service.access != NULL && http->service.access(request->has_head ? request : NULL, &line, http->user) == 0)
		return;
	if (access->log == NULL)
		return;
	pfi_text_init(&text, buffer, sizeof buffer);
	pfi_access_render(access->format, facts, &text);
	put(access, request->worker, &text);
}

void pfi_access_write(struct pfi_access *access, struct prefork_request *request, const struct pfi_access_response *response)
{
	const char *const bytes = request->in + request->in_from;
	const bool complete = request->has_head, is_json = pfi_access_is_json(access->format);
	unsigned port;
	const char *const peer = prefork_request_peer(request, &port);
	const struct prefork_listener *const listener =
		prefork_worker_listener(request->worker, prefork_connection_listener(request->connection));
	const struct pfi_access_facts facts = {
		.bytes = bytes,
		.length = request->in_end - request->in_from,
		.head = complete ? &request->head : NULL,
		.peer = peer,
		.peer_port = port,
		.server = listener != NULL ? prefork_listener_address(listener) : "",
		.is_secure = complete && request->is_secure,
		.status = response->status,
		.sent = response->sent,
		.response = response->head,
		.response_length = response->head_length,
		.time = log_time(access, is_json),
		.time_length = is_json ? PFI_DATE_ISO_LENGTH : PFI_DATE_LOG_LENGTH,
		.took_us = response->took_us,
		.pid = access->pid,
	};

	write_line(access, request, &facts);
}
