/* Unblocks signals for hooks in a process that was just forked, and has Python call a function after SIGABRT. */
#include "hook_signals.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static const int noted[] = { SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU, SIGWINCH };

enum { NOTED = sizeof noted / sizeof noted[0] };

static volatile sig_atomic_t has_arrived[NOTED];
static struct sigaction dispositions[NOTED];

static void note(int signo)
{
	for (size_t i = 0; i < NOTED; i++) {
		if (noted[i] == signo)
			has_arrived[i] = 1;
	}
}

void wsgi_hook_signals_let(void)
{
	const struct sigaction action = { .sa_handler = note, .sa_flags = SA_RESTART };
	sigset_t none;

	for (size_t i = 0; i < NOTED; i++) {
		has_arrived[i] = 0;
		(void)sigaction(noted[i], &action, &dispositions[i]);
	}
	(void)sigemptyset(&none);
	(void)pthread_sigmask(SIG_SETMASK, &none, NULL);
}

void wsgi_hook_signals_hold(void)
{
	sigset_t all;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, NULL);
	for (size_t i = 0; i < NOTED; i++) {
		(void)sigaction(noted[i], &dispositions[i], NULL);
		if (has_arrived[i])
			(void)kill(getpid(), noted[i]); /* pending until the library unblocks it */
	}
}

/* Python has a function for the signal, but the handler of the process stays that of the library, which writes the
 * stacks first. */
int wsgi_hook_abort_prepare(PyObject *function)
{
	struct sigaction handler;
	PyObject *module = PyImport_ImportModule("signal"), *before = NULL;

	(void)sigaction(SIGABRT, NULL, &handler);
	if (module)
		before = PyObject_CallMethod(module, "signal", "iO", SIGABRT, function);
	(void)sigaction(SIGABRT, &handler, NULL);
	Py_XDECREF(module);
	Py_XDECREF(before);
	return before ? 0 : -1;
}

void wsgi_hook_abort_request(void)
{
	(void)PyErr_SetInterruptEx(SIGABRT);
}
