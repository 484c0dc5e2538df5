#include "options.h"
#include "application.h"
#include "convert.h"
#include "rows.h"
#include "virtualenv.h"

#include <prefork/error.h>
#include <prefork/http.h>
#include <prefork/log.h>
#include <prefork/settings.h>
#include <prefork/version.h>

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* gunicorn has these; this version does not. Told apart from typing mistakes. */
static const char *const not_yet[] = {
	"--asgi-disconnect-grace-period", "--asgi-lifespan", "--asgi-loop", "--ca-certs", "--capture-output",
	"--cert-reqs", "--certfile", "--ciphers", "--control-socket", "--control-socket-mode", "--daemon", "-D",
	"--dirty-app", "--dirty-graceful-timeout", "--dirty-threads", "--dirty-timeout", "--dirty-workers",
	"--disable-redirect-access-to-syslog", "--do-handshake-on-connect", "--dogstatsd-tags",
	"--enable-backlog-metric", "--enable-stdio-inheritance", "-R",
	"--forwarder-headers", "--group", "-g", "--http-parser", "--http-protocols",
	"--http2-cleartext", "--http2-initial-window-size", "--http2-max-concurrent-streams",
	"--http2-max-frame-size", "--http2-max-header-list-size", "--initgroups", "--keyfile", "--log-config",
	"--log-config-json", "--log-syslog", "--log-syslog-facility", "--log-syslog-prefix", "--log-syslog-to",
	"--logger-class", "--no-control-socket", "--no-sendfile",
	"--paste", "--paste-global", "--paster", "--permit-obsolete-folding", "--pid", "-p", "--protocol",
	"--proxy-allow-from", "--proxy-protocol", "--reload-engine",
	"--root-path", "--spew", "--ssl-version", "--statsd-host", "--statsd-prefix",
	"--strip-header-spaces", "--suppress-ragged-eofs", "--umask", "-m", "--user", "-u", "--uwsgi-allow-from",
	"--permit-unconventional-http-version",
};

static char *const *arguments; /* argv of main() */
static bool is_decided;        /* which worker class is the default */

const char *wsgi_options_application(const struct prefork_settings *settings)
{
	const char *argument = prefork_settings_argument(settings, 0);

	return argument ? argument : prefork_settings_text(settings, "wsgi_app");
}

static int check_environment(const struct prefork_settings *settings)
{
	const char *item;

	for (size_t i = 0; (item = prefork_settings_item(settings, "raw_env", i)); i++) {
		if (*item == '=' || strchr(item, '=') == NULL)
			return prefork_fail(PREFORK_ECONFIG, "--env: \"%s\" is not NAME=VALUE", item);
	}
	return 0;
}

static const char *file_to_convert(const struct prefork_settings *settings)
{
	const char *path = prefork_settings_text(settings, "convert_config");

	return path && *path != '\0' ? path : NULL;
}

/* --check-config: this process ends afterwards, so Python may start in it. */
static int try_application(const struct prefork_settings *settings)
{
	struct prefork_log *log = NULL;
	int r = prefork_log_create("-", 2, &log);

	if (r == 0)
		r = wsgi_application_import(settings, arguments[0], log);
	prefork_log_destroy(log);
	return r;
}

/* Threads, and a class of workers without. */
static bool has_idle_threads(const struct prefork_settings *settings)
{
	const char *strategy = prefork_settings_text(settings, "worker_class");

	return prefork_settings_int(settings, "threads") > 1 && strategy && strcmp(strategy, "sync") == 0;
}

