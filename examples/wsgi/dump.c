#include "dump.h"
#include "interpreter.h"

#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

/* Exported by every CPython so far, but announced in no public header. */
#if WSGI_HAVE_DUMP
const char *_Py_DumpTracebackThreads(int fd, PyInterpreterState *interpreter, PyThreadState *current);
void _Py_DumpTraceback(int fd, PyThreadState *state);

/* What a thread that runs has just given back to the kernel cannot be read any more. Those two signals are
 * ours for the time of a dump, and for the thread that makes it. */
static const int faults[] = { SIGSEGV, SIGBUS };
enum { FAULTS = sizeof faults / sizeof faults[0] };

static struct sigaction before[FAULTS];
static atomic_flag is_dumping = ATOMIC_FLAG_INIT;
static _Thread_local sigjmp_buf *way_out;

static void on_fault(int signo)
{
	if (way_out)
		siglongjmp(*way_out, 1);
	/* Another thread's, and real: it happens again, to whom it concerns. */
	for (int i = 0; i < FAULTS; i++) {
		if (faults[i] == signo)
			(void)sigaction(signo, &before[i], NULL);
	}
}

static void show_all(int fd)
{
	static const char message[] = "  (the stack changed while it was shown)\n";
	PyThreadState *own = wsgi_python_own_state();
	sigjmp_buf here;

	if (sigsetjmp(here, 1) == 0) {
		way_out = &here;
		(void)_Py_DumpTracebackThreads(fd, wsgi_python_interpreter(), own);
	} else {
		(void)!write(fd, message, sizeof message - 1);
		if (own)
			_Py_DumpTraceback(fd, own); /* which stands still, in a signal handler */
	}
	way_out = NULL;
}

void wsgi_python_dump(int fd)
{
	struct sigaction action = { .sa_handler = on_fault, .sa_flags = (int)(SA_ONSTACK | SA_NODEFER) };
	sigset_t set, mask;

	if (!wsgi_python_runs() || atomic_flag_test_and_set(&is_dumping))
		return;
	(void)sigemptyset(&action.sa_mask);
	(void)sigemptyset(&set);
	for (int i = 0; i < FAULTS; i++) {
		(void)sigaction(faults[i], &action, &before[i]);
		(void)sigaddset(&set, faults[i]);
	}
	(void)pthread_sigmask(SIG_UNBLOCK, &set, &mask);
	show_all(fd);
	(void)pthread_sigmask(SIG_SETMASK, &mask, NULL);
	for (int i = 0; i < FAULTS; i++)
		(void)sigaction(faults[i], &before[i], NULL);
	atomic_flag_clear(&is_dumping);
}

#else

void wsgi_python_dump(int fd)
{
	(void)fd; /* faulthandler has SIGABRT, and writes before us */
}

#endif
