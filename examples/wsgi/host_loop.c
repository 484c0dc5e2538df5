/* Runs a worker inside an event loop of Python: loads the adapter, and switches between tasks by its functions. */
#include "host_loop.h"
#include "application.h"
#include "failure.h"
#include "forked_children.h"
#include "frame_blocks.h"
#include "host_task.h"
#include "host_worker.h"
#include "interpreter.h"
#include "wsgi_log.h"

#include <prefork/arbiter.h>
#include <prefork/error.h>
#include <prefork/host_loop.h>
#include <prefork/settings.h>
#include <prefork/strategy.h>
#include <prefork/worker.h>

#include <errno.h>
#include <string.h>

static const char gevent_py[] =
#include "loop_gevent.py.inc"
	;
static const char selector_py[] =
#include "loop_selector.py.inc"
	;
static const char tornado_request_py[] =
#include "tornado_request.py.inc"
	;
static const char tornado_server_py[] =
#include "tornado_server.py.inc"
	;
static const char tornado_py[] =
#include "loop_tornado.py.inc"
	;

static const char eventlet_py[] =
#include "loop_eventlet.py.inc"
	;

/* The adapters, each with the modules that it imports, which stand before it. */
static const struct script {
	const char *adapter, *module, *file, *text;
} scripts[] = {
	{ "gevent", "prefork_gevent", "prefork-wsgi/loop_gevent.py", gevent_py },
	{ "eventlet", "prefork_eventlet", "prefork-wsgi/loop_eventlet.py", eventlet_py },
	{ "tornado", "prefork_selector", "prefork-wsgi/loop_selector.py", selector_py },
	{ "tornado", "prefork_tornado_request", "prefork-wsgi/tornado_request.py", tornado_request_py },
	{ "tornado", "prefork_tornado_server", "prefork-wsgi/tornado_server.py", tornado_server_py },
	{ "tornado", "prefork_tornado", "prefork-wsgi/loop_tornado.py", tornado_py },
};

/* The classes. Each of the first has the name of the package that it needs; the last is a class of the user's. */
static const char *const adapters[] = { "gevent", "eventlet", "tornado", "*:*" };

enum { ADAPTERS = sizeof adapters / sizeof adapters[0], OF_USER = ADAPTERS - 1 };

/* Other names, as gunicorn has them. */
static const struct {
	const char *name, *meaning;
} aliases[] = {
	{ "gevent_wsgi", "gevent" },
	{ "gevent_pywsgi", "gevent" },
};

static PyObject *loop_class; /* class Loop of the adapter; NULL: not prepared */

static int adapter_of(const struct prefork_settings *settings)
{
	const char *const name = prefork_settings_text(settings, "worker_class");

	for (int i = 0; i < OF_USER; i++) {
		if (strcmp(adapters[i], name) == 0)
			return i;
	}
	return strchr(name, ':') ? OF_USER : -1;
}

/* The modules are not found in sys.path, so that the program needs no file besides itself. */
static PyObject *import_script(const struct script *script)
{
	PyObject *const code = Py_CompileString(script->text, script->file, Py_file_input);
	PyObject *const module = code ? PyImport_ExecCodeModule(script->module, code) : NULL;

	Py_XDECREF(code);
	return module;
}

/* The last module of the adapter. */
static PyObject *import_adapter(const char *adapter)
{
	PyObject *module = NULL;

	for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
		if (strcmp(scripts[i].adapter, adapter) != 0)
			continue;
		Py_XDECREF(module);
		module = import_script(&scripts[i]);
		if (module == NULL)
			return NULL;
	}
	return module;
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
	PyObject *module, *class;

	if (index == OF_USER)
		return import_class(prefork_settings_text(settings, "worker_class"));
	module = import_adapter(adapters[index]);
	class = module ? PyObject_GetAttrString(module, "Loop") : NULL;
	Py_XDECREF(module);
	return class;
}

int wsgi_host_loop_check(const struct prefork_settings *settings, const char *program)
{
	const int index = adapter_of(settings);
	const char *const package = index < 0 || index == OF_USER ? NULL : adapters[index];
	const char *place = "";
	const int r = package ? wsgi_application_find_package(settings, program, package) : 0;

	if (r != -ENOENT)
		return r;
	(void)prefork_settings_origin(settings, "worker_class", NULL, &place);
	return prefork_fail(PREFORK_ECONFIG, "%s: the worker class %s needs the Python package %s, which is not installed: "
	                                     "pip install %s, or apt install python3-%s", place, package, package, package,
	                    package);
}

int wsgi_host_loop_prepare(const struct prefork_settings *settings)
{
	const int index = adapter_of(settings);
	PyObject *none;

	if (index < 0 || loop_class)
		return 0;
	loop_class = load(settings, index);
	if (loop_class == NULL)
		return -1;
	wsgi_frame_blocks_keep();
	none = PyObject_HasAttrString(loop_class, "prepare") ? PyObject_CallMethod(loop_class, "prepare", NULL) : Py_NewRef(Py_None);
	Py_XDECREF(none);
	return none ? 0 : -1;
}

bool wsgi_host_loop_has_tasks(void)
{
	return loop_class && PyObject_HasAttrString(loop_class, "multithread");
}

/* Takes the exception that is set. */
static int fail_to_run(const char *what)
{
	char line[512];
	PyObject *const text = wsgi_failure_take(line, sizeof line);
	Py_ssize_t size = 0;
	const char *const bytes = text ? PyUnicode_AsUTF8AndSize(text, &size) : NULL;

	wsgi_log_block(PREFORK_LOG_ERROR, "loop_failed", bytes ? bytes : "", (size_t)size, "The event loop %s: %s", what, line);
	PyErr_Clear();
	Py_XDECREF(text);
	return prefork_fail(PREFORK_EAPP, "the event loop %s: %s", what, line);
}

static bool is_true(PyObject *object, const char *name)
{
	PyObject *const value = PyObject_GetAttrString(object, name);
	const bool result = value && PyObject_IsTrue(value) == 1;

	PyErr_Clear();
	Py_XDECREF(value);
	return result;
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

/* Returns when the loop ends: the worker has drained or quits. */
static int run_loop(struct prefork_worker *worker, PyObject *loop)
{
	int r = open_loop(worker, loop);
	PyObject *none;

	if (r < 0)
		return r;
	none = PyObject_CallMethod(loop, "run", NULL);
	if (wsgi_is_forked_child)
		wsgi_forked_child_exit();
	r = none ? 0 : fail_to_run("has ended by an exception");
	Py_XDECREF(none);
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
	object = wsgi_host_worker_create(worker, wsgi_application_get()->callable);
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
