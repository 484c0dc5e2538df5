/* Responses over sockets: every source of a body; slow, idle and disconnected clients. */
#include "../support.h"

#include "sources.h"

#include "model/message.h"
#include "os/clock.h"

#include <prefork/error.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The first request of a new connection may arrive late, and a client does not repeat it by itself. */
START_TEST(a_first_request_is_served_during_a_drain)
{
	static const char request[] = "GET /bytes HTTP/1.1\r\nHost: x\r\n\r\n";
	struct web web;

	web_open(&web, sources_handle, kept);
	const int new = harness_connect(&web.harness), kept_one = web_request(&web, request, sizeof request - 1);
	ck_assert_int_eq(recv(kept_one, response, 1, MSG_PEEK), 1);
	harness_send(&web.harness, PFI_MESSAGE_DRAIN, 0);
	(void)web_read_all(kept_one, response, sizeof response); /* its end: the worker drains */
	ck_assert_int_eq(web_status(response), 200);
	ck_assert_int_eq(send(new, request, sizeof request - 1, MSG_NOSIGNAL), sizeof request - 1);
	(void)web_read_all(new, response, sizeof response);
	ck_assert_int_eq(web_status(response), 200);
	ck_assert_ptr_nonnull(strstr(response, "Connection: close"));
	web_close(&web);
}
END_TEST

START_TEST(each_source_has_its_head_and_body)
{
	struct web web;

	web_open(&web, sources_handle, kept);
	(void)sources_get(&web, "GET", sources[_i].path);
	const char *const body = strstr(response, "\r\n\r\n");
	ck_assert_msg(body != NULL && strstr(response, sources[_i].head) != NULL, "%s", response);
	ck_assert_int_eq(strstr(response, "Content-Length: ") == NULL && strstr(response, "chunked") == NULL,
	                 web_status(response) == 204);
	ck_assert_str_eq(body + 4, sources[_i].body);
	web_close(&web);
}
END_TEST

/* The clock of test and worker, as an int. */
static int now_ms(void)
{
	return (int)(pfi_now_ms() % 1000000000);
}

static int send_last_and_wait(struct prefork_request *request, void *user)
{
	struct web_counts *const counts = web_counts(request);
	int r = prefork_response_start(request, 200, NULL);

	(void)user;
	counts->noted[2] = now_ms();
	if (r == 0)
		r = prefork_response_last(request, "last", 4);
	counts->noted[0] = 1;
	while (counts->noted[1] == 0)
		(void)poll(NULL, 0, 1);
	return r;
}

static const struct {
	const char *request;
	bool is_corked; /* until the end of the connection */
} requests[] = {
	{ "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", true },
	{ "GET / HTTP/1.0\r\n\r\n", true },
	{ "GET / HTTP/1.1\r\nHost: h\r\n\r\n", false },
	{ "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", false },
	{ "GET / HTTP/1.0\r\n\r\nGET /more HTTP/1.0\r\n\r\n", false },
	{ "POST / HTTP/1.0\r\nContent-Length: 4\r\n\r\nbody", false },
};

/* Corking saves a segment for the end, but only if nothing is unread: when the kernel resets the connection, it discards
 * corked output. */
START_TEST(only_the_last_segment_before_a_close_is_corked)
{
	const char *const request = requests[_i].request;
	struct web web;

	web_open(&web, send_last_and_wait, NULL);
	const int fd = web_request(&web, request, strlen(request));
	struct pollfd readable = { .fd = fd, .events = POLLIN };
	web_wait(&web.counts->noted[0], 1);
	const int found = poll(&readable, 1, requests[_i].is_corked ? 50 : harness_patience_ms());
	/* The kernel sends a corked segment after 200 ms. If the machine was slow, that may have happened. */
	if (!requests[_i].is_corked)
		ck_assert_int_eq(found, 1);
	else if (now_ms() - web.counts->noted[2] < 150)
		ck_assert_int_eq(found, 0);
	web.counts->noted[1] = 1;
	(void)shutdown(fd, SHUT_WR); /* ends a persistent connection, too */
	(void)web_read_all(fd, response, sizeof response);
	ck_assert_int_eq(web_status(response), 200);
	ck_assert_str_eq(strstr(response, "\r\n\r\n") + 4, "last");
	web_close(&web);
}
END_TEST

