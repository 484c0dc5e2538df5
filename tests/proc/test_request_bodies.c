/* Request bodies over sockets: large, truncated, slow, refused. */
#include "../support.h"

#include "sources.h"

#include <prefork/error.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct {
	const char *rest; /* of a POST with an incomplete body */
	int error;
} truncated[] = {
	{ "Content-Length: 50\r\n\r\nhalf", -ECONNRESET },
	{ "Transfer-Encoding: chunked\r\n\r\n5\r\nhel", -ECONNRESET },
	{ "Transfer-Encoding: chunked\r\n\r\nzz\r\n", -EPROTO },
	{ "Content-Length: 5000\r\n\r\n", -EFBIG },
	{ "Transfer-Encoding: chunked\r\n\r\n1000\r\n", -EFBIG },
};

/* If the body is collected first, the handler is not called. If the handler reads the body, the read fails, and a second
 * read fails with the same error. */
START_TEST(a_truncated_body_is_never_taken_as_complete)
{
	static const char *const settings[] = { "--limit-request-body", "1000", "--body-timeout", "5", NULL };
	struct web web;

	web_open(&web, sources_handle, settings);
	const int fd = sources_request(&web, "POST", "/reads", truncated[_i].rest);
	ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
	(void)web_read_all(fd, response, sizeof response);
	ck_assert_int_eq(web_status(response), truncated[_i].error == -EFBIG ? 413 : 400);
	if (web.counts->handled > 0 && truncated[_i].error != -EFBIG) {
		ck_assert_int_eq(web.counts->noted[0], truncated[_i].error);
		ck_assert_int_eq(web.counts->noted[1], truncated[_i].error);
		web_wait(&web.counts->finished, 1);
		ck_assert_int_eq(web.counts->error, truncated[_i].error);
	}
	web_close(&web);
}
END_TEST

START_TEST(a_stalled_body_gets_408)
{
	static const char *const settings[] = { "--body-timeout", "200ms", NULL };
	struct web web;

	web_open(&web, sources_handle, settings);
	(void)web_read_all(sources_request(&web, "POST", "/reads", "Content-Length: 9\r\n\r\nhalf"), response, sizeof response);
	ck_assert_int_eq(web_status(response), 408);
	web_close(&web);
}
END_TEST

/* The client sends often enough for body_timeout, but below body_rate on average. */
START_TEST(a_body_below_body_rate_gets_408)
{
	static const char *const settings[] = { "--body-timeout", "300ms", "--body-rate", "1000", NULL };
	static const char *const bodies[] = { "Content-Length: 100000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\nfff\r\n" };
	struct web web;
	struct pollfd wait = { .events = POLLIN };
	int sent = 0;

	web_open(&web, sources_handle, settings);
	wait.fd = sources_request(&web, "POST", "/reads", bodies[_i]);
	for (; poll(&wait, 1, 50) == 0; sent++) {
		ck_assert_int_eq(send(wait.fd, "x", 1, MSG_NOSIGNAL), 1);
		ck_assert_int_lt(sent, 1000);
	}
	(void)web_read_rest(wait.fd, response, sizeof response);
	ck_assert_msg(web_status(response) == 408, "%d bytes, then %s", sent, response);
	web_close(&web);
}
END_TEST

/* Writes what the socket accepts and reads what arrives, so that neither side waits for the other. */
static size_t exchange(int fd, const char *request, size_t length)
{
	size_t at = 0, got = 0;

	for (;;) {
		struct pollfd wait = { .fd = fd, .events = (short)(POLLIN | (at < length ? POLLOUT : 0)) };
		ssize_t n;

		ck_assert_int_eq(poll(&wait, 1, harness_patience_ms()), 1);
		if (wait.revents & POLLOUT) {
			n = send(fd, request + at, length - at, MSG_NOSIGNAL | MSG_DONTWAIT);
			ck_assert_msg(n > 0, "%s", strerror(errno));
			at += (size_t)n;
		}
		if (!(wait.revents & ~POLLOUT))
			continue;
		n = recv(fd, response + got, sizeof response - 1 - got, MSG_DONTWAIT);
		ck_assert_msg(n >= 0, "%s", strerror(errno));
		if (n == 0)
			break;
		got += (size_t)n;
	}
	response[got] = '\0';
	(void)close(fd);
	return got;
}

/* A client that is refused in the middle of its body must be able to read the response: close(2) with unread input
 * would reset the connection. */
START_TEST(a_refusal_in_the_middle_of_a_large_body_is_read_whole)
{
	static const char *const settings[] = { "--limit-request-body", "1000", NULL };
	struct web web;

	web_open(&web, sources_handle, settings);
	const int head = snprintf(big, 200, "POST /reads HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", BIG - 200);
	memset(big + head, 'x', sizeof big - (size_t)head);
	(void)exchange(harness_connect(&web.harness), big, sizeof big);
	ck_assert_msg(web_status(response) == 413 && strstr(response, "</html>") != NULL, "%s", response);
	web_close(&web);
}
END_TEST

