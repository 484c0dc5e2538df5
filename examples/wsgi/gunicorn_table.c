/* The table of gunicorn's names, in the order of its manual. */
#include "gunicorn_table.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define SAME .status = WSGI_GUNICORN_SAME
#define BETTER .status = WSGI_GUNICORN_BETTER
#define NO_EFFECT .status = WSGI_GUNICORN_NO_EFFECT
#define REFUSED .status = WSGI_GUNICORN_REFUSED
#define ROW(its_section, its_name, its_kind, its_flags) \
	.section = its_section, .name = its_name, .kind = WSGI_GUNICORN_##its_kind, .flags = its_flags
#define CONFIG(...) ROW("Config file", __VA_ARGS__)
#define SOCKET(...) ROW("Server socket", __VA_ARGS__)
#define WORKERS(...) ROW("Worker processes", __VA_ARGS__)
#define SECURITY(...) ROW("Security", __VA_ARGS__)
#define DEBUGGING(...) ROW("Debugging", __VA_ARGS__)
#define MECHANICS(...) ROW("Server mechanics", __VA_ARGS__)
#define LOGGING(...) ROW("Logging", __VA_ARGS__)
#define NAMING(...) ROW("Process naming", __VA_ARGS__)
#define SSL(...) ROW("SSL", __VA_ARGS__)
#define HTTP2(...) ROW("HTTP/2", __VA_ARGS__)
#define DIRTY(...) ROW("Dirty arbiters", __VA_ARGS__)
#define CONTROL(...) ROW("Control", __VA_ARGS__)
#define HOOK(its_name, its_arguments) ROW("Server hooks", its_name, HOOK, NULL), .arguments = its_arguments

#define ASGI "only ASGI workers use it, and they are not available; run an ASGI application with -k uvicorn.workers.UvicornWorker"
#define NO_HTTP2 "HTTP/2 is not available: a proxy such as nginx speaks it with clients"
#define NO_DIRTY "there are no dirty arbiters: run a second pool (examples/jobs), or a task queue such as Celery"
#define NO_CONTROL "there is no control socket: use signals, --send-reload and --send-upgrade"

