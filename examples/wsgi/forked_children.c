#include "python.h"

#include "interpreter.h"
#include "forked_children.h"

#include <prefork/worker.h>

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

enum { SIGNALS_MAX = 65 };

bool wsgi_is_forked_children;

static struct sigaction of_worker[SIGNALS_MAX]; /* as the library has set them */
static _Thread_local sigset_t mask; /* of who forks */

static bool is_of_worker(int signo, const struct sigaction *now)
{
	const struct sigaction *then = &of_worker[signo];

	return then->sa_handler != SIG_DFL && then->sa_handler != SIG_IGN && now->sa_handler == then->sa_handler;
}

/* Around fork(). What the child is told before it hears by itself must wait: its parent may end it at once. */

static void before(void)
{
	sigset_t all;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &mask);
}

static void in_parent(void)
{
	(void)pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

/* Only what is async-signal-safe. A handler that the application has set is left alone, as after any fork. */
static void become_own_process(void)
{
	const struct sigaction plain = { .sa_handler = SIG_DFL };
	struct sigaction now;

	wsgi_is_forked_children = true;
	for (int signo = 1; signo < SIGNALS_MAX; signo++) {
		if (sigaction(signo, NULL, &now) == 0 && is_of_worker(signo, &now))
			(void)sigaction(signo, &plain, NULL);
	}
}

static void in_child(void)
{
	if (!wsgi_is_forked_children && prefork_forget_in_child()) /* else it is a worker */
		become_own_process();
	(void)pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

void wsgi_forked_children_prepare(void)
{
	static bool is_registered; /* before the fork of this worker, where the application is preloaded */

	for (int signo = 1; signo < SIGNALS_MAX; signo++)
		(void)sigaction(signo, NULL, &of_worker[signo]);
	if (!is_registered)
		(void)pthread_atfork(before, in_parent, in_child); /* without memory for it forks are as they would be without us */
	is_registered = true;
}

/* sys.exit(): None is 0, a number is itself, and what is neither is said and 1. */
static int status_of(PyObject *exit)
{
	PyObject *code = exit ? PyObject_GetAttrString(exit, "code") : NULL;
	int status = 1;

	if (code == Py_None)
		status = 0;
	else if (code && PyLong_Check(code))
		status = (int)PyLong_AsLong(code);
	else if (code)
		PySys_FormatStderr("%S\n", code);
	PyErr_Clear();
	Py_XDECREF(code);
	return status;
}

void wsgi_forked_children_end(void)
{
	PyObject *type, *value, *traceback;
	int status = 0;

	if (PyErr_ExceptionMatches(PyExc_SystemExit)) {
		PyErr_Fetch(&type, &value, &traceback);
		PyErr_NormalizeException(&type, &value, &traceback);
		status = status_of(value);
	} else if (PyErr_Occurred()) {
		PyErr_Print();
		status = 1;
	}
	wsgi_python_finish();
	_exit(status);
}
