/* Requests that are suspended by their handler and answered later, by a thread of the application. */
#include "../support.h"

#include "suspend_app.h"

#include "model/message.h"
#include "os/clock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MANY = 1000, HELD = 50 };

static int get(const struct web *web, const char *path)
{
	char bytes[128];
	const int size = snprintf(bytes, sizeof bytes, "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", path);

	return web_request(web, bytes, (size_t)size);
}

static char response[64 * 1024];
static const char begin[] = "GET /begin HTTP/1.0\r\n\r\n", get_large[] = "GET /large HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

static void expect(int fd, int status, const char *end)
{
	(void)web_read_all(fd, response, sizeof response);
	ck_assert_msg(web_status(response) == status, "not %d: %s", status, response);
	ck_assert_msg(strstr(response, end) != NULL, "no %s: %s", end, response);
}

static const struct {
	const char *path, *end;
	int status, suspended;
} exchanges[] = {
	{ "/answer", "\r\n\r\nlater", 200, 1 },
	{ "/resume", "\r\n\r\nresumed", 200, 1 },
	{ "/write", "3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n", 200, 1 },
	{ "/pull", "\r\n\r\n5\r\npiece\r\n5\r\npiece\r\n5\r\npiece\r\n0\r\n\r\n", 200, 2 },
	{ "/misuse", "\r\n\r\n1 0 1 0 1 1", 200, 0 },
	{ "/ended", "\r\n\r\nended", 200, 0 },
	{ "/full", "\r\n\r\nno descriptor", 200, 0 },
	{ "/fail", "500 Internal Server Error", 500, 1 },
};

START_TEST(a_suspended_request_is_answered_later)
{
	struct web web;

	web_open_service(&web, &suspend_app, NULL);
	for (int i = 0; i < 3; i++)
		expect(get(&web, exchanges[_i].path), exchanges[_i].status, exchanges[_i].end);
	web_wait(&web.counts->finished, 3);
	ck_assert_int_eq(web.counts->noted[SUSPENDED], 3 * exchanges[_i].suspended);
	web_close(&web);
}
END_TEST

START_TEST(requests_of_a_kept_connection_are_suspended_one_after_the_other)
{
	static const char *const settings[] = { "--keep-alive", "20", NULL };
	static const char requests[] = "GET /answer HTTP/1.1\r\nHost: h\r\n\r\nGET /resume HTTP/1.1\r\nHost: h\r\n\r\n"
				       "GET /write HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
	struct web web;

	web_open_service(&web, &suspend_app, settings);
	expect(web_request(&web, requests, sizeof requests - 1), 200, "two\r\n0\r\n\r\n");
	ck_assert_ptr_nonnull(strstr(response, "\r\n\r\nlater"));
	ck_assert_ptr_nonnull(strstr(response, "\r\n\r\nresumed"));
	ck_assert_int_eq(web.counts->noted[RESUMED], 3);
	web_close(&web);
}
END_TEST

/* More suspended requests than threads. */
START_TEST(suspended_requests_hold_no_thread)
{
	struct web web;
	int fds[HELD];

	web_open_service(&web, &suspend_app, NULL);
	for (int i = 0; i < HELD; i++)
		fds[i] = get(&web, "/hold");
	web_wait(&web.counts->noted[SUSPENDED], HELD);
	expect(get(&web, "/hello"), 200, "hello");
	harness_await_connections(&web.harness, HELD);
	expect(get(&web, "/release"), 200, "hello");
	for (int i = 0; i < HELD; i++)
		expect(fds[i], 200, "released");
	web_close(&web);
}
END_TEST

START_TEST(no_resume_is_lost)
{
	enum { ALL = 8 * (SUSPEND_APP_ROUNDS + 1) };
	struct web web;
	int fds[8];

	web_open_service(&web, &suspend_app, NULL);
	for (int i = 0; i < 8; i++)
		fds[i] = get(&web, "/rounds");
	web_await_progress(&web.counts->noted[RESUMED], ALL);
	for (int i = 0; i < 8; i++)
		expect(fds[i], 200, "resumed");
	ck_assert_int_eq(web.counts->noted[RESUMED], ALL);
	web_close(&web);
}
END_TEST

START_TEST(a_request_that_is_not_resumed_gets_504)
{
	static const char *const settings[] = { "--suspend-timeout", "1", NULL };
	struct web web;

	web_open_service(&web, &suspend_app, settings);
	expect(get(&web, "/hold"), 504, "504 Gateway Timeout");
	web_wait(&web.counts->finished, 1);
	ck_assert_int_eq(web.counts->noted[ABANDONED], 1);
	ck_assert_int_eq(web.counts->noted[LAST_ERROR], -ETIMEDOUT);
	ck_assert_int_eq(web.counts->error, -ETIMEDOUT);
	harness_await_connections(&web.harness, 0);
	web_close(&web);
}
END_TEST

