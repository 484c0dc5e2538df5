/*
 * Spawn, reap, and the state in which a child starts. Children report by their exit
 * status, since a failed assertion in a child is lost.
 */
#include "os/dump.h"
#include "os/signal_pipe.h"
#include "os/reap.h"
#include "os/spawn.h"

#include "../support.h"

#include <prefork/error.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <pthread.h>
#include <sys/resource.h>

static struct pfi_child child;
static struct pfi_exit_status exit_status;

/* The exit status of `child`, within the time limit. */
static void await_exit(void)
{
	ck_assert(wait_for(child.pidfd, POLLIN, 10000));
	ck_assert_int_eq(pfi_reap(child.pidfd, &exit_status), 0);
	pfi_close(&child.pidfd);
}

static int return_code(void *arg)
{
	return *(int *)arg;
}

static _Noreturn int wait_to_be_killed(void *arg)
{
	(void)arg;
	pfi_spawn_unblock();
	for (;;)
		pause();
}

START_TEST(an_exit_is_reported_with_its_code)
{
	int code = _i;

	ck_assert_int_eq(pfi_spawn(return_code, &code, &child), 0);
	ck_assert_int_eq(fcntl(child.pidfd, F_GETFD), FD_CLOEXEC);
	await_exit();
	ck_assert(exit_status.known && !exit_status.core);
	ck_assert_int_eq(exit_status.code, code);
	ck_assert_int_eq(exit_status.signo, 0);
	ck_assert_uint_gt(exit_status.rss_max_kib, 100);
	ck_assert_int_eq(waitpid(child.pid, NULL, 0), -1);
}
END_TEST

static const int deadly[] = { SIGKILL, SIGTERM, SIGHUP, SIGPIPE, SIGUSR1, SIGALRM };

START_TEST(a_kill_is_reported_with_its_signal)
{
	ck_assert_int_eq(pfi_spawn(wait_to_be_killed, NULL, &child), 0);
	ck_assert_int_eq(pfi_reap(child.pidfd, &exit_status), -EAGAIN);
	ck_assert_int_eq(pfi_pidfd_signal(child.pidfd, deadly[_i], 0), 0);
	await_exit();
	ck_assert(exit_status.known);
	ck_assert_int_eq(exit_status.signo, deadly[_i]);
	ck_assert_int_eq(exit_status.code, 0);
}
END_TEST

enum { BURN_US = 200000 };

static int burn(void *arg)
{
	volatile unsigned turns = 0;
	struct rusage usage;

	(void)arg;
	do {
		for (int i = 0; i < 100000; i++)
			turns++;
		getrusage(RUSAGE_SELF, &usage);
	} while (usage.ru_utime.tv_sec == 0 && usage.ru_utime.tv_usec < BURN_US);
	return 0;
}

START_TEST(the_cpu_time_is_of_this_child_alone)
{
	int nothing = 0;

	ck_assert_int_eq(pfi_spawn(burn, NULL, &child), 0);
	await_exit();
	ck_assert_uint_ge(exit_status.user_us, BURN_US);
	ck_assert_int_eq(pfi_spawn(return_code, &nothing, &child), 0);
	await_exit();
	ck_assert_uint_lt(exit_status.user_us + exit_status.system_us, BURN_US);
}
END_TEST

/* The exit status is lost, but the exit is detected. */
START_TEST(exits_are_detected_though_sigchld_is_ignored)
{
	int code = 5;

	signal(SIGCHLD, SIG_IGN);
	ck_assert_int_eq(pfi_spawn(wait_to_be_killed, NULL, &child), 0);
	ck_assert_int_eq(pfi_reap(child.pidfd, &exit_status), -EAGAIN);
	ck_assert_int_eq(pfi_pidfd_signal(child.pidfd, SIGKILL, 0), 0);
	await_exit();
	ck_assert(!exit_status.known);
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(pfi_spawn(return_code, &code, &child), 0);
		await_exit();
		ck_assert(!exit_status.known);
	}
}
END_TEST

START_TEST(exits_are_detected_though_the_application_reaps_all_children)
{
	int code = 5;

	ck_assert_int_eq(pfi_spawn(return_code, &code, &child), 0);
	ck_assert_int_eq(waitpid(-1, NULL, 0), child.pid);
	await_exit();
	ck_assert(!exit_status.known);
}
END_TEST

static int reaper_stop[2];

/* An application with a thread that calls waitpid(-1) in a loop. */
static void *reap_everything(void *arg)
{
	(void)arg;
	while (!wait_for(reaper_stop[0], POLLIN, 0))
		(void)waitpid(-1, NULL, WNOHANG);
	return NULL;
}

