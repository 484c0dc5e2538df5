/* The requests that a handler gets, and those to which the library responds by itself. */
#include "../support.h"

#include "web.h"

#include <prefork/error.h>
#include <prefork/service.h>

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static char input[700000];
static char response[65536];

static const char *value_of(const struct prefork_request *request, const char *name)
{
	const char *const value = prefork_request_header(request, name, NULL);

	return value != NULL ? value : "-";
}

static int send_text(struct prefork_request *request, const char *text)
{
	(void)prefork_response_start(request, 200, NULL);
	return prefork_response_bytes(request, text, strlen(text));
}

/* Responds with the length that the request announces, the fields that announce it, and the length read. */
static int send_length(struct prefork_request *request, void *user)
{
	char bytes[4096], text[256];
	const long long announced = prefork_request_content_length(request);
	const size_t fields = prefork_request_header_count(request);
	size_t length = 0;
	ptrdiff_t n;

	(void)user;
	while ((n = prefork_request_read(request, bytes, sizeof bytes)) > 0)
		length += (size_t)n;
	(void)snprintf(text, sizeof text, "announced=%lld,%s,%s,%s fields=%zu read=%zu %s", announced,
	               value_of(request, "Content-Length"), value_of(request, "Transfer-Encoding"),
	               value_of(request, "Host"), fields, length, prefork_request_target(request, NULL));
	return n < 0 ? (int)n : send_text(request, text);
}

/* Writes a request with a body of `length` bytes in chunks of 4000, and a trailer. Returns its size. */
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

/* Pipelined: the bytes after the body belong to the next request. */
START_TEST(a_collected_chunked_body_has_a_length)
{
	static const char *const settings[] = { "--keep-alive", "5", "--body-memory", "64k", NULL };
	const size_t length = lengths[_i];
	char expected[128];
	struct web web;

	web_open(&web, send_length, settings);
	size_t size = put_chunked(input, "/first", "", length);
	size += put_chunked(input + size, "http://other/second", "Connection: close\r\n", length);
	(void)web_read_all(web_request(&web, input, size), response, sizeof response);
	(void)snprintf(expected, sizeof expected, "announced=%zu,%zu,-,h fields=3 read=%zu /first", length, length, length);
	ck_assert_msg(strstr(response, expected) != NULL, "%s", response);
	(void)snprintf(expected, sizeof expected, "announced=%zu,%zu,-,other fields=4 read=%zu http://other/second", length,
	               length, length);
	ck_assert_msg(strstr(response, expected) != NULL, "%s", response);
	web_close(&web);
}
END_TEST

static int send_streamed(struct prefork_request *request, void *user)
{
	web_counts(request)->noted[0] = prefork_worker_may_block(prefork_request_worker(request));
	return send_length(request, user);
}

/* Because of a setting, or because no more of it can be stored. */
START_TEST(a_streamed_chunked_body_has_no_length)
{
	static const char *const settings[][5] = {
		{ "--stream-uploads", NULL }, { "--spool-limit", "0", "--body-memory", "4k", NULL },
	};
	struct web web;

	web_open(&web, send_streamed, settings[_i]);
	const size_t size = put_chunked(input, "/", "Connection: close\r\n", 30000);
	(void)web_read_all(web_request(&web, input, size), response, sizeof response);
	const char *const expected = web.counts->noted[0] ? "announced=-1,-,chunked,h fields=4 read=30000" :
	                                                    "announced=30000,30000,-,h fields=4 read=30000";
	if (web.counts->handled > 0) /* in an event loop without threads, it is refused if it is too large to be collected */
		ck_assert_msg(strstr(response, expected) != NULL, "%s", response);
	web_close(&web);
}
END_TEST

