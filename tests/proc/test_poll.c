/* Guarantees of a worker inside a loop of the application: what only such a worker can get wrong. */
#include "../support.h"

#include "harness.h"
#include "poll_driver.h"

#include "model/message.h"
#include "os/clock.h"

#include <prefork/error.h>
#include <prefork/listener.h>
#include <prefork/strategy.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct prefork_worker worker_t;
typedef struct prefork_connection connection_t;

/* In the worker: the loop of these tests, a poll(2) without reports unless `flags` says so. */
static unsigned flags;
static int closings, listener_closed_early;
static worker_t *current;

static void note_closing(void *user)
{
	(void)user;
	closings++;
	for (size_t i = 0; i < prefork_worker_listeners(current); i++)
		listener_closed_early += prefork_listener_fd(prefork_worker_listener(current, i)) < 0;
}

static int open_loop(worker_t *worker)
{
	const struct prefork_host_loop loop = {
		.struct_size = sizeof loop, .flags = flags, .listeners_closing = note_closing,
	};

	current = worker;
	return prefork_worker_poll_open(worker, &loop, NULL);
}

static int run_until_over(worker_t *worker)
{
	struct pollfd wait = { .fd = prefork_worker_poll_fd(worker), .events = POLLIN };
	int r;

	do {
		if (flags)
			prefork_worker_idle(worker);
		(void)poll(&wait, 1, -1);
		if (flags)
			prefork_worker_busy(worker);
	} while ((r = prefork_worker_dispatch(worker)) == 1);
	return r;
}

static int run_with_poll(worker_t *worker, void *user)
{
	int r = open_loop(worker);

	(void)user;
	if (r == 0)
		r = run_until_over(worker);
	prefork_worker_poll_close(worker);
	return r;
}

static const struct prefork_strategy with_poll = {
	.struct_size = sizeof with_poll, .name = "poll", .traits = PREFORK_STRATEGY_REPORTS_READY, .run = run_with_poll,
};

static void start(struct harness *harness, const struct prefork_service *service, const struct prefork_strategy *strategy)
{
	harness_open(harness, service);
	harness->context.strategy = strategy;
}

static const struct prefork_service echo = { .struct_size = sizeof echo, .ready = harness_echo };

/* A child that the application forks shares the epoll set, the listener and the control channel of the worker. */
static enum prefork_next fork_and_echo(worker_t *worker, connection_t *connection, void *user)
{
	const pid_t pid = fork();

	if (pid == 0) {
		struct pollfd wait = { .fd = prefork_worker_poll_fd(worker), .events = POLLIN };
		const bool has_no_fd = wait.fd < 0 && poll(&wait, 1, 0) == 0;

		for (int i = 0; i < 100; i++) {
			prefork_worker_listener_ready(worker, 0);
			if (prefork_worker_dispatch(worker) != 0 || prefork_worker_adopt_listeners(worker) >= 0)
				_exit(1);
		}
		prefork_worker_poll_close(worker);
		_exit(has_no_fd ? 0 : 2);
	}
	int status = -1;
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		return PREFORK_CLOSE;
	return harness_echo(worker, connection, user);
}

START_TEST(a_forked_child_dispatches_nothing)
{
	const struct prefork_service service = { .struct_size = sizeof service, .ready = fork_and_echo };
	struct harness harness;

	start(&harness, &service, &poll_driver);
	harness_spawn(&harness);
	const int first = harness_connect(&harness);
	for (int i = 0; i < 3; i++) {
		const int other = harness_connect(&harness); /* pending while the child tries */

		harness_expect_echo(first, "hello");
		harness_expect_echo(other, "hello");
		(void)close(other);
	}
	(void)close(first);
	harness_send(&harness, PFI_MESSAGE_DRAIN, 0);
	ck_assert_int_eq(harness_reap(&harness).code, 0);
	harness_close(&harness);
}
END_TEST