/* Except fields that depend on the generated body: that it is chunked, or that there is none (RFC 9110 9.3.2). */
START_TEST(head_gets_the_same_fields_and_no_body)
{
	static char whole[2048];
	struct web web;
	char *rest = NULL;

	web_open(&web, sources_handle, kept);
	const size_t length = sources_get(&web, "GET", sources[_i].path);
	const bool measured = strstr(response, "Content-Length: ") != NULL && strcmp(sources[_i].path, "/nothing") != 0;
	ck_assert_uint_lt(length, sizeof whole);
	memcpy(whole, response, length + 1);
	(void)sources_get(&web, "HEAD", sources[_i].path);
	ck_assert_str_eq(strstr(response, "\r\n\r\n") + 4, "");
	ck_assert_int_eq(strstr(response, "Content-Length: ") != NULL, measured);
	for (char *line = strtok_r(response, "\r\n", &rest); line != NULL; line = strtok_r(NULL, "\r\n", &rest))
		ck_assert_msg(strncmp(line, "Date: ", 6) == 0 || strstr(whole, line) != NULL, "%s", line);
	web_close(&web);
}
END_TEST

START_TEST(a_connection_is_kept_alive_after_each_source)
{
	char request[512];
	struct web web;
	int responses = 0;

	web_open(&web, sources_handle, kept);
	const int length = snprintf(request, sizeof request, "HEAD %s HTTP/1.1\r\nHost: h\r\n\r\nGET %s HTTP/1.1\r\nHost: h\r\n"
	                            "\r\nGET /bytes HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
	                            sources[_i].path, sources[_i].path);
	(void)web_read_all(web_request(&web, request, (size_t)length), response, sizeof response);
	for (const char *at = response; (at = strstr(at, "HTTP/1.1 2")) != NULL; at++)
		responses++;
	const bool closes = strcmp(sources[_i].path, "/last-one") == 0;
	ck_assert_msg(responses == (closes ? 1 : 3), "%s", response);
	if (!closes)
		ck_assert_msg(strcmp(response + strlen(response) - 9, "\r\n\r\nhello") == 0, "%s", response);
	web_close(&web);
}
END_TEST

START_TEST(misuse_is_refused_without_effect)
{
	struct web web;

	web_open(&web, sources_handle, NULL);
	(void)sources_get(&web, "GET", "/impossible-file");
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(web.counts->noted[i], -EINVAL);
	ck_assert_int_eq(web.counts->noted[3], -EISDIR);
	ck_assert_int_eq(web.counts->noted[4], -EBADF);
	ck_assert_int_eq(web.counts->noted[5], -EBADF);
	ck_assert_int_eq(web.counts->noted[6], -EINVAL);
	ck_assert_int_eq(web.counts->noted[7], -EBADF);
	(void)sources_get(&web, "GET", "/hints-with-a-body");
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(web.counts->noted[i], -EINVAL);
	(void)sources_get(&web, "GET", "/second-thoughts");
	ck_assert(strstr(response, "X-First") == NULL && strstr(response, "Fishing") == NULL);
	ck_assert_int_eq(web.counts->noted[0], 0);
	for (int i = 1; i < 4; i++)
		ck_assert_int_eq(web.counts->noted[i], -EALREADY);
	ck_assert_int_eq(web.counts->error, 0);
	web_close(&web);
}
END_TEST

START_TEST(a_file_is_sent_byte_for_byte)
{
	struct web web;

	web_open(&web, sources_handle, NULL);
	const size_t got = sources_get(&web, "GET", "/whole-file");
	const char *const body = strstr(response, "\r\n\r\n") + 4;
	ck_assert_uint_eq(got - (size_t)(body - response), FILE_SIZE);
	for (size_t i = 0; i < FILE_SIZE; i++)
		ck_assert_msg(body[i] == (char)('a' + i % 26), "byte %zu", i);
	web_close(&web);
}
END_TEST