/* Independent of the limit for the whole line. */
START_TEST(a_header_name_of_any_length_is_read_or_refused)
{
	static const char *const settings[] = { "--limit-request-field-size", "100000", "--limit-request-head", "1m", NULL };
	static const struct {
		size_t length;
		int status;
	} names[] = { { 8192, 200 }, { 8193, 431 }, { 90000, 431 } };
	struct web web;

	web_open(&web, send_length, settings);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		char *at = input + sprintf(input, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n");

		memset(at, 'n', names[i].length);
		at += names[i].length;
		at += sprintf(at, ": v\r\n\r\n");
		(void)web_read_all(web_request(&web, input, (size_t)(at - input)), response, sizeof response);
		ck_assert_int_eq(web_status(response), names[i].status);
	}
	web_close(&web);
}
END_TEST

static int send_method(struct prefork_request *request, void *user)
{
	char text[128];

	(void)user;
	(void)snprintf(text, sizeof text, "%s %s", prefork_request_method(request, NULL), prefork_request_target(request, NULL));
	return send_text(request, text);
}

static const struct {
	const char *settings[3];
	const char *line;
	const char *expected; /* in the response */
} lines[] = {
	{ { NULL }, "get /", "HTTP/1.1 501 " },
	{ { "--permit-unconventional-http-method", NULL }, "get /", "\r\n\r\nget /" },
	{ { "--permit-unconventional-http-method", NULL }, "head /", "\r\n\r\nhead /" }, /* with a body: "head" is not HEAD */
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

	web_open(&web, send_method, lines[_i].settings);
	const int size = sprintf(input, "%s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", lines[_i].line);
	(void)web_read_all(web_request(&web, input, (size_t)size), response, sizeof response);
	ck_assert_msg(strstr(response, lines[_i].expected) != NULL, "%s gets %s", lines[_i].line, response);
	if (strncmp(lines[_i].line, "head", 4) == 0 && lines[_i].settings[0][2] == 'c')
		ck_assert_str_eq(strstr(response, "\r\n\r\n"), "\r\n\r\n");
	web_close(&web);
}
END_TEST

/* The response of `service` to `bytes` has `part`. */
static void expect_response(const struct prefork_http_service *service, const char *bytes, const char *part)
{
	struct web web;

	web_open_service(&web, service, NULL);
	(void)web_read_all(web_request(&web, bytes, strlen(bytes)), response, sizeof response);
	ck_assert_msg(strstr(response, part) != NULL, "%s", response);
	web_close(&web);
}

START_TEST(connect_is_refused_unless_the_application_enables_it)
{
	const struct prefork_http_service service = {
		.struct_size = sizeof service, .handle = send_method, .traits = PREFORK_HTTP_CONNECT,
	};

	expect_response(&service, "CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", "\r\n\r\nCONNECT h:1");
}
END_TEST

static int fail_handler(struct prefork_request *request, void *user)
{
	(void)request;
	(void)user;
	return PREFORK_EAPP;
}

/* JSON, padded to the size in the field X-Size. The member "refused" is 1 if the invalid calls were refused. */
static void write_json(struct prefork_error_page *page, struct prefork_request *request, void *user)
{
	static char body[100000];
	const char *const detail = prefork_error_page_detail(page);
	const char *const size = request != NULL ? prefork_request_header(request, "X-Size", NULL) : NULL;
	int r[4];

	(void)user;
	r[0] = prefork_error_page_field(page, "Content-Length", "1");
	r[1] = prefork_error_page_field(page, "X-A", "b\r\nX-C: d");
	r[2] = prefork_error_page_body(page, "a\nb", "x", 1);
	r[3] = prefork_error_page_body(page, "a/b", body, 1024 * 1024 + 1);
	int length = snprintf(body, sizeof body, "{\"status\":%d,\"why\":\"%s\",\"target\":\"%s\",\"refused\":%d}",
	                      prefork_error_page_status(page), detail != NULL ? detail : "",
	                      request != NULL ? prefork_request_target(request, NULL) : "",
	                      r[0] == -EPERM && r[1] == -EINVAL && r[2] == -EINVAL && r[3] == -E2BIG);
	for (const int wanted = size != NULL ? atoi(size) : 0; length < wanted; length++)
		body[length] = ' ';
	(void)prefork_error_page_field(page, "X-Error", "yes");
	(void)prefork_error_page_body(page, "application/json", body, (size_t)length);
}

