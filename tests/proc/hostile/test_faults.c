/*
 * System calls of the arbiter fail, one after the other: the first of a kind, the
 * second, and so on, until a phase makes no further call of that kind. The arbiter may
 * fail with an error message, or retry; it must not crash, leak, spin, stop half-way, or
 * end workers that serve.
 */
#include "../../features.h"
#include "../../support.h"

#include "faults.h"
#include "stage.h"

#include "arbiter/arbiter.h"
#include "os/clock.h"

#include <prefork/error.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const struct fault faults[] = {
	{ FAULT_MEMORY, ENOMEM },    { FAULT_FORK, EAGAIN },       { FAULT_FORK, ENOMEM },
	{ FAULT_MMAP, ENOMEM },	     { FAULT_SOCKET, EMFILE },	   { FAULT_SOCKET, EAFNOSUPPORT },
	{ FAULT_BIND, EADDRINUSE },  { FAULT_BIND, EACCES },	   { FAULT_BIND, EADDRNOTAVAIL },
	{ FAULT_LISTEN, EADDRINUSE }, { FAULT_SOCKETPAIR, EMFILE }, { FAULT_SOCKETPAIR, ENFILE },
	{ FAULT_EPOLL_CREATE, EMFILE }, { FAULT_EPOLL_CTL, ENOMEM }, { FAULT_EPOLL_CTL, ENOSPC },
	{ FAULT_EVENTFD, EMFILE },   { FAULT_TIMERFD, EMFILE },	   { FAULT_TIMER, EAGAIN },
	{ FAULT_PIDFD, EMFILE },     { FAULT_PIDFD, ENFILE },	   { FAULT_SIGACTION, EINVAL },
	{ FAULT_OPEN, EMFILE },
};

enum { FAULTS = sizeof faults / sizeof faults[0], NEVER_MORE_THAN = 10000 };

#define WHERE "%s, errno %d, call %d: %s", fault_name(faults[i].call), faults[i].error, nth, prefork_error()

/* Error codes of the library have no errno. */
static bool has_message(int r)
{
	return r < 0 && prefork_error()[0] != '\0' && strlen(prefork_error()) > 10;
}

/* Before the first fork, which may fail: retries are not 500 ms apart. */
static int hurry(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	(void)arbiter, (void)process, (void)user;
	stage_hurry();
	return 0;
}

static const struct prefork_hooks hurrying = { .struct_size = sizeof hurrying, .before_fork = hurry };
static const struct stage_parts hurried = { .hooks = &hurrying };

START_TEST(settings_are_read_completely_or_not_at_all)
{
	const struct fault fault = { FAULT_MEMORY, ENOMEM };
	static const char *const arguments[] = { "--bind", "127.0.0.1:0,unix:@x", "--timeout", "3", NULL };
	int nth = 0, hits;

	do {
		PROMISE(++nth < NEVER_MORE_THAN, "calls fail without end");
		(void)prefork_fail(0, "%s", "");
		faults_arm(fault, FAULT_IN_ARBITER, nth, 1);
		const int r = stage_load(arguments);
		faults_disarm();
		hits = faults_hits();
		PROMISE(hits > 0 ? r == -ENOMEM && has_message(r) : r == 0, "call %d: %d, %s", nth, r, prefork_error());
		prefork_settings_destroy(stage.settings);
		stage.settings = NULL;
	} while (hits > 0);
	ck_assert_int_gt(nth, 50); /* so many calls failed */
}
END_TEST

START_TEST(an_arbiter_is_created_completely_or_not_at_all)
{
	const int i = _i;
	int nth = 0, hits;

	ck_assert_int_eq(stage_load(NULL), 0);
	do {
		PROMISE(++nth < NEVER_MORE_THAN, "calls fail without end");
		(void)prefork_fail(0, "%s", "");
		faults_arm(faults[i], FAULT_IN_ARBITER, nth, 1);
		const int r = stage_create(NULL);
		faults_disarm();
		hits = faults_hits();
		PROMISE(hits > 0 ? r == -faults[i].error && has_message(r) : r == 0, WHERE);
		prefork_arbiter_destroy(stage.arbiter);
		stage.arbiter = NULL;
	} while (hits > 0);
}
END_TEST

