/* Starts and ends CPython, keeps it valid across forks, and gives each thread its thread state. */
#include "interpreter.h"
#include "gunicorn_view.h"

#include <prefork/error.h>
#include <prefork/http.h>
#include <prefork/service.h>

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static PyInterpreterState *interpreter; /* NULL: not started */
static _Thread_local PyThreadState *own;
static _Thread_local PyObject *deferred; /* argument of wsgi_drop_later() */
static pthread_key_t end_of_thread;    /* its value is `own` */
static _Thread_local bool keeps_gil; /* argument of wsgi_gil_keep() */
static bool has_abandoned_tasks;
static PyObject *trace_function; /* argument of wsgi_python_trace() */
static bool forking; /* PyOS_BeforeFork() was called, none of its counterparts yet */

static PyStatus configure(PyConfig *config, const char *program, const char *venv)
{
	char executable[4096];
	char *argv[] = { (char *)(uintptr_t)program };
	PyStatus status;

	/* As python3, including the PYTHON* variables, except what belongs to the library: signals, argv. */
	config->install_signal_handlers = 0;
	config->parse_argv = 0;
	/* The path of the executable determines sys.path: a virtualenv has a pyvenv.cfg next to bin/. Without
	 * a name Python uses the first python3 in PATH. */
	(void)snprintf(executable, sizeof executable, "%s%s", venv ? venv : WSGI_PYTHON, venv ? "/bin/python3" : "");
	status = PyConfig_SetBytesString(config, &config->executable, executable);
	if (!PyStatus_Exception(status))
		status = PyConfig_SetBytesString(config, &config->program_name, executable);
	if (!PyStatus_Exception(status))
		status = PyConfig_SetBytesArgv(config, 1, argv);
	return status;
}

/* Print Python stacks if C code crashes. SIGABRT stays with the library, which calls wsgi_python_dump(). */
static void enable_faulthandler(void)
{
	struct sigaction abort_action;
	PyObject *module = PyImport_ImportModule("faulthandler");
	PyObject *none = NULL;

	(void)sigaction(SIGABRT, NULL, &abort_action);
	if (module)
		none = PyObject_CallMethod(module, "enable", NULL);
	if (WSGI_HAVE_DUMP)
		(void)sigaction(SIGABRT, &abort_action, NULL);
	PyErr_Clear(); /* fails without stderr: there is nothing to write to */
	Py_XDECREF(none);
	Py_XDECREF(module);
}

/* A thread of the library exits. No other thread joins it while holding the GIL, so taking it cannot deadlock. */
static void on_thread_end(void *state)
{
	PyEval_RestoreThread(state);
	Py_CLEAR(deferred);
	PyThreadState_Clear(state);
	PyThreadState_DeleteCurrent();
}

int wsgi_python_start(const char *program, const char *venv)
{
	PyConfig config;
	PyStatus status;

	if (pthread_key_create(&end_of_thread, on_thread_end) != 0)
		return prefork_fail(PREFORK_EBOOT, "Python does not start: no thread key is available");
	(void)PyImport_AppendInittab("_prefork_wsgi_table", wsgi_gunicorn_view); /* without memory: no such module */
	PyConfig_InitPythonConfig(&config);
	status = configure(&config, program, venv);
	if (!PyStatus_Exception(status))
		status = Py_InitializeFromConfig(&config);
	PyConfig_Clear(&config);
	if (PyStatus_Exception(status))
		return prefork_fail(PREFORK_EBOOT, "Python does not start: %s%s%s", status.err_msg ? status.err_msg : "",
		                    venv ? ", in the virtualenv " : "", venv ? venv : "");
	own = PyThreadState_Get();
	interpreter = own->interp;
	enable_faulthandler();
	return 0;
}

bool wsgi_python_runs(void)
{
	return interpreter != NULL;
}

/* The library blocks all signals in its threads, and programs that a thread starts (subprocess) would inherit the mask.
 * Signals to the process still go to the first thread where it waits for them; if one interrupts a system call here,
 * it is Python's, which retries (PEP 475). */
static void unblock_signals(void)
{
	sigset_t none;

	(void)sigemptyset(&none);
	(void)pthread_sigmask(SIG_SETMASK, &none, NULL);
}

static bool create_state(void)
{
	own = PyThreadState_New(interpreter);
	if (own && pthread_setspecific(end_of_thread, own) == 0) {
		unblock_signals();
		return true;
	}
	if (own)
		PyThreadState_Delete(own);
	own = NULL;
	return false;
}

/* The module threading treats threads that it has not started as daemons, and the threads that those start inherit
 * that: they would not be joined at the exit, as they are under python3. */
static void register_thread(void)
{
	PyObject *module = PyDict_GetItemString(PyImport_GetModuleDict(), "threading"); /* borrowed */
	PyObject *thread = module ? PyObject_CallMethod(module, "current_thread", NULL) : NULL;

	if (thread)
		(void)PyObject_SetAttrString(thread, "_daemonic", Py_False);
	PyErr_Clear();
	Py_XDECREF(thread);
}

/* Python does so in the threads that it starts itself. */
static void trace_thread(void)
{
	PyObject *settrace = PySys_GetObject("settrace"); /* borrowed */
	PyObject *none = settrace ? PyObject_CallOneArg(settrace, trace_function) : NULL;

	PyErr_Clear();
	Py_XDECREF(none);
}

