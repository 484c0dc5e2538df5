/*
 * Requests that exceed their timeout, under an arbiter: a stuck worker dumps its stack and is
 * replaced, and no other connection is affected.
 */
#include "../../features.h"
#include "../../support.h"

#include "faults.h"
#include "stage.h"

#include "os/clock.h"

#include <prefork/error.h>
#include <prefork/service.h>
#include <prefork/worker.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TIMEOUT_MS = 500, BOOT_MS = 300 };

/* ---- in the workers ---- */

static void never_return(void)
{
	for (;;)
		(void)pause();
}

/* The first letter selects what the request does. */
static enum prefork_next work(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	char bytes[4096];
	const ptrdiff_t n = prefork_connection_read(connection, bytes, sizeof bytes);
	sigset_t all;

	(void)user;
	if (n <= 0)
		return n == -EAGAIN ? PREFORK_WAIT_READABLE : PREFORK_CLOSE;
	prefork_worker_set_activity(worker, bytes, (size_t)n);
	switch (bytes[0]) {
	case 'b': /* blocks all signals */
		(void)sigfillset(&all);
		(void)pthread_sigmask(SIG_BLOCK, &all, NULL);
		never_return();
		break;
	case 'e': /* extends its deadline, and needs more than the timeout */
		prefork_request_extend(worker, 60 * 1000);
		(void)poll(NULL, 0, 2 * TIMEOUT_MS);
		break;
	case 's':
		never_return();
		break;
	case 'x':
		_exit(9);
	case 'w': /* slow: until the test has seen that it is */
		while (atomic_load(&orders->number) == 0)
			(void)poll(NULL, 0, 1);
		break;
	default:
		break;
	}
	return prefork_connection_write(connection, bytes, (size_t)n);
}

/* Beside an event loop, a thread of the offload pool runs it, if there is one. */
static enum prefork_next serve(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	(void)worker;
	return prefork_connection_offload(connection, work, user);
}

static const struct prefork_service service = {
	.struct_size = sizeof service, .ready = serve,
};

/* All but the first start slowly. */
static int start_slowly(struct prefork_worker *worker, void *user)
{
	(void)worker;
	(void)user;
	if (atomic_load(&orders->started) > 1)
		(void)poll(NULL, 0, BOOT_MS);
	return 0;
}

static void write_dump(struct prefork_worker *worker, int fd, void *user)
{
	static const char text[] = "dumped by the application\n";

	(void)worker;
	(void)user;
	(void)!write(fd, text, sizeof text - 1);
	if (atomic_load(&orders->mood) == SIGKILL)
		(void)raise(SIGKILL); /* during the dump */
}

enum { DRAINS_SLOWLY = 1000 }; /* a mood that is no signal */

/* The first thread is slow or does not run; the others serve meanwhile. */
static void drain_slowly(struct prefork_worker *worker, void *user)
{
	(void)worker;
	(void)user;
	if (atomic_load(&orders->mood) != DRAINS_SLOWLY)
		return;
	(void)poll(NULL, 0, 2 * TIMEOUT_MS);
	atomic_store(&orders->number, 1);
}

static const struct prefork_hooks dump_hooks = {
	.struct_size = sizeof dump_hooks, .dump = write_dump, .worker_draining = drain_slowly,
};
static const struct stage_parts parts = {
	.service = &service, .worker_start = start_slowly, .hooks = &dump_hooks,
};

/* ---- in the test ---- */

/* Starts one worker and waits until it is ready. */
static void start_with(const char *strategy, const char *threads, const char *soft, const char *hard)
{
	const char *const arguments[] = {
		"--workers", "1", "--worker-class", strategy, "--threads", threads, "--timeout", hard,
		"--soft-timeout", soft, "--graceful-timeout", "20s", NULL,
	};

	PROMISE(stage_load(arguments) == 0, "%s", prefork_error());
	PROMISE(stage_create(&parts) == 0, "%s", prefork_error());
	PROMISE(prefork_arbiter_start(stage.arbiter) == 0, "%s", prefork_error());
	PROMISE(stage_until(&stage.ready, 1), "%s", prefork_error());
}

static void start(const char *strategy, const char *threads, const char *soft)
{
	start_with(strategy, threads, soft, "500ms");
}