const struct wsgi_gunicorn_row wsgi_gunicorn_rows[] = {
	{ CONFIG("config", STR, "-c, --config"), .usual = "./gunicorn.conf.py", SAME },
	{ CONFIG("wsgi_app", STR, NULL), SAME },

	{ SOCKET("bind", COMMAS, "-b, --bind"), .usual = "127.0.0.1:8000", BETTER,
	  .why = "unix:@NAME (abstract) is accepted too, and a reload adds and removes addresses without losing connections" },
	{ SOCKET("backlog", INT, "--backlog"), .usual = "2048", SAME },

	{ WORKERS("workers", INT, "-w, --workers"), .usual = "1", BETTER,
	  .why = "0 is an error; a HUP keeps the number that TTIN and TTOU have set only if the setting has not changed" },
	{ WORKERS("worker_class", CLASS, "-k, --worker-class"), .usual = "sync", BETTER,
	  .why = "gthread is also called threads, and libev serves many connections with or without threads; asgi is refused: use uvicorn.workers.UvicornWorker; "
	         "so are classes that derive from ThreadWorker, GeventWorker, EventletWorker or TornadoWorker, which are written in C: "
	         "derive from SyncWorker or Worker" },
	{ WORKERS("threads", INT, "--threads"), .usual = "1", .ours = "0", SAME,
	  .why = "0 means 1 with the class gthread; above 1 the class sync becomes gthread, as in gunicorn" },
	{ WORKERS("worker_connections", INT, "--worker-connections"), .usual = "1000", SAME },
	{ WORKERS("max_requests", INT, "--max-requests"), .usual = "0", BETTER,
	  .why = "the worker serves until its replacement is ready" },
	{ WORKERS("max_requests_jitter", INT, "--max-requests-jitter"), .usual = "0", SAME },
	{ WORKERS("timeout", INT, "-t, --timeout"), .usual = "30", BETTER,
	  .why = "it limits one request under every class; an idle worker, or a slow client, never counts, and the stack is logged" },
	{ WORKERS("graceful_timeout", INT, "--graceful-timeout"), .usual = "30", BETTER,
	  .why = "it is also the limit for old workers after a reload, and idle connections do not use it up" },
	{ WORKERS("keepalive", INT, "--keep-alive"), .usual = "2", .ours = "auto", BETTER,
	  .why = "auto is 2 seconds, and 0 with sync as in gunicorn, where idle connections do not occupy the worker if it is set" },
	{ WORKERS("asgi_loop", STR, "--asgi-loop"), .usual = "auto", NO_EFFECT, .why = ASGI },
	{ WORKERS("asgi_lifespan", STR, "--asgi-lifespan"), .usual = "auto", NO_EFFECT, .why = ASGI },
	{ WORKERS("asgi_disconnect_grace_period", INT, "--asgi-disconnect-grace-period"), .usual = "3", NO_EFFECT, .why = ASGI },
	{ WORKERS("http_parser", STR, "--http-parser"), .usual = "auto", .harmless = "fast", NO_EFFECT,
	  .why = "there is one parser, written in C" },

	{ SECURITY("limit_request_line", INT, "--limit-request-line"), .usual = "4094", BETTER,
	  .why = "0, and more than 8190, are 8190 (gunicorn: 0 is no limit); beyond it the response is 414" },
	{ SECURITY("limit_request_fields", INT, "--limit-request-fields"), .usual = "100", SAME,
	  .why = "0, and more than 32768, are 32768" },
	{ SECURITY("limit_request_field_size", INT, "--limit-request-field_size"), .usual = "8190", SAME,
	  .why = "0 is 8190; limit_request_head limits all fields together" },

	{ DEBUGGING("reload", BOOL, "--reload"), .usual = "no", BETTER,
	  .why = "no request is lost, and the traceback is the response after any exception of an import (gunicorn: only SyntaxError)" },
	{ DEBUGGING("reload_engine", STR, "--reload-engine"), .usual = "auto", BETTER,
	  .why = "inotify needs no package, and becomes poll if the kernel has no more watches" },
	{ DEBUGGING("reload_extra_files", LIST, "--reload-extra-file"), BETTER,
	  .why = "patterns are expanded again at each change, and ** is any number of directories" },
	{ DEBUGGING("spew", BOOL, "--spew"), .usual = "no", BETTER, .why = "the lines go to the error log, from all threads" },
	{ DEBUGGING("check_config", BOOL, "--check-config"), .usual = "no", BETTER,
	  .why = "addresses and files are checked, too, and the status of an error is 2; in a file it tries the application alone" },
	{ DEBUGGING("print_config", BOOL, "--print-config"), .usual = "no", BETTER,
	  .why = "the output is a file for --config, with the place of each value; only a flag, in a file it is ignored" },

	{ MECHANICS("preload_app", BOOL, "--preload"), .usual = "no", BETTER,
	  .why = "threads and connections that do not outlive the fork are named in the log, and at a reload, that the code stays" },
	{ MECHANICS("sendfile", BOOL, "--no-sendfile"), .usual = "yes", SAME },
	{ MECHANICS("reuse_port", BOOL, "--reuse-port"), .usual = "no", BETTER,
	  .why = "connections of a worker that exits are not lost, and USR2 works" },
	{ MECHANICS("chdir", STR, "--chdir"), .usual = ".", SAME },
	{ MECHANICS("daemon", BOOL, "-D, --daemon"), .usual = "no", BETTER,
	  .why = "the command returns when the workers serve, or with the error of the start" },
	{ MECHANICS("raw_env", LIST, "-e, --env"), BETTER, .why = "{slot} and {pid} in a value are those of the worker" },
	{ MECHANICS("pidfile", STR, "-p, --pid"), BETTER,
	  .why = "it is locked, so that a file that a killed server has left does not prevent a start" },
	{ MECHANICS("worker_tmp_dir", STR, "--worker-tmp-dir"), NO_EFFECT,
	  .why = "there are no heartbeat files; the directory of large bodies is --spool-dir" },
	{ MECHANICS("user", USER, "-u, --user"), BETTER, .why = "the application is loaded as this user, also by --check-config" },
	{ MECHANICS("group", GROUP, "-g, --group"), BETTER, .why = "without it, the group of the user (gunicorn: that of the arbiter)" },
	{ MECHANICS("umask", MODE, "-m, --umask"), .usual = "0", .ours = "auto", BETTER,
	  .why = "auto is the umask of the start; with gunicorn's 0 everyone may write to what workers create, and a unix socket "
	         "has mode 0777 (here 0666 without it: socket_mode)" },
	{ MECHANICS("initgroups", BOOL, "--initgroups"), .usual = "no", BETTER,
	  .why = "without it, workers of root have no supplementary groups (gunicorn: those of root)" },
	{ MECHANICS("tmp_upload_dir", STR, NULL), NO_EFFECT,
	  .why = "gunicorn does not use it, either; the directory of large bodies is --spool-dir" },
	{ MECHANICS("secure_scheme_headers", DICT, NULL),
	  .usual = "X-FORWARDED-PROTOCOL=ssl,X-FORWARDED-PROTO=https,X-FORWARDED-SSL=on", SAME },
	{ MECHANICS("forwarded_allow_ips", COMMAS, "--forwarded-allow-ips"), .usual = "127.0.0.1,::1", SAME },
	{ MECHANICS("pythonpath", COMMAS, "--pythonpath"), SAME },
	{ MECHANICS("paste", STR, "--paste, --paster"), BETTER,
	  .why = "[server:main] counts if its use is egg:gunicorn, below all other sources (gunicorn: only with pserve)" },
	{ MECHANICS("proxy_protocol", WORD, "--proxy-protocol"), .usual = "off", BETTER,
	  .why = "a connection without a PROXY header is closed (gunicorn: any client may leave it out)" },
	{ MECHANICS("proxy_allow_ips", COMMAS, "--proxy-allow-from"), .usual = "127.0.0.1,::1", BETTER,
	  .why = "networks are accepted, and a peer on a unix socket is a proxy only if \"unix\" is in the list" },
	{ MECHANICS("protocol", STR, "--protocol"), .usual = "http", SAME },
	{ MECHANICS("uwsgi_allow_ips", COMMAS, "--uwsgi-allow-from"), .usual = "127.0.0.1,::1", .ours = "127.0.0.1,::1,unix", BETTER,
	  .why = "networks are accepted; unix are peers on unix sockets, which gunicorn always trusts" },
	{ MECHANICS("raw_paste_global_conf", LIST, "--paste-global"), SAME },
	{ MECHANICS("permit_obsolete_folding", BOOL, "--permit-obsolete-folding"), .usual = "no", REFUSED,
	  .why = "folded header lines are an attack on proxies (RFC 9112 5.2), and always refused with 400: remove it" },
	{ MECHANICS("strip_header_spaces", BOOL, "--strip-header-spaces"), .usual = "no", REFUSED,
	  .why = "a blank before the colon is an attack on proxies (RFC 9112 5.1), and always refused with 400: remove it" },
	{ MECHANICS("tolerate_dangerous_framing", BOOL, "--tolerate-dangerous-framing"), .usual = "no", REFUSED,
	  .why = "requests with two lengths are always refused with 400; gunicorn has removed it in version 23: remove it" },
	{ MECHANICS("permit_unconventional_http_method", BOOL, "--permit-unconventional-http-method"), .usual = "no", SAME,
	  .why = "without it the response is 501 (gunicorn: 400)" },
	{ MECHANICS("permit_unconventional_http_version", BOOL, "--permit-unconventional-http-version"), .usual = "no", REFUSED,
	  .why = "no client sends other versions than HTTP/1.0 and 1.1 to this port: remove it" },
	{ MECHANICS("casefold_http_method", BOOL, "--casefold-http-method"), .usual = "no", SAME },
	{ MECHANICS("forwarder_headers", COMMAS, "--forwarder-headers"), .usual = "SCRIPT_NAME,PATH_INFO", BETTER,
	  .why = "such a header is never used if the peer is not trusted, even with --header-map dangerous" },
	{ MECHANICS("header_map", STR, "--header-map"), .usual = "drop", SAME },
	{ MECHANICS("root_path", STR, "--root-path"), .usual = "", NO_EFFECT,
	  .why = "only ASGI workers use it; for WSGI set SCRIPT_NAME in raw_env, or in the proxy" },

	{ LOGGING("accesslog", STR, "--access-logfile"), SAME },
	{ LOGGING("disable_redirect_access_to_syslog", BOOL, "--disable-redirect-access-to-syslog"), .usual = "no", SAME },
	{ LOGGING("access_log_format", STR, "--access-logformat"),
	  .usual = "%(h)s %(l)s %(u)s %(t)s \"%(r)s\" %(s)s %(b)s \"%(f)s\" \"%(a)s\"", BETTER,
	  .why = "\"json\" is a JSON object for each line; days count in T, M, D and L" },
	{ LOGGING("errorlog", STR, "--error-logfile, --log-file"), .usual = "-", BETTER,
	  .why = "lines end with event= and other pairs; None is standard error (gunicorn: no error log)" },
	{ LOGGING("loglevel", STR, "--log-level"), .usual = "info", BETTER,
	  .why = "warn is warning, and other words are an error (gunicorn: both are info)" },
	{ LOGGING("capture_output", BOOL, "--capture-output"), .usual = "no", SAME },
	{ LOGGING("logger_class", CLASS, "--logger-class"), .usual = "gunicorn.glogging.Logger", BETTER,
	  .why = "the server never waits for a handler for long: lines wait in a queue, and go to errorlog if Python fails" },
	{ LOGGING("logconfig", STR, "--log-config"), BETTER,
	  .why = "the server never waits for a handler for long: lines wait in a queue, and go to errorlog if Python fails" },
	{ LOGGING("logconfig_dict", DICT, NULL), BETTER,
	  .why = "the server never waits for a handler for long: lines wait in a queue, and go to errorlog if Python fails" },
	{ LOGGING("logconfig_json", STR, "--log-config-json"), BETTER,
	  .why = "the server never waits for a handler for long: lines wait in a queue, and go to errorlog if Python fails" },
	{ LOGGING("syslog_addr", STR, "--log-syslog-to"), .usual = "udp://localhost:514", BETTER,
	  .why = "tcp:// and unix://PATH#stream are refused, since a daemon that does not read would stop every worker: use unix:///dev/log" },
	{ LOGGING("syslog", BOOL, "--log-syslog"), .usual = "no", BETTER, .why = "no process waits for the daemon" },
	{ LOGGING("syslog_prefix", STR, "--log-syslog-prefix"), BETTER, .why = "the program name is PREFIX.error, without \"gunicorn.\"" },
	{ LOGGING("syslog_facility", STR, "--log-syslog-facility"), .usual = "user", SAME },
	{ LOGGING("enable_stdio_inheritance", BOOL, "-R, --enable-stdio-inheritance"), .usual = "no", SAME },
	{ LOGGING("statsd_host", STR, "--statsd-host"), BETTER,
	  .why = "no request waits for the receiver, several metrics share a datagram, and the value 0 is sent" },
	{ LOGGING("dogstatsd_tags", STR, "--dogstatsd-tags"), .usual = "", SAME },
	{ LOGGING("statsd_prefix", STR, "--statsd-prefix"), .usual = "", SAME },
	{ LOGGING("enable_backlog_metric", BOOL, "--enable-backlog-metric"), .usual = "no", SAME },

	{ NAMING("proc_name", STR, "-n, --name"), BETTER, .why = "it needs no module setproctitle" },
	{ NAMING("default_proc_name", STR, NULL), .usual = "gunicorn", NO_EFFECT, .why = "set proc_name (--name)" },

	{ SSL("keyfile", STR, "--keyfile"), BETTER, .why = "only the arbiter needs to read it, and changed files are in force within a second" },
	{ SSL("certfile", STR, "--certfile"), BETTER, .why = "changed files are in force within a second, and --certificates has more of them" },
	{ SSL("ssl_version", WORD, "--ssl-version"), .usual = "2", .ours = "TLSv1.2", BETTER,
	  .why = "the lowest version, TLSv1.2 or TLSv1.3; names of older ones mean TLSv1.2 (gunicorn ignores all since version 21)" },
	{ SSL("cert_reqs", INT, "--cert-reqs"), .usual = "0", SAME },
	{ SSL("ca_certs", STR, "--ca-certs"), SAME },
	{ SSL("suppress_ragged_eofs", BOOL, "--suppress-ragged-eofs"), .usual = "yes", .ours = "no", BETTER,
	  .why = "an end of the connection without close_notify is an error, since anyone in between could have cut it" },
	{ SSL("do_handshake_on_connect", BOOL, "--do-handshake-on-connect"), .usual = "no", SAME,
	  .why = "the handshake is always first, and never blocks a worker" },
	{ SSL("ciphers", STR, "--ciphers"), BETTER, .why = "names that begin with TLS_ select those of TLS 1.3; the default has forward secrecy only" },

	{ HTTP2("http_protocols", STR, "--http-protocols"), .usual = "h1", .harmless = "*h1*", REFUSED, .why = NO_HTTP2 },
	{ HTTP2("http2_cleartext", STR, "--http2-cleartext"), .usual = "off", REFUSED, .why = NO_HTTP2 },
	{ HTTP2("http2_max_concurrent_streams", INT, "--http2-max-concurrent-streams"), .usual = "100", NO_EFFECT, .why = NO_HTTP2 },
	{ HTTP2("http2_initial_window_size", INT, "--http2-initial-window-size"), .usual = "65535", NO_EFFECT, .why = NO_HTTP2 },
	{ HTTP2("http2_max_frame_size", INT, "--http2-max-frame-size"), .usual = "16384", NO_EFFECT, .why = NO_HTTP2 },
	{ HTTP2("http2_max_header_list_size", INT, "--http2-max-header-list-size"), .usual = "65536", NO_EFFECT, .why = NO_HTTP2 },

	{ DIRTY("dirty_apps", LIST, "--dirty-app"), REFUSED, .why = NO_DIRTY },
	{ DIRTY("dirty_workers", INT, "--dirty-workers"), .usual = "0", REFUSED, .why = NO_DIRTY },
	{ DIRTY("dirty_timeout", INT, "--dirty-timeout"), .usual = "300", NO_EFFECT, .why = NO_DIRTY },
	{ DIRTY("dirty_threads", INT, "--dirty-threads"), .usual = "1", NO_EFFECT, .why = NO_DIRTY },
	{ DIRTY("dirty_graceful_timeout", INT, "--dirty-graceful-timeout"), .usual = "30", NO_EFFECT, .why = NO_DIRTY },

	{ CONTROL("control_socket", STR, "--control-socket"), .usual = "gunicorn.ctl", NO_EFFECT, .why = NO_CONTROL },
	{ CONTROL("control_socket_mode", MODE, "--control-socket-mode"), .usual = "0600", NO_EFFECT, .why = NO_CONTROL },
	{ CONTROL("control_socket_disable", BOOL, "--no-control-socket"), .usual = "no", .harmless = "yes", NO_EFFECT, .why = NO_CONTROL },

	{ HOOK("on_starting", "server"), SAME },
	{ HOOK("on_reload", "server"), BETTER, .why = "an exception fails the reload, and the server goes on" },
	{ HOOK("when_ready", "server"), SAME },
	{ HOOK("pre_fork", "server, worker"), BETTER, .why = "an exception is logged, and the fork is tried again later" },
	{ HOOK("post_fork", "server, worker"), SAME },
	{ HOOK("post_worker_init", "worker"), SAME },
	{ HOOK("worker_int", "worker"), BETTER, .why = "runs between requests, and not inside of one" },
	{ HOOK("worker_abort", "worker"), BETTER, .why = "has abort_timeout, after the stacks of all threads were written to the log" },
	{ HOOK("pre_exec", "server"), SAME },
	{ HOOK("pre_request", "worker, req"), SAME },
	{ HOOK("post_request", "worker, req, environ, resp"), SAME },
	{ HOOK("child_exit", "server, worker"), BETTER, .why = "an exception is logged, and the server goes on" },
	{ HOOK("worker_exit", "server, worker"), SAME },
	{ HOOK("nworkers_changed", "server, new_value, old_value"), BETTER, .why = "an exception is logged, and the server goes on" },
	{ HOOK("on_exit", "server"), SAME },
	{ HOOK("ssl_context", "config, default_ssl_context_factory"), BETTER, .why = "called when the configuration is read, and its calls become settings of TLS; an ssl.SSLContext is refused" },
	{ HOOK("on_dirty_starting", "arbiter"), REFUSED, .why = NO_DIRTY },
	{ HOOK("dirty_post_fork", "arbiter, worker"), REFUSED, .why = NO_DIRTY },
	{ HOOK("dirty_worker_init", "worker"), REFUSED, .why = NO_DIRTY },
	{ HOOK("dirty_worker_exit", "arbiter, worker"), REFUSED, .why = NO_DIRTY },
};

