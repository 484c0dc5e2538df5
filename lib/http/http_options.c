/* The rows of HTTP: gunicorn's names where it has the same thing. */
#include "http/http_options.h"

#include "base/required.h"
#include "http/access.h"

#include <prefork/error.h>
#include <prefork/settings.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SPOOL_SHARE = 8 }; /* one file may have so small a part of what all may have */

#define ROW(row_name, row_type, struct_member)                                   \
	.struct_size = sizeof(struct prefork_option), .name = row_name,          \
	PREFORK_OPTION_IN(row_type, struct pfi_http_settings, struct_member), \
	.section = "HTTP"
#define REFERENCE .traits = PREFORK_OPTION_REFERENCE

static const struct prefork_option rows[] = {
	{ ROW("keepalive", DURATION, keepalive_ms), .flags = "--keep-alive", .min = 0, .max = 3600 * 1000, .default_text = "auto",
	  .traits = PREFORK_OPTION_RELOADABLE | PREFORK_OPTION_MAY_BE_AUTO,
	  .doc = "How long a connection is kept for the next request; 0: never. auto is 0 with the sync workers and 2 "
	         "seconds with others." },
	{ ROW("header_timeout", DURATION, header_timeout_ms), .min = 100, .max = 3600 * 1000, .default_text = "10",
	  .traits = PREFORK_OPTION_RELOADABLE, .doc = "How long the header of a request may take, from its first byte to its last; also how "
	         "long a new client may say nothing, after the time of defer_accept." },
	{ ROW("body_timeout", DURATION, body_timeout_ms), .min = 100, .max = 3600 * 1000, .default_text = "30",
	  .traits = PREFORK_OPTION_RELOADABLE, .doc = "How long a request body may be silent. Who takes longer is answered with 408." },
	{ ROW("body_rate", SIZE, body_rate), .min = 0, .max = 1 << 30, .default_text = "500", .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "How many bytes a second a request body must come with, on average, once body_timeout has passed: "
	         "clients that send a byte now and then would hold a worker for hours. 0: any." },
	{ ROW("write_timeout", DURATION, write_timeout_ms), .min = 100, .max = 3600 * 1000, .default_text = "30",
	  .traits = PREFORK_OPTION_RELOADABLE, .doc = "How long a client may take nothing of its response." },
	{ ROW("response_rate", SIZE, response_rate), .min = 0, .max = 1 << 30, .default_text = "500", .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "How many bytes a second a client must take of its response, on average, once write_timeout has passed: "
	         "clients that take a little now and then would keep memory and files for hours. Only time in which "
	         "output is pending counts: a stream may be silent for as long as it likes. 0: any." },
	{ ROW("limit_request_line", INT, limit_request_line), .min = 0, .max = 8190, .default_text = "4094",
	  .traits = PREFORK_OPTION_RELOADABLE, .doc = "The longest request line, in bytes; 0 is 8190. Longer ones are answered with 414." },
	{ ROW("limit_request_fields", INT, limit_request_fields), .min = 1, .max = 32768, .default_text = "100",
	  .traits = PREFORK_OPTION_RELOADABLE, .doc = "How many header fields a request may have. More are answered with 431." },
	{ ROW("limit_request_field_size", INT, limit_request_field_size), .flags = "--limit-request-field-size, --limit-request-field_size",
	  .min = 0, .max = 1048576, .default_text = "8190",
	  .traits = PREFORK_OPTION_RELOADABLE, .doc = "The longest header field, in bytes; 0 is 8190. Longer ones are answered with 431, and so are "
	         "names of more than 8192 bytes." },
	{ ROW("limit_request_head", SIZE, limit_request_head), .min = 1024, .max = 16 * 1048576, .default_text = "64k",
	  .traits = PREFORK_OPTION_RELOADABLE, .doc = "The longest header of a request. A longer one is answered with 431." },
	{ ROW("limit_request_body", SIZE, limit_request_body), .min = 0, .max = INT64_MAX, .default_text = "0",
	  .traits = PREFORK_OPTION_RELOADABLE, .doc = "The largest request body; 0: no limit. A larger one is answered with 413." },
	{ ROW("queue_limit", INT, queue_limit), .min = 0, .max = 1048576, .default_text = "0", .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "How many requests of a worker may wait for one of its threads (threads, and libev with --threads). What "
	         "comes beyond is answered with 503 and Retry-After: at once by the loop of libev; under threads by the first "
	         "thread that is free again, the longest wait first. Under sync and threads new clients wait in the kernel, for "
	         "whichever worker is free first: while so many stand at an address (TCP, without reuse_port), who is let "
	         "in is answered so, too. 0: any number." },
	{ ROW("queue_timeout", DURATION, queue_timeout_ms), .min = 0, .max = 3600 * 1000, .default_text = "0",
	  .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "How long a request may have waited, with all workers at work, and still be handled. One that waited longer "
	         "is answered with 503 and Retry-After: its client has likely given up. TCP only. 0: for ever." },
	{ ROW("stream_uploads", BOOL, stream_uploads), .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "Handle a request as soon as its header is there, and have its body read while it comes: a thread then "
	         "waits for the client. Otherwise bodies are collected first, in memory and in files, as far as "
	         "spool_limit allows. An event loop without threads always collects." },
	{ ROW("body_memory", SIZE, body_memory), .min = 4096, .max = 1 << 30, .default_text = "256k",
	  .traits = PREFORK_OPTION_RELOADABLE, .doc = "How much of a request body is kept in memory until all of it has come; a "
	         "larger one goes to a file in worker_tmp_dir." },
	{ ROW("response_memory", SIZE, response_memory), .min = 0, .max = 1 << 30, .default_text = "256k",
	  .traits = PREFORK_OPTION_RELOADABLE, .doc = "How much of a response is kept in memory until its client has taken it; "
	         "what is more goes to a file in worker_tmp_dir." },
	{ ROW("spool_limit", SIZE, spool_limit), .min = 0, .max = INT64_MAX, .default_text = "1g", .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "How much a worker keeps in such files, of all requests and responses together; of each at most an eighth "
	         "of it. Beyond it a thread waits for its client. In an event loop without threads, where nothing can wait, an upload that "
	         "is larger than its part is answered with 413, one for which the others leave no room with 507, and a response "
	         "that is written goes no further. 0: no files." },
	{ ROW("worker_tmp_dir", STRING, worker_tmp_dir), .unit = "FOLDER",
	  .traits = PREFORK_OPTION_RELOADABLE | PREFORK_OPTION_MAY_BE_EMPTY,
	  .doc = "Where such files are, which have no name there. In a tmpfs they are quick, and take memory. Empty: "
	         "$TMPDIR, or /tmp. Where no file can be made, a line at the start says so; threads then wait for slow clients, and "
	         "an event loop without threads keeps uploads in memory, up to 64 MiB of all together." },
	{ ROW("permit_unconventional_http_method", BOOL, permit_unconventional_http_method), .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "Pass on methods with small letters or a number sign, of fewer than 3 or more than 20 bytes: to HTTP they "
	         "are tokens, and \"get\" is another method than \"GET\". Otherwise they are answered with 501." },
	{ ROW("casefold_http_method", BOOL, casefold_http_method), .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "Make small letters in methods capital, for clients that send \"get\". A server in front that tells the two "
	         "apart, to allow one of them, is bypassed." },
	{ ROW("header_map", CHOICE, header_map), .choices = "drop|refuse|dangerous", .default_text = "drop",
	  .traits = PREFORK_OPTION_RELOADABLE, .doc = "What becomes of header names with an underscore, which in CGI look like others with a hyphen." },
	{ ROW("forwarded_allow_ips", LIST, forwarded_allow_ips), .max = 1024, .unit = "ADDRESS", .default_text = "127.0.0.1,::1",
	  .traits = PREFORK_OPTION_RELOADABLE | PREFORK_OPTION_COMMAS | PREFORK_OPTION_MAY_BE_EMPTY,
	  .doc = "The proxies whose word is taken about their clients: addresses, networks such as 10.0.0.0/8, or * for "
	         "everybody. Peers on unix sockets are always trusted." },
	{ ROW("secure_scheme_headers", LIST, secure_scheme_headers), .max = PFI_FORWARDED_FIELDS_MAX, .unit = "NAME=VALUE",
	  .default_text = "X-Forwarded-Protocol=ssl,X-Forwarded-Proto=https,X-Forwarded-Ssl=on",
	  .traits = PREFORK_OPTION_RELOADABLE | PREFORK_OPTION_COMMAS | PREFORK_OPTION_MAY_BE_EMPTY,
	  .doc = "By which header, and which value of it, such a proxy says that its client spoke TLS. One that says so "
	         "beside one that does not is answered with 400." },
	{ ROW("accesslog", STRING, accesslog), .flags = "--access-logfile", .unit = "FILE",
	  .traits = PREFORK_OPTION_RELOADABLE | PREFORK_OPTION_MAY_BE_EMPTY,
	  .doc = "Where a line goes for each request; - is standard output. Empty: nowhere. Opened again on USR1." },
	{ ROW("access_log_format", STRING, access_log_format), .flags = "--access-logformat, --access-log-format", .unit = "FORMAT",
	  .default_text = "%(h)s %(l)s %(u)s %(t)s \"%(r)s\" %(s)s %(b)s \"%(f)s\" \"%(a)s\"",
	  .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "What such a line says: json for an object of JSON; or a text with %(x)s in it, where x is h client, u user, t time, r request line, m method, U path, q query, H protocol, "
	         "s status, B body bytes, b the same with - for none, f referer, a user agent, T seconds, M "
	         "milliseconds, D microseconds, L seconds with decimals, p process, {Name}i header of the request, "
	         "{Name}o of the response, {NAME}e variable: of the "
	         "request (REMOTE_ADDR, REMOTE_PORT, SERVER_NAME, SERVER_PORT, REQUEST_METHOD, PATH_INFO, QUERY_STRING, "
	         "wsgi.url_scheme, HTTP_NAME and so on), else of the process. A line has at most 4095 bytes: in a longer one "
	         "the longest of what the client sent is shortened, and ends with three dots." },

	/* libprefork's */
	{ ROW("worker_class", CHOICE, worker_class), REFERENCE },
	{ ROW("graceful_timeout", DURATION, graceful_timeout_ms), REFERENCE },
};