static int request(const char *text)
{
	const int fd = stage_connect();

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
	return fd;
}

/* A process that sends requests until `pipe` is readable: its exit code is 1 if a response was wrong or missing, 2 if
 * there was none. */
static pid_t start_client(int pipe)
{
	const pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid > 0)
		return pid;
	struct pollfd end = { .fd = pipe, .events = POLLIN };
	unsigned long served = 0;

	while (poll(&end, 1, 1) == 0) {
		const int fd = stage_connect();

		if (fd < 0 || !stage_echo(fd))
			_exit(1);
		(void)close(fd);
		served++;
	}
	_exit(served > 0 ? 0 : 2);
}

static unsigned long busy_for_ms(void)
{
	char *const log = stage_log();
	const char *const at = log != NULL ? strstr(log, " is busy for ") : NULL;
	const unsigned long time_ms = at != NULL ? strtoul(at + strlen(" is busy for "), NULL, 10) : 0;

	free(log);
	return time_ms;
}

static int patience(void)
{
	return (int)(stage_patience_ms() / 20000);
}

START_TEST(one_stuck_thread_of_eight_is_dumped_and_its_worker_replaced_without_an_error)
{
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	start_with("threads", "8", "0", stage_scaled(TIMEOUT_MS)); /* the client's requests may be slow, too */
	const pid_t client = start_client(ends[0]);
	const int stuck = request("stuck here");

	ck_assert(stage_until(&stage.ready, 2)); /* which is slow */
	PROMISE(stage.exited == 0, "it has exited before its replacement was ready");
	ck_assert_int_eq(stage_log_count("WORKER TIMEOUT"), 1);
	ck_assert_int_eq(stage_log_count("it works on: stuck here"), 1);
	ck_assert_int_eq(stage_log_count("dumped by the application"), 1);
	ck_assert_int_eq(stage_log_count(" with \"stuck here\""), 1);
	PROMISE(busy_for_ms() >= stage_scaled_ms(TIMEOUT_MS), "after %lu ms", busy_for_ms());
	PROMISE(busy_for_ms() <= stage_scaled_ms(TIMEOUT_MS + 5000), "after %lu ms", busy_for_ms());
#ifdef HAVE_EXECINFO
	ck_assert_int_ge(stage_log_count("hostile_stuck("), 1);
#endif
	ck_assert(stage_until(&stage.exited, 1));
	ck_assert_int_eq(stage.last_exited, stage.pids[0]);
	ck_assert_int_eq(stage.reason, PREFORK_REASON_TIMEOUT);
	PROMISE(strstr(stage.message, "ABRT") != NULL, "%s", stage.message);
	stage_run_for(50);
	ck_assert_int_eq(write(ends[1], "x", 1), 1);
	int status;
	ck_assert_int_eq(waitpid(client, &status, 0), client);
	PROMISE(status == 0, "the client exited with status %d", status);
	(void)close(stuck);
	(void)close(ends[0]);
	(void)close(ends[1]);
	ck_assert_int_eq(stage_stop(true), 0);
}
END_TEST

/* While its listeners are open it may accept a connection at any moment, which the abort would reset. */
START_TEST(a_stuck_draining_worker_is_aborted_after_it_has_closed_its_listeners)
{
	start("threads", "4", "0");
	atomic_store(&orders->mood, DRAINS_SLOWLY);
	const int stuck = request("stuck");

	ck_assert(stage_until(&stage.exited, 1));
	ck_assert_int_eq(stage.last_exited, stage.pids[0]);
	ck_assert_int_eq(stage.reason, PREFORK_REASON_TIMEOUT);
	ck_assert_int_eq(atomic_load(&orders->number), 1);
	atomic_store(&orders->mood, 0);
	(void)close(stuck);
	ck_assert_int_eq(stage_stop(true), 0);
}
END_TEST

/* Of several requests in progress the one that began last is the most likely cause; the message says that there were
 * others. */
