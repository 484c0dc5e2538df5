#include "os/signal_pipe.h"

#include "../support.h"

#include <errno.h>
#include <pthread.h>

START_TEST(two_signals_are_read_as_one_set)
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

START_TEST(closing_restores_the_dispositions)
{
	const int signals[] = { SIGTERM, SIGTERM };
	struct sigaction now;

	signal(SIGTERM, SIG_IGN);
	ck_assert_int_eq(pfi_signal_pipe_open(signals, 2, SA_RESTART), 0);
	pfi_signal_pipe_close();
	ck_assert_int_eq(sigaction(SIGTERM, NULL, &now), 0);
	ck_assert(now.sa_handler == SIG_IGN);
	ck_assert_int_eq(pfi_signal_pipe_fd(), -1);
	pfi_signal_pipe_close(); /* no effect */
}
END_TEST

static bool is_blocked(int signo)
{
	sigset_t now;

	ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, NULL, &now), 0);
	return sigismember(&now, signo) == 1;
}

/* Signals may be blocked when the process starts. A signal that the pipe does not take stays blocked. */
START_TEST(blocked_signals_are_unblocked_until_the_pipe_is_closed)
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

/* A second arbiter that asks for signals gets -EBUSY. */
START_TEST(a_second_signal_pipe_is_refused)
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

/* The disposition of the signal before the invalid one is restored. */
START_TEST(an_invalid_signal_is_refused_without_effect)
{
	const int signals[] = { SIGHUP, impossible[_i] };
	struct sigaction now;

	(void)signal(SIGHUP, SIG_DFL); /* nohup(1) starts processes with it ignored */
	ck_assert_int_eq(pfi_signal_pipe_open(signals, 2, SA_RESTART), -EINVAL);
	ck_assert_int_eq(sigaction(SIGHUP, NULL, &now), 0);
	ck_assert(now.sa_handler == SIG_DFL);
	ck_assert_int_eq(pfi_signal_pipe_fd(), -1);
}
END_TEST

static volatile sig_atomic_t hook_sum;

static void count_hook(int signo)
{
	hook_sum += signo;
}

START_TEST(a_hook_runs_in_the_handler_and_errno_is_kept)
{
	const int signals[] = { SIGTERM, SIGHUP };

	ck_assert_int_eq(pfi_signal_pipe_open(signals, 2, SA_RESTART), 0);
	pfi_signal_pipe_set_hook(SIGTERM, count_hook);
	errno = ENOTTY;
	raise(SIGHUP);
	ck_assert_int_eq(hook_sum, 0);
	raise(SIGTERM);
	ck_assert_int_eq(hook_sum, SIGTERM);
	ck_assert_int_eq(errno, ENOTTY);
	pfi_signal_pipe_close();

	/* The next owner of the signal pipe does not inherit the hook. */
	ck_assert_int_eq(pfi_signal_pipe_open(signals, 2, SA_RESTART), 0);
	raise(SIGTERM);
	ck_assert_int_eq(hook_sum, SIGTERM);
	pfi_signal_pipe_close();
}
END_TEST

static _Atomic bool stop_sending;

static void *send_signals(void *thread)
{
	while (!stop_sending)
		pthread_kill(*(pthread_t *)thread, SIGUSR1);
	return NULL;
}

/* The descriptor must stay open while a handler runs on another thread: its number could belong to
 * another file when the handler writes. */
START_TEST(opening_and_closing_under_constant_signals_loses_none)
{
	const int signals[] = { SIGUSR1 };
	const pthread_t self = pthread_self();
	pthread_t threads[2];

	signal(SIGUSR1, SIG_IGN);
	ck_assert_int_eq(pthread_create(&threads[0], NULL, send_signals, (void *)&self), 0);
	ck_assert_int_eq(pthread_create(&threads[1], NULL, send_signals, &threads[0]), 0);
	for (int i = 0; i < 300; i++) {
		ck_assert_int_eq(pfi_signal_pipe_open(signals, 1, SA_RESTART), 0);
		ck_assert(wait_for(pfi_signal_pipe_fd(), POLLIN, 5000));
		ck_assert_uint_eq(pfi_signal_pipe_take(), PFI_SIGNAL_BIT(SIGUSR1));
		pfi_signal_pipe_close();
	}
	stop_sending = true;
	pthread_join(threads[1], NULL);
	pthread_join(threads[0], NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("signal pipe");
	TCase *tc = new_case(suite, "signal pipe");

	tcase_add_test(tc, two_signals_are_read_as_one_set);
	tcase_add_test(tc, closing_restores_the_dispositions);
	tcase_add_test(tc, blocked_signals_are_unblocked_until_the_pipe_is_closed);
	tcase_add_test(tc, a_second_signal_pipe_is_refused);
	tcase_add_loop_test(tc, an_invalid_signal_is_refused_without_effect, 0,
	                    (int)(sizeof impossible / sizeof impossible[0]));
	tcase_add_test(tc, a_hook_runs_in_the_handler_and_errno_is_kept);
	tcase_add_test(tc, opening_and_closing_under_constant_signals_loses_none);
	return run_suite(suite);
}