/* The child leaves `run`, as a program may that forks without exec. */
static int run_and_fork(worker_t *worker, void *user)
{
	int r = open_loop(worker), status = -1;

	(void)user;
	const pid_t pid = fork();
	if (pid == 0)
		return prefork_worker_dispatch(worker);
	if (r == 0)
		r = run_until_over(worker);
	if (pid > 0 && (waitpid(pid, &status, 0) != pid || status != 0))
		r = -ECHILD;
	prefork_worker_poll_close(worker);
	return r;
}

static void report_stop(worker_t *worker, void *user)
{
	(void)user;
	prefork_worker_count_request(worker);
}

START_TEST(a_forked_child_that_leaves_run_exits)
{
	static const struct prefork_strategy strategy = {
		.struct_size = sizeof strategy, .name = "forks", .traits = PREFORK_STRATEGY_REPORTS_READY, .run = run_and_fork,
	};
	const struct prefork_service service = {
		.struct_size = sizeof service, .traits = PREFORK_SERVICE_COUNTS, .ready = harness_echo, .worker_stop = report_stop,
	};
	struct harness harness;

	start(&harness, &service, &strategy);
	flags = PREFORK_LOOP_REPORTS_IDLE;
	harness_spawn(&harness);
	harness_send(&harness, PFI_MESSAGE_DRAIN, 0);
	ck_assert_int_eq(harness_reap(&harness).code, 0);
	ck_assert_uint_eq(harness_requests(&harness), 1); /* worker_stop has run once */
	harness_close(&harness);
}
END_TEST

/* The rest of run_with_poll(), with assertions that exit with their number. */
static int run_past_the_end(worker_t *worker, void *user)
{
	int r = open_loop(worker);

	(void)user;
	if (r < 0)
		return r;
	(void)run_until_over(worker);
	for (int i = 0; i < 3; i++) {
		if (prefork_worker_dispatch(worker) != 0)
			return 11;
		prefork_worker_listener_ready(worker, 0);
	}
	prefork_worker_poll_close(worker);
	if (prefork_worker_dispatch(worker) != 0 || prefork_worker_poll_fd(worker) != -EINVAL)
		return 12;
	prefork_worker_poll_close(worker);
	if (prefork_worker_poll_open(worker, NULL, NULL) != -EALREADY)
		return 13;
	return closings != 1 ? 14 : listener_closed_early ? 15 : 20;
}

static const struct prefork_strategy past_the_end = {
	.struct_size = sizeof past_the_end, .name = "end", .traits = PREFORK_STRATEGY_REPORTS_READY, .run = run_past_the_end,
};

START_TEST(calls_after_the_end_do_nothing)
{
	const int signos[] = { SIGTERM, SIGQUIT };
	struct harness harness;

	for (int i = 0; i < 2; i++) {
		start(&harness, &echo, &past_the_end);
		flags = PREFORK_LOOP_REPORTS_IDLE;
		harness_spawn(&harness);
		const int fd = harness_connect(&harness);
		harness_expect_echo(fd, "hello");
		harness_signal(&harness, signos[i]);
		harness_expect_end(fd);
		(void)close(fd);
		ck_assert_int_eq(harness_reap(&harness).code, 20);
		harness_close(&harness);
	}
}
END_TEST

/* An entry that disappeared behind the loop's back would make the loop fail on the next descriptor with this number. */
static int outer = -1, removed, removal_errors;

static void remove_from_outer(void *user)
{
	(void)user;
	if (epoll_ctl(outer, EPOLL_CTL_DEL, prefork_listener_fd(prefork_worker_listener(current, 0)), NULL) < 0)
		removal_errors++;
	removed++;
}

