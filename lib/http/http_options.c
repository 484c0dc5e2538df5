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

#define ROW(row_name, row_type)                                                                    \
	.struct_size = sizeof(struct prefork_option), .name = row_name, .type = PREFORK_OPTION_##row_type, \
	.section = "HTTP"

static const struct prefork_option rows[] = {
	{ ROW("keepalive", DURATION), .flags = "--keep-alive", .min = 0, .max = 3600 * 1000, .default_text = "auto",
	  .traits = PREFORK_OPTION_RELOADABLE | PREFORK_OPTION_MAY_BE_AUTO,
	  .doc = "How long a connection is kept for the next request; 0: never. auto is 0 with the sync workers and 2 "
	         "seconds with others." },
	{ ROW("header_timeout", DURATION), .min = 100, .max = 3600 * 1000, .default_text = "10",
	  .traits = PREFORK_OPTION_RELOADABLE, .doc = "How long the header of a request may take, from its first byte to its last; also how "
	         "long a new client may say nothing, after the time of defer_accept." },
	{ ROW("body_timeout", DURATION), .min = 100, .max = 3600 * 1000, .default_text = "30",
	  .traits = PREFORK_OPTION_RELOADABLE, .doc = "How long a request body may be silent. Who takes longer is answered with 408." },
	{ ROW("body_rate", SIZE), .min = 0, .max = 1 << 30, .default_text = "500", .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "How many bytes a second a request body must come with, on average, once body_timeout has passed: "
	         "clients that send a byte now and then would hold a worker for hours. 0: any." },
	{ ROW("write_timeout", DURATION), .min = 100, .max = 3600 * 1000, .default_text = "30",
	  .traits = PREFORK_OPTION_RELOADABLE, .doc = "How long a client may take nothing of its response." },
	{ ROW("response_rate", SIZE), .min = 0, .max = 1 << 30, .default_text = "500", .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "How many bytes a second a client must take of its response, on average, once write_timeout has passed: "
	         "clients that take a little now and then would keep memory and files for hours. Only time in which "
	         "output is pending counts: a stream may be silent for as long as it likes. 0: any." },
	{ ROW("limit_request_line", INT), .min = 0, .max = 8190, .default_text = "4094",
	  .traits = PREFORK_OPTION_RELOADABLE, .doc = "The longest request line, in bytes; 0 is 8190. Longer ones are answered with 414." },
	{ ROW("limit_request_fields", INT), .min = 1, .max = 32768, .default_text = "100",
	  .traits = PREFORK_OPTION_RELOADABLE, .doc = "How many header fields a request may have. More are answered with 431." },
	{ ROW("limit_request_field_size", INT), .flags = "--limit-request-field-size, --limit-request-field_size",
	  .min = 0, .max = 1048576, .default_text = "8190",
	  .traits = PREFORK_OPTION_RELOADABLE, .doc = "The longest header field, in bytes; 0 is 8190. Longer ones are answered with 431, and so are "
	         "names of more than 8192 bytes." },
	{ ROW("limit_request_head", SIZE), .min = 1024, .max = 16 * 1048576, .default_text = "64k",
	  .traits = PREFORK_OPTION_RELOADABLE, .doc = "The longest header of a request. A longer one is answered with 431." },
	{ ROW("limit_request_body", SIZE), .min = 0, .max = INT64_MAX, .default_text = "0",
	  .traits = PREFORK_OPTION_RELOADABLE, .doc = "The largest request body; 0: no limit. A larger one is answered with 413." },
	{ ROW("queue_limit", INT), .min = 0, .max = 1048576, .default_text = "0", .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "How many requests of a worker may wait for one of its threads (threads, and libev with --threads). What "
	         "comes beyond is answered with 503 and Retry-After: at once by the loop of libev; under threads by the first "
	         "thread that is free again, the longest wait first. Under sync and threads new clients wait in the kernel, for "
	         "whichever worker is free first: while so many stand at an address (TCP, without reuse_port), who is let "
	         "in is answered so, too. 0: any number." },
	{ ROW("queue_timeout", DURATION), .min = 0, .max = 3600 * 1000, .default_text = "0",
	  .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "How long a request may have waited, with all workers at work, and still be handled. One that waited longer "
	         "is answered with 503 and Retry-After: its client has likely given up. TCP only. 0: for ever." },
	{ ROW("stream_uploads", BOOL), .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "Handle a request as soon as its header is there, and have its body read while it comes: a thread then "
	         "waits for the client. Otherwise bodies are collected first, in memory and in files, as far as "
	         "spool_limit allows. An event loop without threads always collects." },
	{ ROW("body_memory", SIZE), .min = 4096, .max = 1 << 30, .default_text = "256k",
	  .traits = PREFORK_OPTION_RELOADABLE, .doc = "How much of a request body is kept in memory until all of it has come; a "
	         "larger one goes to a file in worker_tmp_dir." },
	{ ROW("response_memory", SIZE), .min = 0, .max = 1 << 30, .default_text = "256k",
	  .traits = PREFORK_OPTION_RELOADABLE, .doc = "How much of a response is kept in memory until its client has taken it; "
	         "what is more goes to a file in worker_tmp_dir." },
	{ ROW("spool_limit", SIZE), .min = 0, .max = INT64_MAX, .default_text = "1g", .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "How much a worker keeps in such files, of all requests and responses together; of each at most an eighth "
	         "of it. Beyond it a thread waits for its client. In an event loop without threads, where nothing can wait, an upload that "
	         "is larger than its part is answered with 413, one for which the others leave no room with 507, and a response "
	         "that is written goes no further. 0: no files." },
	{ ROW("worker_tmp_dir", STRING), .unit = "FOLDER",
	  .traits = PREFORK_OPTION_RELOADABLE | PREFORK_OPTION_MAY_BE_EMPTY,
	  .doc = "Where such files are, which have no name there. In a tmpfs they are quick, and take memory. Empty: "
	         "$TMPDIR, or /tmp. Where no file can be made, a line at the start says so; threads then wait for slow clients, and "
	         "an event loop without threads keeps uploads in memory, up to 64 MiB of all together." },
	{ ROW("permit_unconventional_http_method", BOOL), .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "Pass on methods with small letters or a number sign, of fewer than 3 or more than 20 bytes: to HTTP they "
	         "are tokens, and \"get\" is another method than \"GET\". Otherwise they are answered with 501." },
	{ ROW("casefold_http_method", BOOL), .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "Make small letters in methods capital, for clients that send \"get\". A server in front that tells the two "
	         "apart, to allow one of them, is bypassed." },
	{ ROW("header_map", CHOICE), .choices = "drop|refuse|dangerous", .default_text = "drop",
	  .traits = PREFORK_OPTION_RELOADABLE, .doc = "What becomes of header names with an underscore, which in CGI look like others with a hyphen." },
	{ ROW("forwarded_allow_ips", LIST), .max = 1024, .unit = "ADDRESS", .default_text = "127.0.0.1,::1",
	  .traits = PREFORK_OPTION_RELOADABLE | PREFORK_OPTION_COMMAS | PREFORK_OPTION_MAY_BE_EMPTY,
	  .doc = "The proxies whose word is taken about their clients: addresses, networks such as 10.0.0.0/8, or * for "
	         "everybody. Peers on unix sockets are always trusted." },
	{ ROW("secure_scheme_headers", LIST), .max = PFI_FORWARDED_FIELDS_MAX, .unit = "NAME=VALUE",
	  .default_text = "X-Forwarded-Protocol=ssl,X-Forwarded-Proto=https,X-Forwarded-Ssl=on",
	  .traits = PREFORK_OPTION_RELOADABLE | PREFORK_OPTION_COMMAS | PREFORK_OPTION_MAY_BE_EMPTY,
	  .doc = "By which header, and which value of it, such a proxy says that its client spoke TLS. One that says so "
	         "beside one that does not is answered with 400." },
	{ ROW("accesslog", STRING), .flags = "--access-logfile", .unit = "FILE",
	  .traits = PREFORK_OPTION_RELOADABLE | PREFORK_OPTION_MAY_BE_EMPTY,
	  .doc = "Where a line goes for each request; - is standard output. Empty: nowhere. Opened again on USR1." },
	{ ROW("access_log_format", STRING), .flags = "--access-logformat, --access-log-format", .unit = "FORMAT",
	  .default_text = "%(h)s %(l)s %(u)s %(t)s \"%(r)s\" %(s)s %(b)s \"%(f)s\" \"%(a)s\"",
	  .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "What such a line says: json for an object of JSON; or a text with %(x)s in it, where x is h client, u user, t time, r request line, m method, U path, q query, H protocol, "
	         "s status, B body bytes, b the same with - for none, f referer, a user agent, T seconds, M "
	         "milliseconds, D microseconds, L seconds with decimals, p process, {Name}i header of the request, "
	         "{Name}o of the response, {NAME}e variable: of the "
	         "request (REMOTE_ADDR, REMOTE_PORT, SERVER_NAME, SERVER_PORT, REQUEST_METHOD, PATH_INFO, QUERY_STRING, "
	         "wsgi.url_scheme, HTTP_NAME and so on), else of the process. A line has at most 4095 bytes: in a longer one "
	         "the longest of what the client sent is shortened, and ends with three dots." },
};

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
static uint64_t drain_idle_ms(const struct prefork_settings *settings)
{
	const int64_t header_ms = prefork_settings_int(settings, "header_timeout");
	const int64_t worker_ms = prefork_settings_int(settings, "graceful_timeout") / 2;

	return (uint64_t)(worker_ms > 0 && worker_ms < header_ms ? worker_ms : header_ms);
}

