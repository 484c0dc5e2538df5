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
	  .doc = "Reload when code below the working directory or --pythonpath changes. For development." },
	{ ROW("reload_extra_files", LIST), .flags = "--reload-extra-file", .max = 256, .unit = "FILE", .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "Further files to watch, such as templates and configurations." },
	{ ROW("venv", STRING), .unit = "DIR", .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "The virtualenv. Default: VIRTUAL_ENV, or the one that contains this program." },
	{ ROW("convert_config", STRING), .unit = "FILE",
	  .traits = PREFORK_OPTION_RELOADABLE | PREFORK_OPTION_COMMAND_LINE | PREFORK_OPTION_MAY_BE_EMPTY,
	  .doc = "Run this gunicorn.conf.py, print its settings as a file for --config, and exit. Settings without a "
	         "counterpart become comments and are listed on standard error; the status is then 1." },
};

int wsgi_rows_add(struct prefork_settings *settings)
{
	return prefork_settings_add_options(settings, rows, sizeof rows / sizeof rows[0]);
}

int wsgi_rows_add_names(struct prefork_settings *settings)
{
	return prefork_settings_add_choice(settings, "worker_class", "gthread", "threads");
}
