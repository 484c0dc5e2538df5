/*
 * How workers end: every exit code and signal, before and after they are ready;
 * hooks that hang or fail; stopped workers; and crash loops.
 */
#include "../../support.h"

#include "faults.h"
#include "stage.h"

#include <prefork/error.h>
#include <prefork/worker.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum moment { NEVER, AFTER_FORK, START, RUN, DRAINING, STOP };
enum manner { EXITS, RAISES, HANGS, STOPS, HANGS_BUSY, SERVES_AND_EXITS };

struct fate {
	enum moment moment;
	enum manner manner;
	int number; /* exit code or signal */
	enum prefork_reason reason;
};

static const struct fate fates[] = {
	{ AFTER_FORK, EXITS, 1, PREFORK_REASON_BOOT },
	{ AFTER_FORK, RAISES, SIGKILL, PREFORK_REASON_KILLED },
	{ AFTER_FORK, HANGS, 0, PREFORK_REASON_TIMEOUT },
	{ START, EXITS, 0, PREFORK_REASON_BOOT },
	{ START, EXITS, 1, PREFORK_REASON_BOOT },
	{ START, EXITS, PREFORK_EXIT_BOOT, PREFORK_REASON_BOOT },
	{ START, EXITS, PREFORK_EXIT_APP, PREFORK_REASON_APP },
	{ START, EXITS, PREFORK_EXIT_SICK, PREFORK_REASON_SICK },
	{ START, EXITS, PREFORK_EXIT_FATAL, PREFORK_REASON_FATAL },
	{ START, EXITS, 255, PREFORK_REASON_BOOT },
	{ START, RAISES, SIGSEGV, PREFORK_REASON_CRASHED },
	{ START, RAISES, SIGABRT, PREFORK_REASON_CRASHED },
	{ START, RAISES, SIGKILL, PREFORK_REASON_KILLED },
	{ START, HANGS, 0, PREFORK_REASON_TIMEOUT },
	{ START, STOPS, 0, PREFORK_REASON_TIMEOUT },
	{ RUN, EXITS, PREFORK_EXIT_RECYCLE, PREFORK_REASON_RECYCLED },
	{ RUN, EXITS, 1, PREFORK_REASON_CRASHED },
	{ RUN, EXITS, PREFORK_EXIT_BOOT, PREFORK_REASON_CRASHED },
	{ RUN, EXITS, PREFORK_EXIT_APP, PREFORK_REASON_CRASHED },
	{ RUN, EXITS, PREFORK_EXIT_SICK, PREFORK_REASON_SICK },
	{ RUN, EXITS, PREFORK_EXIT_FATAL, PREFORK_REASON_FATAL },
	{ RUN, EXITS, 255, PREFORK_REASON_CRASHED },
	{ RUN, RAISES, SIGSEGV, PREFORK_REASON_CRASHED },
	{ RUN, RAISES, SIGBUS, PREFORK_REASON_CRASHED },
	{ RUN, RAISES, SIGABRT, PREFORK_REASON_CRASHED },
	{ RUN, RAISES, 40, PREFORK_REASON_CRASHED },
	{ RUN, RAISES, SIGKILL, PREFORK_REASON_KILLED },
	{ RUN, HANGS_BUSY, 0, PREFORK_REASON_TIMEOUT },
	{ RUN, STOPS, 0, PREFORK_REASON_TIMEOUT },
	{ DRAINING, HANGS, 0, PREFORK_REASON_TIMEOUT },
	{ DRAINING, EXITS, 1, PREFORK_REASON_CRASHED },
	{ STOP, HANGS, 0, PREFORK_REASON_TIMEOUT },
	{ STOP, RAISES, SIGSEGV, PREFORK_REASON_CRASHED },
};

enum { FATES = sizeof fates / sizeof fates[0], ONCE = 1, ALWAYS = 2 };

/* ---- in the workers ---- */

static const struct fate *own_fate; /* NULL: normal */

static void meet(struct prefork_worker *worker, enum moment moment)
{
	if (own_fate == NULL || own_fate->moment != moment)
		return;
	switch (own_fate->manner) {
	case EXITS:
		_exit(own_fate->number);
	case RAISES:
		if (own_fate->number != SIGABRT) /* its handler is the library's; others may belong to a sanitizer */
			(void)signal(own_fate->number, SIG_DFL);
		(void)raise(own_fate->number);
		break;
	case SERVES_AND_EXITS:
		prefork_worker_busy(worker);
		prefork_worker_idle(worker);
		_exit(own_fate->number);
	case STOPS:
		if (moment == RUN)
			prefork_worker_busy(worker);
		(void)raise(SIGSTOP);
		break;
	case HANGS_BUSY:
		prefork_worker_busy(worker);
		break;
	default:
		break;
	}
	for (;;)
		(void)pause();
}