static int check(const struct prefork_settings *settings, void *user)
{
	const char *chdir = prefork_settings_text(settings, "chdir");
	char venv[PATH_MAX];
	struct stat about;
	int r;

	(void)user;
	if (file_to_convert(settings))
		return 0; /* nothing will be served */
	if (has_idle_threads(settings) && !is_decided && !prefork_settings_was_set(settings, "worker_class"))
		return 0; /* read once more, with threads */
	if (has_idle_threads(settings))
		return prefork_fail(PREFORK_ECONFIG, "--threads %d: the worker class sync handles one request at a time; "
		                                     "say --worker-class threads, or leave --threads out",
		                    (int)prefork_settings_int(settings, "threads"));
	if (prefork_settings_int(settings, "reload") == 1 && prefork_settings_int(settings, "preload_app") == 1)
		return prefork_fail(PREFORK_ECONFIG, "--reload: code does not change by a reload when --preload loads it "
		                                     "once: leave one of them out");
	if (wsgi_options_application(settings) == NULL)
		return prefork_fail(PREFORK_EUSAGE, "which application? Name it: prefork-wsgi MODULE:APP");
	if (chdir && stat(chdir, &about) < 0)
		return prefork_fail(PREFORK_ECONFIG, "--chdir: %s: %s", chdir, strerror(errno));
	if (chdir && !S_ISDIR(about.st_mode))
		return prefork_fail(PREFORK_ECONFIG, "--chdir: %s is not a folder", chdir);
	r = check_environment(settings);
	if (r == 0)
		r = wsgi_virtualenv_find(prefork_settings_text(settings, "venv"), arguments[0], venv, sizeof venv);
	if (r == 0 && prefork_settings_int(settings, "check_config") == 1)
		r = try_application(settings);
	return r;
}

/* What gunicorn takes from the environment, below its file and its command line. */
static int set_defaults(struct prefork_settings *settings)
{
	const char *workers = getenv("WEB_CONCURRENCY");
	const char *port = getenv("PORT");
	const char *proxies = getenv("FORWARDED_ALLOW_IPS");
	char bind[64];
	int r = 0;

	if (workers && *workers != '\0' && (r = prefork_settings_set_default(settings, "workers", workers)) < 0)
		return prefork_fail(PREFORK_ECONFIG, "WEB_CONCURRENCY: %s", prefork_error());
	if (proxies && (r = prefork_settings_set_default(settings, "forwarded_allow_ips", proxies)) < 0)
		return prefork_fail(PREFORK_ECONFIG, "FORWARDED_ALLOW_IPS: %s", prefork_error());
	if (port && *port != '\0') {
		if (port[strspn(port, "0123456789")] != '\0')
			return prefork_fail(PREFORK_ECONFIG, "PORT: \"%s\" is not a number", port);
		(void)snprintf(bind, sizeof bind, "0.0.0.0:%s", port);
		r = prefork_settings_set_default(settings, "bind", bind);
		if (r < 0)
			return prefork_fail(PREFORK_ECONFIG, "PORT: %s", prefork_error());
	}
	return 0;
}

static const char *known_to_gunicorn(const char *word)
{
	const size_t length = strcspn(word, "= \t");

	for (size_t i = 0; i < sizeof not_yet / sizeof not_yet[0]; i++) {
		if (strlen(not_yet[i]) == length && strncmp(word, not_yet[i], length) == 0)
			return not_yet[i];
	}
	return NULL;
}

static bool is_python_file(const char *name)
{
	const size_t length = strlen(name);

	return strncmp(name, "python:", 7) == 0 || (length > 3 && strcmp(name + length - 3, ".py") == 0);
}

/* Parsing failed. If that is because of something gunicorn can and we cannot, say so. */
static int explain(int error, int argc, char *const argv[])
{
	const char *variable = getenv("GUNICORN_CMD_ARGS");
	const char *flag = NULL;

	for (int i = 1; i < argc && flag == NULL; i++)
		flag = known_to_gunicorn(argv[i]);
	for (const char *word = variable; word && *word != '\0' && flag == NULL; word += strcspn(word, " \t")) {
		word += strspn(word, " \t");
		flag = known_to_gunicorn(word);
	}
	if (flag && strstr(prefork_error(), flag))
		return prefork_fail(error, "%s is gunicorn's, and not available in this version of prefork-wsgi (%s)",
		                    flag, prefork_version());
	return error;
}