static uint64_t keepalive_ms(const struct prefork_settings *settings)
{
	const int64_t given = prefork_settings_int(settings, "keepalive");
	const char *const strategy = prefork_settings_text(settings, "worker_class");

	if (given >= 0)
		return (uint64_t)given;
	return strategy == NULL || strcmp(strategy, "sync") == 0 ? 0 : 2000;
}

static uint32_t limit(const struct prefork_settings *settings, const char *name)
{
	const int64_t value = prefork_settings_int(settings, name);

	return value > 0 ? (uint32_t)value : 8190;
}

static enum pfi_underscores underscores(const struct prefork_settings *settings)
{
	const char *const text = prefork_settings_text(settings, "header_map");

	if (text != NULL && strcmp(text, "dangerous") == 0)
		return PFI_UNDERSCORES_KEEP;
	return text != NULL && strcmp(text, "refuse") == 0 ? PFI_UNDERSCORES_REFUSE : PFI_UNDERSCORES_DROP;
}

static const char *directory(const struct prefork_settings *settings)
{
	const char *const said = prefork_settings_text(settings, "worker_tmp_dir");
	const char *const usual = getenv("TMPDIR");

	if (said != NULL && *said != '\0')
		return said;
	return usual != NULL && *usual != '\0' ? usual : "/tmp";
}