/* Returns the number of its failure, or 20. */
static int run_with_listener(worker_t *worker, void *user)
{
	const struct prefork_host_loop loop = { .struct_size = sizeof loop, .listeners_closing = remove_from_outer };
	const int fd = prefork_listener_fd(prefork_worker_listener(worker, 0));
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	(void)user;
	current = worker;
	outer = epoll_create1(EPOLL_CLOEXEC);
	if (prefork_worker_poll_open(worker, &loop, NULL) < 0 || prefork_worker_adopt_listeners(worker) != -ENOENT)
		return 11;
	if (epoll_ctl(outer, EPOLL_CTL_ADD, fd, &event) < 0 || prefork_worker_adopt_listeners(worker) != 0)
		return 12;
	if (prefork_worker_adopt_listeners(worker) != 0) /* again */
		return 13;
	(void)run_until_over(worker);
	if (removed != 1 || removal_errors > 0)
		return 14;
	const int next = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* the lowest number that is free */
	const int again = next == fd ? next : dup2(next, fd);
	if (again != fd || epoll_ctl(outer, EPOLL_CTL_ADD, again, &event) < 0)
		return 15;
	prefork_worker_poll_close(worker);
	if (fcntl(again, F_GETFD) < 0)
		return 16;
	(void)close(again);
	(void)close(outer);
	return removed == 1 ? 20 : 17;
}

START_TEST(listeners_leave_the_loop_before_they_are_closed)
{
	static const struct prefork_strategy strategy = {
		.struct_size = sizeof strategy, .name = "outer", .traits = PREFORK_STRATEGY_REPORTS_READY, .run = run_with_listener,
	};
	struct harness harness;

	start(&harness, &echo, &strategy);
	flags = 0;
	harness_spawn(&harness);
	harness_send(&harness, PFI_MESSAGE_DRAIN, 0);
	ck_assert_int_eq(harness_reap(&harness).code, 20);
	harness_close(&harness);
}
END_TEST

/* In the worker: callbacks in the current dispatch, and the most in one. */
static int callbacks, callbacks_max;

static enum prefork_next count_and_echo(worker_t *worker, connection_t *connection, void *user)
{
	if (++callbacks > callbacks_max)
		callbacks_max = callbacks;
	return harness_echo(worker, connection, user);
}

static int run_and_count(worker_t *worker, void *user)
{
	struct pollfd wait;
	const int r = open_loop(worker);

	(void)user;
	if (r < 0)
		return r;
	wait = (struct pollfd){ .fd = prefork_worker_poll_fd(worker), .events = POLLIN };
	do {
		(void)poll(&wait, 1, -1);
		callbacks = 0;
	} while (prefork_worker_dispatch(worker) == 1);
	prefork_worker_poll_close(worker);
	return callbacks_max;
}

/* The rest is left to the next call, so that other events of the application's loop are not late. */
START_TEST(a_dispatch_handles_at_most_64_events)
{
	static const struct prefork_strategy strategy = {
		.struct_size = sizeof strategy, .name = "counts", .traits = PREFORK_STRATEGY_REPORTS_READY, .run = run_and_count,
	};
	const struct prefork_service service = { .struct_size = sizeof service, .ready = count_and_echo };
	struct harness harness;
	int fds[150];
	char byte;

	start(&harness, &service, &strategy);
	flags = 0;
	harness_spawn(&harness);
	for (int i = 0; i < 150; i++) {
		fds[i] = harness_connect(&harness);
		harness_expect_echo(fds[i], "x");
	}
	ck_assert_int_eq(pfi_pidfd_signal(harness.child.pidfd, SIGSTOP, 0), 0);
	for (int i = 0; i < 150; i++)
		ck_assert_int_eq(send(fds[i], "y", 1, MSG_NOSIGNAL), 1);
	for (int i = 0; i < 150; i++)
		harness_await_acknowledged(fds[i]);
	ck_assert_int_eq(pfi_pidfd_signal(harness.child.pidfd, SIGCONT, 0), 0);
	for (int i = 0; i < 150; i++) {
		ck_assert_int_eq(recv(fds[i], &byte, 1, 0), 1);
		(void)close(fds[i]);
	}
	harness_send(&harness, PFI_MESSAGE_DRAIN, 0);
	const int most = harness_reap(&harness).code;
	ck_assert_int_le(most, 64);
	ck_assert_int_ge(most, 60); /* the timer and the eventfd may be among the events */
	harness_close(&harness);
}
END_TEST