/* The end of the body is missing, as the client can see. */
START_TEST(a_response_that_is_not_ended_in_time_is_cut)
{
	static const char *const settings[] = { "--suspend-timeout", "1", NULL };
	struct web web;

	web_open_service(&web, &suspend_app, settings);
	const int fd = get(&web, "/begin");
	(void)web_read_rest(fd, response, sizeof response);
	ck_assert_ptr_nonnull(strstr(response, "\r\n\r\n4\r\npart\r\n"));
	ck_assert_ptr_null(strstr(response, "\r\n0\r\n"));
	web_wait(&web.counts->finished, 1);
	ck_assert_int_eq(web.counts->error, -ETIMEDOUT);
	web_close(&web);
}
END_TEST

/* In HTTP/1.0 end of file would make the part look like the whole body. */
START_TEST(an_abandoned_response_of_http_1_0_is_reset)
{
	static const char *const settings[] = { "--graceful-timeout", "4", NULL };
	struct web web;
	size_t got = 0;
	ssize_t n;

	web_open_service(&web, &suspend_app, settings);
	const int fd = web_request(&web, begin, sizeof begin - 1);
	web_wait(&web.counts->noted[SUSPENDED], 1);
	if (_i)
		harness_send(&web.harness, PFI_MESSAGE_DRAIN, 0);
	else
		harness_signal(&web.harness, SIGQUIT);
	while ((n = recv(fd, response + got, sizeof response - 1 - got, 0)) > 0)
		got += (size_t)n;
	ck_assert_msg(n < 0 && errno == ECONNRESET, "end of file, or error %d", errno);
	(void)close(fd);
	ck_assert_int_eq(harness_reap(&web.harness).code, 0);
	ck_assert_int_eq(web.counts->noted[ABANDONED], 1);
	web_discard(&web);
}
END_TEST

/* Most of it is pending when the request is resumed. */
START_TEST(output_of_a_suspended_request_waits_for_its_client)
{
	static char large[SUSPEND_APP_LARGE + SUSPEND_APP_LARGE / 8];
	struct web web;

	web_open_service(&web, &suspend_app, NULL);
	const int slow = get(&web, "/large");
	if (harness_threads() > 0 || !harness_may_block()) /* otherwise the thread waits until the client has taken some */
		expect(get(&web, "/hello"), 200, "hello");
	ck_assert_uint_gt(web_read_all(slow, large, sizeof large), SUSPEND_APP_LARGE);
	ck_assert_int_eq(web.counts->noted[RESUMED], 1);
	web_close(&web);
}
END_TEST

/* The kernel reports the socket as writable when a third of its buffer is free, which takes longer than write_timeout
 * here. The client's window opens when half of its buffer is free, which must not take as long. */
START_TEST(a_slow_client_takes_the_output_of_a_suspended_request)
{
	char limit[32];
	const char *const settings[] = { "--write-timeout", limit, "--response-rate", "500", NULL };
	static char large[SUSPEND_APP_LARGE + SUSPEND_APP_LARGE / 8];
	const int capacity = 200000;
	struct web web;
	size_t got = 0;

	if (harness_may_block())
		return; /* the thread that responds waits itself */
	(void)snprintf(limit, sizeof limit, "%dms", patience_ms(1500));
	web_open_service(&web, &suspend_app, settings);
	const int slow = harness_connect(&web.harness);
	ck_assert_int_eq(setsockopt(slow, SOL_SOCKET, SO_RCVBUF, &capacity, sizeof capacity), 0);
	ck_assert_int_gt(send(slow, get_large, sizeof get_large - 1, MSG_NOSIGNAL), 0);
	for (int i = 0; i < 50; i++) {
		const ssize_t n = recv(slow, large + got, 32 * 1024, 0);

		ck_assert_msg(n > 0, "piece %d: %s", i, n < 0 ? strerror(errno) : "end of file");
		got += (size_t)n;
		(void)poll(NULL, 0, patience_ms(50));
	}
	got += web_read_all(slow, large + got, sizeof large - got);
	ck_assert_uint_gt(got, SUSPEND_APP_LARGE);
	web_close(&web);
}
END_TEST

/* The client leaves after this note. */
static void expect_resumed_without_client(struct web *web, const char *path, int noted)
{
	web_open_service(web, &suspend_app, NULL);
	const int fd = get(web, path);
	web_wait(&web->counts->noted[noted], 1);
	ck_assert_int_eq(close(fd), 0);
	web_wait(&web->counts->finished, 1);
	ck_assert_int_eq(web->counts->noted[RESUMED], 1);
	ck_assert_int_lt(web->counts->error, 0);
}

