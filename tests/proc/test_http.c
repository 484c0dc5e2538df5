/* HTTP over real sockets, one worker, without an arbiter: the tables of tests/http, and
 * what only a connection shows. */
#include "../suite.h"

#include "../http/cases.h"
#include "web.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

static struct cases violations;
static struct cases oddities;

static int report_length(struct prefork_request *request, uint64_t length)
{
	char text[32];
	const int size = snprintf(text, sizeof text, "%llu", (unsigned long long)length);

	(void)prefork_response_start(request, 200, NULL);
	return prefork_response_bytes(request, text, (size_t)size);
}

static ptrdiff_t three_pieces(struct prefork_request *request, const void **ret_bytes, void *user)
{
	uintptr_t *const count = prefork_request_user(request);

	(void)user;
	*ret_bytes = "piece";
	return (*count)++ < 3 ? 5 : 0;
}

static int in_pieces(struct prefork_request *request)
{
	(void)prefork_response_start(request, 200, NULL);
	(void)prefork_response_write(request, "one", 3);
	(void)prefork_response_write(request, "two", 3);
	return prefork_response_end(request);
}

static int too_short(struct prefork_request *request)
{
	(void)prefork_response_start(request, 200, NULL);
	(void)prefork_response_field(request, "Content-Length", "10");
	(void)prefork_response_write(request, "short", 5);
	return 0;
}

static uintptr_t pulled;

/* Reads the whole body; the response depends on the path. */
static int handle(struct prefork_request *request, void *user)
{
	char bytes[1000];
	uint64_t length = 0;
	ptrdiff_t n;
	size_t size;
	const char *const path = prefork_request_path(request, &size);

	(void)user;
	while ((n = prefork_request_read(request, bytes, sizeof bytes)) > 0)
		length += (uint64_t)n;
	if (n < 0)
		return (int)n;
	if (size == 7 && memcmp(path, "/pieces", 7) == 0)
		return in_pieces(request);
	if (size == 6 && memcmp(path, "/short", 6) == 0)
		return too_short(request);
	if (size == 5 && memcmp(path, "/fail", 5) == 0)
		return -EIO;
	if (size == 5 && memcmp(path, "/pull", 5) == 0) {
		pulled = 0;
		prefork_request_set_user(request, &pulled);
		(void)prefork_response_start(request, 200, NULL);
		return prefork_response_pull(request, three_pieces, NULL);
	}
	return report_length(request, length);
}

/* Receives all until end of file; a reset fails the test. */
static size_t exchange(const struct web *web, const char *bytes, size_t length, bool end, char *response, size_t size)
{
	const int fd = web_request(web, bytes, length);

	if (end)
		(void)shutdown(fd, SHUT_WR);
	return web_read_all(fd, response, size);
}

START_TEST(every_violation_gets_its_status_and_a_close)
{
	const char *const settings[] = { "--keep-alive", "5", "--limit-request-body", "1048576", NULL };
	static char response[8192];
	struct web web;

	web_open(&web, handle, settings);
	for (int i = 0; i < violations.count; i++) {
		const struct one_case *const one = &violations.all[i];
		(void)exchange(&web, one->bytes, one->length, false, response, sizeof response);
		ck_assert_msg(web_status(response) == one->number, "%s: %.60s", one->name, response);
		ck_assert_msg(strstr(response, "\nHTTP/1.1 ") == NULL, "%s: two responses", one->name);
	}
	web_close(&web);
}
END_TEST

START_TEST(every_oddity_gets_200)
{
	const char *const settings[] = { "--keep-alive", "5", NULL };
	static char response[8192];
	struct web web;

	web_open(&web, handle, settings);
	for (int i = 0; i < oddities.count; i++) {
		const struct one_case *const one = &oddities.all[i];
		int responses = 0;
		(void)exchange(&web, one->bytes, one->length, true, response, sizeof response);
		for (const char *at = response; (at = strstr(at, "HTTP/1.1 ")) != NULL; at += 9) {
			ck_assert_msg(web_status(at) == 200, "%s: %.60s", one->name, at);
			responses++;
		}
		ck_assert_msg(responses == one->number, "%s: %d responses", one->name, responses);
	}
	web_close(&web);
}
END_TEST

