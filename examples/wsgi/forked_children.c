/* Turns a process that the application forks into an ordinary one: default signal dispositions, no descriptors of
 * the library, no serving. */
#include "python.h"

#include "failure.h"
#include "interpreter.h"
#include "forked_children.h"

#include <prefork/worker.h>

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

enum { SIGNALS_MAX = 65 };

bool wsgi_is_forked_child;

static struct sigaction worker_actions[SIGNALS_MAX]; /* dispositions that the library has set */
static _Thread_local sigset_t mask; /* of the thread that forks */

static bool is_worker_handler(int signo, const struct sigaction *now)
{
	const struct sigaction *then = &worker_actions[signo];

	return then->sa_handler != SIG_DFL && then->sa_handler != SIG_IGN && now->sa_handler == then->sa_handler;
}

/* Handlers for pthread_atfork(3). Signals stay blocked until the child has restored its dispositions: a SIGTERM that
 * its parent sends at once would run the worker's handler, and be lost. */

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

/* Async-signal-safe. Handlers that the application has installed stay, as after any fork. */
static void restore_dispositions(void)
{
	const struct sigaction plain = { .sa_handler = SIG_DFL };
	struct sigaction now;

	wsgi_is_forked_child = true;
	for (int signo = 1; signo < SIGNALS_MAX; signo++) {
		if (sigaction(signo, NULL, &now) == 0 && is_worker_handler(signo, &now))
			(void)sigaction(signo, &plain, NULL);
	}
}

static void in_child(void)
{
	if (!wsgi_is_forked_child && prefork_forget_in_child()) /* false: the arbiter has forked a worker */
		restore_dispositions();
	(void)pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

void wsgi_forked_children_prepare(void)
{
	static bool is_registered; /* with --preload: already in the arbiter */

	for (int signo = 1; signo < SIGNALS_MAX; signo++)
		(void)sigaction(signo, NULL, &worker_actions[signo]);
	if (!is_registered)
		(void)pthread_atfork(before, in_parent, in_child); /* fails with ENOMEM only: forks are then plain forks */
	is_registered = true;
}

void wsgi_forked_child_exit(void)
{
	int status = 0;

	if (PyErr_ExceptionMatches(PyExc_SystemExit)) {
		status = wsgi_failure_exit_status();
	} else if (PyErr_Occurred()) {
		PyErr_Print();
		status = 1;
	}
	wsgi_python_finish();
	_exit(status);
}