START_TEST(a_crash_is_logged_with_the_current_activity)
{
	start_with("threads", "4", "0", "60s"); /* no timeout, however slow the machine is */
	const int slow = request("stuck before it");
	while (!stage_is_at("stuck before it"))
		stage_run_for(1);
	stage_run_for(20); /* the request that begins last is found by its time in milliseconds */
	const int last = request("x is the end");

	ck_assert(stage_until(&stage.exited, 1));
	PROMISE(strstr(stage.message, "exited with code 9") != NULL, "%s", stage.message);
	ck_assert_int_eq(stage_log_count("busy_threads=2 activity=\"x is the end\""), 1);
	(void)close(slow);
	(void)close(last);
	ck_assert_int_eq(stage_stop(true), 0);
}
END_TEST

START_TEST(when_all_threads_are_stuck_each_dumps_its_stack)
{
	enum { THREADS = 3 };
	int fds[THREADS];

	start("threads", "3", "0");
	for (int i = 0; i < THREADS; i++)
		fds[i] = request("stuck");
	ck_assert(stage_until(&stage.exited, 1));
	ck_assert_int_eq(stage.reason, PREFORK_REASON_TIMEOUT);
	ck_assert(stage_until(&stage.ready, 2));
#ifdef HAVE_EXECINFO
	PROMISE(stage_log_count("never_return") >= THREADS || stage_log_count("hostile_stuck(") >= THREADS, "too few stacks");
#endif
	const int last = request("hello");
	char bytes[5];
	ck_assert_int_eq(recv(last, bytes, sizeof bytes, MSG_WAITALL), 5);
	for (int i = 0; i < THREADS; i++)
		(void)close(fds[i]);
	(void)close(last);
	ck_assert_int_eq(stage_stop(true), 0);
}
END_TEST

/* The event loop still accepts connections, which no thread serves: the worker must not count as serving. */
START_TEST(a_worker_whose_offload_threads_are_all_stuck_is_aborted_without_a_drain)
{
	enum { THREADS = 3 };
	int fds[THREADS + 1];
	const uint64_t began_ms = pfi_now_ms();

	start("libev", "3", "0"); /* with 20 s to drain */
	for (int i = 0; i < THREADS; i++)
		fds[i] = request("stuck");
	while (pfi_now_ms() < began_ms + TIMEOUT_MS / 2)
		stage_run_for(5);
	fds[THREADS] = request("hello"); /* it is accepted, and waits for a thread */
	ck_assert(stage_until(&stage.exited, 1));
	PROMISE(pfi_now_ms() - began_ms < 10000 * (uint64_t)patience(), "the worker was drained");
	ck_assert_int_eq(stage.reason, PREFORK_REASON_TIMEOUT);
	ck_assert(stage_until(&stage.ready, 2));
	for (int i = 0; i <= THREADS; i++)
		(void)close(fds[i]);
	ck_assert_int_eq(stage_stop(true), 0);
}
END_TEST

START_TEST(under_sync_the_stuck_request_is_logged_before_the_abort)
{
	start("sync", "1", "0");
	const int fd = request("stuck in sync");

	ck_assert(stage_until(&stage.exited, 1));
	ck_assert_int_eq(stage.reason, PREFORK_REASON_TIMEOUT);
	ck_assert_int_eq(stage_log_count(" with \"stuck in sync\""), 1);
	ck_assert_int_eq(stage_log_count("dumped by the application"), 1);
	ck_assert(stage_until(&stage.ready, 2));
	(void)close(fd);
	ck_assert_int_eq(stage_stop(true), 0);
}
END_TEST

/* Cases that need libev come last. */
static const struct {
	const char *strategy, *threads;
} places[] = { { "sync", "1" }, { "threads", "4" }, { "libev", "0" }, { "libev", "4" } };

enum { PLACES = sizeof places / sizeof places[0], PLACES_WITHOUT_LIBEV = 2 };

START_TEST(a_slow_request_is_logged_once_and_not_ended)
{
	char bytes[8];

	/* The request has set its activity by then. */
	start_with(places[_i].strategy, places[_i].threads, stage_scaled(500), "60s");
	const int fd = request("w is slow");
	ck_assert_int_eq(recv(fd, bytes, 1, MSG_PEEK | MSG_DONTWAIT), -1);
	while (stage_log_count("SLOW (pid:") == 0)
		stage_run_for(5);
	atomic_store(&orders->number, 1);
	ck_assert_int_eq(recv(fd, bytes, sizeof bytes, MSG_WAITALL), sizeof bytes);
	stage_run_for(50);
	ck_assert_int_eq(stage_log_count("SLOW (pid:"), 1);
	ck_assert_int_eq(stage_log_count("ms: w is slow"), 1);
	ck_assert_int_eq(stage_log_count("WORKER TIMEOUT"), 0);
	ck_assert_int_eq(stage.forked, 1);
	(void)close(fd);
	ck_assert_int_eq(stage_stop(true), 0);
}
END_TEST