static const struct {
	const char *request;
	const char *expected; /* the end of the response */
} exchanges[] = {
	{ "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "Content-Length: 1\r\nServer: prefork\r\nDate: " },
	{ "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "Connection: close\r\n\r\n0" },
	{ "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", "\r\n\r\n5" },
	{ "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", "\r\n\r\n5" },
	{ "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", "Connection: close\r\n\r\n" },
	{ "GET /pieces HTTP/1.1\r\nHost: h\r\n\r\n", "\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n" },
	{ "GET /pieces HTTP/1.0\r\n\r\n", "\r\n\r\nonetwo" },
	{ "HEAD /pieces HTTP/1.1\r\nHost: h\r\n\r\n", "Connection: close\r\n\r\n" },
	{ "GET /pull HTTP/1.1\r\nHost: h\r\n\r\n", "5\r\npiece\r\n5\r\npiece\r\n5\r\npiece\r\n0\r\n\r\n" },
	{ "GET /short HTTP/1.1\r\nHost: h\r\n\r\n", "\r\n\r\nshort" },
	{ "GET /fail HTTP/1.1\r\nHost: h\r\n\r\n", "500 Internal Server Error" },
};

START_TEST(a_response_has_the_right_bytes)
{
	static char response[8192];
	struct web web;

	web_open(&web, handle, NULL);
	for (size_t i = 0; i < sizeof exchanges / sizeof exchanges[0]; i++) {
		const char *const request = exchanges[i].request;
		(void)exchange(&web, request, strlen(request), false, response, sizeof response);
		ck_assert_msg(strstr(response, exchanges[i].expected) != NULL, "%s gets %s", request, response);
	}
	web_close(&web);
}
END_TEST

/* A body that ends too early is never handled as complete. */
START_TEST(a_truncated_body_gets_400)
{
	static const char *const requests[] = {
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 50\r\n\r\nhello",
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
	};
	static char response[8192];
	struct web web;

	web_open(&web, handle, NULL);
	for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
		(void)exchange(&web, requests[i], strlen(requests[i]), true, response, sizeof response);
		ck_assert_msg(web_status(response) == 400, "%s", response);
	}
	web_close(&web);
}
END_TEST

/* The worker is stopped until the input is there: this process could be slower than the time limit. */
START_TEST(a_slow_header_gets_408_and_a_silent_client_nothing)
{
	const char *const settings[] = { "--header-timeout", "200ms", NULL };
	static char response[8192];
	siginfo_t stopped;
	struct web web;

	web_open(&web, handle, settings);
	harness_signal(&web.harness, SIGSTOP);
	ck_assert_int_eq(waitid(P_PID, (id_t)web.harness.child.pid, &stopped, WSTOPPED), 0);
	const int fd = web_request(&web, "GET / HT", 8);
	harness_await_acknowledged(fd);
	harness_signal(&web.harness, SIGCONT);
	(void)web_read_all(fd, response, sizeof response);
	ck_assert_int_eq(web_status(response), 408);
	ck_assert_uint_eq(exchange(&web, "", 0, false, response, sizeof response), 0); /* no byte sent: no response */
	web_close(&web);
}
END_TEST

START_TEST(a_slow_body_gets_408)
{
	static const char half[] = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf";
	const char *const settings[] = { "--body-timeout", "200ms", NULL };
	static char response[8192];
	struct web web;

	web_open(&web, handle, settings);
	(void)exchange(&web, half, sizeof half - 1, false, response, sizeof response);
	ck_assert_int_eq(web_status(response), 408);
	web_close(&web);
}
END_TEST

int main(void)
{
	violations = read_cases(TABLES "/violations.txt");
	oddities = read_cases(TABLES "/oddities.txt");

	Suite *suite = suite_create("http");
	TCase *tc = tcase_create("sync");
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, every_violation_gets_its_status_and_a_close);
	tcase_add_test(tc, every_oddity_gets_200);
	tcase_add_test(tc, a_response_has_the_right_bytes);
	tcase_add_test(tc, a_truncated_body_gets_400);
	tcase_add_test(tc, a_slow_header_gets_408_and_a_silent_client_nothing);
	tcase_add_test(tc, a_slow_body_gets_408);
	suite_add_tcase(suite, tc);

	const int status = run_suite(suite);
	free_cases(&violations);
	free_cases(&oddities);
	return status;
}