/* The file is shorter than Content-Length: the client must not take the response as complete. */
START_TEST(a_truncated_file_aborts_the_response)
{
	struct web web;

	web_open(&web, sources_handle, kept);
	const size_t got = web_read_rest(sources_request(&web, "GET", "/beyond-file", "\r\n"), response, sizeof response);
	ck_assert(strstr(response, "Content-Length: 100001\r\n") != NULL);
	ck_assert_uint_le(got - (size_t)(strstr(response, "\r\n\r\n") + 4 - response), FILE_SIZE);
	web_wait(&web.counts->finished, 1);
	ck_assert_int_eq(web.counts->error, -EIO);
	web_close(&web);
}
END_TEST

START_TEST(interim_responses_precede_the_final_one)
{
	static const char expected[] = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\n";
	struct web web;

	web_open(&web, sources_handle, NULL);
	(void)sources_get(&web, "GET", "/early-hints");
	ck_assert_msg(strncmp(response, expected, sizeof expected - 1) == 0, "%s", response);
	ck_assert_int_eq(web.counts->noted[0], 0);
	ck_assert_int_eq(web.counts->noted[1], 0); /* the final one has not begun */
	web_close(&web);
}
END_TEST

START_TEST(http_1_0_gets_no_interim_response)
{
	static const char request[] = "GET /early-hints HTTP/1.0\r\n\r\n";
	struct web web;

	web_open(&web, sources_handle, NULL);
	(void)web_read_all(web_request(&web, request, sizeof request - 1), response, sizeof response);
	ck_assert_msg(web_status(response) == 200, "%s", response);
	web_close(&web);
}
END_TEST

START_TEST(expect_100_continue_gets_100)
{
	static const char continue_100[] = "HTTP/1.1 100 Continue\r\n\r\n";
	struct web web;
	char first[sizeof continue_100];

	web_open(&web, sources_handle, NULL);
	const int fd = sources_request(&web, "POST", "/echo", "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n");
	ck_assert_int_eq(recv(fd, first, sizeof continue_100 - 1, MSG_WAITALL), (ssize_t)sizeof continue_100 - 1);
	ck_assert_int_eq(memcmp(first, continue_100, sizeof continue_100 - 1), 0);
	ck_assert_int_eq(send(fd, "hello", 5, MSG_NOSIGNAL), 5);
	(void)web_read_all(fd, response, sizeof response);
	ck_assert_msg(web_status(response) == 200 && strstr(response, "\r\n\r\n5\r\nhello\r\n0\r\n\r\n") != NULL, "%s", response);
	web_close(&web);
}
END_TEST

START_TEST(an_idle_connection_between_two_requests_is_closed)
{
	static const char *const settings[] = { "--keep-alive", "100ms", NULL };
	struct web web;

	web_open(&web, sources_handle, settings);
	(void)web_read_all(sources_request(&web, "GET", "/bytes", "\r\n"), response, sizeof response);
	ck_assert_msg(strcmp(response + strlen(response) - 5, "hello") == 0, "%s", response);
	ck_assert(strstr(response, "Connection: close") == NULL);
	web_close(&web);
}
END_TEST

START_TEST(a_client_that_reads_nothing_times_out)
{
	static const char *const settings[] = { "--write-timeout", "200ms", "--keep-alive", "20", NULL };
	static const char *const paths[] = { "/endless", "/big" };
	struct web web;

	web_open(&web, sources_handle, settings);
	const int fd = sources_request(&web, "GET", paths[_i], "\r\n");
	web_wait(&web.counts->finished, 1);
	ck_assert_int_eq(web.counts->error, -ETIMEDOUT);
	ck_assert_uint_lt(web_read_rest(fd, response, sizeof response), BIG);
	(void)sources_get(&web, "GET", "/bytes"); /* the worker continues */
	ck_assert_int_eq(web_status(response), 200);
	web_close(&web);
}
END_TEST

