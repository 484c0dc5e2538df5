/*
 * The arbiter with real forks, driven by a poll loop as an application would.
 * The workers are jobs without listeners; shared memory selects what they do.
 */
#include "../suite.h"

#include <prefork/arbiter.h>
#include <prefork/error.h>
#include <prefork/settings.h>
#include <prefork/worker.h>

#include "os/clock.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum mood { GOOD, HANGS, NO_BOOT, NO_APP, EXITS, WRITES };
enum { OUTPUT_SIZE = 200000 }; /* more than a pipe buffers */

static _Atomic int *mood; /* shared with the workers */
static int fds_before;

static struct seen {
	int ready, exited, verdicts, stopping;
	pid_t last_ready;
	enum prefork_reason reason;
	enum prefork_verdict verdict;
	char message[1024], why[1024];
} seen;

static void on_ready(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	(void)arbiter;
	(void)user;
	seen.ready++;
	seen.last_ready = prefork_process_pid(process);
}

static void on_exited(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	(void)arbiter;
	(void)user;
	seen.exited++;
	seen.reason = prefork_process_reason(process);
	(void)snprintf(seen.message, sizeof seen.message, "%s; %s", prefork_process_exit_message(process),
		       prefork_process_activity(process));
}

static void on_reload_end(struct prefork_arbiter *arbiter, enum prefork_verdict verdict, const char *why, void *user)
{
	(void)arbiter;
	(void)user;
	seen.verdicts++;
	seen.verdict = verdict;
	(void)snprintf(seen.why, sizeof seen.why, "%s", why);
}

static void on_stopping(struct prefork_arbiter *arbiter, void *user)
{
	(void)arbiter;
	(void)user;
	seen.stopping++;
}

/* What this worker does: read before the ready message, so that the test may change
 * `mood` for the next workers after it. */
static int own_mood;

/* Runs in the worker. */
static int on_worker_start(struct prefork_worker *worker, void *user)
{
	(void)worker;
	(void)user;
	own_mood = atomic_load(mood);
	if (own_mood == NO_BOOT)
		return prefork_fail(-ENOENT, "the database is away");
	return own_mood == NO_APP ? prefork_fail(PREFORK_EAPP, "no such module") : 0;
}

static const struct prefork_hooks hooks = {
	.struct_size = sizeof hooks,
	.worker_ready = on_ready,
	.worker_exited = on_exited,
	.reload_end = on_reload_end,
	.stopping = on_stopping,
	.worker_start = on_worker_start,
};

static int output[2] = { -1, -1 };

/* Runs in the worker: all of it is written when it flushes its streams, before _exit(2). */
static void write_output(void)
{
	static char buffer[2 * OUTPUT_SIZE];

	if (dup2(output[1], STDOUT_FILENO) < 0 || setvbuf(stdout, buffer, _IOFBF, sizeof buffer) != 0)
		_exit(99);
	for (int i = 0; i < OUTPUT_SIZE; i++)
		(void)putchar('x');
}

/* Runs in the worker. */
static int job(struct prefork_worker *worker, void *user)
{
	struct pollfd wait = { .fd = prefork_worker_fd(worker), .events = POLLIN };

	(void)user;
	if (own_mood == EXITS)
		return 9;
	if (own_mood == WRITES)
		write_output();
	if (own_mood == HANGS) {
		prefork_worker_set_activity(worker, "job 17", 6);
		prefork_worker_busy(worker);
		for (;;)
			(void)pause();
	}
	while (prefork_worker_check(worker) == PREFORK_CONTINUE)
		(void)poll(&wait, 1, -1);
	return 0;
}

static const struct prefork_strategy jobs = {
	.struct_size = sizeof jobs, .name = "jobs", .traits = PREFORK_STRATEGY_NO_SERVICE, .run = job
};

static uint64_t patience_ms(void)
{
	const char *const text = getenv("TEST_PATIENCE");
	const unsigned long factor = text != NULL ? strtoul(text, NULL, 10) : 1;

	return 20000 * (factor > 0 ? factor : 1);
}