/* A callback that runs the loop of the application, as a dialog does. */
static enum prefork_next dispatch_inside(worker_t *worker, connection_t *connection, void *user)
{
	for (int i = 0; i < 3; i++) {
		if (prefork_worker_dispatch(worker) != 1)
			return PREFORK_CLOSE;
		prefork_worker_listener_ready(worker, 0);
		prefork_worker_poll_close(worker);
	}
	return harness_echo(worker, connection, user);
}

START_TEST(calls_inside_of_a_callback_do_nothing)
{
	const struct prefork_service service = { .struct_size = sizeof service, .ready = dispatch_inside };
	struct harness harness;
	int fds[8];

	start(&harness, &service, &poll_driver);
	harness_spawn(&harness);
	for (int i = 0; i < 8; i++)
		fds[i] = harness_connect(&harness);
	for (int i = 7; i >= 0; i--) {
		harness_expect_echo(fds[i], "hello");
		(void)close(fds[i]);
	}
	harness_send(&harness, PFI_MESSAGE_DRAIN, 0);
	ck_assert_int_eq(harness_reap(&harness).code, 0);
	harness_close(&harness);
}
END_TEST

/* Returns the number of its failure, or 20. */
static int run_refusals(worker_t *worker, void *user)
{
	struct prefork_host_loop loop = { .struct_size = sizeof loop, .flags = 0x80 };

	(void)user;
	if (prefork_worker_poll_open(worker, &loop, NULL) != -EINVAL || prefork_worker_dispatch(worker) != 0)
		return 11;
	loop.struct_size = 4;
	if (prefork_worker_poll_open(worker, &loop, NULL) != -EINVAL || prefork_worker_poll_fd(worker) != -EINVAL)
		return 12;
	if (prefork_worker_adopt_listeners(worker) != -EINVAL)
		return 13;
	if (prefork_worker_poll_open(worker, NULL, NULL) != 0)
		return 14;
	if (prefork_worker_adopt_listeners(worker) != -EINVAL) /* no listeners_closing */
		return 15;
	if (prefork_worker_poll_open(worker, NULL, NULL) != -EALREADY || prefork_worker_dispatch(worker) != 1)
		return 16;
	return 20; /* without prefork_worker_poll_close(): the library closes */
}

static enum prefork_next open_inside(worker_t *worker, connection_t *connection, void *user)
{
	return prefork_worker_poll_open(worker, NULL, NULL) == -EINVAL ? harness_echo(worker, connection, user) : PREFORK_CLOSE;
}

START_TEST(wrong_calls_are_refused)
{
	static const struct prefork_strategy strategy = {
		.struct_size = sizeof strategy, .name = "refused", .traits = PREFORK_STRATEGY_REPORTS_READY, .run = run_refusals,
	};
	const struct prefork_service service = { .struct_size = sizeof service, .ready = open_inside };
	struct harness harness;

	start(&harness, &echo, &strategy);
	harness_spawn(&harness);
	ck_assert_int_eq(harness_reap(&harness).code, 20);
	harness_close(&harness);
	harness_open(&harness, &service); /* under sync */
	harness_spawn(&harness);
	const int fd = harness_connect(&harness);
	harness_expect_echo(fd, "hello");
	(void)close(fd);
	harness_close(&harness);
}
END_TEST

static uint64_t deadline_ms(const struct harness *harness)
{
	return harness->context.score->thread_slots[0].deadline_ms;
}

/* Without reports: the deadline is 1.5 timeouts after a dispatch, and a dispatch follows at most half a timeout later.
 * With reports: no deadline at rest. */