static const struct prefork_module module = {
	.struct_size = sizeof module,
	.name = "http",
	.options = rows,
	.option_count = sizeof rows / sizeof rows[0],
	.values_size = sizeof(struct pfi_http_settings),
};

const struct pfi_http_settings *pfi_http_settings(const struct prefork_settings *settings)
{
	return prefork_settings_values(settings, &module);
}

int prefork_http_load(int argc, char *const argv[], struct prefork_settings **ret)
{
	PFI_RETURN_IF_NULL(ret, -EINVAL);

	struct prefork_settings *settings = NULL;
	int r = prefork_settings_create(&settings);

	if (r == 0)
		r = prefork_http_add_options(settings);
	if (r == 0)
		r = prefork_settings_parse(settings, argc, argv);
	if (r == 0) {
		*ret = settings;
		return 0;
	}
	prefork_settings_destroy(settings);
	if (r > 0)
		*ret = NULL;
	return r;
}

/* The time that any first request has, but well within what the worker has. */
static uint64_t drain_idle_ms(const struct pfi_http_settings *values)
{
	const uint64_t header_ms = values->header_timeout_ms, worker_ms = values->graceful_timeout_ms / 2;

	return worker_ms > 0 && worker_ms < header_ms ? worker_ms : header_ms;
}