/* The directory that the operator named, not the usual one: that may never be needed. */
static int check_directory(const struct prefork_settings *settings)
{
	const char *const said = prefork_settings_text(settings, "worker_tmp_dir");
	struct stat status;

	if (said == NULL || *said == '\0')
		return 0;
	if (stat(said, &status) < 0)
		return prefork_fail(-EINVAL, "worker_tmp_dir: %s: %s", said, strerror(errno));
	if (!S_ISDIR(status.st_mode))
		return prefork_fail(-EINVAL, "worker_tmp_dir: %s is not a directory", said);
	return 0;
}

/* Into `trust`, which is empty, and stays so on failure. */
static int read_forwarded(const struct prefork_settings *settings, struct pfi_forwarded *forwarded)
{
	const char *text;
	int r = 0;

	for (size_t i = 0; r == 0 && (text = prefork_settings_item(settings, "forwarded_allow_ips", i)) != NULL; i++)
		r = pfi_forwarded_add_peer(forwarded, text);
	for (size_t i = 0; r == 0 && (text = prefork_settings_item(settings, "secure_scheme_headers", i)) != NULL; i++)
		r = pfi_forwarded_add_field(forwarded, text);
	if (r < 0)
		pfi_forwarded_clear(forwarded);
	return r;
}

/* "worker_tmp_dir: /x: no such directory" and, behind it, where that was said. */
static int add_origin(const struct prefork_settings *settings, int r)
{
	const char *const message = prefork_error();
	const size_t length = strcspn(message, ":");
	const char *origin = "";
	char name[64];

	if (r != -EINVAL || length >= sizeof name)
		return r;
	memcpy(name, message, length);
	name[length] = '\0';
	if (prefork_settings_origin(settings, name, NULL, &origin) < 0)
		return r;
	return prefork_fail(PREFORK_ECONFIG, "%s (%s)", message, origin);
}