void wsgi_python_trace(PyObject *function)
{
	Py_XSETREF(trace_function, Py_XNewRef(function));
}

PyInterpreterState *wsgi_python_interpreter(void)
{
	return interpreter;
}

PyThreadState *wsgi_python_own_state(void)
{
	return own;
}

bool wsgi_gil_take(void)
{
	const bool is_new = own == NULL;

	if (keeps_gil)
		return true;
	if (is_new && !create_state())
		return false;
	PyEval_RestoreThread(own);
	if (is_new)
		register_thread();
	if (is_new && trace_function)
		trace_thread();
	if (deferred)
		Py_CLEAR(deferred);
	return true;
}

/* PyGILState_Check() is 1 before Python starts. */
bool wsgi_gil_is_held(void)
{
	return wsgi_python_runs() && PyGILState_Check() == 1;
}

void wsgi_yield(struct prefork_request *request)
{
	const struct timespec moment = { .tv_nsec = 1000 * 1000 };
	struct prefork_connection *const connection = prefork_request_connection(request);
	PyObject *type, *value, *traceback;

	PyErr_Fetch(&type, &value, &traceback);
	Py_BEGIN_ALLOW_THREADS
	if (prefork_connection_is_task(connection))
		(void)prefork_connection_wait(connection, PREFORK_AGAIN, 1);
	else
		(void)nanosleep(&moment, NULL);
	Py_END_ALLOW_THREADS
	if (type == NULL && PyErr_Occurred()) /* thrown into the task while it waited */
		return;
	PyErr_Restore(type, value, traceback);
}

void wsgi_drop_later(PyObject *object)
{
	if (keeps_gil)
		Py_DECREF(object);
	else
		deferred = object;
}

void wsgi_gil_release(void)
{
	if (!keeps_gil)
		(void)PyEval_SaveThread();
}

void wsgi_gil_keep(bool keeps)
{
	keeps_gil = keeps;
}

void wsgi_drop_thrown(void)
{
	if (keeps_gil)
		PyErr_Clear();
}

static void flush(const char *name)
{
	PyObject *stream = PySys_GetObject(name); /* borrowed */
	PyObject *none;

	if (stream == NULL || stream == Py_None)
		return;
	Py_INCREF(stream);
	none = PyObject_CallMethod(stream, "flush", NULL);
	PyErr_Clear(); /* for example ENOSPC: no remedy here */
	Py_XDECREF(none);
	Py_DECREF(stream);
}

void wsgi_python_before_fork(void)
{
	if (!wsgi_python_runs())
		return;
	if (!wsgi_gil_take())
		return;
	flush("stdout"); /* else each worker would write the buffered bytes again */
	flush("stderr");
	PyOS_BeforeFork();
	forking = true;
}

void wsgi_python_in_parent(void)
{
	if (!forking)
		return;
	forking = false;
	PyOS_AfterFork_Parent();
	wsgi_gil_release();
}

void wsgi_python_in_child(void)
{
	if (!forking)
		return;
	forking = false;
	PyOS_AfterFork_Child();
}

static void call(const char *module_name, const char *function)
{
	PyObject *module = PyImport_ImportModule(module_name);
	PyObject *result = module ? PyObject_CallMethod(module, function, NULL) : NULL;

	if (result == NULL)
		PyErr_WriteUnraisable(module);
	Py_XDECREF(result);
	Py_XDECREF(module);
}

void wsgi_python_freeze(void)
{
	call("gc", "collect");
	call("gc", "freeze");
}

/* Frozen objects that become garbage in a cycle are never freed. The functions and modules of a configuration file do at
 * each reload: only those of its first run are frozen. */
void wsgi_python_share(void)
{
	static bool has_frozen;

	if (has_frozen)
		call("gc", "collect");
	else
		wsgi_python_freeze();
	has_frozen = true;
}

/* Has the module threading been imported, and has it started its main thread? After a fork in a thread of the library
 * the main thread is a dummy without _tstate_lock, for which threading._shutdown() fails in some versions. */
static bool has_main_thread(void)
{
	PyObject *module = PyDict_GetItemString(PyImport_GetModuleDict(), "threading"); /* borrowed */
	PyObject *thread = module ? PyObject_GetAttrString(module, "_main_thread") : NULL;
	PyObject *lock = thread ? PyObject_GetAttrString(thread, "_tstate_lock") : NULL;
	const bool is_dummy = lock == Py_None;

	PyErr_Clear();
	Py_XDECREF(lock);
	Py_XDECREF(thread);
	return module && !is_dummy;
}

/* Not Py_FinalizeEx(): the kernel frees memory faster, and extension modules and daemon threads are known to crash
 * in it. */
void wsgi_python_finish(void)
{
	if (!has_abandoned_tasks && has_main_thread())
		call("threading", "_shutdown");
	if (!has_abandoned_tasks)
		call("atexit", "_run_exitfuncs");
	flush("stdout");
	flush("stderr");
}

void wsgi_python_abandon_tasks(void)
{
	has_abandoned_tasks = true;
}

void wsgi_python_stop(void)
{
	if (!wsgi_python_runs() || !wsgi_gil_take())
		return;
	wsgi_python_finish();
	wsgi_gil_release();
}