START_TEST(a_request_is_resumed_although_its_client_takes_nothing)
{
	struct web web;

	expect_resumed_without_client(&web, "/large", SUSPENDED);
	web_close(&web);
}
END_TEST

START_TEST(a_request_is_resumed_although_sending_failed_before_its_handler_returned)
{
	struct web web;

	expect_resumed_without_client(&web, "/early", PENDING);
	ck_assert_int_eq(web.counts->noted[RESUMED_BEFORE_RETURN], 1);
	web_close(&web);
}
END_TEST

/* Under threads a worker may exceed its limit by the number of its threads; the loop of the tests has none. */
#ifdef TEST_EV_DRIVER
enum { HAS_LIMIT = false };
#else
enum { HAS_LIMIT = true };
#endif

START_TEST(suspended_requests_count_as_connections)
{
	static const char *const settings[] = { "--worker-connections", "3", NULL };
	const bool is_exact = HAS_LIMIT && (harness_threads() == 0 || !harness_may_block());
	struct web web;
	int fds[3];

	suspend_app_resumes_gone = true;
	web_open_service(&web, &suspend_app, settings);
	for (int i = 0; i < 3; i++)
		fds[i] = get(&web, "/hold");
	web_wait(&web.counts->noted[SUSPENDED], 3);
	const int late = get(&web, "/hello");
	(void)poll(NULL, 0, 50); /* a worker that accepts it has done so by then */
	ck_assert(!is_exact || web.counts->handled == 3);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(close(fds[i]), 0);
	expect(late, 200, "hello");
	web_wait(&web.counts->finished, 4);
	web_close(&web);
}
END_TEST

START_TEST(suspended_requests_count_in_queue_limit)
{
	static const char *const settings[] = { "--queue-limit", "2", NULL };
	struct web web;

	web_open_service(&web, &suspend_app, settings);
	const int first = get(&web, "/hold"), second = get(&web, "/hold");
	web_wait(&web.counts->noted[SUSPENDED], 2);
	expect(get(&web, "/hello"), 503, "too many requests are waiting");
	harness_signal(&web.harness, SIGQUIT);
	(void)web_read_rest(first, response, sizeof response);
	(void)web_read_rest(second, response, sizeof response);
	ck_assert_int_eq(harness_reap(&web.harness).code, 0);
	ck_assert_int_eq(web.counts->noted[ABANDONED], 2);
	web_discard(&web);
}
END_TEST

static void open_many(struct web *web, int fds[MANY], const char *const settings[])
{
	web_open_service(web, &suspend_app, settings);
	for (int i = 0; i < MANY; i++)
		fds[i] = get(web, "/hold");
	web_await_progress(&web->counts->noted[SUSPENDED], MANY);
}

START_TEST(a_drain_answers_1000_suspended_requests)
{
	static const char *const settings[] = { "--worker-connections", "2000", NULL };
	static int fds[MANY];
	struct web web;

	suspend_app_resumes_drained = true;
	open_many(&web, fds, settings);
	harness_send(&web.harness, PFI_MESSAGE_DRAIN, 0);
	for (int i = 0; i < MANY; i++)
		expect(fds[i], 200, "released");
	ck_assert_int_eq(web.counts->noted[DRAIN_BEGIN], 1);
	web_reap(&web);
}
END_TEST

/* Each has a response, the worker does not wait for the end of graceful_timeout, and the leak sanitizer finds nothing. */
START_TEST(a_drain_abandons_1000_suspended_requests_at_its_end)
{
	static const char *const settings[] = { "--worker-connections", "2000", "--graceful-timeout", "4", NULL };
	static int fds[MANY];
	struct web web;

	open_many(&web, fds, settings);
	harness_send(&web.harness, PFI_MESSAGE_DRAIN, 0);
	for (int i = 0; i < MANY; i++) {
		(void)web_read_rest(fds[i], response, sizeof response);
		ck_assert_msg(web_status(response) == 503, "%s", response);
	}
	const struct pfi_exit_status status = harness_reap(&web.harness);
	ck_assert_msg(status.signo == 0 && status.code == 0, "signal %d, status %d", status.signo, status.code);
	ck_assert_int_eq(web.counts->noted[DRAIN_BEGIN], 1);
	ck_assert_int_eq(web.counts->noted[ABANDONED], MANY);
	ck_assert_int_eq(web.counts->noted[LAST_ERROR], -EINTR);
	web_discard(&web);
}
END_TEST

