/*
 * Orphans of workers and applications, when this process is their new parent.
 */
#include "../support.h"
#include "host.h"

#include "arbiter/arbiter.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/prctl.h>

enum { SHORT_MS = 300, ORPHANS = 20 };

static const char *const as_subreaper[] = { "-b", "127.0.0.1:0", "--child-subreaper", NULL };
static const char *const as_init[] = { "-b", "127.0.0.1:0", NULL };

static void open_with(const char *const *words)
{
	pfi_orphans_after_ms = (unsigned)patience_ms(SHORT_MS);
	host_create(words);
	prefork_arbiter_take_signals(host, true);
	host_start();
}

/* A process that has exited, and so has its parent. */
static pid_t make_orphan(void)
{
	pid_t orphan = -1;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -1;
	const pid_t parent = fork();
	if (parent == 0) {
		orphan = fork();
		if (orphan > 0)
			(void)!write(fds[1], &orphan, sizeof orphan);
		_exit(0);
	}
	(void)close(fds[1]);
	if (read(fds[0], &orphan, sizeof orphan) != sizeof orphan || waitpid(parent, NULL, 0) != parent)
		orphan = -1;
	(void)close(fds[0]);
	return orphan;
}

/* Dispatch until all are reaped; false: not in time. */
static bool all_reaped(const pid_t *orphans, int count)
{
	const uint64_t end_ms = pfi_now_ms() + (uint64_t)patience_ms(10000);
	int gone = 0;

	while (gone < count && pfi_now_ms() < end_ms) {
		if (kill(orphans[gone], 0) < 0 && errno == ESRCH) {
			gone++;
			continue;
		}
		(void)wait_for(prefork_arbiter_fd(host), POLLIN, 1000);
		if (prefork_arbiter_dispatch(host) != 1)
			return false;
	}
	return gone == count;
}

START_TEST(a_subreaper_reaps_orphans_and_leaves_children_to_the_program)
{
	pid_t orphans[ORPHANS];
	int status = -1, was = -1;

	open_with(as_subreaper);
	const pid_t own = fork();
	if (own == 0)
		_exit(7);
	for (int i = 0; i < ORPHANS; i++)
		ck_assert_int_gt(orphans[i] = make_orphan(), 0);
	(void)wait_for(prefork_arbiter_fd(host), POLLIN, 1000);
	host_turn();
	ck_assert_int_eq(waitpid(own, &status, 0), own); /* before the arbiter would reap it */
	ck_assert_int_eq(WEXITSTATUS(status), 7);
	ck_assert(all_reaped(orphans, ORPHANS));
	/* Now the arbiter is idle. */
	host_turn();
	ck_assert(!wait_for(prefork_arbiter_fd(host), POLLIN, 2 * SHORT_MS)); /* wait_for() multiplies by TEST_PATIENCE */
	host_stop();
	ck_assert_int_eq(prctl(PR_GET_CHILD_SUBREAPER, &was), 0);
	ck_assert_int_eq(was, 0);
	host_close();
}
END_TEST

/* Process 1 of its own PID namespace: returns 0, or 1 on failure. */
static int run_as_init(void)
{
	pid_t orphans[ORPHANS];
	bool ok = getpid() == 1;

	open_with(as_init);
	for (int i = 0; i < ORPHANS; i++)
		ok &= (orphans[i] = make_orphan()) > 0;
	ok &= all_reaped(orphans, ORPHANS);
	host_stop();
	host_close();
	return ok ? 0 : 1;
}

START_TEST(process_1_reaps_orphans)
{
	enum { NOT_HERE = 77 };
	int status = -1;
	const pid_t outside = fork();

	if (outside == 0) {
		if (unshare(CLONE_NEWPID) < 0)
			_exit(NOT_HERE);
		const pid_t init = fork();

		if (init == 0)
			_exit(run_as_init());
		(void)waitpid(init, &status, 0);
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
	}
	ck_assert_int_eq(waitpid(outside, &status, 0), outside);
	if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_HERE)
		(void)printf("skipped: this user may not make a PID namespace\n");
	else
		ck_assert_int_eq(status, 0);
}
END_TEST

int main(void)
{
	Suite *const suite = suite_create("orphans");
	TCase *const tc = new_case(suite, "orphans");

	tcase_add_test(tc, a_subreaper_reaps_orphans_and_leaves_children_to_the_program);
	tcase_add_test(tc, process_1_reaps_orphans);
	return run_suite(suite);
}
