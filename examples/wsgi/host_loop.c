/* Runs a worker inside an event loop of Python: loads the adapter, and switches between tasks by its functions. */
#include "host_loop.h"
#include "application.h"
#include "config_file.h"
#include "failure.h"
#include "forked_children.h"
#include "frame_blocks.h"
#include "host_task.h"
#include "host_worker.h"
#include "interpreter.h"
#include "python_modules.h"
#include "wsgi_options.h"

#include <prefork/arbiter.h>
#include <prefork/error.h>
#include <prefork/host_loop.h>
#include <prefork/settings.h>
#include <prefork/strategy.h>
#include <prefork/worker.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The classes. Each of the first has the name of the package that it needs, and its adapter is prefork_wsgi.loop_NAME; then
 * patterns of names: worker classes of gunicorn's interface, and adapters of the user's. The first pattern that matches
 * counts. */
enum adapter { GEVENT, EVENTLET, TORNADO, ENTRY_POINT, OF_USER, CLASS_PATH, ADAPTERS };

static const char *const adapters[ADAPTERS] = {
	[GEVENT] = "gevent", [EVENTLET] = "eventlet", [TORNADO] = "tornado",
	[ENTRY_POINT] = "egg:*", [OF_USER] = "*:*", [CLASS_PATH] = "*.*",
};

enum { PACKAGES = TORNADO + 1 };

/* Other names, as gunicorn has them. */
static const struct {
	const char *name, *meaning;
} aliases[] = {
	{ "gevent_wsgi", "gevent" },
	{ "gevent_pywsgi", "gevent" },
	{ "gunicorn.workers.sync.SyncWorker", "sync" },
	{ "gunicorn.workers.gthread.ThreadWorker", "threads" },
	{ "gunicorn.workers.ggevent.GeventWorker", "gevent" },
	{ "gunicorn.workers.ggevent.GeventPyWSGIWorker", "gevent" },
	{ "gunicorn.workers.geventlet.EventletWorker", "eventlet" },
	{ "gunicorn.workers.gtornado.TornadoWorker", "tornado" },
};

static PyObject *loop_class; /* class Loop of the adapter; NULL: not prepared */
static char prepared[256];   /* the worker class that it is for */
static bool loads_application, is_wsgi; /* its attributes */

static int adapter_of(const struct prefork_settings *settings)
{
	const char *const name = prefork_settings_text(settings, "worker_class");

	for (int i = 0; i < PACKAGES; i++) {
		if (strcmp(adapters[i], name) == 0)
			return i;
	}
	if (strncmp(name, "egg:", 4) == 0)
		return ENTRY_POINT;
	return strchr(name, ':') ? OF_USER : strchr(name, '.') ? CLASS_PATH : -1;
}

/* "module:Class" */
static PyObject *import_class(const char *name)
{
	const char *const colon = strchr(name, ':');
	PyObject *const text = PyUnicode_DecodeFSDefaultAndSize(name, colon - name);
	PyObject *const module = text ? PyImport_Import(text) : NULL;
	PyObject *const class = module ? PyObject_GetAttrString(module, colon + 1) : NULL;

	Py_XDECREF(module);
	Py_XDECREF(text);
	return class;
}

static PyObject *load(const struct prefork_settings *settings, int index)
{
	const char *const name = prefork_settings_text(settings, "worker_class");
	char module[64];

	if (index == OF_USER)
		return import_class(name);
	if (index >= PACKAGES)
		return wsgi_python_call("prefork_wsgi.worker_class", "loop", "(s)", name);
	(void)snprintf(module, sizeof module, "prefork_wsgi.loop_%s", adapters[index]);
	return wsgi_python_get(module, "Loop");
}

int wsgi_host_loop_check(const struct prefork_settings *settings, const char *program)
{
	const int index = adapter_of(settings);
	const char *const package = index < 0 || index >= PACKAGES ? NULL : adapters[index];
	const int r = package ? wsgi_application_find_package(settings, program, package) : 0;

	if (r != -ENOENT)
		return r;
	return prefork_fail(PREFORK_ECONFIG, "%s: the worker class %s needs the Python package %s, which is not installed: "
	                                     "pip install %s, or apt install python3-%s",
	                    wsgi_options_place(settings, "worker_class"), package, package, package, package);
}

static bool is_true(PyObject *object, const char *name)
{
	PyObject *const value = PyObject_GetAttrString(object, name);
	const bool result = value && PyObject_IsTrue(value) == 1;

	PyErr_Clear();
	Py_XDECREF(value);
	return result;
}

int wsgi_host_loop_prepare(const struct prefork_settings *settings)
{
	const int index = adapter_of(settings);
	const char *const name = prefork_settings_text(settings, "worker_class");
	PyObject *none;

	if (loop_class && strcmp(prepared, name) != 0) { /* by the arbiter with --preload, before a reload */
		Py_CLEAR(loop_class);
		loads_application = is_wsgi = false;
	}
	if (index < 0 || loop_class)
		return 0;
	(void)snprintf(prepared, sizeof prepared, "%s", name);
	loop_class = load(settings, index);
	if (loop_class == NULL)
		return -1;
	wsgi_frame_blocks_keep();
	none = PyObject_HasAttrString(loop_class, "prepare") ? PyObject_CallMethod(loop_class, "prepare", NULL) : Py_NewRef(Py_None);
	if (none) {
		loads_application = is_true(loop_class, "loads_application");
		is_wsgi = is_true(loop_class, "is_wsgi");
	}
	Py_XDECREF(none);
	return none ? 0 : -1;
}

