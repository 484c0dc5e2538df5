/* Imports the Python application and prepares it for serving. The working directory, environment and sys.path are
 * set first. */
#include "application.h"
#include "config_file.h"
#include "errors.h"
#include "response_headers.h"
#include "failure.h"
#include "host_loop.h"
#include "interpreter.h"
#include "load.h"
#include "loggers.h"
#include "paste.h"
#include "python_modules.h"
#include "header_names.h"
#include "forked_children.h"
#include "raw_env.h"
#include "wsgi_options.h"
#include "template.h"
#include "virtualenv.h"
#include "wsgi_log.h"

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
#include <sys/wait.h>
#include <unistd.h>

static struct wsgi_application application; /* `callable` is NULL until it is imported */
static bool was_tried;                       /* to import it */

/* Python, if it runs, has read the environment before. */
static int set_variable(const char *name, const char *value)
{
	PyObject *os, *environment = NULL, *text = NULL;
	int r = -1;

	if (!wsgi_python_runs())
		return setenv(name, value, 1) < 0 ? -errno : 0;
	os = PyImport_ImportModule("os");
	if (os)
		environment = PyObject_GetAttrString(os, "environ");
	if (environment)
		text = PyUnicode_DecodeFSDefault(value);
	if (text)
		r = PyMapping_SetItemString(environment, name, text);
	PyErr_Clear();
	Py_XDECREF(text);
	Py_XDECREF(environment);
	Py_XDECREF(os);
	return r < 0 ? -EINVAL : 0;
}

/* One item of raw_env. `worker` is NULL for an application that is preloaded: what {slot} and {pid} are is not known yet. */
static int set_item(const char *item, const struct wsgi_raw_env_worker *worker)
{
	const size_t length = strcspn(item, "=");
	char name[1024], *value;
	int r;

	if (item[length] == '\0' || length >= sizeof name)
		return prefork_fail(PREFORK_ECONFIG, "--env: \"%s\" is not NAME=VALUE", item);
	memcpy(name, item, length);
	name[length] = '\0';
	if (worker == NULL && wsgi_raw_env_needs_worker(item + length + 1))
		return 0;
	value = wsgi_raw_env_expand(item + length + 1, worker);
	r = value ? set_variable(name, value) : -ENOMEM;
	free(value);
	return r < 0 ? prefork_fail(r, "--env %s: %s", item, strerror(-r)) : 0;
}

static int set_raw_env(const struct prefork_settings *settings, const struct prefork_worker *worker)
{
	/* Without a worker, --check-config does what the worker in slot 0 does. */
	const struct wsgi_raw_env_worker own = { .slot = worker ? prefork_worker_slot(worker) : 0, .pid = (int)getpid() };
	const bool is_shared = worker == NULL && prefork_settings_int(settings, "preload_app") == 1;
	const char *item;
	int r = 0;

	for (size_t i = 0; r == 0 && (item = prefork_settings_item(settings, "raw_env", i)); i++)
		r = set_item(item, is_shared ? NULL : &own);
	return r;
}

/* Environment variables and working directory of the application, before Python reads them. `worker` is NULL in other
 * processes. */
static int set_surroundings(const struct prefork_settings *settings, const struct prefork_worker *worker)
{
	const char *directory = prefork_settings_text(settings, "chdir");
	const char *script_name;
	const int r = set_raw_env(settings, worker);

	if (r < 0)
		return r;
	script_name = getenv("SCRIPT_NAME");
	if (script_name && *script_name != '\0' && *script_name != '/')
		return prefork_fail(PREFORK_ECONFIG, "SCRIPT_NAME: \"%s\" does not begin with a slash", script_name);
	if (directory && chdir(directory) < 0)
		return prefork_fail(PREFORK_ECONFIG, "--chdir: %s: %s", directory, strerror(errno));
	return 0;
}

/* sys.path: the working directory, then --pythonpath in its order. Returns -1 with an exception set. */
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

/* Takes the exception that is set: logs its traceback, and writes it as one line. Returns the traceback as a *new* str, or
 * NULL if it cannot be formatted. `kind` is "application" or "worker class". */
static PyObject *log_failure(const char *kind, const char *name, char *line, size_t line_size)
{
	PyObject *const text = wsgi_failure_take(line, line_size);

	wsgi_failure_log(Py_XNewRef(text), "app_load_failed", "The %s %s does not load", kind, name);
	return text;
}

/* The same; the error message is the line. */
static int fail_to_load(const char *kind, const char *name)
{
	char line[512];

	Py_XDECREF(log_failure(kind, name, line, sizeof line));
	return prefork_fail(PREFORK_EAPP, "the %s %s does not load: %s", kind, name, line);
}

