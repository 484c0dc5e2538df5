/*
 * Three processes: the test, an arbiter, its worker. The arbiter is killed, and end of
 * file on a pipe that only the worker holds shows the exit of the worker.
 */
#include "os/clock.h"
#include "os/parent_death.h"
#include "os/signal_pipe.h"
#include "os/spawn.h"

#include "../support.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>

enum { ORPHAN_TIMEOUT_MS = 150 };

struct family {
	void (*worker)(struct family *family); /* never returns */
	int ready[2];                          /* worker: a byte when it is armed */
	int life[2];                           /* held by the worker: EOF when it has exited */
	int arbiter_fd;                        /* pidfd of the arbiter */
	pid_t arbiter;
};

static void send_ready(struct family *family)
{
	(void)!write(family->ready[1], "r", 1);
}

static void arm(struct family *family)
{
	const int signals[] = { SIGTERM };

	if (pfi_signal_pipe_open(signals, 1, SA_RESTART) < 0)
		_exit(1);
	pfi_signal_pipe_set_hook(SIGTERM, pfi_parent_death_on_term);
	pfi_spawn_unblock();
	if (pfi_parent_death_arm(family->arbiter, ORPHAN_TIMEOUT_MS) < 0)
		_exit(2);
	send_ready(family);
}

/* Blocked in a system call that never returns. */
static _Noreturn void block(struct family *family)
{
	arm(family);
	for (;;)
		pause();
}

/* Spins, and takes the SIGTERM from the signal pipe without acting on it. */
static _Noreturn void spin(struct family *family)
{
	arm(family);
	for (;;)
		(void)pfi_signal_pipe_take();
}

/* Polls the pidfd, and exits at once. */
static _Noreturn void poll_and_exit(struct family *family)
{
	arm(family);
	(void)prctl(PR_SET_PDEATHSIG, 0); /* the pidfd alone must be enough */
	struct pollfd pfd = { .fd = family->arbiter_fd, .events = POLLIN };

	while (poll(&pfd, 1, -1) < 1)
		continue;
	_exit(0);
}

/* Polls the pidfd, and then hangs in its last request. */
static _Noreturn void poll_and_hang(struct family *family)
{
	sigset_t all;

	arm(family);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	(void)prctl(PR_SET_PDEATHSIG, 0);
	struct pollfd pfd = { .fd = family->arbiter_fd, .events = POLLIN };

	while (poll(&pfd, 1, -1) < 1)
		continue;
	pfi_kill_timer_start();
	pfi_kill_timer_start();
	for (;;)
		pause();
}

static int worker_main(void *arg)
{
	struct family *family = arg;

	close(family->life[0]);
	family->worker(family);
	return 3;
}

static int arbiter_main(void *arg)
{
	struct family *family = arg;
	struct pfi_child worker;

	family->arbiter = getpid();
	family->arbiter_fd = pfi_arbiter_pidfd_open();
	if (family->arbiter_fd < 0 || pfi_spawn(worker_main, family, &worker) < 0)
		_exit(1);
	close(family->life[1]);
	close(family->ready[1]);
	for (;;)
		pause();
}

static void (*const workers[])(struct family *) = { block, spin, poll_and_exit, poll_and_hang };

START_TEST(no_worker_outlives_a_killed_arbiter)
{
	struct family family = { .worker = workers[_i] };
	struct pfi_child arbiter;
	char byte;

	ck_assert_int_eq(pipe(family.ready), 0);
	ck_assert_int_eq(pipe(family.life), 0);
	ck_assert_int_eq(pfi_spawn(arbiter_main, &family, &arbiter), 0);
	pfi_close(&family.life[1]);
	pfi_close(&family.ready[1]);
	ck_assert(wait_for(family.ready[0], POLLIN, 5000));
	ck_assert_int_eq(read(family.ready[0], &byte, 1), 1);
	ck_assert(!wait_for(family.life[0], POLLIN, 0)); /* it runs as long as its arbiter */

	const uint64_t killed_ms = pfi_now_ms();
	kill(arbiter.pid, SIGKILL);
	ck_assert(wait_for(family.life[0], POLLIN, 10000));
	ck_assert_int_eq(read(family.life[0], &byte, 1), 0);
	if (workers[_i] != poll_and_exit) /* the others are killed by the timer */
		ck_assert_uint_ge(pfi_now_ms() - killed_ms, ORPHAN_TIMEOUT_MS - 1);

	ck_assert_int_eq(waitpid(arbiter.pid, NULL, 0), arbiter.pid);
	close(arbiter.pidfd);
	close(family.life[0]);
	close(family.ready[0]);
}
END_TEST

