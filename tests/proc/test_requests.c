/* What a handler sees of a request, and which requests the library answers by itself. */
#include "../support.h"

#include "web.h"

#include <prefork/error.h>
#include <prefork/service.h>

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static char request[700000];
static char answer[65536];

static const char *value_of(const struct prefork_request *asked, const char *name)
{
	const char *const value = prefork_request_header(asked, name, NULL);

	return value != NULL ? value : "-";
}

static int response(struct prefork_request *asked, const char *text)
{
	(void)prefork_response_start(asked, 200, NULL);
	return prefork_response_bytes(asked, text, strlen(text));
}

/* Tells how long the body was said to be, and by which fields, and how long it was. */
static int tell_length(struct prefork_request *asked, void *user)
{
	char bytes[4096], text[256];
	const long long said = prefork_request_content_length(asked);
	const size_t fields = prefork_request_header_count(asked);
	size_t length = 0;
	ptrdiff_t n;

	(void)user;
	while ((n = prefork_request_read(asked, bytes, sizeof bytes)) > 0)
		length += (size_t)n;
	(void)snprintf(text, sizeof text, "said=%lld,%s,%s,%s fields=%zu read=%zu %s", said,
	               value_of(asked, "Content-Length"), value_of(asked, "Transfer-Encoding"),
	               value_of(asked, "Host"), fields, length, prefork_request_target(asked, NULL));
	return n < 0 ? (int)n : response(asked, text);
}

/* A request whose body of `length` bytes comes in chunks of 4000, with a trailer. Its size. */
static size_t put_chunked(char *to, const char *target, const char *fields, size_t length)
{
	char *at = to + sprintf(to, "POST %s HTTP/1.1\r\nHost: h\r\n%sTransfer-Encoding: chunked\r\nLast: 1\r\n\r\n",
	                        target, fields);

	for (size_t size; length > 0; length -= size) {
		size = length < 4000 ? length : 4000;
		at += sprintf(at, "%zx;a=b\r\n", size);
		memset(at, 'x', size);
		at += size;
		at += sprintf(at, "\r\n");
	}
	at += sprintf(at, "0\r\nSum: 1\r\n\r\n");
	return (size_t)(at - to);
}

static const size_t lengths[] = { 0, 1, 3999, 5000, 300000 };

/* Pipelined: what stands behind the body stays where it belongs. */
START_TEST(a_chunked_body_that_was_collected_has_a_length)
{
	static const char *const settings[] = { "--keep-alive", "5", "--body-memory", "64k", NULL };
	const size_t length = lengths[_i];
	char expected[128];
	struct web web;

	web_open(&web, tell_length, settings);
	size_t size = put_chunked(request, "/first", "", length);
	size += put_chunked(request + size, "http://other/second", "Connection: close\r\n", length);
	(void)web_read_all(web_ask(&web, request, size), answer, sizeof answer);
	(void)snprintf(expected, sizeof expected, "said=%zu,%zu,-,h fields=3 read=%zu /first", length, length, length);
	ck_assert_msg(strstr(answer, expected) != NULL, "%s", answer);
	(void)snprintf(expected, sizeof expected, "said=%zu,%zu,-,other fields=4 read=%zu http://other/second", length,
	               length, length);
	ck_assert_msg(strstr(answer, expected) != NULL, "%s", answer);
	web_close(&web);
}
END_TEST

static int tell_streamed(struct prefork_request *asked, void *user)
{
	web_counts(asked)->noted[0] = prefork_worker_may_block(prefork_request_worker(asked));
	return tell_length(asked, user);
}

/* Because it is to be, or because no more of it can be kept. */
START_TEST(a_body_that_is_streamed_has_none)
{
	static const char *const settings[][5] = {
		{ "--stream-uploads", NULL }, { "--spool-limit", "0", "--body-memory", "4k", NULL },
	};
	struct web web;

	web_open(&web, tell_streamed, settings[_i]);
	const size_t size = put_chunked(request, "/", "Connection: close\r\n", 30000);
	(void)web_read_all(web_ask(&web, request, size), answer, sizeof answer);
	const char *const expected = web.counts->noted[0] ? "said=-1,-,chunked,h fields=4 read=30000" :
	                                                    "said=30000,30000,-,h fields=4 read=30000";
	if (web.counts->handled > 0) /* in an event loop without threads it may be too large to be collected */
		ck_assert_msg(strstr(answer, expected) != NULL, "%s", answer);
	web_close(&web);
}
END_TEST