/* Whether worker threads call the application. */
static bool has_threads(const struct prefork_settings *settings)
{
	const char *strategy = prefork_settings_text(settings, "worker_class");

	return strategy && strcmp(strategy, "sync") != 0 && prefork_settings_int(settings, "threads") > 0;
}

/* Python takes the thread that first imports `threading` as the main thread. */
static int mark_main_thread(const struct prefork_settings *settings)
{
	PyObject *module = has_threads(settings) ? PyImport_ImportModule("threading") : Py_NewRef(Py_None);

	Py_XDECREF(module);
	return module ? 0 : -1;
}

static PyObject *load_named(const struct prefork_settings *settings)
{
	const char *const name = wsgi_options_application(settings);

	if (wsgi_paste_is_set(settings))
		return wsgi_paste_load(settings, wsgi_host_loop_takes_any());
	return wsgi_host_loop_takes_any() ? wsgi_load_callable(name) : wsgi_load(name);
}

static PyObject *load(const struct prefork_settings *settings)
{
	was_tried = true;
	if (application.callable == NULL)
		application.callable = load_named(settings);
	return application.callable;
}

/* Takes the exception that is set. With --reload, the worker serves the traceback instead of the application: its developer
 * sees it in the browser, and the next edit is a reload like any other. Returns NULL with an exception set if it cannot. */
static PyObject *load_failure_page(const struct prefork_settings *settings)
{
	const char *const name = wsgi_options_application(settings);
	char line[512];
	PyObject *const text = log_failure("application", name, line, sizeof line);

	application.callable = text ? wsgi_python_call("prefork_wsgi.failure_page", "application", "(sO)", name, text) :
	                              wsgi_python_call("prefork_wsgi.failure_page", "application", "(ss)", name, line);
	Py_XDECREF(text);
	if (application.callable)
		wsgi_log(PREFORK_LOG_WARNING, "failure_served", "Until an edit loads, responses are this traceback with status 500");
	return application.callable;
}

/* Not in a process that the application has forked, which exits; and a worker class of another interface than WSGI cannot
 * serve it. */
static bool serves_failures(const struct prefork_settings *settings)
{
	return prefork_settings_int(settings, "reload") == 1 && !wsgi_is_forked_child && !wsgi_host_loop_takes_any();
}

PyObject *wsgi_application_load(const struct prefork_settings *settings)
{
	return load(settings) == NULL && serves_failures(settings) ? load_failure_page(settings) : application.callable;
}

void wsgi_application_set(PyObject *callable)
{
	Py_XSETREF(application.callable, Py_NewRef(callable));
}

bool wsgi_application_was_tried(void)
{
	return was_tried;
}

int wsgi_application_fail(const struct prefork_settings *settings)
{
	return fail_to_load("application", wsgi_options_application(settings));
}

static int fail_to_load_class(const struct prefork_settings *settings)
{
	char name[512];

	(void)snprintf(name, sizeof name, "%s (%s)", prefork_settings_text(settings, "worker_class"),
	               wsgi_options_place(settings, "worker_class"));
	return fail_to_load("worker class", name);
}

/* --spew. In this thread, and in those that serve requests later. */
static int start_trace(const struct prefork_settings *settings)
{
	static bool is_traced;
	PyObject *function;

	if (is_traced || prefork_settings_int(settings, "spew") != 1)
		return 0;
	function = wsgi_python_call("prefork_wsgi.spew", "start", "()");
	is_traced = function != NULL;
	wsgi_python_trace(function);
	Py_XDECREF(function);
	return is_traced ? 0 : -1;
}

/* Start Python, unless a configuration file did, and import the application. If Python has started, the GIL is held, also
 * after an error. In a worker, a worker class that loads the application itself does so later. */
static int import(const struct prefork_settings *settings, const char *program, struct prefork_log *log,
                  const struct prefork_worker *worker)
{
	char venv[PATH_MAX];
	int r = wsgi_virtualenv_find(prefork_settings_text(settings, "venv"), program, venv, sizeof venv);

	if (r == 0) /* after the path of the virtualenv, which may be relative, is resolved */
		r = set_surroundings(settings, worker);
	if (r == 0 && !wsgi_python_runs())
		r = wsgi_python_start(program, *venv ? venv : NULL);
	if (r < 0)
		return r;
	if (wsgi_header_names_create() == 0 && wsgi_errors_prepare() == 0 &&
	    wsgi_loggers_prepare(log, settings) == 0 && wsgi_request_prepare() == 0 &&
	    mark_main_thread(settings) == 0 && set_path(settings) == 0) {
		if (wsgi_host_loop_prepare(settings) < 0)
			return fail_to_load_class(settings);
		if (worker && wsgi_host_loop_loads_application())
			return 0;
		if (!worker)
			(void)load(settings);
		else if (start_trace(settings) == 0)
			(void)wsgi_application_load(settings);
	}
	wsgi_forked_child_stop();
	return application.callable ? 0 : wsgi_application_fail(settings);
}