/* orders->mood selects who gets the fate at orders->at: the next worker (ONCE), or each one (ALWAYS). */
static void child_after_fork(struct prefork_worker *worker, void *user)
{
	int once = ONCE;

	(void)user;
	own_fate = NULL;
	if (atomic_load(&orders->mood) == ALWAYS || atomic_compare_exchange_strong(&orders->mood, &once, 0))
		own_fate = (const struct fate *)(uintptr_t)atomic_load(&orders->at);
	meet(worker, AFTER_FORK);
}

static int worker_start(struct prefork_worker *worker, void *user)
{
	(void)user;
	meet(worker, START);
	return 0;
}

static void worker_draining(struct prefork_worker *worker, void *user)
{
	(void)user;
	meet(worker, DRAINING);
}

static void worker_stop(struct prefork_worker *worker, void *user)
{
	(void)user;
	meet(worker, STOP);
}

static int run(struct prefork_worker *worker, void *user)
{
	struct pollfd readable = { .fd = prefork_worker_fd(worker), .events = POLLIN };

	(void)user;
	meet(worker, RUN);
	if (own_fate != NULL) /* it is met while draining or stopping */
		prefork_worker_retire(worker);
	while (prefork_worker_check(worker) == PREFORK_CONTINUE)
		(void)poll(&readable, 1, -1);
	return 0;
}

static const struct prefork_strategy strategy = {
	.struct_size = sizeof strategy, .name = "fate", .traits = PREFORK_STRATEGY_NO_SERVICE, .run = run
};

/* ---- in the arbiter ---- */

static int forks_refused; /* how many to refuse */

static int before_fork(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	(void)arbiter;
	(void)process;
	(void)user;
	return forks_refused-- > 0 ? -EPERM : 0;
}

static int reload_begin(struct prefork_arbiter *arbiter, const struct prefork_settings *settings, void *user)
{
	(void)arbiter;
	(void)settings;
	(void)user;
	return prefork_fail(-EPERM, "the deploy is not complete");
}

static const struct prefork_hooks hooks = {
	.struct_size = sizeof hooks,
	.before_fork = before_fork,
	.child_after_fork = child_after_fork,
	.worker_start = worker_start,
	.worker_draining = worker_draining,
	.worker_stop = worker_stop,
};

static const struct stage_parts parts = { .strategy = &strategy, .hooks = &hooks };

/* Workers that shall end by a time limit get a short one; others, which may be slow, are not ended by it. */
static void start_with(const struct stage_parts *these, enum moment ends_at)
{
	const bool boots = ends_at == AFTER_FORK || ends_at == START, runs = ends_at == RUN, drains = ends_at > RUN;
	const char *const arguments[] = { "--timeout", runs ? stage_scaled(200) : "60s",
					  "--graceful-timeout", drains ? stage_scaled(200) : "60s",
					  "--boot-timeout", boots ? stage_scaled(1500) : "60s",
					  "--abort-timeout", "50ms", NULL };

	stage_start(these, arguments);
}

static void start(const struct stage_parts *these)
{
	start_with(these, NEVER);
}

static void set_fate(const struct fate *fate, int whose)
{
	atomic_store(&orders->at, (uintptr_t)fate);
	atomic_store(&orders->mood, whose);
}

#define WHERE "moment %d, manner %d, number %d: %s", (int)fate->moment, (int)fate->manner, fate->number, stage.message

START_TEST(every_end_has_its_reason_and_its_consequence)
{
	const struct fate *const fate = &fates[_i];
	const int gets_ready = fate->moment >= RUN;

	start_with(&parts, fate->reason == PREFORK_REASON_TIMEOUT ? fate->moment : NEVER);
	stage_hurry();
	set_fate(fate, ONCE);
	PROMISE(prefork_arbiter_request_scale(stage.arbiter, 0, 3) == 0, WHERE);
	PROMISE(stage_until(&stage.exited, 1), WHERE);
	PROMISE(stage.reason == fate->reason, WHERE);
	PROMISE(strlen(stage.message) > 60, WHERE);
	if (fate->reason == PREFORK_REASON_FATAL) {
		stage_run_for(300);
		PROMISE(stage.forked == 3, WHERE); /* not replaced */
		PROMISE(strstr(stage.message, "not replaced: its exit status reports a permanent failure") != NULL, WHERE);
	} else {
		PROMISE(stage_until(&stage.ready, 3 + gets_ready), WHERE);
	}
	PROMISE(stage.exited == 1, WHERE);
	PROMISE(stage_stop(true) == 0, WHERE);
}
END_TEST

