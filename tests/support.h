/*
 * support -- for every Check test of the library: a fixture that counts descriptors and children, and
 * waits with a time limit.
 */
#ifndef TESTS_SUPPORT_H
#define TESTS_SUPPORT_H

#include "suite.h"

#include "os/clock.h"
#include "os/fd.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* A time limit, multiplied by TEST_PATIENCE. */
static inline int patience_ms(int milliseconds)
{
	const char *factor = getenv("TEST_PATIENCE");
	const int times = factor ? atoi(factor) : 1;

	return milliseconds * (times > 0 ? times : 1);
}

/* Wait until `fd` has one of `events`, or POLLHUP. False: the time limit has passed. */
static inline bool wait_for(int fd, short events, int limit_ms)
{
	struct pollfd pfd = { .fd = fd, .events = events };
	const uint64_t deadline_ms = pfi_now_ms() + (uint64_t)patience_ms(limit_ms);

	for (;;) {
		const uint64_t now_ms = pfi_now_ms();
		const int n = poll(&pfd, 1, now_ms < deadline_ms ? (int)(deadline_ms - now_ms) : 0);

		if (n >= 0 || errno != EINTR || now_ms > deadline_ms)
			return n == 1;
	}
}

static int fds_before_test;

/* Checked fixture. Children inherit the handlers of Check, which would end the whole test when a worker gets
 * SIGTERM. No test may leak a descriptor or leave a child. */
static inline void set_up(void)
{
	(void)signal(SIGTERM, SIG_DFL);
	(void)signal(SIGINT, SIG_DFL);
	(void)signal(SIGALRM, SIG_DFL);
	fds_before_test = pfi_fd_count();
}

static inline void tear_down(void)
{
	ck_assert_int_eq(pfi_fd_count(), fds_before_test);
	ck_assert_msg(waitpid(-1, NULL, WNOHANG) == -1, "a child has not been reaped");
}

static inline TCase *new_case(Suite *suite, const char *name)
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, patience_ms(20000) / 1000);
	suite_add_tcase(suite, tc);
	return tc;
}

#endif