static int drain_slowly(void *arg)
{
	struct family *family = arg;

	arm(family);
	raise(SIGTERM);
	if (pfi_signal_pipe_take() != PFI_SIGNAL_BIT(SIGTERM))
		return 4;
	/* Longer than the time limit of an orphan. */
	(void)poll(NULL, 0, 2 * ORPHAN_TIMEOUT_MS);
	return 0;
}

/* SIGTERM from a running arbiter means drain, and must not arm the kill timer. */
START_TEST(a_sigterm_arms_no_kill_timer_while_the_arbiter_runs)
{
	struct family family = { .arbiter = getpid() };
	struct pfi_child worker;
	int status = -1;

	ck_assert_int_eq(pipe(family.ready), 0);
	ck_assert_int_eq(pfi_spawn(drain_slowly, &family, &worker), 0);
	ck_assert_int_eq(waitpid(worker.pid, &status, 0), worker.pid);
	ck_assert_int_eq(status, 0);
	close(worker.pidfd);
	close(family.ready[0]);
	close(family.ready[1]);
}
END_TEST

struct by_thread {
	struct family family;
	struct pfi_child worker;
};

static int outlive_the_thread(void *arg)
{
	struct by_thread *job = arg;

	arm(&job->family);
	/* The kernel sends SIGTERM when the forking thread ends. */
	if (!wait_for(pfi_signal_pipe_fd(), POLLIN, 5000))
		return 5;
	(void)poll(NULL, 0, 2 * ORPHAN_TIMEOUT_MS);
	return 0;
}

static void *spawn_and_end(void *arg)
{
	struct by_thread *job = arg;
	char byte;

	if (pfi_spawn(outlive_the_thread, job, &job->worker) < 0)
		return NULL;
	(void)!read(job->family.ready[0], &byte, 1);
	return job;
}

START_TEST(the_end_of_the_forking_thread_is_not_the_end_of_the_arbiter)
{
	struct by_thread job = { .family.arbiter = getpid() };
	pthread_t thread;
	void *done = NULL;
	int status = -1;

	ck_assert_int_eq(pipe(job.family.ready), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, spawn_and_end, &job), 0);
	ck_assert_int_eq(pthread_join(thread, &done), 0);
	ck_assert_ptr_nonnull(done);
	ck_assert_int_eq(waitpid(job.worker.pid, &status, 0), job.worker.pid);
	ck_assert_int_eq(status, 0);
	close(job.worker.pidfd);
	close(job.family.ready[0]);
	close(job.family.ready[1]);
}
END_TEST

static int arm_too_late(void *arg)
{
	(void)arg;
	/* As if the arbiter had exited after the fork. */
	if (pfi_parent_death_arm(getppid() + 1, ORPHAN_TIMEOUT_MS) != -ESRCH)
		return 1;
	pfi_kill_timer_start(); /* not armed: no effect */
	(void)poll(NULL, 0, 2 * ORPHAN_TIMEOUT_MS);
	return 0;
}

START_TEST(an_arbiter_that_has_exited_before_is_detected)
{
	struct pfi_child worker;
	int status = -1;

	ck_assert_int_eq(pfi_spawn(arm_too_late, NULL, &worker), 0);
	ck_assert_int_eq(waitpid(worker.pid, &status, 0), worker.pid);
	ck_assert_int_eq(status, 0);
	close(worker.pidfd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("parent-death watch");
	TCase *tc = new_case(suite, "parent-death watch");

	tcase_add_loop_test(tc, no_worker_outlives_a_killed_arbiter, 0,
	                    (int)(sizeof workers / sizeof workers[0]));
	tcase_add_test(tc, a_sigterm_arms_no_kill_timer_while_the_arbiter_runs);
	tcase_add_test(tc, the_end_of_the_forking_thread_is_not_the_end_of_the_arbiter);
	tcase_add_test(tc, an_arbiter_that_has_exited_before_is_detected);
	return run_suite(suite);
}
