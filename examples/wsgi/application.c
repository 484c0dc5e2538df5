/* Imports the Python application and prepares it for serving. The working directory, environment and sys.path are
 * set first. */
#include "application.h"
#include "errors.h"
#include "response_headers.h"
#include "failure.h"
#include "host_loop.h"
#include "interpreter.h"
#include "load.h"
#include "loggers.h"
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

/* Takes the exception that is set: logs the traceback; the error message is one line of it. `kind` is "application" or
 * "worker class". */
static int fail_to_load(const char *kind, const char *name)
{
	char line[512];
	PyObject *text = wsgi_failure_take(line, sizeof line);
	Py_ssize_t size = 0;
	const char *bytes = text ? PyUnicode_AsUTF8AndSize(text, &size) : NULL;

	if (bytes)
		wsgi_log_block(PREFORK_LOG_ERROR, "app_load_failed", bytes, (size_t)size, "The %s %s does not load",
		               kind, name);
	PyErr_Clear(); /* the traceback is not UTF-8: only the error message remains */
	Py_XDECREF(text);
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

/* Start Python and import the application. If Python has started, the GIL is held, also after an error. */
static int import(const struct prefork_settings *settings, const char *program, struct prefork_log *log,
                  const struct prefork_worker *worker)
{
	const char *name = wsgi_options_application(settings);
	char venv[PATH_MAX];
	int r = wsgi_virtualenv_find(prefork_settings_text(settings, "venv"), program, venv, sizeof venv);

	if (r == 0) /* after the path of the virtualenv, which may be relative, is resolved */
		r = set_surroundings(settings, worker);
	if (r == 0 && !wsgi_python_runs())
		r = wsgi_python_start(program, *venv ? venv : NULL);
	if (r < 0)
		return r;
	if (wsgi_header_names_create() == 0 && wsgi_errors_prepare() == 0 &&
	    wsgi_loggers_prepare(log, prefork_settings_text(settings, "loglevel")) == 0 && wsgi_request_prepare() == 0 &&
	    mark_main_thread(settings) == 0 && set_path(settings) == 0) {
		if (wsgi_host_loop_prepare(settings) < 0)
			return fail_to_load("worker class", prefork_settings_text(settings, "worker_class"));
		application.callable = wsgi_load(name);
	}
	if (wsgi_is_forked_child)
		wsgi_forked_child_exit();
	return application.callable ? 0 : fail_to_load("application", name);
}

int wsgi_application_import(const struct prefork_settings *settings, const char *program, struct prefork_log *log)
{
	const int old_directory = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* fails if unreadable: then the directory is not restored */

	wsgi_log_prepare(log, NULL, 0);
	wsgi_forked_children_prepare();
	const int r = import(settings, program, log, NULL);

	if (r == 0)
		wsgi_python_freeze();
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
	const pid_t pid = fork();
	int status = 0;

	if (pid == 0)
		_exit(find_package(settings, program, package));
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
	if (!wsgi_python_runs())
		r = import(settings, program, log, worker);
	else /* preloaded; the GIL is held since the fork */
		r = set_surroundings(settings, worker);
	if (r == 0 && (wsgi_loggers_prepare(log, prefork_settings_text(settings, "loglevel")) < 0 ||
	               mark_main_thread(settings) < 0 || wsgi_host_loop_prepare(settings) < 0 || make_templates(worker) < 0))
		r = fail_to_load("application", wsgi_options_application(settings));
	if (wsgi_python_runs())
		wsgi_gil_release();
	return r;
}

const struct wsgi_application *wsgi_application_get(void)
{
	return &application;
}
