/* Children that were sent SIGKILL and have not exited when the arbiter is destroyed. */
#include "../support.h"

#include "arbiter/arbiter.h"
#include "os/open.h"

enum { CHILDREN = 24, LIMIT_MS = 2000 };

static struct prefork_arbiter arbiter;
static pid_t children[CHILDREN];
static int last_lives_ms; /* so much longer than the others */
static bool kills; /* false: as if the child were in an uninterruptible system call */

int __real_pfi_pidfd_signal(int pidfd, int signo, int value);
int __wrap_pfi_pidfd_signal(int pidfd, int signo, int value);

int __wrap_pfi_pidfd_signal(int pidfd, int signo, int value)
{
	return kills ? __real_pfi_pidfd_signal(pidfd, signo, value) : 0;
}

/* Each child lives until `end_of_life` has no writer. */
static void start_children(const int end_of_life[2], bool kill_half)
{
	for (unsigned i = 0; i < CHILDREN; i++) {
		char byte;

		children[i] = fork();
		ck_assert_int_ge(children[i], 0);
		if (children[i] == 0) {
			(void)close(end_of_life[1]);
			const int status = read(end_of_life[0], &byte, 1) != 0;

			if (i == CHILDREN - 1)
				(void)poll(NULL, 0, last_lives_ms);
			_exit(status);
		}
		int pidfd = pfi_open_pidfd(children[i]);

		ck_assert_int_ge(pidfd, 0);
		kills = kill_half && i % 2 == 0;
		pfi_killed_add(&arbiter, &pidfd);
		ck_assert_int_eq(pidfd, -1);
	}
}

static uint64_t finish_ms(void)
{
	const uint64_t before_ms = pfi_now_ms();

	pfi_killed_finish(&arbiter);
	ck_assert_uint_eq(arbiter.killed.count, 0);
	return pfi_now_ms() - before_ms;
}

START_TEST(children_that_do_not_exit_share_one_time_limit)
{
	const bool kill_half = _i;
	int end_of_life[2];

	ck_assert_int_eq(pipe(end_of_life), 0);
	start_children(end_of_life, kill_half);

	const uint64_t took_ms = finish_ms();

	ck_assert_uint_ge(took_ms, LIMIT_MS);
	/* CHILDREN / 2 limits, one after the other, are 24 s. */
	ck_assert_msg(took_ms < LIMIT_MS + (uint64_t)patience_ms(3000), "%lu ms", (unsigned long)took_ms);
	for (unsigned i = 0; i < CHILDREN; i++) {
		const bool reaped = kill_half && i % 2 == 0;

		ck_assert_int_eq(waitpid(children[i], NULL, WNOHANG), reaped ? -1 : 0);
	}
	(void)close(end_of_life[0]);
	(void)close(end_of_life[1]);
	for (unsigned i = 0; i < CHILDREN; i++) {
		int status;

		if (waitpid(children[i], &status, 0) == children[i])
			ck_assert_int_eq(status, 0);
	}
}
END_TEST

START_TEST(nothing_is_waited_for_once_all_have_exited)
{
	int end_of_life[2];
	siginfo_t exited;

	ck_assert_int_eq(pipe(end_of_life), 0);
	last_lives_ms = 200;
	start_children(end_of_life, false);
	(void)close(end_of_life[0]);
	(void)close(end_of_life[1]);
	/* The last one exits meanwhile: all of them need longer than the limit on a busy machine. */
	for (unsigned i = 0; i < CHILDREN - 1; i++)
		ck_assert_int_eq(waitid(P_PID, (id_t)children[i], &exited, WEXITED | WNOWAIT), 0);
	ck_assert_uint_lt(finish_ms(), LIMIT_MS);
	for (unsigned i = 0; i < CHILDREN; i++)
		ck_assert_int_eq(waitpid(children[i], NULL, WNOHANG), -1);
}
END_TEST

int main(void)
{
	Suite *const suite = suite_create("killed");
	TCase *const tc = new_case(suite, "killed");

	tcase_add_loop_test(tc, children_that_do_not_exit_share_one_time_limit, 0, 2);
	tcase_add_test(tc, nothing_is_waited_for_once_all_have_exited);
	return run_suite(suite);
}