/* A start that fails can be repeated; one that succeeds starts two workers. */
START_TEST(a_start_succeeds_or_can_be_repeated)
{
	const int i = _i;
	int nth = 0, hits;

	ck_assert_int_eq(stage_load(NULL), 0);
	do {
		PROMISE(++nth < NEVER_MORE_THAN, "calls fail without end");
		ck_assert_int_eq(stage_create(&hurried), 0);
		prefork_arbiter_take_signals(stage.arbiter, true);
		stage.ready = 0;
		(void)prefork_fail(0, "%s", "");
		faults_arm(faults[i], FAULT_IN_ARBITER, nth, 1);
		int r = prefork_arbiter_start(stage.arbiter);
		faults_disarm();
		hits = faults_hits();
		if (r < 0) {
			PROMISE(hits > 0 && r == -faults[i].error && has_message(r), WHERE);
			r = prefork_arbiter_start(stage.arbiter);
		}
		PROMISE(r == 0, WHERE);
		PROMISE(stage_until(&stage.ready, 2), WHERE);
		PROMISE(stage_stop(false) == 0, WHERE);
		prefork_arbiter_destroy(stage.arbiter);
		stage.arbiter = NULL;
	} while (hits > 0);
}
END_TEST

static void kill_one(void)
{
	if (kill(stage.last_ready, SIGKILL) < 0)
		abort();
}

static void scale_up_and_down(void)
{
	static unsigned workers = 2;

	workers = 5 - workers;
	(void)prefork_arbiter_request_scale(stage.arbiter, 0, workers);
}

/* Another address each time, so that there is something to open. */
static void reload(void)
{
	static int count;
	char addresses[128];

	(void)snprintf(addresses, sizeof addresses, "127.0.0.1:0,unix:@prefork-test-%d-%d", (int)getpid(), ++count);
	if (setenv("PREFORK_BIND", addresses, 1) < 0)
		abort();
	prefork_arbiter_request_reload(stage.arbiter);
}

/* The number of serving workers; -1: some are starting or ending. */
static int serving(void)
{
	const struct pfi_pool *const pool = &stage.arbiter->models[0];
	int count = 0;

	for (uint32_t s = 0; s < pool->worker_table.count; s++) {
		const struct pfi_slot *const slot = &pool->worker_table.slots[s];

		if (slot->state == PFI_STATE_SERVING)
			count++;
		else if (slot->state != PFI_STATE_EMPTY)
			return -1;
	}
	return count;
}

static void settle(void)
{
	const struct pfi_supervisor *const supervisor = &stage.arbiter->supervisor;
	const uint64_t end_ms = pfi_now_ms() + stage_patience_ms();

	while (serving() != (int)stage.arbiter->models[0].target || supervisor->rollout.state != PFI_ROLLOUT_IDLE) {
		PROMISE(pfi_now_ms() < end_ms, "the pool does not reach its desired state");
		stage_hurry();
		stage_run_for(5);
	}
}

static const struct {
	void (*happens)(void);
	const int *counter; /* increases when it has happened; NULL: at once */
	bool has_verdict;
} changes[] = {
	{ kill_one, &stage.exited, false },
	{ scale_up_and_down, NULL, false },
	{ reload, &stage.verdicts, true },
};

enum { CHANGES = sizeof changes / sizeof changes[0] };

/* Whichever call fails during a change: the change is completed, or undone completely, and serving workers continue. */
START_TEST(a_change_is_completed_despite_failing_calls)
{
	const int i = _i % FAULTS, change = _i / FAULTS;
	int nth = 0, hits, client;

	stage_start(&hurried, NULL);
	do {
		PROMISE(++nth < NEVER_MORE_THAN, "calls fail without end");
		const int verdicts = stage.verdicts, rounds = stage.rounds;
		const int before = changes[change].counter != NULL ? *changes[change].counter : 0;

		faults_arm(faults[i], FAULT_IN_ARBITER, nth, 1);
		changes[change].happens();
		PROMISE(prefork_arbiter_dispatch(stage.arbiter) == 1, WHERE);
		if (changes[change].counter != NULL)
			PROMISE(stage_until(changes[change].counter, before + 1), WHERE);
		settle();
		faults_disarm();
		hits = faults_hits();
		PROMISE(stage.verdicts == verdicts + changes[change].has_verdict, WHERE);
		if (changes[change].has_verdict && hits == 0)
			PROMISE(stage.verdict == PREFORK_RELOAD_DONE, WHERE);
		if (changes[change].has_verdict && stage.verdict == PREFORK_RELOAD_FAILED)
			PROMISE(strlen(stage.why) > 10, WHERE);
		PROMISE(stage.rounds - rounds < 1000, WHERE);
		PROMISE((client = stage_connect()) >= 0 && stage_echo(client), WHERE);
		(void)close(client);
	} while (hits > 0);
	PROMISE(stage_stop(true) == 0, WHERE);
}
END_TEST

