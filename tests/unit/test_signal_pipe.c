#include "os/signal_pipe.h"

#include "../support.h"

#include <errno.h>
#include <pthread.h>

START_TEST(two_signals_never_shadow_each_other)
{
	const int signals[] = { SIGTERM, SIGCHLD };

	ck_assert_int_eq(pfi_signal_pipe_open(signals, 2, SA_RESTART), 0);
	raise(SIGTERM);
	raise(SIGCHLD);
	raise(SIGCHLD);
	ck_assert(wait_for(pfi_signal_pipe_fd(), POLLIN, 0));
	ck_assert_uint_eq(pfi_signal_pipe_take(), PFI_SIGNAL_BIT(SIGTERM) | PFI_SIGNAL_BIT(SIGCHLD));
	ck_assert_uint_eq(pfi_signal_pipe_take(), 0);
	ck_assert(!wait_for(pfi_signal_pipe_fd(), POLLIN, 0));
	pfi_signal_pipe_close();
}
END_TEST

START_TEST(close_restores_the_handlers)
{
	const int signals[] = { SIGTERM, SIGTERM };
	struct sigaction now;

	signal(SIGTERM, SIG_IGN);
	ck_assert_int_eq(pfi_signal_pipe_open(signals, 2, SA_RESTART), 0);
	pfi_signal_pipe_close();
	ck_assert_int_eq(sigaction(SIGTERM, NULL, &now), 0);
	ck_assert(now.sa_handler == SIG_IGN);
	ck_assert_int_eq(pfi_signal_pipe_fd(), -1);
	pfi_signal_pipe_close(); /* harmless */
}
END_TEST

static bool is_blocked(int signo)
{
	sigset_t now;

	ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, NULL, &now), 0);
	return sigismember(&now, signo) == 1;
}

/* As the starter of the process may have left them. The one that is not taken stays blocked. */
START_TEST(blocked_signals_arrive_and_are_blocked_again_at_the_end)
{
	const int signals[] = { SIGTERM, SIGHUP };
	sigset_t blocked;

	(void)sigemptyset(&blocked);
	(void)sigaddset(&blocked, SIGTERM);
	(void)sigaddset(&blocked, SIGUSR1);
	ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, &blocked, NULL), 0);
	raise(SIGTERM);
	ck_assert_int_eq(pfi_signal_pipe_open(signals, 2, SA_RESTART), 0);
	ck_assert_uint_eq(pfi_signal_pipe_take(), 0);
	pfi_signal_pipe_unblock();
	ck_assert_uint_eq(pfi_signal_pipe_take(), PFI_SIGNAL_BIT(SIGTERM));
	ck_assert(!is_blocked(SIGTERM) && is_blocked(SIGUSR1));
	pfi_signal_pipe_close();
	ck_assert(is_blocked(SIGTERM) && !is_blocked(SIGHUP) && is_blocked(SIGUSR1));
}
END_TEST

/* A second arbiter that asks for signals is told so. */
START_TEST(there_is_one_signal_pipe_per_process)
{
	const int signals[] = { SIGHUP };

	ck_assert_int_eq(pfi_signal_pipe_open(signals, 1, SA_RESTART), 0);
	ck_assert_int_eq(pfi_signal_pipe_open(signals, 1, SA_RESTART), -EBUSY);
	raise(SIGHUP); /* the first still works */
	ck_assert_uint_eq(pfi_signal_pipe_take(), PFI_SIGNAL_BIT(SIGHUP));
	pfi_signal_pipe_close();
}
END_TEST

static const int impossible[] = { 0, -1, SIGKILL, SIGSTOP, 64, 1000 };

/* Half an opening is no opening: the signal before the bad one is given back. */
START_TEST(a_refused_signal_leaves_nothing_changed)
{
	const int signals[] = { SIGHUP, impossible[_i] };
	struct sigaction now;

	(void)signal(SIGHUP, SIG_DFL); /* under nohup(1) it comes ignored */
	ck_assert_int_eq(pfi_signal_pipe_open(signals, 2, SA_RESTART), -EINVAL);
	ck_assert_int_eq(sigaction(SIGHUP, NULL, &now), 0);
	ck_assert(now.sa_handler == SIG_DFL);
	ck_assert_int_eq(pfi_signal_pipe_fd(), -1);
}
END_TEST

static volatile sig_atomic_t hooked;

static void count_hook(int signo)
{
	hooked += signo;
}

START_TEST(a_hook_runs_in_the_handler_and_errno_survives)
{
	const int signals[] = { SIGTERM, SIGHUP };

	ck_assert_int_eq(pfi_signal_pipe_open(signals, 2, SA_RESTART), 0);
	pfi_signal_pipe_set_hook(SIGTERM, count_hook);
	errno = ENOTTY;
	raise(SIGHUP);
	ck_assert_int_eq(hooked, 0);
	raise(SIGTERM);
	ck_assert_int_eq(hooked, SIGTERM);
	ck_assert_int_eq(errno, ENOTTY);
	pfi_signal_pipe_close();

	/* The next owner of the signal pipe does not inherit the hook. */
	ck_assert_int_eq(pfi_signal_pipe_open(signals, 2, SA_RESTART), 0);
	raise(SIGTERM);
	ck_assert_int_eq(hooked, SIGTERM);
	pfi_signal_pipe_close();
}
END_TEST

static _Atomic bool enough;

static void *shower(void *thread)
{
	while (!enough)
		pthread_kill(*(pthread_t *)thread, SIGUSR1);
	return NULL;
}

/* The descriptor must not be closed under a handler that runs on another
 * thread: what it would write to is then somebody else's. */
START_TEST(opening_and_closing_under_a_shower_of_signals)
{
	const int signals[] = { SIGUSR1 };
	const pthread_t self = pthread_self();
	pthread_t threads[2];

	signal(SIGUSR1, SIG_IGN);
	ck_assert_int_eq(pthread_create(&threads[0], NULL, shower, (void *)&self), 0);
	ck_assert_int_eq(pthread_create(&threads[1], NULL, shower, &threads[0]), 0);
	for (int i = 0; i < 300; i++) {
		ck_assert_int_eq(pfi_signal_pipe_open(signals, 1, SA_RESTART), 0);
		ck_assert(wait_for(pfi_signal_pipe_fd(), POLLIN, 5000));
		ck_assert_uint_eq(pfi_signal_pipe_take(), PFI_SIGNAL_BIT(SIGUSR1));
		pfi_signal_pipe_close();
	}
	enough = true;
	pthread_join(threads[1], NULL);
	pthread_join(threads[0], NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("signal pipe");
	TCase *tc = new_case(suite, "signal pipe");

	tcase_add_test(tc, two_signals_never_shadow_each_other);
	tcase_add_test(tc, close_restores_the_handlers);
	tcase_add_test(tc, blocked_signals_arrive_and_are_blocked_again_at_the_end);
	tcase_add_test(tc, there_is_one_signal_pipe_per_process);
	tcase_add_loop_test(tc, a_refused_signal_leaves_nothing_changed, 0,
	                    (int)(sizeof impossible / sizeof impossible[0]));
	tcase_add_test(tc, a_hook_runs_in_the_handler_and_errno_survives);
	tcase_add_test(tc, opening_and_closing_under_a_shower_of_signals);
	return run_suite(suite);
}