/* Within 1 s at rest, where no loop copies the stack of a task for each (task_driver.c). */
START_TEST(clients_that_leave_are_reported)
{
#ifdef TEST_TASKS
	const uint64_t limit_ms = UINT64_MAX;
#else
	const uint64_t limit_ms = (uint64_t)patience_ms(10000);
#endif
	static const char *const settings[] = { "--worker-connections", "2000", NULL };
	static int fds[MANY];
	struct web web;

	suspend_app_resumes_gone = true;
	open_many(&web, fds, settings);
	const uint64_t left_ms = pfi_now_ms();
	for (int i = 0; i < MANY; i++)
		ck_assert_int_eq(close(fds[i]), 0);
	web_await_progress(&web.counts->noted[GONE], MANY);
	const uint64_t took_ms = pfi_now_ms() - left_ms;
	ck_assert_msg(took_ms <= limit_ms, "took %llu ms", (unsigned long long)took_ms);
	web_await_progress(&web.counts->finished, MANY);
	ck_assert_int_eq(web.counts->noted[GONE], MANY);
	web_close(&web);
}
END_TEST

/* In a thread of the library client_gone is called; otherwise the handler asks. */
START_TEST(a_running_handler_finds_that_its_client_has_left)
{
	struct web web;

	web_open_service(&web, &suspend_app, NULL);
	const int fd = get(&web, "/gone");
	web_wait(&web.counts->handled, 1);
	ck_assert_int_eq(close(fd), 0);
	web_wait(&web.counts->noted[GONE], 1);
	web_wait(&web.counts->finished, 1);
	ck_assert_int_eq(web.counts->noted[GONE], 1);
	web_close(&web);
}
END_TEST

/* With client_gone_on_fin a client that has shut down its output is gone, and still gets its response. */
START_TEST(a_fin_counts_as_set)
{
	static const char *const settings[] = { "--client-gone-on-fin=no", NULL };
	const struct linger reset = { .l_onoff = 1 };
	struct web web;

	suspend_app_resumes_gone = true;
	web_open_service(&web, &suspend_app, _i ? settings : NULL);
	const int half = get(&web, "/hold"), whole = get(&web, "/hold");
	web_wait(&web.counts->noted[SUSPENDED], 2);
	ck_assert_int_eq(shutdown(half, SHUT_WR), 0);
	(void)setsockopt(whole, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	ck_assert_int_eq(close(whole), 0);
	web_wait(&web.counts->noted[GONE], _i ? 1 : 2);
	if (_i) {
		web_wait(&web.counts->finished, 1);
		expect(get(&web, "/hello"), 200, "hello"); /* another second for a wrong report: the drain waits for `half` */
		harness_signal(&web.harness, SIGQUIT);
		ck_assert_int_eq(harness_reap(&web.harness).code, 0);
		ck_assert_int_eq(web.counts->noted[GONE], 1);
		(void)close(half);
		web_discard(&web);
		return;
	}
	(void)web_read_rest(half, response, sizeof response);
	web_close(&web);
}
END_TEST

int main(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < 4096 && files.rlim_max >= 4096) {
		files.rlim_cur = 4096;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}

	Suite *suite = suite_create("suspend");
	TCase *tc = tcase_create("suspend");
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, a_suspended_request_is_answered_later, 0, sizeof exchanges / sizeof exchanges[0]);
	tcase_add_test(tc, requests_of_a_kept_connection_are_suspended_one_after_the_other);
	tcase_add_test(tc, suspended_requests_hold_no_thread);
	tcase_add_test(tc, no_resume_is_lost);
	tcase_add_test(tc, a_request_that_is_not_resumed_gets_504);
	tcase_add_test(tc, a_response_that_is_not_ended_in_time_is_cut);
	tcase_add_loop_test(tc, an_abandoned_response_of_http_1_0_is_reset, 0, 2);
	tcase_add_test(tc, a_slow_client_takes_the_output_of_a_suspended_request);
	tcase_add_test(tc, output_of_a_suspended_request_waits_for_its_client);
	tcase_add_test(tc, a_request_is_resumed_although_its_client_takes_nothing);
	tcase_add_test(tc, a_request_is_resumed_although_sending_failed_before_its_handler_returned);
	tcase_add_test(tc, suspended_requests_count_as_connections);
	tcase_add_test(tc, suspended_requests_count_in_queue_limit);
	tcase_add_test(tc, a_drain_answers_1000_suspended_requests);
	tcase_add_test(tc, a_drain_abandons_1000_suspended_requests_at_its_end);
	tcase_add_test(tc, clients_that_leave_are_reported);
	tcase_add_test(tc, a_running_handler_finds_that_its_client_has_left);
	tcase_add_loop_test(tc, a_fin_counts_as_set, 0, 2);
	suite_add_tcase(suite, tc);

	return run_suite(suite);
}
