/*
 * Two arbiters in one process: each stops, frees its address, and starts there again, while the other
 * serves. Workers of one hold no descriptor of the other.
 */
#include "../support.h"
#include "host.h"

#include <poll.h>
#include <stdio.h>

enum { ROUNDS = 50 };

struct side {
	struct prefork_settings *settings;
	struct prefork_arbiter *arbiter;
	char bind[64];
};

/* Wait until an arbiter or `fd` is readable, and dispatch the arbiters that are. Returns whether `fd` is readable. */
static bool turn(struct side sides[2], int fd)
{
	struct pollfd fds[3] = { [2] = { .fd = fd, .events = POLLIN } };

	for (int i = 0; i < 2; i++)
		fds[i] = (struct pollfd){ .fd = sides[i].arbiter ? prefork_arbiter_fd(sides[i].arbiter) : -1,
					  .events = POLLIN };
	ck_assert_int_gt(poll(fds, 3, patience_ms(10000)), 0);
	for (int i = 0; i < 2; i++) {
		if (fds[i].revents)
			ck_assert_int_ge(prefork_arbiter_dispatch(sides[i].arbiter), 0);
	}
	return fds[2].revents != 0;
}

static void start(struct side *side, bool reuse_port)
{
	const char *const words[] = { "test", "-b", side->bind, "--workers", "1", "--defer-accept", "off",
				      reuse_port ? "--reuse-port" : NULL };

	ck_assert_int_eq(prefork_settings_load(reuse_port ? 8 : 7, (char *const *)(uintptr_t)words, &side->settings), 0);
	ck_assert_int_eq(prefork_arbiter_create(side->settings, &side->arbiter), 0);
	ck_assert_int_eq(prefork_arbiter_add_service(side->arbiter, "web", &host_service, NULL), 0);
	ck_assert_msg(prefork_arbiter_start(side->arbiter) == 0, "%s", prefork_error());
}

static void stop(struct side *side)
{
	struct pollfd readable = { .fd = prefork_arbiter_fd(side->arbiter), .events = POLLIN };

	prefork_arbiter_request_stop(side->arbiter, false);
	while (prefork_arbiter_dispatch(side->arbiter) == 1)
		(void)poll(&readable, 1, patience_ms(10000));
	prefork_arbiter_destroy(side->arbiter);
	prefork_settings_destroy(side->settings);
	side->arbiter = NULL;
}

/* The request is in the backlog before the worker is ready: dispatch both arbiters until the response arrives. */
static void expect_response(struct side sides[2], int which)
{
	const int fd = host_request(sides[which].bind);

	ck_assert_int_ge(fd, 0);
	while (!turn(sides, fd))
		continue;
	ck_assert_int_gt(host_receive(fd), 0);
}

START_TEST(two_arbiters_stop_and_start_again_independently)
{
	struct side sides[2] = { 0 };

	(void)setenv("PREFORK_LOGLEVEL", "critical", 1);
	for (int i = 0; i < 2; i++) {
		(void)snprintf(sides[i].bind, sizeof sides[i].bind, "127.0.0.1:%d", host_fixed_port());
		start(&sides[i], _i == 1);
	}
	for (int round = 0; round < ROUNDS; round++) {
		const int which = round % 2;

		expect_response(sides, which);
		expect_response(sides, !which); /* its worker was forked while the other arbiter was running */
		stop(&sides[which]);
		ck_assert_msg(host_connect(sides[which].bind) < 0, "round %d: it accepts after its stop", round);
		expect_response(sides, !which);
		start(&sides[which], _i == 1);
	}
	stop(&sides[0]);
	stop(&sides[1]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("two arbiters");
	TCase *tc = new_case(suite, "two arbiters");

	host_claim_ports();
	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, two_arbiters_stop_and_start_again_independently, 0, 2);
	return run_suite(suite);
}
