/* Writes the stacks of all Python threads to a descriptor without the GIL, which the stuck thread may hold. */
#include "dump.h"
#include "interpreter.h"

#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

/* Exported by every CPython so far, but not declared in a public header. */
#if WSGI_HAVE_DUMP
const char *_Py_DumpTracebackThreads(int fd, PyInterpreterState *interpreter, PyThreadState *current);
void _Py_DumpTraceback(int fd, PyThreadState *state);

/* A dump reads the stacks of running threads. Memory that such a thread unmaps meanwhile raises SIGSEGV or SIGBUS: for
 * the duration of a dump a handler takes both, and the dumping thread recovers by siglongjmp(3). */
static const int fault_signals[] = { SIGSEGV, SIGBUS };
enum { FAULTS = sizeof fault_signals / sizeof fault_signals[0] };

static struct sigaction before[FAULTS];
static atomic_flag is_dumping = ATOMIC_FLAG_INIT;
static _Thread_local sigjmp_buf *recovery;

static void on_fault(int signo)
{
	if (recovery)
		siglongjmp(*recovery, 1);
	/* A real fault in another thread: the instruction faults again, under the previous handler. */
	for (int i = 0; i < FAULTS; i++) {
		if (fault_signals[i] == signo)
			(void)sigaction(signo, &before[i], NULL);
	}
}

static void show_all(int fd)
{
	static const char message[] = "  (the stack changed during the dump)\n";
	PyThreadState *own = wsgi_python_own_state();
	sigjmp_buf here;

	if (sigsetjmp(here, 1) == 0) {
		recovery = &here;
		(void)_Py_DumpTracebackThreads(fd, wsgi_python_interpreter(), own);
	} else {
		(void)!write(fd, message, sizeof message - 1);
		if (own)
			_Py_DumpTraceback(fd, own); /* it does not change: this thread is in a signal handler */
	}
	recovery = NULL;
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
		(void)sigaction(fault_signals[i], &action, &before[i]);
		(void)sigaddset(&set, fault_signals[i]);
	}
	(void)pthread_sigmask(SIG_UNBLOCK, &set, &mask);
	show_all(fd);
	(void)pthread_sigmask(SIG_SETMASK, &mask, NULL);
	for (int i = 0; i < FAULTS; i++)
		(void)sigaction(fault_signals[i], &before[i], NULL);
	atomic_flag_clear(&is_dumping);
}

#else

void wsgi_python_dump(int fd)
{
	(void)fd; /* faulthandler handles SIGABRT, and writes the stacks */
}

#endif