START_TEST(a_reaping_thread_never_confuses_a_spawn)
{
	pthread_t reaper;
	int code = 5;

	ck_assert_int_eq(pipe(reaper_stop), 0);
	ck_assert_int_eq(pthread_create(&reaper, NULL, reap_everything, NULL), 0);
	for (int i = 0; i < 200; i++) {
		ck_assert_int_eq(pfi_spawn(return_code, &code, &child), 0);
		await_exit();
		ck_assert(!exit_status.known || exit_status.code == code);
	}
	ck_assert_int_eq(write(reaper_stop[1], "", 1), 1);
	ck_assert_int_eq(pthread_join(reaper, NULL), 0);
	close(reaper_stop[0]);
	close(reaper_stop[1]);
}
END_TEST

static void nothing_to_do(int signo)
{
	(void)signo;
}

/* Returns 0 if all signals are blocked and have their default dispositions. */
static int check_signals(void *arg)
{
	struct sigaction now;
	sigset_t mask;

	(void)arg;
	sigprocmask(SIG_SETMASK, NULL, &mask);
	if (!sigismember(&mask, SIGTERM) || !sigismember(&mask, SIGUSR1))
		return 1;
	for (int signo = 1; signo < 32; signo++) {
		if (signo == SIGSEGV || sigaction(signo, NULL, &now) < 0)
			continue;
		if (now.sa_handler != SIG_DFL && signo != SIGBUS && signo != SIGFPE && signo != SIGILL)
			return 100 + signo;
	}
	sigaction(SIGSEGV, NULL, &now);
	if (now.sa_handler != nothing_to_do)
		return 2;
	pfi_spawn_unblock();
	sigprocmask(SIG_SETMASK, NULL, &mask);
	return sigismember(&mask, SIGTERM) || sigismember(&mask, SIGUSR2) ? 3 : 0;
}

START_TEST(a_child_starts_with_default_dispositions_and_keeps_crash_handlers)
{
	sigset_t blocked, now;

	signal(SIGTERM, nothing_to_do);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGSEGV, nothing_to_do);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR2);
	sigprocmask(SIG_SETMASK, &blocked, NULL);

	ck_assert_int_eq(pfi_spawn(check_signals, NULL, &child), 0);
	await_exit();
	ck_assert_int_eq(exit_status.code, 0);

	/* The parent is unchanged. */
	sigprocmask(SIG_SETMASK, NULL, &now);
	ck_assert(sigismember(&now, SIGUSR2) && !sigismember(&now, SIGTERM));
}
END_TEST

static int open_own_signal_pipe(void *arg)
{
	const int signals[] = { SIGTERM };

	(void)arg;
	pfi_signal_pipe_forget_in_child();
	if (pfi_signal_pipe_open(signals, 1, SA_RESTART) < 0)
		return 1;
	if (pfi_signal_pipe_take() != 0)
		return 2; /* a signal of the parent */
	raise(SIGTERM);
	pfi_spawn_unblock();
	return pfi_signal_pipe_take() == PFI_SIGNAL_BIT(SIGTERM) ? 0 : 3;
}

START_TEST(signals_of_a_child_and_of_its_parent_stay_separate)
{
	const int signals[] = { SIGTERM, SIGHUP };

	ck_assert_int_eq(pfi_signal_pipe_open(signals, 2, SA_RESTART), 0);
	raise(SIGHUP);
	ck_assert_int_eq(pfi_spawn(open_own_signal_pipe, NULL, &child), 0);
	await_exit();
	ck_assert_int_eq(exit_status.code, 0);
	ck_assert_uint_eq(pfi_signal_pipe_take(), PFI_SIGNAL_BIT(SIGHUP));
	pfi_signal_pipe_close();
}
END_TEST

static int flush_buffer(void *arg)
{
	return fflush((FILE *)arg) == 0 ? 0 : 1;
}

START_TEST(nothing_buffered_is_written_twice)
{
	FILE *file = tmpfile();
	char text[64];

	ck_assert_int_gt(fprintf(file, "once "), 0);
	ck_assert_int_eq(pfi_spawn(flush_buffer, file, &child), 0);
	await_exit();
	rewind(file);
	ck_assert_ptr_nonnull(fgets(text, sizeof text, file));
	ck_assert_str_eq(text, "once ");
	fclose(file);
}
END_TEST

static int console[2];

static void *block_in_fgetc(void *arg)
{
	ck_assert_int_eq(write(console[1], "!", 1), 1); /* about to lock the stream */
	(void)fgetc((FILE *)arg);
	return NULL;
}

/* fflush(NULL) would wait for the lock that fgetc() holds. */
START_TEST(a_thread_that_reads_the_console_does_not_stop_a_spawn)
{
	int input[2], code = 0;
	char byte;
	pthread_t reader;

	ck_assert_int_eq(pipe(console), 0);
	ck_assert_int_eq(pipe(input), 0);
	FILE *stream = fdopen(input[0], "r");
	ck_assert_int_eq(pthread_create(&reader, NULL, block_in_fgetc, stream), 0);
	ck_assert_int_eq(read(console[0], &byte, 1), 1);
	while (ftrylockfile(stream) == 0) {
		funlockfile(stream);
		sched_yield();
	}
	ck_assert_int_eq(pfi_thread_count(), 2);
	ck_assert_int_eq(pfi_spawn(return_code, &code, &child), 0);
	await_exit();
	close(input[1]);
	pthread_join(reader, NULL);
	fclose(stream);
	close(console[0]);
	close(console[1]);
}
END_TEST

