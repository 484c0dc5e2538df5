/* Requests that wait for a thread: queue_timeout and queue_limit. */
#include "../support.h"

#include "sources.h"

#include <prefork/error.h>

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A limit that a request must not reach by itself is multiplied by TEST_PATIENCE. */
static const char *as_text(int limit_ms)
{
	static char text[32];

	(void)snprintf(text, sizeof text, "%dms", limit_ms);
	return text;
}

/* All threads are busy for longer than queue_timeout: the request that waits gets 503, the next one is served. */
START_TEST(a_request_beyond_queue_timeout_is_refused)
{
	const int limit_ms = patience_ms(1000);
	const char *const settings[] = { "--queue-timeout", as_text(limit_ms), "--keep-alive", "20", NULL };
	const int thread_count = harness_threads() > 0 ? harness_threads() : 1;
	struct web web;
	int busy[8];

	web_open(&web, sources_handle, settings);
	ck_assert_int_le(thread_count, 8);
	for (int i = 0; i < thread_count; i++)
		busy[i] = sources_request(&web, "GET", "/held", "Connection: close\r\n\r\n");
	web_wait(&web.counts->handled, thread_count);
	const int late = sources_request(&web, "GET", "/bytes", "\r\n");
	/* The waiting itself. The time starts when the kernel or the event loop receives the request, which a busy
	 * machine delays. */
	(void)poll(NULL, 0, limit_ms + patience_ms(500));
	web.counts->noted[0] = 1;
	(void)web_read_all(late, response, sizeof response);
	ck_assert_msg(web_status(response) == 503 && strstr(response, "\r\nRetry-After: 1\r\n") != NULL, "%s", response);
	for (int i = 0; i < thread_count; i++) {
		(void)web_read_all(busy[i], response, sizeof response);
		ck_assert_int_eq(web_status(response), 200);
	}
	ck_assert_int_eq(web.counts->handled, thread_count);
	(void)sources_get(&web, "GET", "/bytes");
	ck_assert_int_eq(web_status(response), 200);
	web_close(&web);
}
END_TEST

