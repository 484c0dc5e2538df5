#include "interpreter.h"

#include <prefork/error.h>

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static PyInterpreterState *interpreter; /* NULL: not started */
static _Thread_local PyThreadState *own;
static _Thread_local PyObject *leftover; /* what wsgi_drop_later() was given */
static pthread_key_t end_of_thread;      /* its value is `own` */
static bool forking; /* PyOS_BeforeFork() was called, none of its counterparts yet */

static PyStatus configure(PyConfig *config, const char *program, const char *venv)
{
	char executable[4096];
	char *argv[] = { (char *)(uintptr_t)program };
	PyStatus status;

	/* As python3 itself, PYTHON* variables included, but for what is the library's: signals, argv. */
	config->install_signal_handlers = 0;
	config->parse_argv = 0;
	/* Where Python thinks it is decides what it can import: a virtualenv's python has a pyvenv.cfg
	 * beside it. Without a name Python would take the first python3 in PATH for itself. */
	(void)snprintf(executable, sizeof executable, "%s%s", venv ? venv : WSGI_PYTHON, venv ? "/bin/python3" : "");
	status = PyConfig_SetBytesString(config, &config->executable, executable);
	if (!PyStatus_Exception(status))
		status = PyConfig_SetBytesString(config, &config->program_name, executable);
	if (!PyStatus_Exception(status))
		status = PyConfig_SetBytesArgv(config, 1, argv);
	return status;
}

/* Python stacks for crashes of C code. SIGABRT stays the library's: it asks us by wsgi_python_dump(). */
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
	PyErr_Clear(); /* no stderr: then there is nowhere to write to */
	Py_XDECREF(none);
	Py_XDECREF(module);
}

/* A thread of the library ends: nobody waits for it with the GIL in hand. */
static void on_thread_end(void *state)
{
	PyEval_RestoreThread(state);
	Py_CLEAR(leftover);
	PyThreadState_Clear(state);
	PyThreadState_DeleteCurrent();
}

int wsgi_python_start(const char *program, const char *venv)
{
	PyConfig config;
	PyStatus status;

	if (pthread_key_create(&end_of_thread, on_thread_end) != 0)
		return prefork_fail(PREFORK_EBOOT, "Python does not start: no thread key is left");
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

/* The library's threads hear no signals, and what is started in them, as by subprocess, would hear none either. The
 * process's own still go to the first thread, and every call that one could interrupt is Python's, which goes on. */
static void hear_signals(void)
{
	sigset_t none;

	(void)sigemptyset(&none);
	(void)pthread_sigmask(SIG_SETMASK, &none, NULL);
}

static bool make_own(void)
{
	own = PyThreadState_New(interpreter);
	if (own && pthread_setspecific(end_of_thread, own) == 0) {
		hear_signals();
		return true;
	}
	if (own)
		PyThreadState_Delete(own);
	own = NULL;
	return false;
}

/* To `threading` this thread is a stranger, and so a daemon, and whatever the application starts in it would be one, too:
 * not waited for at the end, as it is when python3 has started them all. */
static void make_known(void)
{
	PyObject *module = PyDict_GetItemString(PyImport_GetModuleDict(), "threading"); /* borrowed */
	PyObject *thread = module ? PyObject_CallMethod(module, "current_thread", NULL) : NULL;

	if (thread)
		(void)PyObject_SetAttrString(thread, "_daemonic", Py_False);
	PyErr_Clear();
	Py_XDECREF(thread);
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

	if (is_new && !make_own())
		return false;
	PyEval_RestoreThread(own);
	if (is_new)
		make_known();
	if (leftover)
		Py_CLEAR(leftover);
	return true;
}

void wsgi_gil_yield(void)
{
	const struct timespec moment = { .tv_nsec = 1000 * 1000 };

	Py_BEGIN_ALLOW_THREADS
	(void)nanosleep(&moment, NULL);
	Py_END_ALLOW_THREADS
}

void wsgi_drop_later(PyObject *object)
{
	leftover = object;
}

void wsgi_gil_release(void)
{
	(void)PyEval_SaveThread();
}

static void flush(const char *name)
{
	PyObject *stream = PySys_GetObject(name); /* borrowed */
	PyObject *none;

	if (stream == NULL || stream == Py_None)
		return;
	Py_INCREF(stream);
	none = PyObject_CallMethod(stream, "flush", NULL);
	PyErr_Clear(); /* a full disk: nothing that could be done about it here */
	Py_XDECREF(none);
	Py_DECREF(stream);
}

void wsgi_python_before_fork(void)
{
	if (!wsgi_python_runs())
		return;
	if (!wsgi_gil_take())
		return;
	flush("stdout"); /* or each worker would write it again */
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

/* Has the module threading been imported, and does it know the thread that it calls the main one? After a fork in a
 * thread of the library's that one is a stranger to it, which some versions choke on. */
static bool has_main_thread(void)
{
	PyObject *module = PyDict_GetItemString(PyImport_GetModuleDict(), "threading"); /* borrowed */
	PyObject *thread = module ? PyObject_GetAttrString(module, "_main_thread") : NULL;
	PyObject *lock = thread ? PyObject_GetAttrString(thread, "_tstate_lock") : NULL;
	const bool is_stranger = lock == Py_None;

	PyErr_Clear();
	Py_XDECREF(lock);
	Py_XDECREF(thread);
	return module && !is_stranger;
}

/* Not Py_FinalizeEx(): it would free what the kernel frees faster, and extension modules and
 * daemon threads are known to crash in it. */
void wsgi_python_finish(void)
{
	if (has_main_thread())
		call("threading", "_shutdown");
	call("atexit", "_run_exitfuncs");
	flush("stdout");
	flush("stderr");
}

void wsgi_python_stop(void)
{
	if (!wsgi_python_runs() || !wsgi_gil_take())
		return;
	wsgi_python_finish();
	wsgi_gil_release();
}