int wsgi_application_import(const struct prefork_settings *settings, const char *program, struct prefork_log *log)
{
	const int old_directory = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* fails if unreadable: then the directory is not restored */

	wsgi_log_prepare(log, NULL, 0);
	wsgi_forked_children_prepare();
	if (wsgi_python_runs() && wsgi_gil_take())
		wsgi_config_import_begins();
	const int r = import(settings, program, log, NULL);

	if (r == 0) {
		wsgi_config_import_ends();
		wsgi_python_freeze();
	}
	if (wsgi_python_runs())
		wsgi_gil_release();
	if (old_directory >= 0) {
		if (fchdir(old_directory) < 0)
			wsgi_log(PREFORK_LOG_WARNING, "chdir_failed", "Cannot return to the directory before --chdir: %s",
			         strerror(errno));
		(void)close(old_directory);
	}
	return r;
}

/* In a process of its own. 0: Python finds the package, or does not start, which the worker reports. */
static int find_package(const struct prefork_settings *settings, const char *program, const char *package)
{
	PyObject *module, *spec = NULL;
	char venv[PATH_MAX];

	if (prefork_settings_int(settings, "preload_app") == 0 && prefork_settings_run_as(settings) < 0)
		return 0; /* as in a start, Python does not run as root */
	if (wsgi_virtualenv_find(prefork_settings_text(settings, "venv"), program, venv, sizeof venv) < 0 ||
	    set_surroundings(settings, NULL) < 0 || (!wsgi_python_runs() && wsgi_python_start(program, *venv ? venv : NULL) < 0) ||
	    set_path(settings) < 0)
		return 0;
	module = PyImport_ImportModule("importlib.util");
	if (module)
		spec = PyObject_CallMethod(module, "find_spec", "s", package);
	return spec == Py_None;
}

int wsgi_application_find_package(const struct prefork_settings *settings, const char *program, const char *package)
{
	int status = 0;

	wsgi_python_before_fork();
	const pid_t pid = fork();

	if (pid == 0) {
		wsgi_python_in_child();
		_exit(find_package(settings, program, package));
	}
	wsgi_python_in_parent();
	if (pid < 0)
		return prefork_fail(-errno, "fork: %s", strerror(errno));
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 1 ? -ENOENT : 0;
}

/* One environ template per listener. Returns -1 with an exception set. */
static int make_templates(const struct prefork_worker *worker)
{
	const struct prefork_settings *settings = prefork_worker_settings(worker);
	const char *script_name = getenv("SCRIPT_NAME");
	const size_t count = prefork_worker_listeners(worker);
	PyObject *errors = wsgi_errors_create(prefork_worker_log(worker));
	struct wsgi_template **templates = PyMem_Calloc(count + 1, sizeof *templates);

	application.templates = templates;
	if (errors == NULL || templates == NULL)
		return -1;
	for (size_t i = 0; i < count; i++) {
		const struct wsgi_template_config place = {
			.address = prefork_listener_address(prefork_worker_listener(worker, i)),
			.script_name = script_name ? script_name : "",
			.multithread = wsgi_host_loop_has_tasks() ||
			               (has_threads(settings) && prefork_settings_int(settings, "threads") > 1),
			.multiprocess = prefork_settings_int(settings, "workers") > 1,
			.errors = errors,
		};

		templates[i] = wsgi_template_create(&place);
		if (templates[i] == NULL)
			return -1;
	}
	Py_DECREF(errors); /* the templates hold references */
	return 0;
}

int wsgi_application_start(struct prefork_worker *worker, const char *program)
{
	const struct prefork_settings *settings = prefork_worker_settings(worker);
	struct prefork_log *log = prefork_worker_log(worker);
	int r = 0;

	wsgi_log_prepare(log, prefork_worker_pool(worker), prefork_worker_slot(worker));
	wsgi_response_headers_prepare();
	wsgi_forked_children_prepare();
	if (application.callable == NULL) /* if Python runs, the GIL is held since the fork */
		r = import(settings, program, log, worker);
	else /* preloaded */
		r = set_surroundings(settings, worker);
	if (r == 0 && (wsgi_loggers_prepare(log, settings) < 0 ||
	               mark_main_thread(settings) < 0 || wsgi_host_loop_prepare(settings) < 0 ||
	               make_templates(worker) < 0 || start_trace(settings) < 0))
		r = wsgi_application_fail(settings);
	if (wsgi_python_runs())
		wsgi_gil_release();
	return r;
}

const struct wsgi_application *wsgi_application_get(void)
{
	return &application;
}