START_TEST(a_stop_ends_though_calls_fail)
{
	const int i = _i;
	int nth = 0, hits;

	ck_assert_int_eq(stage_load(NULL), 0);
	do {
		PROMISE(++nth < NEVER_MORE_THAN, "calls fail without end");
		ck_assert_int_eq(stage_create(NULL), 0);
		stage.ready = 0;
		PROMISE(prefork_arbiter_start(stage.arbiter) == 0, WHERE);
		PROMISE(stage_until(&stage.ready, 2), WHERE);
		faults_arm(faults[i], FAULT_IN_ARBITER, nth, 1);
		const int r = stage_stop(nth % 2);
		faults_disarm();
		hits = faults_hits();
		PROMISE(r == 0, WHERE);
		prefork_arbiter_destroy(stage.arbiter);
		stage.arbiter = NULL;
	} while (hits > 0);
}
END_TEST

static const struct fault for_long[] = {
	{ FAULT_FORK, EAGAIN }, { FAULT_MEMORY, ENOMEM }, { FAULT_SOCKETPAIR, EMFILE }, { FAULT_TIMERFD, EMFILE },
	{ FAULT_PIDFD, EMFILE }, { FAULT_EPOLL_CTL, ENOMEM },
};

static struct {
	int before, after, failed, error;
} forks; /* since the start, as the hooks are called */

/* A fifth of the default times. */
static int hurry_a_little(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	(void)process, (void)user;
	arbiter->models[0].policy.boot.first_ms = 100;
	arbiter->models[0].policy.boot.cap_ms = 6000;
	forks.before++;
	return 0;
}

static void after_fork(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	(void)arbiter, (void)process, (void)user;
	forks.after++;
}

static void fork_failed(struct prefork_arbiter *arbiter, struct prefork_process *process, int error, void *user)
{
	(void)arbiter, (void)process, (void)user;
	forks.failed++;
	forks.error = error;
}

/* No worker can be started for a while: the arbiter waits longer after each failure, logs each one, and the remaining
 * workers serve. Each before_fork is followed by after_fork or fork_failed. */
START_TEST(starts_are_retried_with_backoff_during_a_shortage)
{
	static const struct prefork_hooks slower = {
		.struct_size = sizeof slower, .before_fork = hurry_a_little, .after_fork = after_fork, .fork_failed = fork_failed,
	};
	static const struct stage_parts parts = { .hooks = &slower };
	int client;

	stage_start(&parts, NULL);
	const int rounds = stage.rounds, ready = stage.ready;
	const uint64_t before_ms = stage_cpu_ms();

	faults_arm(for_long[_i], FAULT_IN_ARBITER, 1, 1000000);
	kill_one();
	stage_run_for(500);
	const uint64_t end_ms = pfi_now_ms() + stage_patience_ms();
	while (faults_hits() < 2 && pfi_now_ms() < end_ms) /* on a busy machine */
		stage_run_for(5);
	const int hits = faults_hits();
	PROMISE((client = stage_connect()) >= 0 && stage_echo(client), "the other worker does not serve");
	(void)close(client);
	faults_disarm();
	PROMISE(hits >= 2 && hits <= 8, "%d attempts", hits);
	PROMISE(stage.rounds - rounds <= 40, "%d rounds", stage.rounds - rounds);
	PROMISE(stage_cpu_ms() - before_ms < 200, "the arbiter spins");
	PROMISE(stage_until(&stage.ready, ready + 1), "it is not replaced");
	PROMISE(forks.failed >= 2 && forks.before == forks.after + forks.failed && forks.error == -for_long[_i].error,
		"hooks: %d before, %d after, %d failed with %d", forks.before, forks.after, forks.failed, forks.error);
	PROMISE(stage_stop(true) == 0, "%s", prefork_error());
}
END_TEST

/* Many workers are to be started: the first failure counts for all, so that the back-off is that of one failure. */
START_TEST(one_failed_fork_of_many_counts_once)
{
	stage_start(NULL, NULL);
	faults_arm((struct fault){ FAULT_FORK, EAGAIN }, FAULT_IN_ARBITER, 1, 4);
	PROMISE(prefork_arbiter_request_scale(stage.arbiter, 0, 6) == 0, "%s", prefork_error());
	PROMISE(prefork_arbiter_dispatch(stage.arbiter) == 1, "%s", prefork_error());
	faults_disarm();
	PROMISE(faults_hits() == 1, "%d attempts", faults_hits());
	PROMISE(stage_log_count("Cannot start a worker") == 1, "it is not logged once");
	PROMISE(stage_until(&stage.ready, 6), "it is not retried");
	PROMISE(stage_stop(true) == 0, "%s", prefork_error());
}
END_TEST