static int check(const struct prefork_settings *settings, void *user)
{
	struct pfi_forwarded forwarded = { 0 };
	int r = pfi_access_check(settings);

	(void)user;
	if (r == 0)
		r = check_directory(settings);
	if (r == 0)
		r = read_forwarded(settings, &forwarded);
	pfi_forwarded_clear(&forwarded);
	return add_origin(settings, r);
}

int prefork_http_add_options(struct prefork_settings *settings)
{
	PFI_RETURN_IF_NULL(settings, -EINVAL);

	const int r = prefork_settings_add_options(settings, rows, sizeof rows / sizeof rows[0]);

	return r == 0 ? prefork_settings_add_check(settings, check, NULL) : r;
}

int pfi_http_configure(struct pfi_http_config *config, const struct prefork_settings *settings)
{
	const int64_t body = prefork_settings_int(settings, "limit_request_body");
	const uint64_t spool = (uint64_t)prefork_settings_int(settings, "spool_limit");

	if (body < 0)
		return prefork_fail(-EINVAL, "the settings lack those of prefork_http_add_options()");
	struct pfi_forwarded forwarded = { 0 };
	const int r = read_forwarded(settings, &forwarded);
	if (r < 0)
		return r;
	pfi_forwarded_clear(&config->forwarded);
	*config = (struct pfi_http_config){
		.forwarded = forwarded,
		.limits = {
			.line_max = limit(settings, "limit_request_line"),
			.field_max = limit(settings, "limit_request_field_size"),
			.fields_max = limit(settings, "limit_request_fields"),
			.head_max = (uint32_t)prefork_settings_int(settings, "limit_request_head"),
			.body_max = body > 0 ? (uint64_t)body : UINT64_MAX,
			.underscores = underscores(settings),
			.any_method = prefork_settings_int(settings, "permit_unconventional_http_method") > 0,
			.fold_method = prefork_settings_int(settings, "casefold_http_method") > 0,
		},
		.header_timeout_ms = (uint64_t)prefork_settings_int(settings, "header_timeout"),
		.body_timeout_ms = (uint64_t)prefork_settings_int(settings, "body_timeout"),
		.write_timeout_ms = (uint64_t)prefork_settings_int(settings, "write_timeout"),
		.keepalive_ms = keepalive_ms(settings),
		.drain_idle_ms = drain_idle_ms(settings),
		.body_rate = (uint64_t)prefork_settings_int(settings, "body_rate"),
		.response_rate = (uint64_t)prefork_settings_int(settings, "response_rate"),
		.queue_ms = (uint64_t)prefork_settings_int(settings, "queue_timeout"),
		.queue_max = (uint64_t)prefork_settings_int(settings, "queue_limit"),
		.response_memory = (size_t)prefork_settings_int(settings, "response_memory"),
		.streams_uploads = prefork_settings_int(settings, "stream_uploads") > 0,
		.store = {
			.file_max = spool / SPOOL_SHARE,
			.files_max = spool,
			.memory_max = (size_t)prefork_settings_int(settings, "body_memory"),
			.directory = directory(settings),
		},
	};
	return 0;
}
