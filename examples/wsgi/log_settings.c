/* Whether settings ask for Python's logging; calls prefork_wsgi.logging_bridge to configure it. */
#include "log_settings.h"
#include "config_file.h"
#include "errors.h"
#include "failure.h"
#include "interpreter.h"
#include "load.h"
#include "loggers.h"
#include "python_modules.h"
#include "request_hooks.h"
#include "wsgi_log.h"
#include "wsgi_options.h"

#include <prefork/error.h>
#include <prefork/log.h>
#include <prefork/settings.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static const char module[] = "prefork_wsgi.logging_bridge";

static bool sets_level;       /* the setting loglevel has no effect on the log any more: prefork_log_set_level() */
static bool is_access_hooked; /* the library calls wsgi_log_bridge_access(): decided at the start */

int wsgi_log_settings_refuse(void)
{
	char line[512];

	Py_XDECREF(wsgi_failure_take(line, sizeof line));
	return prefork_fail(-EINVAL, "logging: %s", strncmp(line, "RuntimeError: ", 14) == 0 ? line + 14 : line);
}

static int truth(PyObject *result)
{
	const int r = result ? PyObject_IsTrue(result) : -1;

	Py_XDECREF(result);
	return r;
}

/* Levels of the module logging: DEBUG is 10, CRITICAL 50. Lines that no handler wants are not made. */
static void set_level(struct prefork_log *log, long number)
{
	const long level = number / 10 - 1;

	sets_level = true;
	prefork_log_set_level(log, level < PREFORK_LOG_DEBUG      ? PREFORK_LOG_DEBUG
	                           : level > PREFORK_LOG_CRITICAL ? PREFORK_LOG_CRITICAL
	                                                          : (enum prefork_log_level)level);
}

bool wsgi_log_settings_hook_access(const struct prefork_settings *settings)
{
	is_access_hooked = wsgi_log_settings_may_ask(settings) || wsgi_loggers_have_access(settings);
	return is_access_hooked;
}

/* False: the library writes the lines of the access log, so that Python must not write them again. */
static bool may_take_access(const struct prefork_settings *settings)
{
	if (is_access_hooked || !wsgi_loggers_have_access(settings))
		return true;
	wsgi_log(PREFORK_LOG_WARNING, "python_access_bypassed",
	         "Access log: lines go through Python's logging after a restart only, since the server has started with neither");
	return false;
}

static int configure_python(struct prefork_log *log, const struct prefork_settings *settings, PyObject *config)
{
	PyObject *level = NULL;
	int r;

	if (wsgi_loggers_open_access(settings) == 0)
		level = wsgi_python_call(module, "start", "(O)", config);
	if (level == NULL)
		return -1;
	set_level(log, PyLong_AsLong(level));
	Py_DECREF(level);
	r = truth(wsgi_python_call(module, "wants_access", "(O)", config));
	wsgi_has_access = r == 1 && may_take_access(settings);
	return r < 0 ? -1 : 1;
}

/* gunicorn's own classes are no reason for Python. */
static bool names_class(const struct prefork_settings *settings)
{
	return wsgi_options_is_set(settings, "logger_class") && strcmp(prefork_settings_text(settings, "logger_class"), "simple") != 0 &&
	       strncmp(prefork_settings_text(settings, "logger_class"), "gunicorn.", strlen("gunicorn.")) != 0;
}

static bool is_asked_for_by_setting(const struct prefork_settings *settings)
{
	return names_class(settings) || wsgi_options_is_set(settings, "logconfig") || wsgi_options_is_set(settings, "logconfig_json");
}

/* logconfig_dict is in a file in Python only, and no setting of the server. 1: yes; 0: no; -1 with an exception set. */
static int is_asked_for(const struct prefork_settings *settings, PyObject *config)
{
	return is_asked_for_by_setting(settings) ? 1 : truth(PyObject_GetAttrString(config, "logconfig_dict"));
}

bool wsgi_log_settings_may_ask(const struct prefork_settings *settings)
{
	return wsgi_python_runs() || is_asked_for_by_setting(settings);
}

int wsgi_log_settings_configure(struct prefork_log *log, const struct prefork_settings *settings)
{
	PyObject *config = NULL;
	int r = -1;

	if (wsgi_errors_prepare() == 0 && wsgi_loggers_prepare(log, settings) == 0)
		config = wsgi_config_of(settings);
	if (config)
		r = is_asked_for(settings, config);
	if (r == 0)
		wsgi_has_access = false;
	if (r == 0 && sets_level)
		prefork_log_set_level(log, (enum prefork_log_level)prefork_log_level_of(prefork_settings_text(settings, "loglevel")));
	if (r > 0)
		r = configure_python(log, settings, config);
	return r < 0 ? wsgi_log_settings_refuse() : r;
}

/* That of the application, but the arbiter stays in its own directory. That one may have been removed, with an old release:
 * the name is that of the release in use. */
static int set_path(const struct prefork_settings *settings)
{
	const char *chdir = prefork_settings_text(settings, "chdir"), *start = wsgi_options_directory(settings);
	char directory[PATH_MAX];

	if (chdir == NULL)
		chdir = start;
	if (snprintf(directory, sizeof directory, "%s%s%s", *chdir == '/' ? "" : start, *chdir == '/' ? "" : "/", chdir) >=
	            (int)sizeof directory ||
	    *directory != '/')
		return 0; /* there is no such directory, or it has no name */
	for (size_t i = prefork_settings_count(settings, "pythonpath"); i > 0; i--) {
		if (wsgi_load_path(directory, prefork_settings_item(settings, "pythonpath", i - 1)) < 0)
			return -1;
	}
	return wsgi_load_path(NULL, directory);
}

int wsgi_log_settings_path(const struct prefork_settings *settings)
{
	return set_path(settings) < 0 ? wsgi_log_settings_refuse() : 0;
}
