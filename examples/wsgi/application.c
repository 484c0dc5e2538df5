#include "application.h"
#include "errors.h"
#include "response_headers.h"
#include "failure.h"
#include "interpreter.h"
#include "load.h"
#include "loggers.h"
#include "header_names.h"
#include "forked_children.h"
#include "wsgi_options.h"
#include "template.h"
#include "virtualenv.h"

#include <prefork/error.h>
#include <prefork/listener.h>
#include <prefork/log.h>
#include <prefork/settings.h>
#include <prefork/worker.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct wsgi_host host; /* of this process; its application is NULL until it was imported */

/* What the application is to find around it, before Python looks at any of it. */
static int set_surroundings(const struct prefork_settings *settings)
{
	const char *directory = prefork_settings_text(settings, "chdir");
	const char *item;
	char name[1024];

	for (size_t i = 0; (item = prefork_settings_item(settings, "raw_env", i)); i++) {
		const size_t length = strcspn(item, "=");

		if (item[length] == '\0' || length >= sizeof name)
			return prefork_fail(PREFORK_ECONFIG, "--env: \"%s\" is not NAME=VALUE", item);
		memcpy(name, item, length);
		name[length] = '\0';
		if (setenv(name, item + length + 1, 1) < 0)
			return prefork_fail(-errno, "--env %s: %s", item, strerror(errno));
	}
	item = getenv("SCRIPT_NAME");
	if (item && *item != '\0' && *item != '/')
		return prefork_fail(PREFORK_ECONFIG, "SCRIPT_NAME: \"%s\" does not begin with a slash", item);
	if (directory && chdir(directory) < 0)
		return prefork_fail(PREFORK_ECONFIG, "--chdir: %s: %s", directory, strerror(errno));
	return 0;
}

/* The working directory is searched first, then --pythonpath in its order. -1 with an exception set. */
static int set_path(const struct prefork_settings *settings)
{
	char directory[PATH_MAX];

	if (getcwd(directory, sizeof directory) == NULL) {
		PyErr_SetFromErrno(PyExc_OSError);
		return -1;
	}
	for (size_t i = prefork_settings_count(settings, "pythonpath"); i > 0; i--) {
		if (wsgi_load_path(directory, prefork_settings_item(settings, "pythonpath", i - 1)) < 0)
			return -1;
	}
	return wsgi_load_path(NULL, directory);
}

/* Takes the exception that is set: the whole of it into the log, one line of it as the error message. */
static int refuse(const char *name, struct prefork_log *log)
{
	char title[1024], line[512];
	PyObject *text = wsgi_failure_take(line, sizeof line);
	Py_ssize_t size = 0;
	const char *bytes = text ? PyUnicode_AsUTF8AndSize(text, &size) : NULL;

	(void)snprintf(title, sizeof title, "The application %s does not load", name);
	if (bytes)
		prefork_log_block(log, PREFORK_LOG_ERROR, "wsgi", title, bytes, (size_t)size);
	PyErr_Clear(); /* a traceback that is no UTF-8: the error message must do */
	Py_XDECREF(text);
	return prefork_fail(PREFORK_EAPP, "the application %s does not load: %s", name, line);
}

/* Is the application run by threads of the library's? */
static bool has_threads(const struct prefork_settings *settings)
{
	const char *strategy = prefork_settings_text(settings, "worker_class");

	return strategy && strcmp(strategy, "sync") != 0 && prefork_settings_int(settings, "threads") > 0;
}

/* Python takes the thread that first imports `threading` for the main one. */
static int mark_main_thread(const struct prefork_settings *settings)
{
	PyObject *module = has_threads(settings) ? PyImport_ImportModule("threading") : Py_NewRef(Py_None);

	Py_XDECREF(module);
	return module ? 0 : -1;
}

/* Start Python and import the application. Python runs, and the GIL is held, unless Python did not start. */
static int import(const struct prefork_settings *settings, const char *program, struct prefork_log *log)
{
	const char *name = wsgi_options_application(settings);
	char venv[PATH_MAX];
	int r = wsgi_virtualenv_find(prefork_settings_text(settings, "venv"), program, venv, sizeof venv);

	if (r == 0) /* after the name of the virtualenv, which may be relative */
		r = set_surroundings(settings);
	if (r == 0)
		r = wsgi_python_start(program, *venv ? venv : NULL);
	if (r < 0)
		return r;
	if (wsgi_names_create() == 0 && wsgi_errors_prepare() == 0 &&
	    wsgi_loggers_prepare(log, prefork_settings_text(settings, "loglevel")) == 0 && wsgi_call_prepare() == 0 &&
	    mark_main_thread(settings) == 0 && set_path(settings) == 0)
		host.application = wsgi_load(name);
	if (wsgi_is_forked_children)
		wsgi_forked_children_end();
	return host.application ? 0 : refuse(name, log);
}

int wsgi_application_import(const struct prefork_settings *settings, const char *program, struct prefork_log *log)
{
	const int before = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* may be unreadable: then we stay */

	wsgi_forked_children_prepare();
	const int r = import(settings, program, log);

	if (r == 0)
		wsgi_python_freeze();
	if (wsgi_python_runs())
		wsgi_gil_release();
	if (before >= 0) {
		if (fchdir(before) < 0)
			prefork_log_printf(log, PREFORK_LOG_WARNING, "wsgi", "cannot go back from --chdir: %s", strerror(errno));
		(void)close(before);
	}
	return r;
}

/* One environ to copy per listener: -1 with an exception set. */
static int make_templates(const struct prefork_worker *worker)
{
	const struct prefork_settings *settings = prefork_worker_settings(worker);
	const char *script_name = getenv("SCRIPT_NAME");
	const size_t count = prefork_worker_listeners(worker);
	PyObject *errors = wsgi_errors_create(prefork_worker_log(worker));
	struct wsgi_template **templates = PyMem_Calloc(count + 1, sizeof *templates);

	host.templates = templates;
	if (errors == NULL || templates == NULL)
		return -1;
	for (size_t i = 0; i < count; i++) {
		const struct wsgi_place place = {
			.address = prefork_listener_address(prefork_worker_listener(worker, i)),
			.script_name = script_name ? script_name : "",
			.multithread = has_threads(settings) && prefork_settings_int(settings, "threads") > 1,
			.multiprocess = prefork_settings_int(settings, "workers") > 1,
			.errors = errors,
		};

		templates[i] = wsgi_template_create(&place);
		if (templates[i] == NULL)
			return -1;
	}
	Py_DECREF(errors); /* the templates have it */
	return 0;
}

int wsgi_application_start(struct prefork_worker *worker, const char *program)
{
	const struct prefork_settings *settings = prefork_worker_settings(worker);
	int r = 0;

	host.log = prefork_worker_log(worker);
	wsgi_fields_prepare(host.log);
	wsgi_forked_children_prepare();
	if (!wsgi_python_runs())
		r = import(settings, program, host.log);
	else /* preloaded, and the GIL is held since the fork */
		r = set_surroundings(settings);
	if (r == 0 && (wsgi_loggers_prepare(host.log, prefork_settings_text(settings, "loglevel")) < 0 ||
	               mark_main_thread(settings) < 0 || make_templates(worker) < 0))
		r = refuse(wsgi_options_application(settings), host.log);
	if (wsgi_python_runs())
		wsgi_gil_release();
	return r;
}

const struct wsgi_host *wsgi_application_host(void)
{
	return &host;
}
