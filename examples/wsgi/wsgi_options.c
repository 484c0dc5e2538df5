/* Reads and checks the settings of prefork-wsgi, gunicorn's environment variables included. */
#include "wsgi_options.h"
#include "application.h"
#include "config_file.h"
#include "convert.h"
#include "gunicorn.h"
#include "gunicorn_rows.h"
#include "host_loop.h"
#include "paste.h"
#include "rows.h"
#include "ssl_context.h"
#include "tls.h"
#include "virtualenv.h"
#include "wsgi_log.h"

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
#include <strings.h>
#include <sys/stat.h>

static char *const *arguments; /* argv of main() */

bool wsgi_options_is_set(const struct prefork_settings *settings, const char *name)
{
	const char *const text = prefork_settings_text(settings, name);

	return text && *text != '\0';
}

const char *wsgi_options_place(const struct prefork_settings *settings, const char *name)
{
	const char *place = "";

	(void)prefork_settings_origin(settings, name, NULL, &place);
	return place;
}

const char *wsgi_options_directory(const struct prefork_settings *settings)
{
	const char *const directory = prefork_settings_directory(settings);

	return directory ? directory : ".";
}

const char *wsgi_options_application(const struct prefork_settings *settings)
{
	const char *argument = prefork_settings_argument(settings, 0);

	if (wsgi_paste_is_set(settings))
		return prefork_settings_text(settings, "paste");
	return argument ? argument : prefork_settings_text(settings, "wsgi_app");
}

static int check_environment(const struct prefork_settings *settings)
{
	const char *item;

	for (size_t i = 0; (item = prefork_settings_item(settings, "raw_env", i)); i++) {
		if (*item == '=' || strchr(item, '=') == NULL)
			return prefork_fail(PREFORK_ECONFIG, "%s: \"%s\" is not NAME=VALUE", wsgi_options_place(settings, "raw_env"),
			                    item);
	}
	return 0;
}

static const char *file_to_convert(const struct prefork_settings *settings)
{
	return wsgi_options_is_set(settings, "convert_config") ? prefork_settings_text(settings, "convert_config") : NULL;
}

/* --check-config: the process exits afterwards, so Python may start in it. */
static int try_application(const struct prefork_settings *settings)
{
	struct prefork_log *log = NULL;
	int r = prefork_log_create("-", 2, &log);

	/* As in a start, the application is not loaded as root. */
	if (r == 0 && prefork_settings_int(settings, "preload_app") == 0)
		r = prefork_settings_run_as(settings) < 0 ? PREFORK_EBOOT : 0;
	if (r == 0)
		r = wsgi_host_loop_check(settings, arguments[0]);
	if (r == 0)
		r = wsgi_application_import(settings, arguments[0], log);
	wsgi_log_prepare(NULL, NULL, 0);
	prefork_log_destroy(log);
	return r;
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
	if (prefork_settings_int(settings, "reload") == 1 && prefork_settings_int(settings, "preload_app") == 1)
		return prefork_fail(PREFORK_ECONFIG, "%s: a reload does not change code that preload_app (%s) has loaded: "
		                                     "remove one of them",
		                    wsgi_options_place(settings, "reload"), wsgi_options_place(settings, "preload_app"));
	if (wsgi_options_application(settings) == NULL)
		return prefork_fail(PREFORK_EUSAGE, "no application: name it: prefork-wsgi MODULE:APP");
	if (chdir && stat(chdir, &about) < 0)
		return prefork_fail(PREFORK_ECONFIG, "%s: %s: %s", wsgi_options_place(settings, "chdir"), chdir,
		                    strerror(errno));
	if (chdir && !S_ISDIR(about.st_mode))
		return prefork_fail(PREFORK_ECONFIG, "%s: %s is not a directory", wsgi_options_place(settings, "chdir"), chdir);
	r = check_environment(settings);
	if (r == 0)
		r = wsgi_virtualenv_find(prefork_settings_text(settings, "venv"), arguments[0], venv, sizeof venv);
	if (r == 0 && prefork_settings_int(settings, "check_config") == 1)
		r = try_application(settings);
	return r;
}

/* As with gunicorn, every other word means no. */
static bool is_yes(const char *word)
{
	return strcasecmp(word, "y") == 0 || strcmp(word, "1") == 0 || strcasecmp(word, "yes") == 0 ||
	       strcasecmp(word, "true") == 0;
}

