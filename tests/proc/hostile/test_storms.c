/*
 * Disturbances from the application: bursts of signals, children that it has reaped,
 * and times during which the arbiter does not run.
 */
#include "../../features.h"
#include "../../support.h"

#include "faults.h"
#include "stage.h"

#include "arbiter/arbiter.h"
#include "os/clock.h"

#include <prefork/error.h>
#include <prefork/worker.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#if HAVE_LIBEV
#include <ev.h>
#endif

/* ---- signals ---- */

static const struct {
	int signo;
	const char *handled;
} kinds[] = {
	{ SIGHUP, "Handling signal: hup" },   { SIGTTIN, "Handling signal: ttin" }, { SIGTTOU, "Handling signal: ttou" },
	{ SIGUSR1, "Handling signal: usr1" }, /* not USR2, which would start this test again */
};

enum { KINDS = sizeof kinds / sizeof kinds[0], BURST = 400 };

/* Another process sends them as fast as it can, and exits. */
static pid_t send_burst(void)
{
	const pid_t arbiter = getpid();
	const pid_t pid = fork();

	if (pid != 0)
		return pid;
	for (unsigned i = 0, x = 12345; i < BURST; i++) {
		x = x * 1103515245 + 12345;
		(void)kill(arbiter, kinds[(x >> 16) % KINDS].signo);
	}
	_exit(0);
}

static unsigned serving(void)
{
	unsigned count = 0;

	for (uint32_t s = 0; s < stage.arbiter->models[0].worker_table.count; s++)
		count += stage.arbiter->models[0].worker_table.slots[s].state == PFI_STATE_SERVING;
	return count;
}

static unsigned living(void)
{
	unsigned count = 0;

	for (unsigned i = 0; i < stage.arbiter->processes_max; i++)
		count += stage.arbiter->processes[i].pid != 0;
	return count;
}

/* Until no change is in progress and the desired number of workers serves. */
static void settle(void)
{
	const uint64_t end_ms = pfi_now_ms() + stage_patience_ms();
	const struct pfi_supervisor *const supervisor = &stage.arbiter->supervisor;

	while (supervisor->rollout.state != PFI_ROLLOUT_IDLE || serving() != stage.arbiter->models[0].target ||
	       living() != serving()) {
		PROMISE(pfi_now_ms() < end_ms, "the pool does not reach its desired state");
		stage_run_for(5);
	}
}

START_TEST(a_burst_of_signals_loses_no_signal_number)
{
	ck_assert_int_eq(stage_load(NULL), 0);
	ck_assert_int_eq(stage_create(NULL), 0);
	prefork_arbiter_take_signals(stage.arbiter, true);
	PROMISE(prefork_arbiter_start(stage.arbiter) == 0, "%s", prefork_error());
	PROMISE(stage_until(&stage.ready, 2), "%s", prefork_error());
	const pid_t sender = send_burst();

	PROMISE(sender > 0, "%d", errno);
	for (int status = -1; waitpid(sender, &status, WNOHANG) == 0;)
		stage_run_for(5);
	stage_run_for(20); /* for the last signals */
	settle();
	for (int i = 0; i < KINDS; i++) {
		const int handled = stage_log_count(kinds[i].handled);

		PROMISE(handled >= 1 && handled <= BURST, "%s: %d times", kinds[i].handled, handled);
	}
	/* Each reload has ended with one verdict, the last one with success. */
	PROMISE(stage.verdicts == stage_log_count(kinds[0].handled), "%d verdicts", stage.verdicts);
	PROMISE(stage.verdict == PREFORK_RELOAD_DONE, "%d: %s", (int)stage.verdict, stage.why);
	PROMISE(stage.arbiter->generation_count == 1, "%zu generations", stage.arbiter->generation_count);
	/* The number of workers is within its limits, and scaling still works. */
	PROMISE(serving() >= 1 && serving() <= stage.arbiter->models[0].policy.workers_max, "%u", serving());
	PROMISE(prefork_arbiter_request_scale(stage.arbiter, 0, 3) == 0 && prefork_arbiter_dispatch(stage.arbiter) == 1, " ");
	settle();
	PROMISE(serving() == 3, "%u", serving());
	PROMISE(kill(getpid(), SIGTERM) == 0, " ");
	static const int never = 0;
	(void)stage_until(&never, 1);
	PROMISE(stage_result() == 0, "%s", prefork_error());
}
END_TEST

/* A burst that contains a signal to stop: the server stops. */
START_TEST(a_stop_in_a_burst_is_not_lost)
{
	static const int stops[] = { SIGTERM, SIGINT, SIGQUIT };
	static const int never = 0;

	ck_assert_int_eq(stage_load(NULL), 0);
	ck_assert_int_eq(stage_create(NULL), 0);
	prefork_arbiter_take_signals(stage.arbiter, true);
	PROMISE(prefork_arbiter_start(stage.arbiter) == 0, "%s", prefork_error());
	PROMISE(stage_until(&stage.ready, 2), "%s", prefork_error());
	for (int i = 0; i < 50; i++)
		PROMISE(kill(getpid(), i == 25 ? stops[_i] : kinds[i % KINDS].signo) == 0, "%d", errno);
	(void)stage_until(&never, 1);
	PROMISE(stage_result() == 0, "%s", prefork_error());
	PROMISE(stage.verdicts == stage_log_count(kinds[0].handled), "%d verdicts", stage.verdicts);
}
END_TEST

