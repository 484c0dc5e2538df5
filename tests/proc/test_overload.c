/* Requests that wait for a thread: queue_timeout and queue_limit. */
#include "../support.h"

#include "sources.h"

#include <prefork/error.h>

#include <poll.h>
#include <string.h>

/* Everybody is busy for longer than a client has patience: it is told, and the next one is served. */
START_TEST(a_request_beyond_queue_timeout_is_refused)
{
	static const char *const settings[] = { "--queue-timeout", "3s", "--keep-alive", "20", NULL };
	const int thread_count = harness_threads() > 0 ? harness_threads() : 1;
	struct web web;
	int busy[8];

	web_open(&web, sources_handle, settings);
	ck_assert_int_le(thread_count, 8);
	for (int i = 0; i < thread_count; i++)
		busy[i] = sources_ask(&web, "GET", "/held", "Connection: close\r\n\r\n");
	web_wait(&web.counts->handled, thread_count);
	const int late = sources_ask(&web, "GET", "/bytes", "\r\n");
	(void)poll(NULL, 0, 3200); /* the waiting itself; longer than a busy machine takes to handle the first ones */
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

/* What waited only for the response before it was sent too early, and is nobody's overload. */
START_TEST(a_pipelined_request_may_wait_for_the_previous_one)
{
	static const char *const settings[] = { "--queue-timeout", "50ms", "--keep-alive", "20", NULL };
	struct web web;
	int answers = 0;

	web_open(&web, sources_handle, settings);
	const int fd = sources_ask(&web, "GET", "/held", "\r\nGET /bytes HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
	web_wait(&web.counts->handled, 1);
	(void)poll(NULL, 0, 150);
	web.counts->noted[0] = 1;
	(void)web_read_all(fd, response, sizeof response);
	for (const char *at = response; (at = strstr(at, "HTTP/1.1 200")) != NULL; at++)
		answers++;
	ck_assert_msg(answers == 2, "%s", response);
	web_close(&web);
}
END_TEST

/* Four threads are held, two requests wait: the seventh is one too many. */
START_TEST(an_overloaded_worker_refuses_at_once)
{
	static const char *const settings[] = { "--queue-limit", "2", "--keep-alive", "20", NULL };
	struct web web;
	int fds[6];

	ck_assert_int_eq(harness_threads(), 4);
	web_open(&web, sources_handle, settings);
	for (int i = 0; i < 4; i++)
		fds[i] = sources_ask(&web, "GET", "/held", "Connection: close\r\n\r\n");
	web_wait(&web.counts->handled, 4);
	for (int i = 4; i < 6; i++)
		fds[i] = sources_ask(&web, "GET", "/held", "Connection: close\r\n\r\n");
	for (int i = 0; i < 2; i++) { /* the loop answers this by itself: when it has, it has seen those before */
		(void)web_read_all(sources_ask(&web, "bad", "/", "\r\n"), response, sizeof response);
		ck_assert_int_eq(web_status(response), 501);
	}
	(void)web_read_all(sources_ask(&web, "HEAD", "/bytes", "\r\n"), response, sizeof response);
	ck_assert_msg(web_status(response) == 503 && strstr(response, "\r\nRetry-After: 1\r\n") != NULL, "%s", response);
	(void)web_read_all(sources_ask(&web, "POST", "/echo", "Content-Length: 100000\r\n\r\n"), response, sizeof response);
	ck_assert_msg(web_status(response) == 503, "a body that nobody will read is not waited for: %s", response);
	web.counts->noted[0] = 1; /* let go */
	for (int i = 0; i < 6; i++) {
		(void)web_read_all(fds[i], response, sizeof response);
		ck_assert_msg(web_status(response) == 200, "%s", response);
	}
	(void)sources_get(&web, "GET", "/bytes");
	ck_assert_int_eq(web_status(response), 200);
	web_close(&web);
}
END_TEST

/* All threads are busy, and five connections are pending, where two may be; then `free_count` threads become free.
 * How many connections were refused, the others served. */
static int refused_of_a_crowd(struct web *web, int threads, int free_count)
{
	const int handled = web->counts->handled;
	int busy[4], crowd[5], told = 0, served = 0;

	for (int i = 0; i < threads; i++) { /* one by one: or they are a crowd themselves */
		busy[i] = sources_ask(web, "GET", "/held-alone", "Connection: close\r\n\r\n");
		web_wait(&web->counts->handled, handled + i + 1);
	}
	for (int i = 0; i < 5; i++)
		crowd[i] = sources_ask(web, "GET", "/bytes", "Connection: close\r\n\r\n");
	web->counts->noted[1] = free_count;
	for (int i = 0; i < 5; i++) {
		(void)web_read_all(crowd[i], response, sizeof response);
		told += web_status(response) == 503 && strstr(response, "\r\nRetry-After: 1\r\n") != NULL;
		served += web_status(response) == 200;
	}
	ck_assert_int_eq(told + served, 5);
	web->counts->noted[1] += threads - free_count;
	for (int i = 0; i < threads; i++) {
		(void)web_read_all(busy[i], response, sizeof response);
		ck_assert_int_eq(web_status(response), 200);
	}
	return told;
}

/* Those in front are refused until there are no more than two behind them. When several threads become free they take
 * several at once, of which none may count as behind it what another has in hands. */
START_TEST(a_backlog_above_queue_limit_is_refused)
{
	static const char *const settings[] = { "--queue-limit", "2", NULL };
	const int threads = harness_threads() > 0 ? harness_threads() : 1;
	struct web web;

	web_open(&web, sources_handle, settings);
	ck_assert_int_le(threads, 4);
	ck_assert_int_eq(refused_of_a_crowd(&web, threads, 1), 3);
	for (int free_count = 2; free_count <= threads; free_count++) {
		for (int i = 0; i < 4; i++)
			ck_assert_int_le(refused_of_a_crowd(&web, threads, free_count), 3);
	}
	(void)sources_get(&web, "GET", "/bytes");
	ck_assert_int_eq(web_status(response), 200);
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
	if (harness_may_block())
		tcase_add_test(tc, a_backlog_above_queue_limit_is_refused);
	suite_add_tcase(suite, tc);

	return run_suite(suite);
}
