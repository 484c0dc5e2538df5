/* The arbiter in the libev loop of an application: the default loop, which reaps every child of its process. */
#include "../support.h"

#include <prefork/arbiter.h>
#include <prefork/error.h>
#include <prefork/settings.h>
#include <prefork/worker.h>

#include <errno.h>
#include <ev.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static struct prefork_arbiter *arbiter;
static struct prefork_settings *settings;
static struct ev_loop *loop;
static int ready, exited, unknown, ended, result;
static pid_t last_ready;
static char message[1024];

static void on_ready(struct prefork_arbiter *caller, struct prefork_process *process, void *user)
{
	(void)caller;
	(void)user;
	ready++;
	last_ready = prefork_process_pid(process);
	ev_break(loop, EVBREAK_ALL);
}

static void on_exited(struct prefork_arbiter *caller, struct prefork_process *process, void *user)
{
	(void)caller;
	(void)user;
	exited++;
	if (prefork_process_reason(process) != PREFORK_REASON_UNKNOWN)
		return;
	unknown++;
	(void)snprintf(message, sizeof message, "%s", prefork_process_exit_message(process));
}

static const struct prefork_hooks hooks = {
	.struct_size = sizeof hooks, .worker_ready = on_ready, .worker_exited = on_exited,
};

/* Runs in the worker. */
static int job(struct prefork_worker *worker, void *user)
{
	struct pollfd wait = { .fd = prefork_worker_fd(worker), .events = POLLIN };

	(void)user;
	while (prefork_worker_check(worker) == PREFORK_CONTINUE)
		(void)poll(&wait, 1, -1);
	return 0;
}

static const struct prefork_strategy jobs = {
	.struct_size = sizeof jobs, .name = "jobs", .traits = PREFORK_STRATEGY_NO_SERVICE, .run = job,
};

static void on_end(struct prefork_arbiter *caller, int r, void *user)
{
	ck_assert_ptr_eq(caller, arbiter);
	ck_assert_ptr_eq(user, &ended);
	ended++;
	result = r;
	ev_break(loop, EVBREAK_ALL);
}

static void on_time_limit(struct ev_loop *of_timer, ev_timer *timer, int events)
{
	(void)of_timer;
	(void)timer;
	(void)events;
	ck_abort_msg("waited too long");
}

/* Until on_ready() or on_end() breaks it. */
static void run_loop(void)
{
	const char *const patience = getenv("TEST_PATIENCE");
	ev_timer limit;

	ev_timer_init(&limit, on_time_limit, 20. * (patience ? atof(patience) : 1.), 0.);
	ev_now_update(loop);
	ev_timer_start(loop, &limit);
	(void)ev_run(loop, 0);
	ev_timer_stop(loop, &limit);
}

static void open_all(void)
{
	const char *const argv[] = { "test", "--workers", "1", "--log-level", "critical", NULL };

	(void)signal(SIGTERM, SIG_DFL);
	loop = ev_default_loop(EVFLAG_NOENV);
	ck_assert_ptr_nonnull(loop);
	ck_assert_int_eq(prefork_settings_load(5, (char *const *)(uintptr_t)argv, &settings), 0);
	ck_assert_int_eq(prefork_arbiter_create(settings, &arbiter), 0);
	ck_assert_int_eq(prefork_arbiter_add_pool(arbiter, "jobs", &jobs, NULL, NULL, NULL), 0);
	ck_assert_int_eq(prefork_arbiter_add_hooks(arbiter, &hooks, NULL), 0);
	ck_assert_int_eq(prefork_arbiter_attach(arbiter, loop, on_end, &ended), -EINVAL); /* too early */
	ck_assert_int_eq(prefork_arbiter_start(arbiter), 0);
	ck_assert_int_eq(prefork_arbiter_attach(arbiter, loop, on_end, &ended), 0);
	ck_assert_int_eq(prefork_arbiter_attach(arbiter, loop, on_end, &ended), -EBUSY);
}

static void close_all(void)
{
	prefork_arbiter_destroy(arbiter);
	prefork_settings_destroy(settings);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	ev_loop_destroy(loop);
}

/* Either the loop reaps first, at SIGCHLD, or the arbiter, at the pidfd: usually the loop. The last time, the test reaps
 * first. */
START_TEST(an_exit_that_the_application_reaped_is_logged_and_the_worker_replaced)
{
	enum { EXITS = 5 };

	open_all();
	for (int i = 1; i <= EXITS; i++) {
		while (ready < i)
			run_loop();
		ck_assert_int_eq(kill(last_ready, SIGKILL), 0);
		if (i == EXITS)
			ck_assert_int_eq(waitpid(-1, NULL, 0), last_ready);
	}
	while (ready <= EXITS)
		run_loop();
	ck_assert_int_eq(exited, EXITS);
	ck_assert_int_gt(unknown, 0);
	ck_assert_ptr_nonnull(strstr(message, "status unknown: the application reaped it"));
	prefork_arbiter_request_stop(arbiter, true);
	while (!ended)
		run_loop();
	ck_assert_int_eq(result, 0);
	ck_assert_int_eq(exited, EXITS + 1);
	close_all();
}
END_TEST

START_TEST(after_detach_the_arbiter_continues_by_dispatch)
{
	open_all();
	while (ready < 1)
		run_loop();
	ck_assert_int_eq(prefork_arbiter_attach(arbiter, NULL, NULL, NULL), 0);
	prefork_arbiter_request_stop(arbiter, false);
	(void)ev_run(loop, EVRUN_NOWAIT);
	ck_assert_int_eq(ended, 0);
	while (prefork_arbiter_dispatch(arbiter) == 1) {
		struct pollfd wait = { .fd = prefork_arbiter_fd(arbiter), .events = POLLIN };

		ck_assert_int_ge(poll(&wait, 1, 10000), -1);
	}
	close_all();
}
END_TEST

START_TEST(destroy_removes_the_arbiter_from_the_loop)
{
	open_all();
	while (ready < 1)
		run_loop();
	prefork_arbiter_destroy(arbiter);
	arbiter = NULL;
	(void)ev_run(loop, EVRUN_NOWAIT);
	close_all();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("attach");
	TCase *tc = new_case(suite, "attach");

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, an_exit_that_the_application_reaped_is_logged_and_the_worker_replaced);
	tcase_add_test(tc, after_detach_the_arbiter_continues_by_dispatch);
	tcase_add_test(tc, destroy_removes_the_arbiter_from_the_loop);

	return run_suite(suite);
}