static uint64_t keepalive_ms(const struct pfi_http_settings *values)
{
	if (values->keepalive_ms >= 0)
		return (uint64_t)values->keepalive_ms;
	return strcmp(values->worker_class, "sync") == 0 ? 0 : 2000;
}

static uint32_t limit(uint32_t value)
{
	return value > 0 ? value : 8190;
}

static const char *directory(const struct pfi_http_settings *values)
{
	const char *const usual = getenv("TMPDIR");

	if (values->worker_tmp_dir != NULL)
		return values->worker_tmp_dir;
	return usual != NULL && *usual != '\0' ? usual : "/tmp";
}

static const char *origin_of(const struct prefork_settings *settings, const void *member)
{
	const char *origin = "";

	(void)prefork_settings_origin_of(settings, member, NULL, &origin);
	return origin;
}

/* Only a directory that the operator named: the default may never be needed. */
static int check_directory(const struct prefork_settings *settings, const struct pfi_http_settings *values)
{
	const char *const path = values->worker_tmp_dir;
	struct stat status;

	if (path == NULL)
		return 0;
	if (stat(path, &status) < 0)
		return prefork_fail(PREFORK_ECONFIG, "worker_tmp_dir: %s: %s (%s)", path, strerror(errno),
				    origin_of(settings, &values->worker_tmp_dir));
	if (!S_ISDIR(status.st_mode))
		return prefork_fail(PREFORK_ECONFIG, "worker_tmp_dir: %s is not a directory (%s)", path,
				    origin_of(settings, &values->worker_tmp_dir));
	return 0;
}