/* USR2 as gunicorn has it, and defaults from the environment, too: configuration file and command line take precedence. */
static int set_defaults(struct prefork_settings *settings)
{
	const char *workers = getenv("WEB_CONCURRENCY");
	const char *port = getenv("PORT");
	const char *proxies = getenv("FORWARDED_ALLOW_IPS");
	const char *sendfile = getenv("SENDFILE");
	char bind[64];
	int r = prefork_settings_set_default(settings, "upgrade", "manual");

	if (r < 0)
		return r;
	if (workers && *workers != '\0' && (r = prefork_settings_set_default(settings, "workers", workers)) < 0)
		return prefork_fail(PREFORK_ECONFIG, "WEB_CONCURRENCY: %s", prefork_error());
	if (proxies && (r = prefork_settings_set_default(settings, "forwarded_allow_ips", proxies)) < 0)
		return prefork_fail(PREFORK_ECONFIG, "FORWARDED_ALLOW_IPS: %s", prefork_error());
	if (sendfile && (r = prefork_settings_set_default(settings, "sendfile", is_yes(sendfile) ? "yes" : "no")) < 0)
		return prefork_fail(PREFORK_ECONFIG, "SENDFILE: %s", prefork_error());
	r = prefork_settings_set_default(settings, "statsd_name", "gunicorn");
	if (r < 0)
		return r;
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

/* As with gunicorn, several threads turn the class sync into gthread. The file of --paste may set both. */
static int complete(struct prefork_settings *settings, void *user)
{
	int r = wsgi_paste_apply(settings);
	const char *class = prefork_settings_text(settings, "worker_class");

	(void)user;
	if (r == 0 && prefork_settings_int(settings, "threads") > 1 && class && strcmp(class, "sync") == 0)
		r = prefork_settings_override(settings, "worker_class", "threads", wsgi_options_place(settings, "threads"));
	return r == 0 ? wsgi_ssl_context_apply(settings) : r;
}

int wsgi_options_add_rows(struct prefork_settings *settings)
{
	int r = prefork_http_add_options(settings);

	if (r == 0)
		r = wsgi_tls_add_options(settings);
	if (r == 0)
		r = wsgi_rows_add(settings);
	if (r == 0)
		r = wsgi_rows_add_names(settings);
	return r == 0 ? wsgi_host_loop_add_names(settings) : r;
}

/* Of the program, after its rows: what it reads from where. */
static int add_sources(struct prefork_settings *settings)
{
	int r = prefork_settings_set_program(settings, "prefork-wsgi", prefork_version(),
	                                     "Serve a Python WSGI application with supervised workers.");

	if (r == 0)
		r = wsgi_gunicorn_rows_add(settings);
	if (r == 0)
		r = prefork_settings_accept_arguments(settings, 0, 1, "MODULE:APP");
	if (r == 0)
		r = prefork_settings_set_argument_variable(settings, "GUNICORN_CMD_ARGS");
	if (r == 0)
		r = prefork_settings_add_check(settings, check, NULL);
	if (r == 0)
		r = prefork_settings_set_completion(settings, complete, NULL);
	if (r == 0)
		r = wsgi_config_file_add(settings, arguments);
	return r;
}

/* `*ret` is *new*, also after an error: NULL, or with the settings read so far. */
static int read_settings(int argc, char *const argv[], struct prefork_settings **ret)
{
	int r = prefork_settings_create(ret);

	if (r == 0)
		r = wsgi_options_add_rows(*ret);
	if (r == 0)
		r = add_sources(*ret);
	if (r == 0)
		r = set_defaults(*ret);
	return r == 0 ? prefork_settings_parse(*ret, argc, argv) : r;
}

/* As with gunicorn, check_config in a file tries the application. 1: done; 0: the file does not have it. */
static int check_for_file(const struct prefork_settings *settings)
{
	int r;

	if (!wsgi_config_file_asks_for_check(settings))
		return 0;
	wsgi_config_file_report();
	r = try_application(settings);
	if (r < 0)
		return r;
	(void)printf("prefork-wsgi: the configuration is valid\n");
	return fflush(stdout) == 0 ? 1 : prefork_fail(-EIO, "standard output: %s", strerror(errno));
}

int wsgi_options_read(int argc, char *const argv[], struct prefork_settings **ret)
{
	struct prefork_settings *settings = NULL;
	int r;

	arguments = argv;
	r = read_settings(argc, argv, &settings);
	if (r == 1) /* --check-config, --print-config: no log will be opened */
		wsgi_config_file_report();
	if (r == PREFORK_EUSAGE || r == PREFORK_ECONFIG)
		r = wsgi_gunicorn_explain(r, settings);
	if (r == 0)
		r = check_for_file(settings);
	if (r != 0) {
		prefork_settings_destroy(settings);
		return r;
	}
	*ret = settings;
	if (file_to_convert(settings) == NULL)
		return 0;
	r = wsgi_convert(file_to_convert(settings), argv[0], prefork_settings_text(settings, "venv"));
	return r < 0 ? r : 1;
}