START_TEST(a_refusal_of_head_has_no_body)
{
	struct web web;

	web_open(&web, sources_handle, NULL);
	(void)sources_get(&web, "HEAD", "/nowhere");
	ck_assert_int_eq(web_status(response), 500);
	ck_assert(strstr(response, "Content-Length: ") != NULL);
	ck_assert_str_eq(strstr(response, "\r\n\r\n") + 4, "");
	web_close(&web);
}
END_TEST

/* In memory, and above body_memory in a file, which is closed with the request. */
START_TEST(a_large_body_is_echoed_byte_for_byte)
{
	enum { SIZE = 300000 };
	static const char *const settings[] = { "--body-memory", "4k", "--spool-dir", "/tmp", NULL };
	static char request[SIZE + 200];
	struct web web;
	int fds = 0;

	web_open(&web, sources_handle, _i == 0 ? NULL : settings);
	const int head = snprintf(request, sizeof request,
	                          "POST /echo-and-count HTTP/1.0\r\nContent-Length: %d\r\n\r\n", SIZE);
	for (size_t i = 0; i < SIZE; i++)
		request[(size_t)head + i] = (char)('a' + i % 23);
	for (int i = 0; i < 5; i++) {
		const size_t got = exchange(harness_connect(&web.harness), request, (size_t)head + SIZE);
		const char *const body = strstr(response, "\r\n\r\n") + 4;
		ck_assert_uint_eq(got - (size_t)(body - response), SIZE);
		ck_assert_int_eq(memcmp(body, request + head, SIZE), 0);
		ck_assert(i == 0 || fds == web.counts->noted[0]);
		fds = web.counts->noted[0];
	}
	web_close(&web);
}
END_TEST

START_TEST(trailer_fields_follow_the_body_and_stay_separate)
{
	struct web web;

	web_open(&web, sources_handle, NULL);
	(void)web_read_all(sources_request(&web, "POST", "/trailers", "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
	                       "3\r\nabc\r\n0\r\nX-Sum:  12 \r\nOther:\r\nUnder_Score: 1\r\n\r\n"), response, sizeof response);
	ck_assert_msg(strstr(response, "\r\n\r\nX-Sum(5)=12(2)|Other(5)=(0)|12 2 apart") != NULL, "%s", response);
	(void)web_read_all(sources_request(&web, "POST", "/trailers", "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
	                       "0\r\n\r\n"), response, sizeof response);
	ck_assert_msg(strstr(response, "\r\n\r\nnone") != NULL, "%s", response);
	web_close(&web);
}
END_TEST

/* If a thread may wait for the client, the handler reads the rest while it arrives. */
START_TEST(a_body_that_cannot_be_stored_is_refused_and_the_worker_continues)
{
	enum { SIZE = 300000 };
	static const char *const settings[] = { "--body-memory", "4k", NULL };
	const struct rlimit limit = { 8192, 8192 };
	static char request[SIZE + 200];
	struct web web;

	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	web_open(&web, sources_handle, settings);
	const int head = snprintf(request, sizeof request, "POST /reads HTTP/1.0\r\nContent-Length: %d\r\n\r\n", SIZE);
	memset(request + head, 'x', SIZE);
	(void)web_read_rest(web_request(&web, request, (size_t)head + SIZE), response, sizeof response);
	ck_assert_msg(web_status(response) == (harness_may_block() || harness_threads() > 0 ? 200 : 507), "%s", response);
	(void)sources_get(&web, "GET", "/bytes");
	ck_assert_int_eq(web_status(response), 200);
	web_close(&web);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("request bodies");
	TCase *tc = tcase_create("request bodies");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, sources_make_file, sources_remove_file);
	tcase_add_loop_test(tc, a_truncated_body_is_never_taken_as_complete, 0, (int)(sizeof truncated / sizeof truncated[0]));
	tcase_add_test(tc, a_stalled_body_gets_408);
	tcase_add_loop_test(tc, a_body_below_body_rate_gets_408, 0, 2);
	tcase_add_test(tc, a_refusal_in_the_middle_of_a_large_body_is_read_whole);
	tcase_add_test(tc, a_refusal_of_head_has_no_body);
	tcase_add_loop_test(tc, a_large_body_is_echoed_byte_for_byte, 0, 2);
	tcase_add_test(tc, trailer_fields_follow_the_body_and_stay_separate);
	tcase_add_test(tc, a_body_that_cannot_be_stored_is_refused_and_the_worker_continues);
	suite_add_tcase(suite, tc);

	return run_suite(suite);
}
