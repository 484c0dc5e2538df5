/* Gives prefork_wsgi.loggers the log files, for the loggers gunicorn.error and gunicorn.access. */
#include "loggers.h"
#include "errors.h"
#include "python_modules.h"

#include <prefork/error.h>
#include <prefork/log.h>
#include <prefork/settings.h>

#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

static PyObject *stream; /* NULL before the first call */
static struct prefork_log *access_log;
static PyObject *access_stream;

/* Levels of the module logging: DEBUG is 10, CRITICAL 50. */
static int number_of(const char *level)
{
	const int index = prefork_log_level_of(level);

	return index < 0 ? 20 : (index + 1) * 10;
}

static int done(PyObject *result)
{
	Py_XDECREF(result);
	return result ? 0 : -1;
}

int wsgi_loggers_prepare(struct prefork_log *log, const struct prefork_settings *settings)
{
	const int level = number_of(prefork_settings_text(settings, "loglevel"));
	const char *const path = prefork_settings_text(settings, "errorlog");
	int r;

	if (stream == NULL) {
		stream = wsgi_errors_create(log);
		r = stream ? done(wsgi_python_call("prefork_wsgi.loggers", "prepare", "(Oi)", stream, level)) : -1;
	} else {
		wsgi_errors_set_log(stream, log);
		r = done(wsgi_python_call("prefork_wsgi.loggers", "follow", "(i)", level));
	}
	if (r < 0)
		return r;
	return done(wsgi_python_call("prefork_wsgi.loggers", "add_file", "(ssO)", "gunicorn.error", path, stream));
}

static bool goes_to_syslog(const struct prefork_settings *settings)
{
	return prefork_settings_int(settings, "syslog") == 1 &&
	       prefork_settings_int(settings, "disable_redirect_access_to_syslog") == 0;
}

bool wsgi_loggers_have_access(const struct prefork_settings *settings)
{
	return prefork_settings_text(settings, "accesslog") != NULL || goes_to_syslog(settings);
}

/* As the access log of the library has it. */
static int add_syslog(struct prefork_log *log, const struct prefork_settings *settings)
{
	const char *prefix = prefork_settings_text(settings, "syslog_prefix");
	char identity[128];

	if (prefix == NULL || *prefix == '\0')
		prefix = prefork_settings_text(settings, "proc_name");
	(void)snprintf(identity, sizeof identity, "%.70s.access", prefix && *prefix != '\0' ? prefix : "prefork-wsgi");
	return prefork_log_add_syslog(log, prefork_settings_text(settings, "syslog_addr"), identity,
	                              prefork_settings_text(settings, "syslog_facility"));
}

static int register_access(const char *path, struct prefork_log *log)
{
	if (access_stream == NULL)
		access_stream = wsgi_errors_create(log);
	else
		wsgi_errors_set_log(access_stream, log);
	prefork_log_destroy(access_log);
	access_log = log;
	return access_stream ? done(wsgi_python_call("prefork_wsgi.loggers", "add_file", "(ssO)", "gunicorn.access", path,
	                                             access_stream)) : -1;
}

int wsgi_loggers_open_access(const struct prefork_settings *settings)
{
	const char *const set = prefork_settings_text(settings, "accesslog"), *const path = set ? set : "/dev/null";
	struct prefork_log *log;
	int r;

	if (set == NULL && !goes_to_syslog(settings))
		return 0;
	r = prefork_log_create(path, STDOUT_FILENO, &log);
	if (r == 0 && goes_to_syslog(settings) && (r = add_syslog(log, settings)) < 0)
		prefork_log_destroy(log);
	if (r == 0)
		return register_access(path, log);
	PyErr_SetString(PyExc_RuntimeError, prefork_error());
	return -1;
}

int wsgi_loggers_reopen_access(void)
{
	return access_log ? prefork_log_reopen(access_log) : 0;
}