/* If no callback may block, a handler that continues to write gets an error before memory runs out; otherwise it waits.
 * In both cases the response has no valid end. */
START_TEST(output_for_a_client_that_reads_nothing_is_bounded)
{
	static const char *const settings[] = { "--write-timeout", "300ms", "--spool-limit", "8m", NULL };
	const bool waits = harness_may_block() || harness_threads() > 0;
	struct web web;

	web_open(&web, sources_handle, settings);
	const int fd = sources_request(&web, "GET", "/writes-for-long", "\r\n");
	web_wait(&web.counts->finished, 1);
	ck_assert_int_eq(web.counts->noted[1], waits ? -ETIMEDOUT : -ENOBUFS);
	ck_assert_int_lt(web.counts->noted[0], 32 * 1024 / 64); /* the buffers of the kernel and of the library */
	ck_assert_int_lt(web.counts->error, 0);
	const size_t got = web_read_rest(fd, response, sizeof response - 1);
	ck_assert_uint_gt(got, 65536);
	ck_assert_ptr_null(strstr(response + got - 5, "0\r\n\r\n"));
	(void)sources_get(&web, "GET", "/bytes"); /* the worker continues */
	ck_assert_int_eq(web_status(response), 200);
	web_close(&web);
}
END_TEST

/* The time between two requests begins when the response has been received. */
START_TEST(a_slow_reader_gets_all_of_a_large_response)
{
	static const char *const settings[] = { "--keep-alive", "50ms", NULL };
	struct web web;

	web_open(&web, sources_handle, settings);
	const int fd = sources_request(&web, "GET", "/big", "\r\n");
	web_wait(&web.counts->handled, 1);
	(void)poll(NULL, 0, 200); /* longer than keep-alive */
	const size_t got = web_read_all(fd, response, sizeof response);
	ck_assert_uint_eq(got - (size_t)(strstr(response, "\r\n\r\n") + 4 - response), BIG);
	web_close(&web);
}
END_TEST

START_TEST(a_disconnect_during_a_response_ends_it)
{
	static const struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	struct web web;
	char byte;

	web_open(&web, sources_handle, NULL);
	const int fd = sources_request(&web, "GET", "/endless", "\r\n");
	ck_assert_int_eq(recv(fd, &byte, 1, 0), 1);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
	ck_assert_int_eq(close(fd), 0);
	web_wait(&web.counts->finished, 1);
	ck_assert_int_lt(web.counts->error, 0);
	web_close(&web);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("responses");
	TCase *tc = tcase_create("responses");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, sources_make_file, sources_remove_file);
	tcase_add_test(tc, a_first_request_is_served_during_a_drain);
	tcase_add_loop_test(tc, each_source_has_its_head_and_body, 0, PLAIN_SOURCES);
	tcase_add_loop_test(tc, only_the_last_segment_before_a_close_is_corked, 0,
	                    sizeof requests / sizeof requests[0]);
	tcase_add_loop_test(tc, head_gets_the_same_fields_and_no_body, 0, PLAIN_SOURCES);
	tcase_add_loop_test(tc, a_connection_is_kept_alive_after_each_source, 0, PLAIN_SOURCES);
	tcase_add_test(tc, misuse_is_refused_without_effect);
	tcase_add_test(tc, a_file_is_sent_byte_for_byte);
	tcase_add_test(tc, a_truncated_file_aborts_the_response);
	tcase_add_test(tc, interim_responses_precede_the_final_one);
	tcase_add_test(tc, http_1_0_gets_no_interim_response);
	tcase_add_test(tc, expect_100_continue_gets_100);
	tcase_add_test(tc, an_idle_connection_between_two_requests_is_closed);
	tcase_add_loop_test(tc, a_client_that_reads_nothing_times_out, 0, 2);
	tcase_add_test(tc, output_for_a_client_that_reads_nothing_is_bounded);
	tcase_add_test(tc, a_slow_reader_gets_all_of_a_large_response);
	tcase_add_test(tc, a_disconnect_during_a_response_ends_it);
	suite_add_tcase(suite, tc);

	return run_suite(suite);
}