bool wsgi_host_loop_has_tasks(void)
{
	return loop_class && PyObject_HasAttrString(loop_class, "multithread");
}

bool wsgi_host_loop_loads_application(void)
{
	return loads_application;
}

bool wsgi_host_loop_takes_any(void)
{
	return loads_application && !is_wsgi;
}

/* Takes the exception that is set. */
static int fail_to_run(const char *what)
{
	const char *const kind = loads_application ? "worker class" : "event loop";
	char line[512];
	PyObject *const text = wsgi_failure_take(line, sizeof line);

	wsgi_failure_log(text, "loop_failed", "The %s %s: %s", kind, what, line);
	return prefork_fail(loads_application ? PREFORK_EBOOT : PREFORK_EAPP, "the %s %s: %s", kind, what, line);
}

static void call(PyObject *object, const char *method)
{
	PyObject *const none = PyObject_CallMethod(object, method, NULL);

	if (none == NULL)
		PyErr_WriteUnraisable(object);
	Py_XDECREF(none);
}

static void listeners_closing(void *loop)
{
	call(loop, "listeners_closing");
}

static int open_loop(struct prefork_worker *worker, PyObject *loop)
{
	struct prefork_host_loop host = { .struct_size = sizeof host };

	if (is_true(loop, "has_own_server"))
		return 0;
	if (is_true(loop, "reports_idle"))
		host.flags |= PREFORK_LOOP_REPORTS_IDLE;
	if (PyObject_HasAttrString(loop, "listeners_closing"))
		host.listeners_closing = listeners_closing;
	if (PyObject_HasAttrString(loop, "submit") && wsgi_host_tasks_open(loop, &host) < 0)
		return fail_to_run("has not all functions for tasks");
	return prefork_worker_poll_open(worker, &host, loop);
}

/* `result` is that of run(), *taken*: a worker class returns its exit status. Without one, the exception that is set may
 * be the application's. */
static int status_of(PyObject *result, const struct prefork_settings *settings)
{
	int status = 0;

	if (result == NULL)
		return loads_application && wsgi_application_get()->callable == NULL && wsgi_application_was_tried() ?
		               wsgi_application_fail(settings) :
		               fail_to_run("has ended by an exception");
	if (PyLong_Check(result))
		status = (int)(PyLong_AsLong(result) & 0xff);
	PyErr_Clear();
	Py_DECREF(result);
	return status;
}

/* Returns when the loop ends: the worker has drained or quits. */
static int run_loop(struct prefork_worker *worker, PyObject *loop)
{
	int r = open_loop(worker, loop);
	PyObject *result;

	if (r < 0)
		return r;
	result = PyObject_CallMethod(loop, "run", NULL);
	wsgi_forked_child_stop();
	r = status_of(result, prefork_worker_settings(worker));
	if (wsgi_host_tasks_remain())
		wsgi_python_abandon_tasks();
	prefork_worker_poll_close(worker);
	return r;
}

static int run(struct prefork_worker *worker, void *user)
{
	PyObject *object, *loop;
	int r;

	(void)user;
	if (!wsgi_gil_take())
		return prefork_fail(-ENOMEM, "no memory for the event loop");
	wsgi_gil_keep(true);
	object = loads_application && wsgi_config_select(prefork_worker_settings(worker)) < 0 ?
	                 NULL :
	                 wsgi_host_worker_create(worker, wsgi_application_get()->callable);
	loop = object ? PyObject_CallOneArg(loop_class, object) : NULL;
	r = loop ? run_loop(worker, loop) : fail_to_run("does not start");
	if (object)
		wsgi_host_worker_end(object);
	wsgi_gil_keep(false);
	wsgi_gil_release(); /* `loop` stays: tasks that have not ended refer to it */
	return r;
}

static struct prefork_strategy strategies[ADAPTERS];

int wsgi_host_loop_add_strategies(struct prefork_arbiter *arbiter)
{
	int r = 0;

	for (int i = 0; r == 0 && i < ADAPTERS; i++) {
		strategies[i] = (struct prefork_strategy){
			.struct_size = sizeof strategies[i], .name = adapters[i],
			.traits = PREFORK_STRATEGY_REPORTS_READY | PREFORK_STRATEGY_TURNS, .run = run,
		};
		r = prefork_arbiter_add_strategy(arbiter, &strategies[i]);
	}
	return r;
}

int wsgi_host_loop_add_names(struct prefork_settings *settings)
{
	int r = 0;

	for (int i = 0; r == 0 && i < ADAPTERS; i++)
		r = prefork_settings_add_choice(settings, "worker_class", adapters[i], NULL);
	for (size_t i = 0; r == 0 && i < sizeof aliases / sizeof aliases[0]; i++)
		r = prefork_settings_add_choice(settings, "worker_class", aliases[i].name, aliases[i].meaning);
	return r;
}