START_TEST(a_request_that_extends_its_deadline_does_not_time_out)
{
	char bytes[6];

	start(places[_i].strategy, places[_i].threads, "0");
	const int fd = request("extend");
	while (recv(fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT) < 0)
		stage_run_for(20);
	ck_assert_int_eq(recv(fd, bytes, sizeof bytes, MSG_WAITALL), sizeof bytes);
	ck_assert_int_eq(stage_log_count("WORKER TIMEOUT"), 0);
	ck_assert_int_eq(stage.forked, 1);
	(void)close(fd);
	ck_assert_int_eq(stage_stop(true), 0);
}
END_TEST

START_TEST(a_worker_whose_stuck_thread_blocks_all_signals_is_replaced)
{
	start("threads", "4", "0");
	const int fd = request("blocks");

	ck_assert(stage_until(&stage.exited, 1));
	ck_assert_int_eq(stage.reason, PREFORK_REASON_TIMEOUT);
	ck_assert_int_eq(stage_log_count("it works on: blocks"), 1);
	ck_assert(stage_until(&stage.ready, 2));
	(void)close(fd);
	ck_assert_int_eq(stage_stop(true), 0);
}
END_TEST

START_TEST(a_worker_that_is_killed_during_its_stack_dump_is_replaced)
{
	start(places[_i].strategy, places[_i].threads, "0");
	atomic_store(&orders->mood, SIGKILL);
	const int fd = request("stuck");

	ck_assert(stage_until(&stage.exited, 1));
	ck_assert(stage_until(&stage.ready, 2));
	atomic_store(&orders->mood, 0);
	ck_assert_int_eq(stage_log_count("dumped by the application"), 1);
	(void)close(fd);
	ck_assert_int_eq(stage_stop(true), 0);
}
END_TEST

/* A stop does not wait for a stuck request until graceful_timeout. */
START_TEST(a_stop_is_not_delayed_by_a_stuck_thread)
{
	start("threads", "4", "0");
	const int fd = request("stuck");
	const uint64_t began_ms = pfi_now_ms();

	while (stage_log_count("WORKER TIMEOUT") == 0)
		stage_run_for(5);
	ck_assert_int_eq(stage_stop(true), 0);
	PROMISE(pfi_now_ms() - began_ms < 15000 * (uint64_t)patience(), "it waited for graceful_timeout");
	(void)close(fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stuck");
	TCase *tc = tcase_create("stuck");
	const bool has_libev = has_worker_class("libev");
	const int count = has_libev ? PLACES : PLACES_WITHOUT_LIBEV;

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, stage_set_up, stage_tear_down);
	tcase_add_test(tc, one_stuck_thread_of_eight_is_dumped_and_its_worker_replaced_without_an_error);
	tcase_add_test(tc, a_stuck_draining_worker_is_aborted_after_it_has_closed_its_listeners);
	tcase_add_test(tc, a_crash_is_logged_with_the_current_activity);
	tcase_add_test(tc, when_all_threads_are_stuck_each_dumps_its_stack);
	if (has_libev)
		tcase_add_test(tc, a_worker_whose_offload_threads_are_all_stuck_is_aborted_without_a_drain);
	tcase_add_test(tc, under_sync_the_stuck_request_is_logged_before_the_abort);
	tcase_add_loop_test(tc, a_slow_request_is_logged_once_and_not_ended, 0, count);
	tcase_add_loop_test(tc, a_request_that_extends_its_deadline_does_not_time_out, 0, count);
	tcase_add_test(tc, a_worker_whose_stuck_thread_blocks_all_signals_is_replaced);
	tcase_add_loop_test(tc, a_worker_that_is_killed_during_its_stack_dump_is_replaced, 0, count);
	tcase_add_test(tc, a_stop_is_not_delayed_by_a_stuck_thread);
	suite_add_tcase(suite, tc);

	return run_suite(suite);
}