/* Whatever the settings allow for the whole line. */
START_TEST(a_header_name_of_any_length_is_read_or_refused)
{
	static const char *const settings[] = { "--limit-request-field-size", "100000", "--limit-request-head", "1m", NULL };
	static const struct {
		size_t length;
		int status;
	} names[] = { { 8192, 200 }, { 8193, 431 }, { 90000, 431 } };
	struct web web;

	web_open(&web, tell_length, settings);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		char *at = request + sprintf(request, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n");

		memset(at, 'n', names[i].length);
		at += names[i].length;
		at += sprintf(at, ": v\r\n\r\n");
		(void)web_read_all(web_ask(&web, request, (size_t)(at - request)), answer, sizeof answer);
		ck_assert_int_eq(web_status(answer), names[i].status);
	}
	web_close(&web);
}
END_TEST

static int tell_method(struct prefork_request *asked, void *user)
{
	char text[128];

	(void)user;
	(void)snprintf(text, sizeof text, "%s %s", prefork_request_method(asked, NULL), prefork_request_target(asked, NULL));
	return response(asked, text);
}

static const struct {
	const char *settings[3];
	const char *line;
	const char *expected; /* in the answer */
} lines[] = {
	{ { NULL }, "get /", "HTTP/1.1 501 " },
	{ { "--permit-unconventional-http-method", NULL }, "get /", "\r\n\r\nget /" },
	{ { "--permit-unconventional-http-method", NULL }, "head /", "\r\n\r\nhead /" }, /* with a body: it is no HEAD */
	{ { "--permit-unconventional-http-method", NULL }, "connect h:1", "HTTP/1.1 400 " },
	{ { "--casefold-http-method", NULL }, "poSt /x", "\r\n\r\nPOST /x" },
	{ { "--casefold-http-method", NULL }, "options *", "\r\n\r\nOPTIONS *" },
	{ { "--casefold-http-method", NULL }, "head /", "Content-Length: 6\r\n" },
	{ { "--casefold-http-method", NULL }, "connect h:1", "HTTP/1.1 501 " },
	{ { "--casefold-http-method", NULL }, "g#t /", "HTTP/1.1 501 " },
	{ { "--casefold-http-method", "--permit-unconventional-http-method", NULL }, "g#t /", "\r\n\r\nG#T /" },
	{ { NULL }, "CONNECT h:1", "HTTP/1.1 501 " },
	{ { NULL }, "CONNECT /", "HTTP/1.1 400 " },
};

START_TEST(a_method_reaches_the_handler_as_the_settings_say)
{
	struct web web;

	web_open(&web, tell_method, lines[_i].settings);
	const int size = sprintf(request, "%s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", lines[_i].line);
	(void)web_read_all(web_ask(&web, request, (size_t)size), answer, sizeof answer);
	ck_assert_msg(strstr(answer, lines[_i].expected) != NULL, "%s gets %s", lines[_i].line, answer);
	if (strncmp(lines[_i].line, "head", 4) == 0 && lines[_i].settings[0][2] == 'c')
		ck_assert_str_eq(strstr(answer, "\r\n\r\n"), "\r\n\r\n");
	web_close(&web);
}
END_TEST

START_TEST(connect_is_refused_unless_the_application_enables_it)
{
	static const char bytes[] = "CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n";
	const struct prefork_http_service service = {
		.struct_size = sizeof service, .handle = tell_method, .traits = PREFORK_HTTP_CONNECT,
	};
	struct web web;

	web_open_service(&web, &service, NULL);
	(void)web_read_all(web_ask(&web, bytes, sizeof bytes - 1), answer, sizeof answer);
	ck_assert_msg(strstr(answer, "\r\n\r\nCONNECT h:1") != NULL, "%s", answer);
	web_close(&web);
}
END_TEST

static int break_down(struct prefork_request *asked, void *user)
{
	(void)asked;
	(void)user;
	return PREFORK_EAPP;
}

/* JSON, as large as the header X-Size says; and what is refused is said in the body. */
static void write_json(struct prefork_error_page *score, struct prefork_request *asked, void *user)
{
	static char body[100000];
	const char *const detail = prefork_error_page_detail(score);
	const char *const size = asked != NULL ? prefork_request_header(asked, "X-Size", NULL) : NULL;
	int r[4];

	(void)user;
	r[0] = prefork_error_page_field(score, "Content-Length", "1");
	r[1] = prefork_error_page_field(score, "X-A", "b\r\nX-C: d");
	r[2] = prefork_error_page_body(score, "a\nb", "x", 1);
	r[3] = prefork_error_page_body(score, "a/b", body, 1024 * 1024 + 1);
	int length = snprintf(body, sizeof body, "{\"status\":%d,\"why\":\"%s\",\"target\":\"%s\",\"refused\":%d}",
	                      prefork_error_page_status(score), detail != NULL ? detail : "",
	                      asked != NULL ? prefork_request_target(asked, NULL) : "",
	                      r[0] == -EPERM && r[1] == -EINVAL && r[2] == -EINVAL && r[3] == -E2BIG);
	for (const int wanted = size != NULL ? atoi(size) : 0; length < wanted; length++)
		body[length] = ' ';
	(void)prefork_error_page_field(score, "X-Error", "yes");
	(void)prefork_error_page_body(score, "application/json", body, (size_t)length);
}