/* Before parsing, since it would be a confusing syntax error of an INI file. */
static int refuse_python_file(int argc, char *const argv[])
{
	for (int i = 1; i < argc; i++) {
		const char *name = NULL;

		if (strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "--config") == 0)
			name = argv[i + 1]; /* NULL at the end */
		else if (strncmp(argv[i], "--config=", 9) == 0)
			name = argv[i] + 9;
		else if (strncmp(argv[i], "-c", 2) == 0)
			name = argv[i] + 2;
		if (name && is_python_file(name))
			return prefork_fail(PREFORK_EUSAGE,
			                    "%s: a configuration in Python is not read here, since it would run inside the "
			                    "arbiter; make a file of it once, by prefork-wsgi --convert-config %s >prefork.ini",
			                    name, strncmp(name, "python:", 7) == 0 ? "FILE" : name);
	}
	return 0;
}

static int add_rows(struct prefork_settings *settings)
{
	int r = prefork_settings_set_program(settings, "prefork-wsgi", prefork_version(),
	                                     "Serve a Python WSGI application with supervised workers.");

	if (r == 0)
		r = prefork_http_add_options(settings);
	if (r == 0)
		r = wsgi_rows_add(settings);
	if (r == 0)
		r = wsgi_rows_add_names(settings);
	if (r == 0)
		r = prefork_settings_accept_arguments(settings, 0, 1, "MODULE:APP");
	if (r == 0)
		r = prefork_settings_set_argument_variable(settings, "GUNICORN_CMD_ARGS");
	if (r == 0)
		r = prefork_settings_add_check(settings, check, NULL);
	return r;
}

static int read_settings(int argc, char *const argv[], const char *worker_class, struct prefork_settings **ret)
{
	struct prefork_settings *settings = NULL;
	int r = prefork_settings_create(&settings);

	if (r == 0)
		r = add_rows(settings);
	if (r == 0)
		r = set_defaults(settings);
	if (r == 0)
		r = prefork_settings_set_default(settings, "worker_class", worker_class);
	if (r == 0) {
		r = prefork_settings_parse(settings, argc, argv);
		if (r == PREFORK_EUSAGE || r == PREFORK_ECONFIG)
			r = explain(r, argc, argv);
	}
	if (r != 0)
		prefork_settings_destroy(settings);
	else
		*ret = settings;
	return r;
}

static bool answers_at_once(const char *word)
{
	static const char *const words[] = { "--print-config", "--check-config", "--help", "-h", "--version", "-v" };

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		if (strcmp(word, words[i]) == 0)
			return true;
	}
	return false;
}

/* As with gunicorn, whoever asks for threads gets them. Found out by reading everything once, without the
 * flags that already answer; what is wrong is told by the reading that counts. */
static const char *default_class(int argc, char *const argv[])
{
	struct prefork_settings *settings = NULL;
	char **words = calloc((size_t)argc + 1, sizeof *words);
	const char *found = "sync";
	int count = 0;

	if (words == NULL)
		return found;
	for (int i = 0; i < argc; i++) {
		if (i == 0 || !answers_at_once(argv[i]))
			words[count++] = argv[i];
	}
	if (read_settings(count, words, found, &settings) == 0) {
		if (has_idle_threads(settings) && !prefork_settings_was_set(settings, "worker_class"))
			found = "threads";
		prefork_settings_destroy(settings);
	}
	free(words);
	return found;
}

int wsgi_options_read(int argc, char *const argv[], struct prefork_settings **ret)
{
	int r = refuse_python_file(argc, argv);

	arguments = argv;
	if (r < 0)
		return r;
	const char *worker_class = default_class(argc, argv);

	is_decided = true;
	r = read_settings(argc, argv, worker_class, ret);
	if (r != 0 || file_to_convert(*ret) == NULL)
		return r;
	r = wsgi_convert(file_to_convert(*ret), argv[0], prefork_settings_text(*ret, "venv"));
	return r < 0 ? r : 1;
}
