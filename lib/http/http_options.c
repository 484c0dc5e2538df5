/* The settings of HTTP. A setting that gunicorn has, too, has gunicorn's name. */
#include "http/http_options.h"

#include "base/required.h"
#include "http/access.h"
#include "http/statsd_target.h"

#include <prefork/error.h>
#include <prefork/settings.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
	SPOOL_SHARE = 8, /* one file may have 1/8 of spool_limit */
	LINE_MAX_LENGTH = 8190, FIELD_LENGTH = 8190, FIELDS_MAX = 32768, HEAD_MAX = 16 * 1048576,
};

#define DAY (INT64_C(24) * 3600 * 1000)

#define ROW(row_name, row_type, struct_member)                                   \
	.struct_size = sizeof(struct prefork_option), .name = row_name,          \
	PREFORK_OPTION_IN(row_type, struct pfi_http_settings, struct_member), \
	.section = "HTTP"
#define REFERENCE .traits = PREFORK_OPTION_REFERENCE

static const struct prefork_option rows[] = {
	{ ROW("keepalive", DURATION, keepalive_ms), .flags = "--keep-alive", .min = 0, .max = 30 * DAY, .default_text = "auto",
	  .traits = PREFORK_OPTION_RELOADABLE | PREFORK_OPTION_MAY_BE_AUTO,
	  .doc = "How long a connection is kept open for the next request, from when the client has received the response; "
	         "0: each response closes it. auto is 0 with the sync workers and 2 seconds with others." },
	{ ROW("header_timeout", DURATION, header_timeout_ms), .min = 100, .max = 3600 * 1000, .default_text = "10",
	  .traits = PREFORK_OPTION_RELOADABLE, .doc = "Time limit for the header of a request, from its first byte to its last. Also how long a new connection "
	         "may send nothing, in addition to defer_accept." },
	{ ROW("body_timeout", DURATION, body_timeout_ms), .min = 100, .max = 3600 * 1000, .default_text = "30",
	  .traits = PREFORK_OPTION_RELOADABLE, .doc = "How long no data of a request body may arrive. Then the response is 408." },
	{ ROW("body_rate", SIZE, body_rate), .min = 0, .max = 1 << 30, .default_text = "500", .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "Least average rate of a request body, in bytes per second, once body_timeout has passed. Without it a "
	         "client that sends a byte now and then keeps a worker busy for hours. 0: no limit." },
	{ ROW("write_timeout", DURATION, write_timeout_ms), .min = 100, .max = 3600 * 1000, .default_text = "30",
	  .traits = PREFORK_OPTION_RELOADABLE, .doc = "How long a client may take nothing of its response. Then the connection is reset." },
	{ ROW("response_rate", SIZE, response_rate), .min = 0, .max = 1 << 30, .default_text = "500", .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "Least average rate at which a client takes its response, in bytes per second, once write_timeout has "
	         "passed. Without it a client that takes a byte now and then keeps memory and files in use for hours. Only "
	         "time with pending output counts: a stream may be silent for any time. 0: no limit." },
	{ ROW("limit_request_line", INT, limit_request_line), .min = 0, .max = INT32_MAX, .default_text = "4094",
	  .traits = PREFORK_OPTION_RELOADABLE, .doc = "Maximum length of a request line, in bytes; 0, or more than 8190, is 8190. Beyond it the response is 414." },
	{ ROW("limit_request_fields", INT, limit_request_fields), .min = 0, .max = INT32_MAX, .default_text = "100",
	  .traits = PREFORK_OPTION_RELOADABLE, .doc = "Maximum number of header fields of a request; 0, or more than 32768, is 32768. Beyond it the response is 431." },
	{ ROW("limit_request_field_size", INT, limit_request_field_size), .flags = "--limit-request-field-size, --limit-request-field_size",
	  .min = 0, .max = INT32_MAX, .default_text = "8190",
	  .traits = PREFORK_OPTION_RELOADABLE, .doc = "Maximum length of a header field, in bytes; 0 is 8190. Beyond it the response is 431, as for header names "
	         "above 8192 bytes." },
	{ ROW("limit_request_head", SIZE, limit_request_head), .min = 1024, .max = HEAD_MAX, .default_text = "64k",
	  .traits = PREFORK_OPTION_RELOADABLE, .doc = "Maximum length of the header of a request. If it is not set, at least twice limit_request_field_size. Beyond it the response is 431." },
	{ ROW("limit_request_body", SIZE, limit_request_body), .min = 0, .max = INT64_MAX, .default_text = "0",
	  .traits = PREFORK_OPTION_RELOADABLE, .doc = "Maximum length of a request body; 0: no limit. Beyond it the response is 413." },
	{ ROW("queue_limit", INT, queue_limit), .min = 0, .max = 1048576, .default_text = "0", .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "How many requests of a worker may wait for one of its threads (threads, and libev with --threads), or be suspended. Requests "
	         "beyond it get 503 with Retry-After: from libev at once; from threads when a thread is free, the longest wait "
	         "first. Under sync and threads new connections wait in the kernel for any worker: while the accept queue of a "
	         "listener is longer than this (TCP, without reuse_port), a worker whose threads are all busy responds in the "
	         "same way. 0: no limit." },
	{ ROW("queue_timeout", DURATION, queue_timeout_ms), .min = 0, .max = 3600 * 1000, .default_text = "0",
	  .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "How long a request may wait while all workers are busy. After a longer wait it gets 503 with Retry-After: its "
	         "client has likely given up. TCP only. 0: no limit." },
	{ ROW("suspend_timeout", DURATION, suspend_timeout_ms), .min = 0, .max = 24 * 3600 * 1000, .default_text = "60",
	  .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "How long an application may suspend a request (prefork_request_suspend()). Then its client gets 504 if the "
	         "response is not started, and is disconnected otherwise. At least 1 second; 0: no limit." },
	{ ROW("client_gone_on_fin", BOOL, client_gone_on_fin), .default_text = "true", .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "Whether a client that has shut down its output counts as gone while its request is handled. Few clients "
	         "still read after that. Otherwise only a reset, or the close of a unix socket, counts." },
	{ ROW("stream_uploads", BOOL, stream_uploads), .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "Call the handler as soon as the header is received, and let it read the body while it arrives: a thread then "
	         "waits for the client. Otherwise bodies are collected first, in memory and in files, up to spool_limit. An "
	         "event loop without threads always collects." },
	{ ROW("body_memory", SIZE, body_memory), .min = 4096, .max = 1 << 30, .default_text = "256k",
	  .traits = PREFORK_OPTION_RELOADABLE, .doc = "How much of a request body is collected in memory. A larger body goes to a file in spool_dir." },
	{ ROW("response_memory", SIZE, response_memory), .min = 0, .max = 1 << 30, .default_text = "256k",
	  .traits = PREFORK_OPTION_RELOADABLE, .doc = "How much pending output of a response is kept in memory. More goes to a file in spool_dir." },
	{ ROW("spool_limit", SIZE, spool_limit), .min = 0, .max = INT64_MAX, .default_text = "1g", .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "Maximum size of the files of a worker, for all request bodies and responses together; each file may have an "
	         "eighth of it. Beyond it a thread waits for its client. An event loop without threads cannot wait: a body "
	         "that is larger than its eighth gets 413, one for which the others leave no space 507, and a response that "
	         "is written piece by piece is aborted. 0: no files." },
	{ ROW("spool_dir", STRING, spool_dir), .unit = "DIRECTORY",
	  .traits = PREFORK_OPTION_RELOADABLE | PREFORK_OPTION_MAY_BE_EMPTY,
	  .doc = "Directory of these files, which have no name in it. In a tmpfs they are fast, and use memory. Empty: $TMPDIR, "
	         "or /tmp. If no file can be created, a worker logs it when it starts; threads then wait for slow clients, and "
	         "an event loop without threads keeps request bodies in memory, up to 64 MiB in all." },
	{ ROW("sendfile", BOOL, sendfile), .flags = "--no-sendfile", .default_text = "true", .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "Send files of the application by sendfile(2). Switch it off for file systems on which that fails or sends old "
	         "data, such as shared directories of some virtual machines." },
	{ ROW("permit_unconventional_http_method", BOOL, permit_unconventional_http_method), .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "Accept methods with lower case letters or a number sign, and of fewer than 3 or more than 20 bytes: in HTTP they "
	         "are valid, and \"get\" is not \"GET\". Otherwise they get 501." },
	{ ROW("casefold_http_method", BOOL, casefold_http_method), .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "Convert methods to upper case, for clients that send \"get\". This bypasses a proxy that filters methods by "
	         "name." },
	{ ROW("header_map", CHOICE, header_map), .choices = "drop|refuse|dangerous", .default_text = "drop",
	  .traits = PREFORK_OPTION_RELOADABLE, .doc = "What happens to header names with an underscore, which in CGI look like names with a hyphen: the field is "
	         "dropped, the request refused with 400, or the field passed on." },
	{ ROW("forwarder_headers", LIST, forwarder_headers), .max = 64, .unit = "NAME", .default_text = "SCRIPT_NAME,PATH_INFO",
	  .traits = PREFORK_OPTION_RELOADABLE | PREFORK_OPTION_COMMAS | PREFORK_OPTION_MAY_BE_EMPTY,
	  .doc = "Header names with an underscore that trusted proxies may send, whatever --header-map says; * for all. Those of other "
	         "peers are dropped, or refused with --header-map refuse." },
	{ ROW("forwarded_allow_ips", LIST, forwarded_allow_ips), .max = 1024, .unit = "ADDRESS", .default_text = "127.0.0.1,::1",
	  .traits = PREFORK_OPTION_RELOADABLE | PREFORK_OPTION_COMMAS | PREFORK_OPTION_MAY_BE_EMPTY,
	  .doc = "Trusted proxies, whose forwarding headers are used: addresses, networks such as 10.0.0.0/8, or * for all. Peers "
	         "on unix sockets are always trusted. With --proxy-protocol, the peer is the client in the PROXY header." },
	{ ROW("protocol", CHOICE, protocol), .choices = "http|uwsgi", .default_text = "http", .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "What the peers of this server send: HTTP, or packets of the uwsgi protocol, as nginx does with uwsgi_pass. The "
	         "responses are HTTP in both cases." },
	{ ROW("uwsgi_allow_ips", LIST, uwsgi_allow_ips), .flags = "--uwsgi-allow-from", .max = 1024, .unit = "ADDRESS",
	  .default_text = "127.0.0.1,::1,unix",
	  .traits = PREFORK_OPTION_RELOADABLE | PREFORK_OPTION_COMMAS | PREFORK_OPTION_MAY_BE_EMPTY,
	  .doc = "With --protocol uwsgi, the proxies: addresses, networks such as 10.0.0.0/8, unix for peers on unix sockets, or * "
	         "for all. Connections of other peers are closed, because a packet names any client and scheme." },
	{ ROW("secure_scheme_headers", LIST, secure_scheme_headers), .max = PFI_FORWARDED_FIELDS_MAX, .unit = "NAME=VALUE",
	  .default_text = "X-Forwarded-Protocol=ssl,X-Forwarded-Proto=https,X-Forwarded-Ssl=on",
	  .traits = PREFORK_OPTION_RELOADABLE | PREFORK_OPTION_COMMAS | PREFORK_OPTION_MAY_BE_EMPTY,
	  .doc = "Headers, and their values, by which a trusted proxy reports that its client uses TLS. If two of them "
	         "contradict each other, the response is 400." },
	{ ROW("accesslog", STRING, accesslog), .flags = "--access-logfile", .unit = "FILE",
	  .traits = PREFORK_OPTION_RELOADABLE | PREFORK_OPTION_MAY_BE_EMPTY,
	  .doc = "File of the access log, one line per request; - is standard output. Empty: no access log. Reopened on USR1." },
	{ ROW("access_log_format", STRING, access_log_format), .flags = "--access-logformat, --access-log-format", .unit = "FORMAT",
	  .default_text = "%(h)s %(l)s %(u)s %(t)s \"%(r)s\" %(s)s %(b)s \"%(f)s\" \"%(a)s\"",
	  .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "Format of a line: json for a JSON object; or a text with %(x)s in it, where x is h client, u user, t time, r "
	         "request line, m method, U path, q query, H protocol, s status, B body bytes, b the same with - for none, f "
	         "referer, a user agent, T seconds, M milliseconds, D microseconds, L seconds with decimals, p process, "
	         "{Name}i header of the request, {Name}o of the response, {NAME}e variable: of the "
	         "request (REMOTE_ADDR, REMOTE_PORT, SERVER_NAME, SERVER_PORT, REQUEST_METHOD, PATH_INFO, QUERY_STRING, "
	         "wsgi.url_scheme, HTTP_NAME and so on), else of the process. A line has at most 4095 bytes: in a longer one "
	         "the longest texts that the client sent are shortened, and end with three dots." },
	{ ROW("disable_redirect_access_to_syslog", BOOL, disable_redirect_access_to_syslog),
	  .doc = "With --log-syslog, send only the error log to syslog." },
	{ ROW("statsd_host", STRING, statsd_host), .unit = "ADDRESS",
	  .traits = PREFORK_OPTION_RELOADABLE | PREFORK_OPTION_MAY_BE_EMPTY | PREFORK_OPTION_ADDRESS,
	  .doc = "Send metrics to statsd, as datagrams: HOST:PORT, or unix:PATH. A receiver that is gone delays nothing; metrics "
	         "are lost meanwhile. Empty: no metrics." },
	{ ROW("statsd_prefix", STRING, statsd_prefix), .unit = "PREFIX",
	  .traits = PREFORK_OPTION_RELOADABLE | PREFORK_OPTION_MAY_BE_EMPTY,
	  .doc = "Begin the name of each metric with this and a dot." },
	{ ROW("statsd_name", STRING, statsd_name), .unit = "NAME", .default_text = "prefork", .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "The next part of the name of each metric, as in NAME.requests." },
	{ ROW("dogstatsd_tags", STRING, dogstatsd_tags), .unit = "TAGS",
	  .traits = PREFORK_OPTION_RELOADABLE | PREFORK_OPTION_MAY_BE_EMPTY,
	  .doc = "Tags of each metric, such as env:prod,team:a, for receivers that know them (dogstatsd)." },
	{ ROW("enable_backlog_metric", BOOL, enable_backlog_metric), .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "With --statsd-host, send the number of connections that wait to be accepted, every second. TCP only." },

	/* libprefork's */
	{ ROW("worker_class", CHOICE, worker_class), REFERENCE },
	{ ROW("graceful_timeout", DURATION, graceful_timeout_ms), REFERENCE },
	{ ROW("syslog", BOOL, syslog), REFERENCE },
	{ ROW("syslog_addr", STRING, syslog_addr), REFERENCE },
	{ ROW("syslog_prefix", STRING, syslog_prefix), REFERENCE },
	{ ROW("syslog_facility", STRING, syslog_facility), REFERENCE },
	{ ROW("proc_name", STRING, proc_name), REFERENCE },
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

/* The time of any first request, but at most half of the worker's drain time. */
static uint64_t drain_first_ms(const struct pfi_http_settings *values)
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

/* prefork_connection_watch() finds no earlier end. */
static uint64_t suspend_timeout_ms(const struct pfi_http_settings *values)
{
	return values->suspend_timeout_ms > 0 && values->suspend_timeout_ms < 1000 ? 1000 : values->suspend_timeout_ms;
}

static uint32_t limit(uint32_t value, uint32_t max)
{
	return value > 0 && value < max ? value : max;
}

static uint32_t field_max(const struct pfi_http_settings *values)
{
	return values->limit_request_field_size > 0 ? values->limit_request_field_size : FIELD_LENGTH;
}

/* If it is not set, a field of the greatest length fits into a header with others. */
static uint32_t head_max(const struct prefork_settings *settings, const struct pfi_http_settings *values)
{
	enum prefork_origin origin = PREFORK_FROM_ROW;
	const uint64_t least = (uint64_t)field_max(values) * 2;

	(void)prefork_settings_origin_of(settings, &values->limit_request_head, &origin, NULL);
	if (origin > PREFORK_FROM_HOST || least < values->limit_request_head)
		return values->limit_request_head;
	return least < HEAD_MAX ? (uint32_t)least : HEAD_MAX;
}

static const char *directory(const struct pfi_http_settings *values)
{
	const char *const usual = getenv("TMPDIR");

	if (values->spool_dir != NULL)
		return values->spool_dir;
	return usual != NULL && *usual != '\0' ? usual : "/tmp";
}

/* Only a directory that the operator named: the default may never be needed. */
static int check_directory(const struct prefork_settings *settings, const struct pfi_http_settings *values)
{
	const char *const path = values->spool_dir;
	struct stat status;

	if (path == NULL)
		return 0;
	if (stat(path, &status) < 0)
		return prefork_fail(PREFORK_ECONFIG, "spool_dir: %s: %s (%s)", path, strerror(errno),
				    pfi_http_origin(settings, &values->spool_dir));
	if (!S_ISDIR(status.st_mode))
		return prefork_fail(PREFORK_ECONFIG, "spool_dir: %s is not a directory (%s)", path,
				    pfi_http_origin(settings, &values->spool_dir));
	return 0;
}

void pfi_http_config_clear(struct pfi_http_config *config)
{
	pfi_forwarded_clear(&config->forwarded);
	pfi_networks_clear(&config->uwsgi_peers);
}

/* Into `config`, of which all lists are empty, and stay so on failure. `ret_list`: the setting with the item that is
 * wrong. */
static int read_lists(const struct pfi_http_settings *values, struct pfi_http_config *config,
		      const struct prefork_list **ret_list)
{
	int r = 0;

	*ret_list = &values->forwarded_allow_ips;
	for (size_t i = 0; r == 0 && i < values->forwarded_allow_ips.count; i++)
		r = pfi_forwarded_add_peer(&config->forwarded, values->forwarded_allow_ips.items[i]);
	if (r == 0)
		*ret_list = &values->uwsgi_allow_ips;
	for (size_t i = 0; r == 0 && i < values->uwsgi_allow_ips.count; i++)
		r = pfi_networks_add(&config->uwsgi_peers, "uwsgi_allow_ips", values->uwsgi_allow_ips.items[i]);
	if (r == 0)
		*ret_list = &values->secure_scheme_headers;
	for (size_t i = 0; r == 0 && i < values->secure_scheme_headers.count; i++)
		r = pfi_forwarded_add_field(&config->forwarded, values->secure_scheme_headers.items[i]);
	if (r < 0)
		pfi_http_config_clear(config);
	return r;
}

static int check_lists(const struct prefork_settings *settings, const struct pfi_http_settings *values)
{
	struct pfi_http_config config = { 0 };
	const struct prefork_list *list;
	const int r = read_lists(values, &config, &list);

	pfi_http_config_clear(&config);
	return r == -EINVAL ? prefork_fail(PREFORK_ECONFIG, "%s (%s)", prefork_error(), pfi_http_origin(settings, list)) : r;
}

static int check(const struct prefork_settings *settings, void *user)
{
	const struct pfi_http_settings *const values = pfi_http_settings(settings);
	int r = pfi_access_check(settings, values);

	(void)user;
	if (r == 0)
		r = check_directory(settings, values);
	if (r == 0)
		r = pfi_statsd_check(settings, values);
	return r == 0 ? check_lists(settings, values) : r;
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
	struct pfi_http_config lists = { 0 };

	if (values == NULL)
		return prefork_fail(-EINVAL, "the settings have no rows of prefork_http_add_options()");

	const int r = read_lists(values, &lists, &list);

	if (r < 0)
		return r;
	pfi_http_config_clear(config);
	lists.forwarded.names = &values->forwarder_headers;
	*config = (struct pfi_http_config){
		.forwarded = lists.forwarded,
		.is_uwsgi = values->protocol == PFI_PROTOCOL_UWSGI,
		.uwsgi_peers = lists.uwsgi_peers,
		.limits = {
			.line_max = limit(values->limit_request_line, LINE_MAX_LENGTH),
			/* The parser compares a header with its limit only after each field. */
			.field_max = limit(field_max(values), head_max(settings, values)),
			.fields_max = limit(values->limit_request_fields, FIELDS_MAX),
			.head_max = head_max(settings, values),
			.body_max = values->limit_request_body > 0 ? values->limit_request_body : UINT64_MAX,
			.underscores = values->header_map,
			.any_method = values->permit_unconventional_http_method,
			.fold_method = values->casefold_http_method,
		},
		.header_timeout_ms = values->header_timeout_ms,
		.body_timeout_ms = values->body_timeout_ms,
		.write_timeout_ms = values->write_timeout_ms,
		.keepalive_ms = keepalive_ms(values),
		.drain_first_ms = drain_first_ms(values),
		.body_rate = values->body_rate,
		.response_rate = values->response_rate,
		.queue_ms = values->queue_timeout_ms,
		.queue_max = values->queue_limit,
		.response_memory = values->response_memory,
		.suspend_timeout_ms = suspend_timeout_ms(values),
		.client_gone_on_fin = values->client_gone_on_fin,
		.streams_uploads = values->stream_uploads,
		.store = {
			.file_max = values->spool_limit / SPOOL_SHARE,
			.files_max = values->spool_limit,
			.memory_max = values->body_memory,
			.directory = directory(values),
		},
		.sendfile = values->sendfile,
	};
	return 0;
}
