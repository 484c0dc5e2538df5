/* The rows of prefork-wsgi's own settings. */
#include "rows.h"

#include <prefork/settings.h>

#define ROW(row_name, row_type)                                                                    \
	.struct_size = sizeof(struct prefork_option), .name = row_name,                            \
	.type = PREFORK_OPTION_##row_type, .section = "Application"

static const struct prefork_option rows[] = {
	{ ROW("wsgi_app", STRING), .unit = "MODULE:APP", .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "The application, for configuration files: MODULE, MODULE:NAME or MODULE:FACTORY()." },
	{ ROW("chdir", STRING), .unit = "DIR", .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "Working directory of the application; also the first entry of sys.path." },
	{ ROW("raw_env", LIST), .flags = "-e, --env", .max = 1024, .unit = "NAME=VALUE", .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "Set an environment variable for the application. In VALUE, {slot} and {pid} are those of the worker, and {{slot}} "
	         "is {slot}." },
	{ ROW("pythonpath", LIST), .max = 256, .unit = "DIR",
	  .traits = PREFORK_OPTION_RELOADABLE | PREFORK_OPTION_COMMAS,
	  .doc = "Further entries of sys.path." },
	{ ROW("preload_app", BOOL), .flags = "--preload", .traits = PREFORK_OPTION_SERVER,
	  .doc = "Load the application once, before the workers are forked. A reload then does not change its code." },
	{ ROW("reload", BOOL), .traits = PREFORK_OPTION_SERVER,
	  .doc = "Reload when code below the working directory or --pythonpath changes. While it does not load, responses are its "
	         "traceback. Only for development." },
	{ ROW("reload_engine", CHOICE), .choices = "auto|poll|inotify", .default_text = "auto", .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "How --reload finds changes: inotify waits for events of the kernel, poll checks all files each second, as "
	         "network file systems and shared directories of virtual machines need it. auto is inotify. If inotify is not "
	         "available, it is poll, and a line in the log says why." },
	{ ROW("reload_extra_files", LIST), .flags = "--reload-extra-file", .max = 256, .unit = "FILE", .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "Further files to watch, such as templates and configurations. May be a pattern: *, ?, [...], and ** for any "
	         "number of directories; a file that matches later counts, too." },
	{ ROW("venv", STRING), .unit = "DIR", .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "The virtualenv. Default: VIRTUAL_ENV, or the one that contains this program." },
	{ ROW("spew", BOOL), .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "Write each line of Python that a worker executes to the error log. For debugging: it is very slow." },
	{ ROW("paste", STRING), .flags = "--paste, --paster", .unit = "FILE[#NAME]", .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "Load the application from a file of PasteDeploy, from its section app:NAME (main). Its [server:main] has settings "
	         "if it is for gunicorn; its [loggers] are --log-config." },
	{ ROW("raw_paste_global_conf", LIST), .flags = "--paste-global", .max = 256, .unit = "NAME=VALUE",
	  .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "A variable of PasteDeploy's global configuration." },
	{ ROW("logger_class", STRING), .unit = "MODULE.CLASS",
	  .traits = PREFORK_OPTION_SERVER | PREFORK_OPTION_RELOADABLE,
	  .doc = "A class derived from gunicorn.glogging.Logger: the lines of the server, and its access log, go through its "
	         "methods." },
	{ ROW("logconfig", STRING), .flags = "--log-config", .unit = "FILE",
	  .traits = PREFORK_OPTION_SERVER | PREFORK_OPTION_RELOADABLE,
	  .doc = "Configure Python's logging from this file (logging.config.fileConfig): the lines of the server go through its "
	         "loggers gunicorn.error and gunicorn.access." },
	{ ROW("logconfig_json", STRING), .flags = "--log-config-json", .unit = "FILE",
	  .traits = PREFORK_OPTION_SERVER | PREFORK_OPTION_RELOADABLE,
	  .doc = "The same with a dictionary in JSON (logging.config.dictConfig); takes precedence over --log-config." },
	{ ROW("config_timeout", DURATION), .min = 100, .max = 3600 * 1000, .default_text = "10s", .traits = PREFORK_OPTION_SERVER | PREFORK_OPTION_RELOADABLE,
	  .doc = "The longest time a configuration file in Python may run at a reload. When it expires, the reload fails. The "
	         "start has no limit." },
	{ ROW("hook_timeout", DURATION), .max = 24 * 3600 * 1000, .default_text = "10s",
	  .traits = PREFORK_OPTION_SERVER | PREFORK_OPTION_RELOADABLE,
	  .doc = "Raise an exception in a hook that keeps the arbiter for so long: all but on_starting, when_ready and "
	         "on_exit. 0: no limit." },
	{ ROW("convert_config", STRING), .unit = "FILE",
	  .traits = PREFORK_OPTION_RELOADABLE | PREFORK_OPTION_COMMAND_LINE | PREFORK_OPTION_MAY_BE_EMPTY,
	  .doc = "Run this gunicorn.conf.py, print its settings as a file for --config, and exit. Settings without a "
	         "counterpart become comments and are listed on standard error; the status is then 1." },
};

int wsgi_rows_add(struct prefork_settings *settings)
{
	return prefork_settings_add_options(settings, rows, sizeof rows / sizeof rows[0]);
}

/* The names and numbers of Python's ssl.PROTOCOL_...: gunicorn ignores them all since version 21. */
static const struct {
	const char *setting, *word, *meaning;
} names[] = {
	{ "worker_class", "gthread", "threads" }, { "loglevel", "warn", "warning" },
	{ "ssl_version", "TLS", "TLSv1.2" },      { "ssl_version", "2", "TLSv1.2" },
	{ "ssl_version", "SSLv23", "TLSv1.2" },   { "ssl_version", "16", "TLSv1.2" },
	{ "ssl_version", "TLSv1", "TLSv1.2" },    { "ssl_version", "3", "TLSv1.2" },
	{ "ssl_version", "TLSv1_1", "TLSv1.2" },  { "ssl_version", "4", "TLSv1.2" },
	{ "ssl_version", "TLSv1_2", "TLSv1.2" },  { "ssl_version", "5", "TLSv1.2" },
};

int wsgi_rows_add_names(struct prefork_settings *settings)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof names / sizeof names[0]; i++) {
		if (prefork_settings_origin(settings, names[i].setting, NULL, NULL) == 0) /* false: built without TLS */
			r = prefork_settings_add_choice(settings, names[i].setting, names[i].word, names[i].meaning);
	}
	return r;
}