static void add_field_only(struct prefork_error_page *score, struct prefork_request *asked, void *user)
{
	(void)asked;
	(void)user;
	(void)prefork_error_page_field(score, "Retry-After", "7");
}

static const struct {
	const char *bytes;
	const char *begin, *end; /* of the answer */
} scoreboard[] = {
	{ "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\nDate: ",
	  "\r\nX-Error: yes\r\n\r\n{\"status\":400,\"why\":\"Host is missing\",\"target\":\"\",\"refused\":1}" },
	{ "G@\r\n", "HTTP/1.1 400 Bad Request\r\nDate: ", "\"target\":\"\",\"refused\":1}" },
	{ "GET /x HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 500 Internal Server Error\r\nDate: ",
	  "\r\n\r\n{\"status\":500,\"why\":\"\",\"target\":\"/x\",\"refused\":1}" },
	{ "GET /x HTTP/1.1\r\nHost: h\r\nX-Size: 90000\r\n\r\n", "HTTP/1.1 500 Internal Server Error\r\nDate: ",
	  "          " },
	{ "HEAD /x HTTP/1.1\r\nHost: h\r\nX-Size: 90000\r\n\r\n", "HTTP/1.1 500 Internal Server Error\r\nDate: ",
	  "\r\nContent-Type: application/json\r\nContent-Length: 90000\r\nX-Error: yes\r\n\r\n" },
	{ "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2000\r\n\r\n", "HTTP/1.1 413 ", ",\"refused\":1}" },
};

START_TEST(the_application_sets_the_content_of_error_pages)
{
	static const char *const settings[] = { "--limit-request-body", "1000", NULL };
	static char whole[200000];
	const struct prefork_http_service service = {
		.struct_size = sizeof service, .handle = break_down, .error_page = write_json,
	};
	struct web web;

	web_open_service(&web, &service, settings);
	const size_t got = web_read_all(web_ask(&web, scoreboard[_i].bytes, strlen(scoreboard[_i].bytes)), whole, sizeof whole);
	const size_t end = strlen(scoreboard[_i].end);
	ck_assert_msg(strncmp(whole, scoreboard[_i].begin, strlen(scoreboard[_i].begin)) == 0, "%.300s", whole);
	ck_assert_msg(strcmp(whole + got - end, scoreboard[_i].end) == 0, "%.300s", whole);
	ck_assert_ptr_null(strstr(whole, "html"));
	web_close(&web);
}
END_TEST

START_TEST(an_error_page_may_only_have_other_fields)
{
	static const char bytes[] = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
	const struct prefork_http_service service = {
		.struct_size = sizeof service, .handle = break_down, .error_page = add_field_only,
	};
	struct web web;

	web_open_service(&web, &service, NULL);
	(void)web_read_all(web_ask(&web, bytes, sizeof bytes - 1), answer, sizeof answer);
	ck_assert_msg(strstr(answer, "\r\nRetry-After: 7\r\n\r\n<!DOCTYPE html>") != NULL, "%s", answer);
	web_close(&web);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("requests");
	TCase *tc = new_case(suite, "requests");

	tcase_add_loop_test(tc, a_chunked_body_that_was_collected_has_a_length, 0, sizeof lengths / sizeof lengths[0]);
	tcase_add_loop_test(tc, a_body_that_is_streamed_has_none, 0, 2);
	tcase_add_test(tc, a_header_name_of_any_length_is_read_or_refused);
	tcase_add_loop_test(tc, a_method_reaches_the_handler_as_the_settings_say, 0, sizeof lines / sizeof lines[0]);
	tcase_add_test(tc, connect_is_refused_unless_the_application_enables_it);
	tcase_add_loop_test(tc, the_application_sets_the_content_of_error_pages, 0, sizeof scoreboard / sizeof scoreboard[0]);
	tcase_add_test(tc, an_error_page_may_only_have_other_fields);
	return run_suite(suite);
}