static void add_field_only(struct prefork_error_page *page, struct prefork_request *request, void *user)
{
	(void)request;
	(void)user;
	(void)prefork_error_page_field(page, "Retry-After", "7");
}

#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

static const struct {
	const char *bytes;
	const char *begin, *end; /* of the response */
	const char *header_timeout; /* NULL: the default */
} error_pages[] = {
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
	{ "GET /" HUNDRED " HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 414 ", ",\"refused\":1}" },
	{ "GET / HTTP/1.1\r\nHost: h\r\nExpect: patience\r\n\r\n", "HTTP/1.1 417 ", ",\"refused\":1}" },
	{ "GET / HTTP/1.1\r\nHost: h\r\nX: " HUNDRED HUNDRED "\r\n\r\n", "HTTP/1.1 431 ", ",\"refused\":1}" },
	{ "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: x\r\n\r\n", "HTTP/1.1 501 ", ",\"refused\":1}" },
	{ "GET / HTTP/2.0\r\nHost: h\r\n\r\n", "HTTP/1.1 505 ", ",\"refused\":1}" },
	{ "GET / HTTP/1.1\r\nHost: h\r\n", "HTTP/1.1 408 ", "{\"status\":408,\"why\":\"the header took too long\",\"target\":\"\",\"refused\":1}", "300ms" },
};

START_TEST(the_application_sets_the_content_of_error_pages)
{
	const char *const settings[] = { "--limit-request-body", "1000", "--limit-request-line", "100",
	                                 "--limit-request-field-size", "200",
	                                 error_pages[_i].header_timeout ? "--header-timeout" : NULL,
	                                 error_pages[_i].header_timeout, NULL };
	static char whole[200000];
	const struct prefork_http_service service = {
		.struct_size = sizeof service, .handle = fail_handler, .error_page = write_json,
	};
	struct web web;

	web_open_service(&web, &service, settings);
	const size_t got = web_read_all(web_request(&web, error_pages[_i].bytes, strlen(error_pages[_i].bytes)), whole, sizeof whole);
	const size_t end = strlen(error_pages[_i].end);
	ck_assert_msg(strncmp(whole, error_pages[_i].begin, strlen(error_pages[_i].begin)) == 0, "%.300s", whole);
	ck_assert_msg(strcmp(whole + got - end, error_pages[_i].end) == 0, "%.300s", whole);
	ck_assert_ptr_null(strstr(whole, "html"));
	web_close(&web);
}
END_TEST

START_TEST(an_error_page_may_add_fields_to_the_default_body)
{
	const struct prefork_http_service service = {
		.struct_size = sizeof service, .handle = fail_handler, .error_page = add_field_only,
	};

	expect_response(&service, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "\r\nRetry-After: 7\r\n\r\n<!DOCTYPE html>");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("requests");
	TCase *tc = new_case(suite, "requests");

	tcase_add_loop_test(tc, a_collected_chunked_body_has_a_length, 0, sizeof lengths / sizeof lengths[0]);
	tcase_add_loop_test(tc, a_streamed_chunked_body_has_no_length, 0, 2);
	tcase_add_test(tc, a_header_name_of_any_length_is_read_or_refused);
	tcase_add_loop_test(tc, a_method_reaches_the_handler_as_the_settings_say, 0, sizeof lines / sizeof lines[0]);
	tcase_add_test(tc, connect_is_refused_unless_the_application_enables_it);
	tcase_add_loop_test(tc, the_application_sets_the_content_of_error_pages, 0, sizeof error_pages / sizeof error_pages[0]);
	tcase_add_test(tc, an_error_page_may_add_fields_to_the_default_body);
	return run_suite(suite);
}