/* SIGWINCH scales to 0 workers, but not on a terminal, where it reports a change of the size. */
START_TEST(winch_scales_to_zero_and_ttin_or_hup_scales_up_again)
{
	ck_assert_int_eq(stage_load(NULL), 0);
	ck_assert_int_eq(stage_create(NULL), 0);
	prefork_arbiter_take_signals(stage.arbiter, true);
	PROMISE(prefork_arbiter_start(stage.arbiter) == 0, "%s", prefork_error());
	PROMISE(stage_until(&stage.ready, 2), "%s", prefork_error());
	for (int i = 0; i < 20; i++)
		PROMISE(kill(getpid(), SIGWINCH) == 0, "%d", errno);
	stage_run_for(5);
	settle();
	const bool is_terminal = tcgetpgrp(STDIN_FILENO) >= 0 || tcgetpgrp(STDERR_FILENO) >= 0;

	PROMISE(serving() == (is_terminal ? 2 : 0), "%u", serving());
	PROMISE(kill(getpid(), _i == 0 ? SIGTTIN : SIGHUP) == 0, "%d", errno);
	stage_run_for(5);
	settle();
	PROMISE(serving() == (_i > 0 ? 2 : is_terminal ? 3 : 1), "%u", serving());
	PROMISE(stage.verdicts == _i && stage.verdict == PREFORK_RELOAD_DONE, "%d: %s", stage.verdicts, stage.why);
	PROMISE(stage_stop(true) == 0, "%s", prefork_error());
}
END_TEST

/* After many SIGKILL the next start waits for up to 30 s, unless no worker is left. */
START_TEST(a_pool_without_workers_serves_again_at_once)
{
	stage_start(NULL, NULL);
	struct pfi_backoff *const backoff = &stage.arbiter->models[0].run;

	*backoff = (struct pfi_backoff){ .streak = 20, .recent = 1000000, .period_at_ms = pfi_now_ms() };
	for (int i = 0; i < 2; i++)
		PROMISE(kill(stage.pids[i], SIGKILL) == 0, "%d", errno);
	const uint64_t killed_ms = pfi_now_ms();

	PROMISE(stage_until(&stage.ready, 3), "%s", prefork_error());
	PROMISE(pfi_now_ms() < killed_ms + stage_patience_ms() / 4, "after %d ms", (int)(pfi_now_ms() - killed_ms));
	PROMISE(backoff->earliest_ms > killed_ms + 10000, "the second start does not wait");
	PROMISE(stage_stop(true) == 0, "%s", prefork_error());
}
END_TEST

static void wait_for_exit(pid_t pid)
{
	siginfo_t info;

	while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
		continue;
}

/* The log line of one exit says when its replacement starts, which depends on the other exit. */
START_TEST(the_log_counts_replacements_of_simultaneous_exits)
{
	static const char *const workers[] = { "--workers", "3", NULL };
	const int signals[] = { SIGSEGV, SIGKILL };

	stage_start(NULL, workers);
	PROMISE(stage_until(&stage.ready, 3), "%s", prefork_error());
	for (int i = 0; i < 2; i++)
		PROMISE(kill(stage.pids[i], signals[_i]) == 0, "%d", errno);
	for (int i = 0; i < 2; i++)
		wait_for_exit(stage.pids[i]);
	PROMISE(prefork_arbiter_dispatch(stage.arbiter) == 1, "%s", prefork_error());
	ck_assert_int_eq(stage.exited, 2);
	ck_assert_int_eq(stage_log_count("; replaced "), 2);
	ck_assert_int_eq(stage_log_count("; replaced now"), stage.forked - 3);
	PROMISE(stage_until(&stage.ready, 5), "%s", prefork_error());
	ck_assert_int_eq(stage_stop(true), 0);
}
END_TEST

/* ---- an application that reaps all children ---- */

static void sigchld_is_ignored(void)
{
	PROMISE(signal(SIGCHLD, SIG_IGN) != SIG_ERR, "%d", errno);
	stage_start(NULL, NULL);
	PROMISE(kill(stage.last_ready, SIGKILL) == 0, "%d", errno);
}

static void application_waits_for_all(void)
{
	stage_start(NULL, NULL);
	PROMISE(kill(stage.last_ready, SIGKILL) == 0, "%d", errno);
	PROMISE(waitpid(-1, NULL, 0) == stage.last_ready, "%d", errno); /* the application reaped first */
}