static const struct {
	struct fate fate;
	int forks_max;
} loops[] = {
	{ { START, EXITS, PREFORK_EXIT_APP, 0 }, 12 },
	{ { START, RAISES, SIGSEGV, 0 }, 12 },
	{ { RUN, EXITS, 0, 0 }, 12 },
	{ { RUN, RAISES, SIGSEGV, 0 }, 12 },
	{ { RUN, SERVES_AND_EXITS, 1, 0 }, 330 },
};

/* Each worker ends at once: starts are delayed more and more, and not delayed once workers run again. */
START_TEST(a_crash_loop_is_slowed_down)
{
	const struct fate *const fate = &loops[_i].fate;
	const pid_t *const pids = stage.pids;

	start(&parts);
	set_fate(fate, ALWAYS);
	const uint64_t before_ms = stage_cpu_ms();
	const int rounds = stage.rounds;

	PROMISE(kill(pids[0], SIGKILL) == 0 && kill(pids[1], SIGKILL) == 0, WHERE);
	stage_run_for(2500);
	PROMISE(stage_until(&stage.forked, 4), WHERE);
	PROMISE(stage.forked - 2 <= loops[_i].forks_max, "%d forks", stage.forked - 2);
	PROMISE(stage_cpu_ms() - before_ms < stage_patience_ms() / 20, WHERE);
	PROMISE(stage.rounds - rounds < 10 * loops[_i].forks_max, "%d rounds", stage.rounds - rounds);
	set_fate(NULL, 0);
	const int ready = stage.ready, exited = stage.exited;
	PROMISE(stage_until(&stage.ready, ready + 2), WHERE);
	PROMISE(stage.exited <= exited + 2, WHERE);
	PROMISE(stage_stop(true) == 0, WHERE);
}
END_TEST

START_TEST(a_fork_that_a_hook_refuses_is_retried)
{
	start(&parts);
	stage_hurry();
	forks_refused = 3;
	PROMISE(prefork_arbiter_request_scale(stage.arbiter, 0, 3) == 0, "%s", prefork_error());
	PROMISE(stage_until(&stage.ready, 3), "%s", prefork_error());
	PROMISE(forks_refused < 0 && stage.forked == 3, "%d", forks_refused);
	PROMISE(stage_log_count("Cannot start a worker") == 3, "each one is logged");
	PROMISE(stage_stop(true) == 0, "%s", prefork_error());
}
END_TEST

START_TEST(a_reload_that_a_hook_refuses_fails_with_its_message)
{
	static const struct prefork_hooks refusing = { .struct_size = sizeof refusing, .reload_begin = reload_begin };
	static const struct stage_parts others = { .hooks = &refusing };

	start(&others);
	prefork_arbiter_request_reload(stage.arbiter);
	PROMISE(stage_until(&stage.verdicts, 1), "a verdict");
	PROMISE(stage.verdict == PREFORK_RELOAD_FAILED, "%d", (int)stage.verdict);
	PROMISE(strstr(stage.why, "the deploy is not complete") != NULL, "%s", stage.why);
	PROMISE(stage.forked == 2 && stage.exited == 0, "a worker has changed");
	PROMISE(stage_stop(true) == 0, "%s", prefork_error());
}
END_TEST

/* An idle worker that was stopped by SIGSTOP is not stuck, but it cannot drain. */
START_TEST(a_stopped_idle_worker_is_tolerated_until_it_must_exit)
{
	const char *const arguments[] = { "--timeout", "200ms", "--graceful-timeout", stage_scaled(1500),
					  "--abort-timeout", "50ms", NULL };

	stage_start(&parts, arguments);
	PROMISE(kill(stage.last_ready, SIGSTOP) == 0, "%d", errno);
	stage_run_for(600); /* three times the timeout */
	PROMISE(stage.exited == 0, "%s", stage.message);
	PROMISE(stage_stop(true) == 0, "%s", prefork_error());
	PROMISE(stage.exited == 2 && stage_log_count("sending SIGKILL") == 1, "%s", stage.message);
}
END_TEST

int main(void)
{
	Suite *const suite = suite_create("fates");
	TCase *const tc = tcase_create("fates");

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, stage_set_up, stage_tear_down);
	tcase_add_loop_test(tc, every_end_has_its_reason_and_its_consequence, 0, FATES);
	tcase_add_loop_test(tc, a_crash_loop_is_slowed_down, 0, sizeof loops / sizeof loops[0]);
	tcase_add_test(tc, a_fork_that_a_hook_refuses_is_retried);
	tcase_add_test(tc, a_reload_that_a_hook_refuses_fails_with_its_message);
	tcase_add_test(tc, a_stopped_idle_worker_is_tolerated_until_it_must_exit);
	suite_add_tcase(suite, tc);

	return run_suite(suite);
}