static struct rlimit plenty;
static rlim_t in_parent; /* 0: leave the limit alone */

/* Runs right after fork(), so that the socket pair succeeds and the pidfd fails. */
static void lower_the_limit(void)
{
	const struct rlimit low = { .rlim_cur = in_parent, .rlim_max = plenty.rlim_max };

	if (in_parent > 0)
		(void)setrlimit(RLIMIT_NOFILE, &low);
}

/* Each descriptor that a spawn needs is missing once: both of the pair, one of it, the pidfd. */
START_TEST(without_descriptors_there_is_an_error_and_no_child)
{
	const int first_free = dup(STDIN_FILENO);
	int code = 0;

	close(first_free);
	getrlimit(RLIMIT_NOFILE, &plenty);
	struct rlimit low = { .rlim_cur = (rlim_t)first_free + (rlim_t)_i, .rlim_max = plenty.rlim_max };
	ck_assert_int_eq(pthread_atfork(NULL, lower_the_limit, NULL), 0);
	if (_i == 2) {
		in_parent = (rlim_t)first_free;
		low = plenty;
	}
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	const int r = pfi_spawn(return_code, &code, &child);
	in_parent = 0;
	setrlimit(RLIMIT_NOFILE, &plenty);
	ck_assert_int_eq(r, -EMFILE);
	ck_assert_ptr_nonnull(strstr(prefork_error(), "cannot start a process"));
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
}
END_TEST

START_TEST(exited_processes_cannot_be_signalled)
{
	int code = 0;

	ck_assert_int_eq(pfi_spawn(return_code, &code, &child), 0);
	ck_assert(wait_for(child.pidfd, POLLIN, 10000));
	ck_assert_int_eq(pfi_reap(child.pidfd, &exit_status), 0);
	ck_assert_int_eq(pfi_pidfd_signal(child.pidfd, SIGTERM, 0), -ESRCH);
	pfi_close(&child.pidfd);
	ck_assert_int_eq(pfi_reap(child.pidfd, &exit_status), -EINVAL);
}
END_TEST

static int return_value(void *arg)
{
	siginfo_t info;
	sigset_t wanted;

	(void)arg;
	sigemptyset(&wanted);
	sigaddset(&wanted, SIGUSR1);
	return sigwaitinfo(&wanted, &info) == SIGUSR1 && info.si_code == SI_QUEUE &&
	                       info.si_pid == getppid() ?
	               info.si_value.sival_int :
	               0;
}

START_TEST(a_value_travels_with_the_signal)
{
	ck_assert_int_eq(pfi_spawn(return_value, NULL, &child), 0);
	ck_assert_int_eq(pfi_pidfd_signal(child.pidfd, SIGUSR1, 42), 0);
	await_exit();
	ck_assert_int_eq(exit_status.code, 42);
}
END_TEST

static int dump_here(void *arg)
{
	const int fd = *(const int *)arg;

	return pfi_dump_stack(fd) ? 0 : 1;
}

START_TEST(a_stack_is_dumped_where_libc_can)
{
	int fds[2];
	char text[4096];

	ck_assert_int_eq(pipe(fds), 0);
	pfi_dump_prepare();
	ck_assert_int_eq(pfi_spawn(dump_here, &fds[1], &child), 0);
	await_exit();
	close(fds[1]);
	const ssize_t n = read(fds[0], text, sizeof text);
	close(fds[0]);
	ck_assert_int_eq(exit_status.code == 0, n > 0); /* output exactly if it succeeded */
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("spawn");
	TCase *tc = new_case(suite, "spawn");

	tcase_add_loop_test(tc, an_exit_is_reported_with_its_code, 0, 3);
	tcase_add_loop_test(tc, a_kill_is_reported_with_its_signal, 0, (int)(sizeof deadly / sizeof deadly[0]));
	tcase_add_test(tc, the_cpu_time_is_of_this_child_alone);
	tcase_add_test(tc, exits_are_detected_though_sigchld_is_ignored);
	tcase_add_test(tc, exits_are_detected_though_the_application_reaps_all_children);
	tcase_add_test(tc, a_reaping_thread_never_confuses_a_spawn);
	tcase_add_test(tc, a_child_starts_with_default_dispositions_and_keeps_crash_handlers);
	tcase_add_test(tc, signals_of_a_child_and_of_its_parent_stay_separate);
	tcase_add_test(tc, nothing_buffered_is_written_twice);
	tcase_add_test(tc, a_thread_that_reads_the_console_does_not_stop_a_spawn);
	tcase_add_loop_test(tc, without_descriptors_there_is_an_error_and_no_child, 0, 3);
	tcase_add_test(tc, exited_processes_cannot_be_signalled);
	tcase_add_test(tc, a_value_travels_with_the_signal);
	tcase_add_test(tc, a_stack_is_dumped_where_libc_can);
	return run_suite(suite);
}