START_TEST(a_silent_loop_has_one_and_a_half_timeouts)
{
	struct harness harness;
	uint64_t first_ms, until_ms;

	start(&harness, &echo, &with_poll);
	flags = 0;
	harness_set(&harness, "timeout", "2");
	harness_spawn(&harness);
	const int fd = harness_connect(&harness);
	harness_expect_echo(fd, "hello");
	until_ms = pfi_now_ms() + (uint64_t)harness_patience_ms();
	first_ms = deadline_ms(&harness);
	/* The end of the turn may come after the response. */
	for (uint64_t now_ms; (now_ms = pfi_now_ms()) < until_ms && deadline_ms(&harness) < first_ms + 900;)
		(void)poll(NULL, 0, 1);
	ck_assert_uint_ge(deadline_ms(&harness), first_ms + 900); /* renewed without any event */
	ck_assert_uint_gt(deadline_ms(&harness), pfi_now_ms() + 1000);
	ck_assert_uint_le(deadline_ms(&harness), pfi_now_ms() + 3000);
	(void)close(fd);
	harness_close(&harness);
}
END_TEST

/* After the first dispatch, a callback of the application hangs. */
static int run_and_hang(worker_t *worker, void *user)
{
	int r = open_loop(worker);
	struct pollfd wait = { .fd = prefork_worker_poll_fd(worker), .events = POLLIN };

	(void)user;
	while (r == 0 && prefork_worker_connections(worker) == 0) {
		(void)poll(&wait, 1, -1);
		if (flags)
			prefork_worker_busy(worker);
		r = prefork_worker_dispatch(worker) == 1 ? 0 : -EINVAL;
	}
	prefork_worker_set_activity(worker, "hangs", 5);
	for (;;)
		(void)pause();
	return r;
}

/* The whole time of a turn that reports; 1.5 timeouts since the last dispatch otherwise. */
START_TEST(a_callback_of_the_application_has_a_deadline)
{
	static const struct prefork_strategy strategy = {
		.struct_size = sizeof strategy, .name = "hangs", .traits = PREFORK_STRATEGY_REPORTS_READY, .run = run_and_hang,
	};
	static const struct row {
		unsigned flags;
		uint64_t limit_ms;
	} rows[] = { { 0, 15000 }, { PREFORK_LOOP_REPORTS_IDLE, 10000 } };
	struct harness harness;

	start(&harness, &echo, &strategy);
	flags = rows[_i].flags;
	harness_set(&harness, "timeout", "10");
	harness_spawn(&harness);
	const int fd = harness_connect(&harness);
	const uint64_t until_ms = pfi_now_ms() + (uint64_t)harness_patience_ms();
	while (!harness_has_activity(&harness, "hangs")) {
		ck_assert_uint_lt(pfi_now_ms(), until_ms);
		(void)poll(NULL, 0, 1);
	}
	ck_assert_uint_eq(deadline_ms(&harness), harness.context.score->thread_slots[0].since_ms + rows[_i].limit_ms);
	(void)close(fd);
	harness_close(&harness);
}
END_TEST

START_TEST(a_loop_that_reports_has_no_deadline_while_it_waits)
{
	struct harness harness;

	start(&harness, &echo, &with_poll);
	flags = PREFORK_LOOP_REPORTS_IDLE;
	harness_set(&harness, "timeout", "1");
	harness_spawn(&harness);
	const int fd = harness_connect(&harness);
	for (int i = 0; i < 3; i++) {
		harness_expect_echo(fd, "hello");
		harness_await_idle(&harness);
	}
	(void)close(fd);
	harness_close(&harness);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("poll");
	TCase *tc = new_case(suite, "poll");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_forked_child_dispatches_nothing);
	tcase_add_test(tc, a_forked_child_that_leaves_run_exits);
	tcase_add_test(tc, calls_after_the_end_do_nothing);
	tcase_add_test(tc, listeners_leave_the_loop_before_they_are_closed);
	tcase_add_test(tc, a_dispatch_handles_at_most_64_events);
	tcase_add_test(tc, calls_inside_of_a_callback_do_nothing);
	tcase_add_test(tc, wrong_calls_are_refused);
	tcase_add_test(tc, a_silent_loop_has_one_and_a_half_timeouts);
	tcase_add_loop_test(tc, a_callback_of_the_application_has_a_deadline, 0, 2);
	tcase_add_test(tc, a_loop_that_reports_has_no_deadline_while_it_waits);
	return run_suite(suite);
}