/* Into `forwarded`, which is empty, and stays so on failure. `ret_list`: the setting with the item that is wrong. */
static int read_forwarded(const struct pfi_http_settings *values, struct pfi_forwarded *forwarded,
		      const struct prefork_list **ret_list)
{
	int r = 0;

	*ret_list = &values->forwarded_allow_ips;
	for (size_t i = 0; r == 0 && i < values->forwarded_allow_ips.count; i++)
		r = pfi_forwarded_add_peer(forwarded, values->forwarded_allow_ips.items[i]);
	if (r == 0)
		*ret_list = &values->secure_scheme_headers;
	for (size_t i = 0; r == 0 && i < values->secure_scheme_headers.count; i++)
		r = pfi_forwarded_add_field(forwarded, values->secure_scheme_headers.items[i]);
	if (r < 0)
		pfi_forwarded_clear(forwarded);
	return r;
}

static int check_forwarded(const struct prefork_settings *settings, const struct pfi_http_settings *values)
{
	struct pfi_forwarded forwarded = { 0 };
	const struct prefork_list *list;
	const int r = read_forwarded(values, &forwarded, &list);

	pfi_forwarded_clear(&forwarded);
	return r == -EINVAL ? prefork_fail(PREFORK_ECONFIG, "%s (%s)", prefork_error(), origin_of(settings, list)) : r;
}

static int check(const struct prefork_settings *settings, void *user)
{
	const struct pfi_http_settings *const values = pfi_http_settings(settings);
	int r = pfi_access_check(settings, values);

	(void)user;
	if (r == 0)
		r = check_directory(settings, values);
	return r == 0 ? check_forwarded(settings, values) : r;
}

int prefork_http_add_options(struct prefork_settings *settings)
{
	PFI_RETURN_IF_NULL(settings, -EINVAL);

	const int r = prefork_settings_add_module(settings, &module);

	return r == 0 ? prefork_settings_add_check(settings, check, NULL) : r;
}

int pfi_http_configure(struct pfi_http_config *config, const struct prefork_settings *settings)
{
	const struct pfi_http_settings *const values = pfi_http_settings(settings);
	const struct prefork_list *list;
	struct pfi_forwarded forwarded = { 0 };

	if (values == NULL)
		return prefork_fail(-EINVAL, "the settings lack those of prefork_http_add_options()");

	const int r = read_forwarded(values, &forwarded, &list);

	if (r < 0)
		return r;
	pfi_forwarded_clear(&config->forwarded);
	*config = (struct pfi_http_config){
		.forwarded = forwarded,
		.limits = {
			.line_max = limit(values->limit_request_line),
			.field_max = limit(values->limit_request_field_size),
			.fields_max = values->limit_request_fields,
			.head_max = values->limit_request_head,
			.body_max = values->limit_request_body > 0 ? values->limit_request_body : UINT64_MAX,
			.underscores = values->header_map,
			.any_method = values->permit_unconventional_http_method,
			.fold_method = values->casefold_http_method,
		},
		.header_timeout_ms = values->header_timeout_ms,
		.body_timeout_ms = values->body_timeout_ms,
		.write_timeout_ms = values->write_timeout_ms,
		.keepalive_ms = keepalive_ms(values),
		.drain_idle_ms = drain_idle_ms(values),
		.body_rate = values->body_rate,
		.response_rate = values->response_rate,
		.queue_ms = values->queue_timeout_ms,
		.queue_max = values->queue_limit,
		.response_memory = values->response_memory,
		.streams_uploads = values->stream_uploads,
		.store = {
			.file_max = values->spool_limit / SPOOL_SHARE,
			.files_max = values->spool_limit,
			.memory_max = values->body_memory,
			.directory = directory(values),
		},
	};
	return 0;
}