/* A pipelined request that waits for the response before it does not wait for a thread. */
START_TEST(a_pipelined_request_may_wait_for_the_previous_one)
{
	const int limit_ms = patience_ms(300);
	const char *const settings[] = { "--queue-timeout", as_text(limit_ms), "--keep-alive", "20", NULL };
	struct web web;
	int responses = 0;

	web_open(&web, sources_handle, settings);
	const int fd = sources_request(&web, "GET", "/held", "\r\nGET /bytes HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
	web_wait(&web.counts->handled, 1);
	(void)poll(NULL, 0, 2 * limit_ms);
	web.counts->noted[0] = 1;
	(void)web_read_all(fd, response, sizeof response);
	for (const char *at = response; (at = strstr(at, "HTTP/1.1 200")) != NULL; at++)
		responses++;
	ck_assert_msg(responses == 2, "%s", response);
	web_close(&web);
}
END_TEST

/* Four threads are busy and two requests wait: the seventh request exceeds the limit. */
START_TEST(an_overloaded_worker_refuses_at_once)
{
	static const char *const settings[] = { "--queue-limit", "2", "--keep-alive", "20", NULL };
	struct web web;
	int fds[6];

	ck_assert_int_eq(harness_threads(), 4);
	web_open(&web, sources_handle, settings);
	for (int i = 0; i < 4; i++)
		fds[i] = sources_request(&web, "GET", "/held", "Connection: close\r\n\r\n");
	web_wait(&web.counts->handled, 4);
	for (int i = 4; i < 6; i++)
		fds[i] = sources_request(&web, "GET", "/held", "Connection: close\r\n\r\n");
	/* The loop responds to an unknown method without a thread. After two such responses it has received the
	 * requests that were sent before. */
	for (int i = 4; i < 6; i++)
		harness_await_acknowledged(fds[i]);
	for (int i = 0; i < 2; i++) {
		(void)web_read_all(sources_request(&web, "bad", "/", "\r\n"), response, sizeof response);
		ck_assert_int_eq(web_status(response), 501);
	}
	(void)web_read_all(sources_request(&web, "HEAD", "/bytes", "\r\n"), response, sizeof response);
	ck_assert_msg(web_status(response) == 503 && strstr(response, "\r\nRetry-After: 1\r\n") != NULL, "%s", response);
	(void)web_read_all(sources_request(&web, "POST", "/echo", "Content-Length: 100000\r\n\r\n"), response, sizeof response);
	ck_assert_msg(web_status(response) == 503, "the body of a refused request is awaited: %s", response);
	web.counts->noted[0] = 1; /* release the threads */
	for (int i = 0; i < 6; i++) {
		(void)web_read_all(fds[i], response, sizeof response);
		ck_assert_msg(web_status(response) == 200, "%s", response);
	}
	(void)sources_get(&web, "GET", "/bytes");
	ck_assert_int_eq(web_status(response), 200);
	web_close(&web);
}
END_TEST

/* Sends one request to each thread, one after the other: several at once would exceed queue_limit. */
static void hold_threads(const struct web *web, int *fds, int count)
{
	const int handled = web->counts->handled;

	for (int i = 0; i < count; i++) {
		fds[i] = sources_request(web, "GET", "/held-alone", "Connection: close\r\n\r\n");
		web_wait(&web->counts->handled, handled + i + 1);
	}
}

/* Releases `count` of these threads; the requests of the others, if any, are still held. */
static void release_threads(const struct web *web, int count)
{
	web->counts->noted[1] += count;
}

static void expect_200(int fd)
{
	(void)web_read_all(fd, response, sizeof response);
	ck_assert_msg(web_status(response) == 200, "%s", response);
}

/* All threads are busy and five connections are pending, then `free_count` threads become free. Returns the number of
 * connections that were refused. */
static int refused_of_five(const struct web *web, int threads, int free_count)
{
	int busy[4], pending[5], refused = 0, served = 0;

	hold_threads(web, busy, threads);
	for (int i = 0; i < 5; i++)
		pending[i] = sources_request(web, "GET", "/bytes", "Connection: close\r\n\r\n");
	for (int i = 0; i < 5; i++)
		harness_await_acknowledged(pending[i]);
	release_threads(web, free_count);
	/* None is closed before all have ended: the worker would be told, and count it among those that wait. */
	for (int i = 0; i < 5; i++) {
		(void)web_read_open(pending[i], response, sizeof response);
		refused += web_status(response) == 503 && strstr(response, "\r\nRetry-After: 1\r\n") != NULL;
		served += web_status(response) == 200;
	}
	ck_assert_int_eq(refused + served, 5);
	for (int i = 0; i < 5; i++)
		(void)close(pending[i]);
	release_threads(web, threads - free_count);
	for (int i = 0; i < threads; i++)
		expect_200(busy[i]);
	harness_await_connections(&web->harness, 0);
	return refused;
}

/* The first connections are refused until only two wait behind them. When several threads become free, they accept
 * several connections at once, and none of these counts as waiting behind another. */
START_TEST(a_backlog_above_queue_limit_is_refused)
{
	static const char *const settings[] = { "--queue-limit", "2", NULL };
	const int threads = harness_threads() > 0 ? harness_threads() : 1;
	struct web web;

	web_open(&web, sources_handle, settings);
	ck_assert_int_le(threads, 4);
	ck_assert_int_eq(refused_of_five(&web, threads, 1), 3);
	for (int free_count = 2; free_count <= threads; free_count++) {
		for (int i = 0; i < 4; i++)
			ck_assert_int_le(refused_of_five(&web, threads, free_count), 3);
	}
	(void)sources_get(&web, "GET", "/bytes");
	ck_assert_int_eq(web_status(response), 200);
	web_close(&web);
}
END_TEST

/* An accepted connection sends its first request while one connection is in the backlog: one waits behind it, not the
 * connection and the event of its listener. */
START_TEST(a_pending_connection_counts_once_towards_queue_limit)
{
	static const char *const settings[] = { "--queue-limit", "2", NULL };
	static const char first[] = "GET /bytes HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
	const int threads = harness_threads() > 0 ? harness_threads() : 1;
	struct web web;
	int busy[4];

	web_open(&web, sources_handle, settings);
	ck_assert_int_le(threads, 4);
	const int accepted = harness_connect(&web.harness);
	harness_await_connections(&web.harness, 1);
	hold_threads(&web, busy, threads);
	ck_assert_int_eq(send(accepted, first, sizeof first - 1, MSG_NOSIGNAL), sizeof first - 1);
	harness_await_acknowledged(accepted);
	const int pending = sources_request(&web, "GET", "/bytes", "Connection: close\r\n\r\n");
	harness_await_acknowledged(pending);
	release_threads(&web, 1);
	expect_200(accepted);
	expect_200(pending);
	release_threads(&web, threads - 1);
	for (int i = 0; i < threads; i++)
		expect_200(busy[i]);
	web_close(&web);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("overload");
	TCase *tc = tcase_create("overload");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, sources_make_file, sources_remove_file);
	tcase_add_test(tc, a_request_beyond_queue_timeout_is_refused);
	tcase_add_test(tc, a_pipelined_request_may_wait_for_the_previous_one);
	if (harness_threads() > 0 && !harness_may_block())
		tcase_add_test(tc, an_overloaded_worker_refuses_at_once);
	if (harness_may_block()) {
		tcase_add_test(tc, a_backlog_above_queue_limit_is_refused);
		tcase_add_test(tc, a_pending_connection_counts_once_towards_queue_limit);
	}
	suite_add_tcase(suite, tc);

	return run_suite(suite);
}