const size_t wsgi_gunicorn_row_count = sizeof wsgi_gunicorn_rows / sizeof wsgi_gunicorn_rows[0];

const struct wsgi_gunicorn_row *wsgi_gunicorn_row(const char *name)
{
	for (size_t i = 0; i < wsgi_gunicorn_row_count; i++) {
		if (strcmp(wsgi_gunicorn_rows[i].name, name) == 0)
			return &wsgi_gunicorn_rows[i];
	}
	return NULL;
}

bool wsgi_gunicorn_is_harmless(const struct wsgi_gunicorn_row *row, const char *text)
{
	const char *rest = row->harmless ? row->harmless : "";
	char pattern[64];

	if (strcasecmp(text, row->usual ? row->usual : "") == 0)
		return true;
	for (size_t length; (length = strcspn(rest, "|")) > 0; rest += rest[length] ? length + 1 : length) {
		(void)snprintf(pattern, sizeof pattern, "%.*s", (int)length, rest);
		if (fnmatch(pattern, text, FNM_CASEFOLD) == 0)
			return true;
	}
	return false;
}

const char *wsgi_gunicorn_status_name(enum wsgi_gunicorn_status status)
{
	static const char *const names[] = {
		[WSGI_GUNICORN_SAME] = "same",
		[WSGI_GUNICORN_BETTER] = "better",
		[WSGI_GUNICORN_NO_EFFECT] = "no effect",
		[WSGI_GUNICORN_REFUSED] = "refused",
	};

	return names[status];
}

const char *wsgi_gunicorn_kind_name(enum wsgi_gunicorn_kind kind)
{
	static const char *const names[] = {
		[WSGI_GUNICORN_BOOL] = "bool", [WSGI_GUNICORN_INT] = "int", [WSGI_GUNICORN_MODE] = "mode",
		[WSGI_GUNICORN_WORD] = "word", [WSGI_GUNICORN_STR] = "str", [WSGI_GUNICORN_LIST] = "list",
		[WSGI_GUNICORN_COMMAS] = "commas", [WSGI_GUNICORN_DICT] = "dict", [WSGI_GUNICORN_USER] = "user",
		[WSGI_GUNICORN_GROUP] = "group", [WSGI_GUNICORN_CLASS] = "class", [WSGI_GUNICORN_HOOK] = "hook",
	};

	return names[kind];
}
