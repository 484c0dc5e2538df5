/*
 * System calls of workers fail, one after the other, under every worker class: while they
 * boot, and while they serve. Each failure affects one worker or one connection only.
 */
#include "../../features.h"
#include "../../support.h"

#include "faults.h"
#include "stage.h"

#include <prefork/error.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct fault at_boot[] = {
	{ FAULT_MEMORY, ENOMEM },  { FAULT_EPOLL_CREATE, EMFILE }, { FAULT_EPOLL_CTL, ENOSPC },  { FAULT_EVENTFD, EMFILE },
	{ FAULT_TIMERFD, EMFILE }, { FAULT_TIMER, EAGAIN },        { FAULT_SIGACTION, EINVAL }, { FAULT_THREAD, EAGAIN },
};

static const struct fault at_work[] = { { FAULT_MEMORY, ENOMEM }, { FAULT_EPOLL_CTL, ENOSPC }, { FAULT_EVENTFD, EMFILE } };

static const struct {
	const char *class, *threads;
} places[] = { { "sync", "1" }, { "threads", "4" }, { "libev", "1" }, { "libev", "4" } };

enum {
	AT_BOOT = sizeof at_boot / sizeof at_boot[0],
	AT_WORK = sizeof at_work / sizeof at_work[0],
	PLACES = sizeof places / sizeof places[0],
	NEVER_MORE_THAN = 1000,
	SIGNALS = 300,
};

#define WHERE "%s %s: %s, errno %d, call %d: %s", places[place].class, places[place].threads, fault_name(fault.call), \
	fault.error, nth, stage.message

static void start(int place)
{
	const char *const arguments[] = { "--worker-class", places[place].class, "--threads", places[place].threads, NULL };

	stage_start(NULL, arguments);
}

/* The n-th call fails in the next worker: the failure is logged and the worker is replaced. */
START_TEST(a_boot_failure_is_logged_and_the_worker_replaced)
{
	const int place = _i / AT_BOOT;
	const struct fault fault = at_boot[_i % AT_BOOT];
	int nth = 0, hits;

	if (!has_worker_class(places[place].class))
		return;
	start(place);
	do {
		PROMISE(++nth < NEVER_MORE_THAN, "it never ends");
		const int ready = stage.ready, exited = stage.exited;

		stage_hurry();
		faults_arm(fault, FAULT_IN_WORKERS, nth, 1);
		PROMISE(kill(stage.last_ready, SIGKILL) == 0, WHERE);
		PROMISE(stage_until(&stage.ready, ready + 1), WHERE);
		faults_disarm();
		hits = faults_hits();
		PROMISE(stage_until(&stage.exited, exited + 1), WHERE);
		if (stage.exited > exited + 1) /* besides the killed one */
			PROMISE(stage.status > 0 && strlen(stage.message) > 60, WHERE);
	} while (hits > 0);
	PROMISE(stage_stop(true) == 0, WHERE);
}
END_TEST

/* Whether the connection was ended, and does not stay open unserved. */
static bool was_ended(int client)
{
	char byte;

	return recv(client, &byte, 1, MSG_DONTWAIT) >= 0 || errno != EAGAIN;
}

/* The connection of the failing call may be ended; the next one is served by the same workers. */
START_TEST(a_failing_call_affects_only_its_connection)
{
	const int place = _i / AT_WORK;
	const struct fault fault = at_work[_i % AT_WORK];
	int nth = 0, hits;

	if (!has_worker_class(places[place].class))
		return;
	start(place);
	do {
		PROMISE(++nth < NEVER_MORE_THAN, "it never ends");
		faults_arm(fault, FAULT_IN_WORKERS, nth, 1);
		const int affected = stage_connect();
		PROMISE(affected >= 0, WHERE);
		bool is_served = true;
		for (int i = 0; is_served && i < 3; i++) /* the worker waits for each but the first */
			is_served = stage_echo(affected);
		faults_disarm();
		PROMISE(is_served || was_ended(affected), WHERE);
		hits = faults_hits();
		const int next = stage_connect();
		PROMISE(next >= 0 && stage_echo(next) && stage_echo(next), WHERE);
		(void)close(affected);
		(void)close(next);
		stage_run_for(1);
		PROMISE(stage.exited == 0, WHERE);
	} while (hits > 0);
	PROMISE(stage_stop(true) == 0, WHERE);
}
END_TEST

/* Every wait is interrupted and restarted. */
START_TEST(signals_disturb_no_connection)
{
	if (!has_worker_class(places[_i].class))
		return;
	start(_i);
	const int client = stage_connect();
	ck_assert_int_ge(client, 0);
	for (int i = 0; i < SIGNALS; i++) {
		ck_assert_int_eq(kill(stage.pids[i % 2], i % 3 ? SIGUSR1 : SIGSTOP), 0);
		ck_assert_int_eq(kill(stage.pids[i % 2], SIGCONT), 0);
		ck_assert(stage_echo(client));
	}
	(void)close(client);
	stage_run_for(1);
	ck_assert_int_eq(stage.exited, 0);
	ck_assert_int_eq(stage_stop(true), 0);
}
END_TEST

int main(void)
{
	Suite *const suite = suite_create("shortages");
	TCase *const tc = tcase_create("shortages");

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, stage_set_up, stage_tear_down);
	tcase_add_loop_test(tc, a_boot_failure_is_logged_and_the_worker_replaced, 0, PLACES * AT_BOOT);
	tcase_add_loop_test(tc, a_failing_call_affects_only_its_connection, 0, PLACES * AT_WORK);
	tcase_add_loop_test(tc, signals_disturb_no_connection, 0, PLACES);
	suite_add_tcase(suite, tc);

	return run_suite(suite);
}