static const char *const classes[] = { "sync", "threads", "libev" };

static const struct {
	int error;
	bool pauses; /* and logs it */
} refusals[] = {
	{ EMFILE, true }, { ENFILE, true },	   { ENOBUFS, true }, { ENOMEM, true },
	{ EINTR, false }, { ECONNABORTED, false }, { EPROTO, false }, { EPERM, false },
};

enum { CLASSES = sizeof classes / sizeof classes[0], REFUSALS = sizeof refusals / sizeof refusals[0] };

/* Until both workers have failed to accept, and the arbiter has logged it: it gets the message of the first one, and makes
 * the other one try. */
static void run_until_both_pause(void)
{
	const uint64_t begun_ms = pfi_now_ms(), end_ms = begun_ms + stage_patience_ms();

	while (faults_hits() < 2 || stage_log_count("cannot accept connections: ") == 0) {
		PROMISE(pfi_now_ms() < end_ms, "%d calls failed", faults_hits());
		stage_run_for(5);
	}
	/* Each retries twice a second. */
	PROMISE((uint64_t)faults_calls() <= 12 + (pfi_now_ms() - begun_ms) / 100, "%d calls", faults_calls());
}

static void run_until_readable(int fd)
{
	const uint64_t end_ms = pfi_now_ms() + stage_patience_ms();

	for (struct pollfd readable = { .fd = fd, .events = POLLIN }; poll(&readable, 1, 0) == 0;) {
		PROMISE(pfi_now_ms() < end_ms, "no response");
		stage_run_for(5);
	}
}

/* accept4(2) fails in both workers: they pause or retry at once, and the connection is served. */
START_TEST(a_failed_accept_is_retried)
{
	const char *const name = classes[_i / REFUSALS];
	const char *const arguments[] = { "--worker-class", name, NULL };
	char byte;
	const int error = refusals[_i % REFUSALS].error;
	const bool pauses = refusals[_i % REFUSALS].pauses;

	if (!has_worker_class(name))
		return;
	stage_start(NULL, arguments);
	faults_arm((struct fault){ FAULT_ACCEPT, error }, FAULT_IN_WORKERS, 1, pauses ? 1000000 : 2);
	const int client = stage_connect();
	PROMISE(client >= 0 && send(client, "!", 1, MSG_NOSIGNAL) == 1, "%s, errno %d", name, error);
	if (pauses) {
		run_until_both_pause();
		faults_disarm();
	}
	run_until_readable(client);
	faults_disarm();
	PROMISE(recv(client, &byte, 1, 0) == 1 && stage_echo(client), "%s, errno %d", name, error);
	(void)close(client);
	if (!pauses)
		PROMISE(faults_hits() == 2 && faults_calls() <= 12, "%d of %d calls failed", faults_hits(), faults_calls());
	const int complaints = stage_log_count("cannot accept connections: ");
	/* At most one about the pool, and one about each worker while the other one accepts. */
	PROMISE(pauses ? complaints >= 1 && complaints <= 3 : complaints == 0, "%d", complaints);
	PROMISE(stage_stop(true) == 0, "%s", prefork_error());
}
END_TEST

/* Each case is a test of its own in meson, so that they run in parallel: they mostly wait. */
static TCase *add_case(Suite *suite, const char *name)
{
	TCase *const tc = tcase_create(name);

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, stage_set_up, stage_tear_down);
	suite_add_tcase(suite, tc);
	return tc;
}

int main(void)
{
	Suite *const suite = suite_create("faults");
	TCase *tc = add_case(suite, "start");

	tcase_add_test(tc, settings_are_read_completely_or_not_at_all);
	tcase_add_loop_test(tc, an_arbiter_is_created_completely_or_not_at_all, 0, FAULTS);
	tcase_add_loop_test(tc, a_start_succeeds_or_can_be_repeated, 0, FAULTS);
	tc = add_case(suite, "change");
	tcase_add_loop_test(tc, a_change_is_completed_despite_failing_calls, 0, FAULTS * CHANGES);
	tc = add_case(suite, "last");
	tcase_add_loop_test(tc, a_stop_ends_though_calls_fail, 0, FAULTS);
	tcase_add_loop_test(tc, starts_are_retried_with_backoff_during_a_shortage, 0, sizeof for_long / sizeof for_long[0]);
	tcase_add_test(tc, one_failed_fork_of_many_counts_once);
	tcase_add_loop_test(tc, a_failed_accept_is_retried, 0, CLASSES * REFUSALS);

	return run_suite(suite);
}