static struct prefork_arbiter *arbiter;
static struct prefork_settings *settings;

static void set_up(void)
{
	static const int restored[] = { SIGTERM, SIGINT, SIGALRM };

	for (size_t i = 0; i < sizeof restored / sizeof restored[0]; i++)
		ck_assert(signal(restored[i], SIG_DFL) != SIG_ERR);
	fds_before = pfi_fd_count();
	seen = (struct seen){ 0 };
	mood = mmap(NULL, sizeof *mood, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(mood, MAP_FAILED);
	const char *const argv[] = { "test", "--workers", "2", "--timeout", "1", "--abort-timeout", "200ms",
			       "--canary-time", "50ms", "--log-level", "critical", NULL };
	ck_assert_int_eq(prefork_settings_load((int)(sizeof argv / sizeof argv[0]) - 1, (char *const *)(uintptr_t)argv, &settings), 0);
	ck_assert_int_eq(prefork_arbiter_create(settings, &arbiter), 0);
	ck_assert_int_eq(prefork_arbiter_add_pool(arbiter, "jobs", &jobs, NULL, NULL, NULL), 0);
	ck_assert_int_eq(prefork_arbiter_add_hooks(arbiter, &hooks, NULL), 0);
}

static void tear_down(void)
{
	prefork_arbiter_destroy(arbiter);
	prefork_settings_destroy(settings);
	(void)munmap((void *)mood, sizeof *mood);
	ck_assert_int_eq(pfi_fd_count(), fds_before);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
}

/* Dispatch until `*counter` is `least`, or the arbiter has stopped. Returns the last result. */
static int until(const int *counter, int least)
{
	const uint64_t end_ms = pfi_now_ms() + patience_ms();
	int r = 1;

	while (r == 1 && *counter < least) {
		struct pollfd wait = { .fd = prefork_arbiter_fd(arbiter), .events = POLLIN };

		ck_assert_msg(pfi_now_ms() < end_ms, "waited too long");
		(void)poll(&wait, 1, 1000);
		r = prefork_arbiter_dispatch(arbiter);
	}
	return r;
}

static void start_good(void)
{
	ck_assert_int_eq(prefork_arbiter_start(arbiter), 0);
	ck_assert_int_eq(until(&seen.ready, 2), 1);
}

static void start_one(void)
{
	ck_assert_int_eq(prefork_arbiter_start(arbiter), 0);
	ck_assert_int_eq(until(&seen.ready, 1), 1);
}

static void stop(bool graceful)
{
	static const int never = 0;

	prefork_arbiter_request_stop(arbiter, graceful);
	ck_assert_int_eq(until(&never, 1), 0);
	ck_assert_int_eq(seen.stopping, 1);
}

/* One Ctrl-C reaches a worker twice: from the terminal, and from the arbiter. Other signals may arrive late, too. */
START_TEST(a_worker_that_flushes_its_output_is_not_ended_by_a_signal)
{
	static const int late[] = { SIGQUIT, SIGINT, SIGTERM, SIGUSR1, SIGQUIT };
	static const int never = 0;
	static char bytes[65536];
	size_t written = 0;
	ssize_t n;

	ck_assert_int_eq(pipe2(output, O_CLOEXEC), 0);
	ck_assert_int_eq(prefork_arbiter_request_scale(arbiter, 0, 1), 0);
	atomic_store(mood, WRITES);
	start_one();
	ck_assert_int_eq(close(output[1]), 0);
	ck_assert_int_eq(kill(seen.last_ready, SIGQUIT), 0);
	struct pollfd flushed = { .fd = output[0], .events = POLLIN };
	ck_assert_int_eq(poll(&flushed, 1, (int)patience_ms()), 1);
	for (size_t i = 0; i < sizeof late / sizeof late[0]; i++)
		ck_assert_int_eq(kill(seen.last_ready, late[i]), 0);
	atomic_store(mood, GOOD);
	while ((n = read(output[0], bytes, sizeof bytes)) > 0)
		written += (size_t)n;
	ck_assert_int_eq(close(output[0]), 0);
	ck_assert_uint_eq(written, OUTPUT_SIZE);
	prefork_arbiter_request_stop(arbiter, true);
	ck_assert_int_eq(until(&never, 1), 0);
	ck_assert_int_eq(seen.reason, PREFORK_REASON_STOPPED);
}
END_TEST

START_TEST(a_killed_worker_is_replaced)
{
	start_good();
	ck_assert_int_eq(kill(seen.last_ready, SIGKILL), 0);
	ck_assert_int_eq(until(&seen.ready, 3), 1);
	ck_assert_int_eq(seen.exited, 1);
	ck_assert_int_eq(seen.reason, PREFORK_REASON_KILLED);
	stop(true);
	ck_assert_int_eq(seen.exited, 3);
	ck_assert_int_eq(seen.reason, PREFORK_REASON_STOPPED);
}
END_TEST

START_TEST(a_quick_stop_ends_all_workers)
{
	start_good();
	stop(false);
	ck_assert_int_eq(seen.exited, 2);
}
END_TEST

static const struct {
	enum mood mood;
	int result;
	const char *why;
} first_starts[] = {
	{ NO_APP, PREFORK_EAPP, "no such module" },
	{ NO_BOOT, PREFORK_EBOOT, "the database is away" },
};

START_TEST(a_failed_first_start_reports_the_cause)
{
	static const int never = 0;

	atomic_store(mood, first_starts[_i].mood);
	ck_assert_int_eq(prefork_arbiter_start(arbiter), 0);
	ck_assert_int_eq(until(&never, 1), first_starts[_i].result);
	ck_assert_ptr_nonnull(strstr(prefork_error(), first_starts[_i].why));
}
END_TEST

START_TEST(a_bad_reload_changes_nothing)
{
	start_good();
	atomic_store(mood, NO_APP);
	prefork_arbiter_request_reload(arbiter);
	ck_assert_int_eq(until(&seen.verdicts, 1), 1);
	ck_assert_int_eq(seen.verdict, PREFORK_RELOAD_FAILED);
	ck_assert_ptr_nonnull(strstr(seen.why, "no such module"));
	ck_assert_int_eq(seen.exited, 1); /* only the canary */
	atomic_store(mood, GOOD);
	stop(true);
	ck_assert_int_eq(seen.verdicts, 1);
}
END_TEST

START_TEST(a_good_reload_replaces_all_workers)
{
	start_good();
	prefork_arbiter_request_reload(arbiter);
	ck_assert_int_eq(until(&seen.verdicts, 1), 1);
	ck_assert_int_eq(seen.verdict, PREFORK_RELOAD_DONE);
	ck_assert_int_eq(until(&seen.exited, 2), 1);
	ck_assert_int_eq(seen.ready, 4);
	stop(true);
}
END_TEST

START_TEST(a_second_reload_supersedes_the_first)
{
	start_good();
	prefork_arbiter_request_reload(arbiter);
	ck_assert_int_eq(prefork_arbiter_dispatch(arbiter), 1);
	prefork_arbiter_request_reload(arbiter);
	ck_assert_int_eq(until(&seen.verdicts, 1), 1);
	ck_assert_int_eq(seen.verdict, PREFORK_RELOAD_SUPERSEDED);
	ck_assert_int_eq(until(&seen.verdicts, 2), 1);
	ck_assert_int_eq(seen.verdict, PREFORK_RELOAD_DONE);
	stop(true);
}
END_TEST

START_TEST(a_stop_ends_a_reload)
{
	start_good();
	prefork_arbiter_request_reload(arbiter);
	ck_assert_int_eq(prefork_arbiter_dispatch(arbiter), 1);
	stop(true);
	ck_assert_int_eq(seen.verdicts, 1);
	ck_assert_int_eq(seen.verdict, PREFORK_RELOAD_STOPPED);
}
END_TEST

START_TEST(a_stuck_worker_is_ended_and_its_activity_reported)
{
	atomic_store(mood, HANGS);
	start_good();
	atomic_store(mood, GOOD);
	ck_assert_int_eq(until(&seen.exited, 2), 1);
	ck_assert_int_eq(seen.reason, PREFORK_REASON_TIMEOUT);
	ck_assert_ptr_nonnull(strstr(seen.message, "; job 17"));
	ck_assert_int_eq(until(&seen.ready, 4), 1);
	stop(true);
}
END_TEST

START_TEST(scaling_is_exact)
{
	start_good();
	ck_assert_int_eq(prefork_arbiter_request_scale(arbiter, 0, 5), 0);
	ck_assert_int_eq(until(&seen.ready, 5), 1);
	ck_assert_int_eq(prefork_arbiter_request_scale(arbiter, 0, 1), 0);
	ck_assert_int_eq(until(&seen.exited, 4), 1);
	ck_assert_int_eq(prefork_arbiter_request_scale(arbiter, 1, 1), -EINVAL);
	stop(true);
	ck_assert_int_eq(seen.ready, 5);
	ck_assert_int_eq(seen.exited, 5);
}
END_TEST

/* If the application ignores SIGCHLD, the kernel reaps its children. */
START_TEST(an_exit_that_the_application_reaped_is_detected)
{
	ck_assert(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
	start_good();
	ck_assert_int_eq(kill(seen.last_ready, SIGKILL), 0);
	ck_assert_int_eq(until(&seen.ready, 3), 1);
	ck_assert_int_eq(seen.reason, PREFORK_REASON_UNKNOWN);
	ck_assert_ptr_nonnull(strstr(seen.message, "status unknown: the application reaped it"));
	stop(true);
	ck_assert(signal(SIGCHLD, SIG_DFL) != SIG_ERR);
}
END_TEST

/* At the start, once listeners are bound. */
static int hang_up(const struct prefork_settings *read)
{
	static bool done;

	(void)read;
	if (!done)
		(void)raise(SIGHUP);
	done = true;
	return 0;
}

START_TEST(a_signal_during_the_start_is_handled)
{
	static const struct prefork_strategy strategy = {
		.struct_size = sizeof strategy, .name = "hangs up", .traits = PREFORK_STRATEGY_NO_SERVICE,
		.check = hang_up, .run = job,
	};

	ck_assert_int_eq(prefork_arbiter_add_pool(arbiter, "hangs up", &strategy, NULL, NULL, NULL), 0);
	prefork_arbiter_take_signals(arbiter, true);
	ck_assert_int_eq(prefork_arbiter_start(arbiter), 0);
	ck_assert_int_eq(until(&seen.verdicts, 1), 1);
	ck_assert_int_eq(seen.verdict, PREFORK_RELOAD_DONE);
	stop(true);
}
END_TEST

START_TEST(destroy_kills_remaining_workers)
{
	start_good();
}
END_TEST

int main(void)
{
	Suite *const suite = suite_create("arbiter");
	TCase *const tc = tcase_create("arbiter");

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, a_worker_that_flushes_its_output_is_not_ended_by_a_signal);
	tcase_add_test(tc, a_killed_worker_is_replaced);
	tcase_add_test(tc, a_quick_stop_ends_all_workers);
	tcase_add_loop_test(tc, a_failed_first_start_reports_the_cause, 0, 2);
	tcase_add_test(tc, a_bad_reload_changes_nothing);
	tcase_add_test(tc, a_good_reload_replaces_all_workers);
	tcase_add_test(tc, a_second_reload_supersedes_the_first);
	tcase_add_test(tc, a_stop_ends_a_reload);
	tcase_add_test(tc, a_stuck_worker_is_ended_and_its_activity_reported);
	tcase_add_test(tc, scaling_is_exact);
	tcase_add_test(tc, an_exit_that_the_application_reaped_is_detected);
	tcase_add_test(tc, a_signal_during_the_start_is_handled);
	tcase_add_test(tc, destroy_kills_remaining_workers);
	suite_add_tcase(suite, tc);

	return run_suite(suite);
}