#if HAVE_LIBEV
static void on_arbiter(struct ev_loop *loop, ev_io *io, int events)
{
	(void)io;
	(void)events;
	if (prefork_arbiter_dispatch(stage.arbiter) != 1)
		ev_break(loop, EVBREAK_ALL);
}

/* The default loop of libev reaps every child at SIGCHLD. */
static void application_runs_libev(void)
{
	struct ev_loop *const loop = ev_default_loop(EVFLAG_AUTO);
	ev_io io;

	PROMISE(loop != NULL, "no default loop");
	stage_start(NULL, NULL);
	ev_io_init(&io, on_arbiter, prefork_arbiter_fd(stage.arbiter), EV_READ);
	ev_io_start(loop, &io);
	PROMISE(kill(stage.last_ready, SIGKILL) == 0, "%d", errno);
	wait_for_exit(stage.last_ready);
	while (stage.ready < 3)
		(void)ev_run(loop, EVRUN_ONCE);
	ev_io_stop(loop, &io);
	ev_loop_destroy(loop);
}
#else
static void application_runs_libev(void)
{
}
#endif

static void (*const applications[])(void) = { sigchld_is_ignored, application_waits_for_all, application_runs_libev };

START_TEST(an_exit_that_the_application_reaped_is_logged)
{
	if (applications[_i] == application_runs_libev && !has_worker_class("libev"))
		return;
	applications[_i]();
	PROMISE(stage_until(&stage.ready, 3), "it is replaced");
	PROMISE(stage.exited == 1 && stage.reason == PREFORK_REASON_UNKNOWN, "%s", stage.message);
	PROMISE(stage_log_count("status unknown: the application reaped it") == 1, "%s", stage.message);
	PROMISE(living() == 2, "%u", living());
	PROMISE(stage_stop(true) == 0, "%s", prefork_error());
	(void)signal(SIGCHLD, SIG_DFL);
}
END_TEST

/* ---- time ---- */

enum { TIMEOUT_MS = 1000, AWAY_MS = 2300, WORK_MS = 2600, FOREVER = 1 }; /* the last is a mood */

/* Runs in the worker: one request that outlasts its timeout. */
static int work_long(struct prefork_worker *worker, void *user)
{
	struct pollfd readable = { .fd = prefork_worker_fd(worker), .events = POLLIN };

	(void)user;
	if (atomic_fetch_add(&orders->number, 1) == 0) {
		prefork_worker_busy(worker);
		(void)poll(NULL, 0, atomic_load(&orders->mood) == FOREVER ? -1 : (int)stage_scaled_ms(WORK_MS));
		prefork_worker_idle(worker);
	}
	while (prefork_worker_check(worker) == PREFORK_CONTINUE)
		(void)poll(&readable, 1, -1);
	return 0;
}

static const struct prefork_strategy strategy = {
	.struct_size = sizeof strategy, .name = "work", .traits = PREFORK_STRATEGY_NO_SERVICE, .run = work_long
};

static const struct stage_parts parts = { .strategy = &strategy };

/* The process of the arbiter did not run for a while, as during a suspend: at its next health check the deadline has
 * passed, but the worker is not ended. Without the standstill it is. */
START_TEST(the_first_health_check_after_a_standstill_gives_grace)
{
	const char *const arguments[] = { "--timeout", stage_scaled(TIMEOUT_MS), NULL };

	atomic_store(&orders->mood, _i == 0 ? 0 : FOREVER);
	stage_start(&parts, arguments);
	if (_i == 0)
		(void)poll(NULL, 0, (int)stage_scaled_ms(AWAY_MS));
	if (_i == 0)
		stage_run_for(stage_scaled_ms(WORK_MS - AWAY_MS) + 500);
	else
		PROMISE(stage_until(&stage.exited, 1), "%s", stage.message);
	PROMISE(stage.exited == _i, "%s", stage.message);
	PROMISE(stage_stop(true) == 0, "%s", prefork_error());
}
END_TEST

int main(void)
{
	Suite *const suite = suite_create("storms");
	TCase *const tc = tcase_create("storms");

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, the_log_counts_replacements_of_simultaneous_exits, 0, 2);
	tcase_add_checked_fixture(tc, stage_set_up, stage_tear_down);
	tcase_add_test(tc, a_burst_of_signals_loses_no_signal_number);
	tcase_add_loop_test(tc, a_stop_in_a_burst_is_not_lost, 0, 3);
	tcase_add_loop_test(tc, winch_scales_to_zero_and_ttin_or_hup_scales_up_again, 0, 2);
	tcase_add_test(tc, a_pool_without_workers_serves_again_at_once);
	tcase_add_loop_test(tc, an_exit_that_the_application_reaped_is_logged, 0, sizeof applications / sizeof applications[0]);
	tcase_add_loop_test(tc, the_first_health_check_after_a_standstill_gives_grace, 0, 2);
	suite_add_tcase(suite, tc);

	return run_suite(suite);
}
