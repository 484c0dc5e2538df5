/* Installs signal handlers that set a bit and write to an eventfd, and returns the set of signals that have
 * arrived. */
#include "os/signal_pipe.h"

#include "os/fd.h"
#include "os/open.h"

#include <prefork/error.h>

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

enum { SIGNALS_MAX = 64 }; /* one bit of `arrived` each */

typedef void (*hook_function)(int signo);

static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "the handler may only touch lock-free atomics");
static_assert(ATOMIC_POINTER_LOCK_FREE == 2, "the handler may only touch lock-free atomics");

static _Atomic uint64_t arrived;
static _Atomic int handlers_inside; /* threads within on_signal() */
static _Atomic int event_fd = -1;
static _Atomic(hook_function) hooks[SIGNALS_MAX];
static struct sigaction before[SIGNALS_MAX]; /* the dispositions of the application */
static uint64_t installed;                   /* bit n: before[n] is set */
static uint64_t unblocked;                   /* bit n: signal n was blocked, and is blocked again at close */

static void on_signal(int signo)
{
	const int saved_errno = errno;
	const uint64_t one = 1;

	atomic_fetch_add(&handlers_inside, 1);
	const hook_function hook = atomic_load(&hooks[signo]);
	if (hook)
		hook(signo);
	atomic_fetch_or(&arrived, PFI_SIGNAL_BIT(signo));
	/* EAGAIN is the only error: the counter is at its maximum, and the descriptor readable. */
	(void)!write(atomic_load(&event_fd), &one, sizeof one);
	atomic_fetch_sub(&handlers_inside, 1);
	errno = saved_errno;
}

static int take_signal(int signo, const struct sigaction *action)
{
	if (signo <= 0 || signo >= SIGNALS_MAX)
		return prefork_fail(-EINVAL, "cannot handle signal %d", signo);
	if (installed & PFI_SIGNAL_BIT(signo))
		return 0; /* it is in the list twice: before[] has the disposition of the application */
	if (sigaction(signo, action, &before[signo]) < 0)
		return prefork_fail(-errno, "cannot handle signal %d", signo);
	installed |= PFI_SIGNAL_BIT(signo);
	return 0;
}

int pfi_signal_pipe_open(const int *signals, size_t count, unsigned sa_flags)
{
	/* SA_ONSTACK: threads of the application may have small stacks, and an alternate stack for handlers. */
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)(sa_flags | SA_ONSTACK) };

	if (atomic_load(&event_fd) >= 0)
		return prefork_fail(-EBUSY, "the signals of this process are handled already");
	const int fd = pfi_open_eventfd();
	if (fd < 0)
		return prefork_fail(fd, "cannot open an eventfd for signals");
	atomic_store(&event_fd, fd);

	(void)sigfillset(&action.sa_mask);
	for (size_t i = 0; i < count; i++) {
		const int r = take_signal(signals[i], &action);

		if (r < 0) {
			pfi_signal_pipe_close();
			return r;
		}
	}
	return 0;
}

static void set_mask(int how, uint64_t bits)
{
	sigset_t set;

	(void)sigemptyset(&set);
	for (int signo = 1; signo < SIGNALS_MAX; signo++) {
		if (bits & PFI_SIGNAL_BIT(signo))
			(void)sigaddset(&set, signo);
	}
	(void)pthread_sigmask(how, &set, NULL);
}

void pfi_signal_pipe_unblock(void)
{
	sigset_t now;

	if (pthread_sigmask(SIG_BLOCK, NULL, &now) != 0)
		return;
	for (int signo = 1; signo < SIGNALS_MAX; signo++) {
		if ((installed & PFI_SIGNAL_BIT(signo)) && sigismember(&now, signo))
			unblocked |= PFI_SIGNAL_BIT(signo);
	}
	set_mask(SIG_UNBLOCK, unblocked);
}

void pfi_signal_pipe_set_hook(int signo, void (*hook)(int signo))
{
	assert(signo > 0 && signo < SIGNALS_MAX);
	atomic_store(&hooks[signo], hook);
}

int pfi_signal_pipe_fd(void)
{
	return atomic_load(&event_fd);
}

uint64_t pfi_signal_pipe_take(void)
{
	uint64_t sink;

	/* The eventfd first: a signal between the two causes one wake-up too many. In the other order the wake-up of
	 * a signal between the two would be lost. */
	(void)!read(atomic_load(&event_fd), &sink, sizeof sink);
	return atomic_exchange(&arrived, 0);
}

static void reset(void)
{
	for (int signo = 0; signo < SIGNALS_MAX; signo++)
		atomic_store(&hooks[signo], NULL);
	installed = unblocked = 0;
	atomic_store(&arrived, 0);
}

static void forget(void)
{
	int fd = atomic_exchange(&event_fd, -1);

	pfi_close(&fd);
	reset();
}

void pfi_signal_pipe_close(void)
{
	/* Block first: a signal that arrives before the dispositions are restored stays pending. */
	set_mask(SIG_BLOCK, unblocked);
	/* Then remove the handlers, and wait for those that run in other threads: after the close, a handler would
	 * write to another file that has got the number of the eventfd. */
	for (int signo = 1; signo < SIGNALS_MAX; signo++) {
		if (installed & PFI_SIGNAL_BIT(signo))
			(void)sigaction(signo, &before[signo], NULL);
	}
	while (atomic_load(&handlers_inside) > 0)
		(void)sched_yield();
	forget();
}

void pfi_signal_pipe_forget_in_child(void)
{
	/* Threads that were within the handler do not exist in the child. */
	atomic_store(&handlers_inside, 0);
	forget();
}

void pfi_signal_pipe_restore_in_child(void)
{
	struct sigaction now;

	for (int signo = 1; signo < SIGNALS_MAX; signo++) {
		if ((installed & PFI_SIGNAL_BIT(signo)) && sigaction(signo, NULL, &now) == 0 &&
		    now.sa_handler == on_signal)
			(void)sigaction(signo, &before[signo], NULL);
	}
	atomic_store(&handlers_inside, 0);
	atomic_store(&event_fd, -1);
	reset();
}
