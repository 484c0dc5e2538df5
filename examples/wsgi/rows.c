#include "rows.h"

#include <prefork/settings.h>

#define ROW(row_name, row_type)                                                                    \
	.struct_size = sizeof(struct prefork_option), .name = row_name,                            \
	.type = PREFORK_OPTION_##row_type, .section = "Application"

static const struct prefork_option rows[] = {
	{ ROW("wsgi_app", STRING), .unit = "MODULE:APP", .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "The application, for use in a file: MODULE, MODULE:NAME or MODULE:FACTORY()." },
	{ ROW("chdir", STRING), .unit = "FOLDER", .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "Go there before the application is loaded; it is also the first place to import from." },
	{ ROW("raw_env", LIST), .flags = "-e, --env", .max = 1024, .unit = "NAME=VALUE", .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "Set an environment variable for the application." },
	{ ROW("pythonpath", LIST), .max = 256, .unit = "FOLDER",
	  .traits = PREFORK_OPTION_RELOADABLE | PREFORK_OPTION_COMMAS,
	  .doc = "More directories to import from." },
	{ ROW("preload_app", BOOL), .flags = "--preload", .traits = PREFORK_OPTION_SERVER,
	  .doc = "Load the application once, before the workers are forked. A reload then cannot change its code." },
	{ ROW("reload", BOOL), .traits = PREFORK_OPTION_SERVER,
	  .doc = "Reload when code below the working directory or --pythonpath is edited. For development." },
	{ ROW("reload_extra_files", LIST), .flags = "--reload-extra-file", .max = 256, .unit = "FILE", .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "More files to watch, such as templates and configurations." },
	{ ROW("venv", STRING), .unit = "FOLDER", .traits = PREFORK_OPTION_RELOADABLE,
	  .doc = "The virtualenv to run in; else that of VIRTUAL_ENV, or the one this program lies in." },
	{ ROW("convert_config", STRING), .unit = "FILE",
	  .traits = PREFORK_OPTION_RELOADABLE | PREFORK_OPTION_COMMAND_LINE | PREFORK_OPTION_MAY_BE_EMPTY,
	  .doc = "Run this gunicorn.conf.py, print what it says as a file for --config, and end. Status 1 if it says what "
	         "cannot be said there: it is named, and left as a comment." },
};

int wsgi_rows_add(struct prefork_settings *settings)
{
	return prefork_settings_add_options(settings, rows, sizeof rows / sizeof rows[0]);
}

int wsgi_rows_add_names(struct prefork_settings *settings)
{
	return prefork_settings_add_choice(settings, "worker_class", "gthread", "threads");
}
