/* The format of the access log: a table of formats with the expected lines, and of invalid formats. */
#include "../support.h"

#include "http/access_format.h"
#include "http/access_text.h"
#include "http/basic.h"
#include "http/date.h"

#include <prefork/error.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct pfi_limits limits = PFI_LIMITS_DEFAULT;

static const char get[] = "GET /a%20b?c=\"d\" HTTP/1.1\r\nHost: h\r\nUser-Agent: two words\r\nReferer: http://r/\"x\r\n"
                          "Authorization: Basic Ym9iOnNlY3JldA==\r\nX-Id: 7\r\nX-Raw: a\tb\xff\xc3\xa9\\\r\n"
                          "Content-Type: text/x\r\n\r\n";
static const char bare[] = "OPTIONS * HTTP/1.0\r\n\r\n";
static const char broken[] = "GET /\x1b[2J \"x\" HTTP/1.1\r\nBad\r\n";
static const char response[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nSet-Cookie: a=\"b\"\r\nEmpty: \r\n\r\n";

static char *variable(const char *name)
{
	static char value[] = "v\"1\n";

	return strcmp(name, "DEPLOY") == 0 ? value : NULL;
}

static const struct {
	const char *request; /* NULL: `get` */
	const char *format;
	const char *line;
} lines[] = {
	{ NULL, "", "" },
	{ NULL, "plain", "plain" },
	{ NULL, "100%%%%", "100%%" },
	{ NULL, "%(h)s", "10.0.0.9" },
	{ NULL, "%(l)s", "-" },
	{ NULL, "%(u)s", "bob" },
	{ NULL, "%(t)s", "[21/Nov/2026:12:00:00 +0000]" },
	{ NULL, "%(r)s", "GET /a%20b?c=\\\"d\\\" HTTP/1.1" },
	{ NULL, "%(s)s", "200" },
	{ NULL, "%(m)s", "GET" },
	{ NULL, "%(U)s", "/a%20b" },
	{ NULL, "%(q)s", "c=\\\"d\\\"" },
	{ NULL, "%(H)s", "HTTP/1.1" },
	{ NULL, "%(B)s %(b)s", "12345 12345" },
	{ NULL, "\"%(f)s\" \"%(a)s\"", "\"http://r/\\\"x\" \"two words\"" },
	{ NULL, "%(T)s %(M)s %(D)s %(L)s", "1 1002 1002003 1.002003" },
	{ NULL, "%(p)s", "<4711>" },
	{ NULL, "%({X-Id}i)s %({x-id}i)s %({X-ID}i)s", "7 7 7" },
	{ NULL, "%({X-Raw}i)s", "a\\tb\\xff\xc3\xa9\\\\" },
	{ NULL, "%({Missing}i)s", "-" },
	{ NULL, "%({Content-Type}o)s %({set-cookie}o)s", "text/plain a=\\\"b\\\"" },
	{ NULL, "%({Empty}o)s %({Missing}o)s %({Content}o)s", "- - -" },
	{ NULL, "%({REMOTE_ADDR}e)s %({REQUEST_METHOD}e)s %({RAW_URI}e)s", "10.0.0.9 GET /a%20b?c=\\\"d\\\"" },
	{ NULL, "%({QUERY_STRING}e)s %({HTTP_X_ID}e)s %({CONTENT_TYPE}e)s", "c=\\\"d\\\" 7 text/x" },
	{ NULL, "%({wsgi.url_scheme}e)s %({REMOTE_PORT}e)s %({SERVER_NAME}e)s %({SERVER_PORT}e)s", "https 4321 ::1 8000" },
	{ NULL, "%({remote_addr}e)s %({http_x_id}e)s %({WSGI.Url_Scheme}e)s %({wsgi.version}e)s", "10.0.0.9 7 https (1, 0)" },
	{ NULL, "%({DEPLOY}e)s %({NOT_SET}e)s", "v\\\"1\\n -" },
	{ NULL, "{\"status\": %(s)s}", "{\"status\": 200}" },
	{ bare, "%(r)s|%(u)s|%(q)s|%(f)s|%(a)s|%({X-Id}i)s", "OPTIONS * HTTP/1.0|-||-|-|-" },
	{ broken, "%(r)s", "GET /\\x1b[2J \\\"x\\\" HTTP/1.1" },
	{ broken, "%(m)s %(U)s %(q)s %(H)s %(u)s %({Host}i)s", "- - - - - -" },
	{ "\r\nFOO", "%(r)s", "FOO" },
	{ "\r\n\r\n", "%(r)s", "-" },
};

static void expect_line(const char *text, const struct pfi_access_facts *facts, const char *expected)
{
	struct pfi_access_format *format = NULL;
	struct pfi_text line;
	char buffer[256];

	ck_assert_msg(pfi_access_compile(text, variable, &format) == 0, "%s", prefork_error());
	pfi_text_init(&line, buffer, sizeof buffer);
	pfi_access_render(format, facts, &line);
	ck_assert_str_eq(buffer, expected);
	pfi_access_format_destroy(format);
}

START_TEST(a_line_has_the_atoms_of_the_format)
{
	const char *const request = lines[_i].request != NULL ? lines[_i].request : get;
	struct pfi_field fields[100];
	struct pfi_head head;

	pfi_head_start(&head, fields, &limits);
	const bool complete = pfi_head_feed(&head, request, strlen(request)) == PFI_DONE;
	const struct pfi_access_facts facts = {
		.bytes = request, .length = strlen(request), .head = complete ? &head : NULL,
		.peer = "10.0.0.9", .peer_port = 4321, .server = "[::1]:8000", .is_secure = true,
		.status = 200, .sent = 12345, .response = response, .response_length = sizeof response - 1,
		.time = "[21/Nov/2026:12:00:00 +0000]", .time_length = PFI_DATE_LOG_LENGTH, .took_us = 1002003, .pid = 4711,
	};

	expect_line(lines[_i].format, &facts, lines[_i].line);
}
END_TEST

/* A complete line, and one with unknown values. */
START_TEST(a_line_of_json_has_every_member)
{
	static const char whole[] =
		"{\"time\":\"2026-11-21T12:00:00+00:00\",\"client\":\"10.0.0.9\",\"user\":\"bob\",\"host\":\"h\","
		"\"method\":\"GET\",\"target\":\"/a%20b?c=\\\"d\\\"\",\"protocol\":\"HTTP/1.1\",\"status\":200,"
		"\"bytes\":12345,\"duration_us\":1002003,\"referer\":\"http://r/\\\"x\",\"user_agent\":\"two words\","
		"\"pid\":4711}";
	static const char incomplete[] =
		"{\"time\":\"2026-11-21T12:00:00+00:00\",\"client\":null,\"user\":null,\"host\":null,\"method\":null,"
		"\"target\":null,\"protocol\":null,\"status\":400,\"bytes\":0,\"duration_us\":0,\"referer\":null,"
		"\"user_agent\":null,\"pid\":1,\"line\":\"GET /\\u001b[2J \\\"x\\\" HTTP/1.1\"}";
	struct pfi_field fields[100];
	struct pfi_head head;
	struct pfi_access_format *format = NULL;
	struct pfi_text line;
	char buffer[1024];
	struct pfi_access_facts facts = {
		.bytes = get, .length = sizeof get - 1, .head = &head, .peer = "10.0.0.9", .status = 200, .sent = 12345,
		.time = "2026-11-21T12:00:00+00:00", .time_length = PFI_DATE_ISO_LENGTH, .took_us = 1002003, .pid = 4711,
	};

	pfi_head_start(&head, fields, &limits);
	ck_assert_int_eq(pfi_head_feed(&head, get, sizeof get - 1), PFI_DONE);
	ck_assert_int_eq(pfi_access_compile("json", variable, &format), 0);
	ck_assert(pfi_access_is_json(format));
	pfi_text_init(&line, buffer, sizeof buffer);
	pfi_access_render(format, &facts, &line);
	ck_assert_str_eq(buffer, whole);

	facts = (struct pfi_access_facts){ .bytes = broken, .length = sizeof broken - 1, .peer = "", .status = 400,
		                           .time = facts.time, .time_length = facts.time_length, .pid = 1 };
	pfi_text_init(&line, buffer, sizeof buffer);
	pfi_access_render(format, &facts, &line);
	ck_assert_str_eq(buffer, incomplete);
	pfi_access_format_destroy(format);
}
END_TEST

static const struct {
	const char *bytes;
	size_t length;
	const char *text;
} strings[] = {
	{ NULL, 0, "null" },
	{ "", 0, "\"\"" },
	{ "plain", 5, "\"plain\"" },
	{ "a\"b\\c", 5, "\"a\\\"b\\\\c\"" },
	{ "\n\r\t\x1b\x7f", 5, "\"\\u000a\\u000d\\u0009\\u001b\\u007f\"" },
	{ "\0", 1, "\"\\u0000\"" },
	{ "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9, "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"" },
	{ "\xff\xc3", 2, "\"\\\\xff\\\\xc3\"" },
	{ "\xc2\x9b\xe2\x80\xa8\xe2\x80\xae\xe2\x81\xa6", 11, "\"\\u009b\\u2028\\u202e\\u2066\"" },
};

START_TEST(any_bytes_make_a_valid_json_string)
{
	struct pfi_text line;
	char buffer[128];

	pfi_text_init(&line, buffer, sizeof buffer);
	pfi_access_add_json(&line, strings[_i].bytes, strings[_i].length);
	ck_assert_str_eq(buffer, strings[_i].text);
}
END_TEST

static const struct {
	const char *format;
	unsigned target, agent;  /* their lengths                    */
	const char *repeated;    /* repeated to those lengths        */
	const char *begin, *end; /* of the line                      */
	size_t least;            /* minimum length of the line         */
} long_lines[] = {
	{ "%(r)s %(s)s %(a)s.", 4070, 10, "0", "GET /000", "... HTTP/1.1 200 0000000000.", 4090 },
	{ "%(r)s %(s)s %(a)s.", 10, 1050, "\xff", "GET /0000000000 HTTP/1.1 200 \\xff\\xff", "\\xff....", 4086 },
	{ "%(r)s %(s)s \"%(a)s\"", 8000, 8000, "\"", "GET /\\\"\\\"", "\\\"...\"", 4080 },
	{ "%(a)s|%({User-Agent}i)s|%(a)s|%(B)s", 10, 3000, "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80",
	  "\xf0\x9f\x98\x80...|12345", 4080 },
	{ "json", 8000, 10, "0", "{\"time\":\"\"", "\"user_agent\":\"0000000000\",\"pid\":1}", 4088 },
	{ "json", 10, 8000, "\xff", "{\"time\":\"\"", "\\\\xff...\",\"pid\":1}", 4080 },
	{ "json", 8000, 8000, "\x01", "{\"time\":\"\"", "\\u0001...\",\"pid\":1}", 4080 },
};

static char *repeat(char *at, const char *what, size_t count)
{
	for (size_t i = 0; i < count; i++)
		at = stpcpy(at, what);
	return at;
}

/* Only texts of the client are shortened. */
START_TEST(a_line_that_is_too_long_has_shortened_values)
{
	static char request[100000], target[] = "GET /", rest[] = " HTTP/1.1\r\nHost: h\r\nUser-Agent: ";
	const char *const made_of = long_lines[_i].repeated;
	struct pfi_field fields[3];
	struct pfi_head head = { .fields = fields, .fields_count = 2, .minor = 1 };
	struct pfi_access_format *format = NULL;
	struct pfi_text line;
	char buffer[4095];
	char *at = stpcpy(request, target);

	at = repeat(at, long_lines[_i].target == 10 ? "0" : made_of, long_lines[_i].target);
	head.method = (struct pfi_span){ 0, 3 };
	head.target = (struct pfi_span){ 4, (uint32_t)(at - request - 4) };
	at = stpcpy(at, rest);
	const size_t agent = (size_t)(at - request);
	at = repeat(at, long_lines[_i].agent == 10 ? "0" : made_of, long_lines[_i].agent);
	fields[0] = (struct pfi_field){ .name = { (uint32_t)(agent - 12), 10 },
		                        .value = { (uint32_t)agent, (uint32_t)(at - request) - (uint32_t)agent } };
	head.seen = PFI_FIELD_BIT(PFI_FIELD_USER_AGENT);
	head.fields_count = 1;
	const struct pfi_access_facts facts = { .bytes = request, .length = (size_t)(at - request), .head = &head,
		                                .peer = "::1", .status = 200, .sent = 12345, .time = "", .pid = 1 };
	ck_assert_int_eq(pfi_access_compile(long_lines[_i].format, variable, &format), 0);
	pfi_text_init(&line, buffer, sizeof buffer);
	pfi_access_render(format, &facts, &line);
	ck_assert(!line.cut);
	ck_assert_uint_ge(line.length, long_lines[_i].least);
	ck_assert_msg(strncmp(buffer, long_lines[_i].begin, strlen(long_lines[_i].begin)) == 0, "%s", buffer);
	ck_assert_msg(strcmp(buffer + line.length - strlen(long_lines[_i].end), long_lines[_i].end) == 0, "%s", buffer);
	ck_assert(strstr(buffer, long_lines[_i].format[0] == 'j' ? "\"status\":200," : "|12345") != NULL ||
	          strstr(buffer, " HTTP/1.1 200 ") != NULL);
	pfi_access_format_destroy(format);
}
END_TEST

static const struct {
	const char *server, *request, *line;
} servers[] = {
	{ "127.0.0.1:80", bare, "127.0.0.1 80 http" },
	{ "[::]:443", bare, ":: 443 http" },
	{ "unix:/run/x:1", bare, "localhost 80 http" },
	{ "unix:@x", "GET / HTTP/1.1\r\nHost: example:81\r\n\r\n", "example 81 http" },
	{ "unix:@x", "GET / HTTP/1.1\r\nHost: [::2]\r\n\r\n", "::2 80 http" },
	{ "unix:@x", "GET / HTTP/1.1\r\nHost:\r\n\r\n", "localhost 80 http" },
};

START_TEST(the_server_name_equals_server_name_of_wsgi)
{
	const char *const request = servers[_i].request;
	struct pfi_field fields[100];
	struct pfi_head head;

	pfi_head_start(&head, fields, &limits);
	ck_assert_int_eq(pfi_head_feed(&head, request, strlen(request)), PFI_DONE);
	const struct pfi_access_facts facts = { .bytes = request, .length = strlen(request), .head = &head,
		                                .server = servers[_i].server, .peer = "", .time = "" };
	expect_line("%({SERVER_NAME}e)s %({SERVER_PORT}e)s %({REQUEST_SCHEME}e)s", &facts, servers[_i].line);
}
END_TEST

START_TEST(an_unknown_value_is_a_dash)
{
	const struct pfi_access_facts facts = {
		.bytes = "", .peer = "", .status = 408, .time = "[21/Nov/2026:12:00:00 +0000]", .time_length = PFI_DATE_LOG_LENGTH, .pid = 1,
	};

	expect_line("%(h)s %(r)s %(s)s %(b)s %(B)s %({A}o)s %(L)s", &facts, "- - 408 - 0 - 0.000000");
}
END_TEST

/* Any byte of a client: one line, and no unescaped quote. */
START_TEST(no_byte_of_a_client_ends_the_line_or_a_quoted_value)
{
	struct pfi_access_format *format = NULL;
	struct pfi_text line;
	char buffer[1024], value[3] = { 'x', (char)_i, 'x' };
	const struct pfi_access_facts facts = {
		.bytes = value, .length = sizeof value, .peer = "", .time = "", .response = value, .response_length = sizeof value,
	};

	ck_assert_int_eq(pfi_access_compile("%(r)s", variable, &format), 0);
	pfi_text_init(&line, buffer, sizeof buffer);
	pfi_access_render(format, &facts, &line);
	ck_assert_uint_ge(line.length, 1);
	for (size_t i = 0; i < line.length; i++) {
		ck_assert_msg((unsigned char)buffer[i] >= ' ' && buffer[i] != 0x7f, "byte 0x%02x gets through", (unsigned)_i);
		ck_assert_msg(buffer[i] != '"' || buffer[i - 1] == '\\', "a bare quote");
	}
	pfi_access_format_destroy(format);
}
END_TEST

START_TEST(a_line_that_exceeds_the_buffer_is_truncated)
{
	struct pfi_access_format *format = NULL;
	struct pfi_text line;
	char buffer[8];
	const struct pfi_access_facts facts = { .bytes = "0123456789", .length = 10, .peer = "", .time = "" };

	ck_assert_int_eq(pfi_access_compile("%(r)s", variable, &format), 0);
	pfi_text_init(&line, buffer, sizeof buffer);
	pfi_access_render(format, &facts, &line);
	ck_assert_str_eq(buffer, "0123...");
	ck_assert(!line.cut);
	pfi_access_format_destroy(format);
	ck_assert_int_eq(pfi_access_compile("too long %(r)s", variable, &format), 0);
	pfi_access_render(format, &facts, &line);
	ck_assert_str_eq(buffer, "too lon");
	ck_assert(line.cut);
	pfi_access_format_destroy(format);
}
END_TEST

static const struct {
	const char *format;
	const char *message; /* a part of it */
} refused[] = {
	{ "%", "column 1" },           { "ab%", "column 3" },          { "%h", "must be followed by" },
	{ "%(h", "lacks its )s" },     { "%(h)", "must end with )s" }, { "%(T)d", "must end with )s" },
	{ "%()s", "there is no %()s" }, { "%(z)s", "there is no %(z)s (column 1)" },
	{ "ok %(hh)s", "column 4" },   { "%({}i)s", "between { and }" },{ "%({a b}i)s", "column 1" },
	{ "%({a}x)s", "there is no" }, { "%({a)s", "there is no" },    { "a\nb", "control character at column 2" },
	{ "\x7f", "control character at column 1" },
	{ "%({a\"b}i)s", "between { and }" },
};

START_TEST(an_invalid_format_is_refused_with_the_column)
{
	struct pfi_access_format *format = NULL;

	ck_assert_int_eq(pfi_access_compile(refused[_i].format, variable, &format), -EINVAL);
	ck_assert_ptr_null(format);
	ck_assert_msg(strstr(prefork_error(), refused[_i].message) != NULL, "%s: %s", refused[_i].format,
	              prefork_error());
	ck_assert_msg(strncmp(prefork_error(), "access_log_format: ", 19) == 0, "%s", prefork_error());
}
END_TEST

static const struct {
	const char *value, *user;
} credentials[] = {
	{ "Basic Ym9iOnNlY3JldA==", "bob" },
	{ "bASIC   Ym9iOnNlY3JldA==", "bob" },
	{ "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin" },
	{ "Basic Ym9iOg==", "bob" },
	{ "Basic OnNlY3JldA==", "" },     /* ":secret" */
	{ "Basic Ym9i", "" },             /* "bob" without a colon */
	{ "Basic Ym9i*nNlY3JldA==", "" }, /* no base64 */
	{ "Basic ", "" },
	{ "Basic", "" },
	{ "", "" },
	{ "Bearer Ym9iOnNlY3JldA==", "" },
};

START_TEST(the_user_of_basic_credentials_is_found)
{
	const char *const value = credentials[_i].value;
	char user[64];
	const size_t length = pfi_basic_user(value, strlen(value), user, sizeof user);

	ck_assert_uint_eq(length, strlen(credentials[_i].user));
	ck_assert_int_eq(memcmp(user, credentials[_i].user, length), 0);
	ck_assert_uint_le(pfi_basic_user(value, strlen(value), user, 2), 2);
}
END_TEST

START_TEST(log_dates_equal_those_of_the_c_library_in_every_time_zone)
{
	static const int zones[] = { 0, 3600, -3600, 5 * 3600 + 2700, -(9 * 3600 + 1800), 14 * 3600, -12 * 3600 };
	char text[PFI_DATE_LOG_LENGTH + 1] = "", iso[PFI_DATE_ISO_LENGTH + 1] = "", wanted[64];

	for (size_t i = 0; i < sizeof zones / sizeof zones[0]; i++) {
		for (time_t now = 951782400 - 86400; now < 4102444800; now += 86400 * 11 + 3671) {
			const time_t local = now + zones[i];
			struct tm tm;

			ck_assert_ptr_nonnull(gmtime_r(&local, &tm));
			tm.tm_gmtoff = zones[i];
			ck_assert_uint_eq(strftime(wanted, sizeof wanted, "[%d/%b/%Y:%H:%M:%S %z]", &tm), PFI_DATE_LOG_LENGTH);
			pfi_date_format_log((uint64_t)now, zones[i], text);
			ck_assert_str_eq(text, wanted);
			ck_assert_uint_eq(strftime(wanted, sizeof wanted, "%Y-%m-%dT%H:%M:%S%z", &tm), PFI_DATE_ISO_LENGTH - 1);
			pfi_date_format_iso((uint64_t)now, zones[i], iso);
			ck_assert_int_eq(memcmp(iso, wanted, 22), 0);
			ck_assert_str_eq(wanted + 22, iso + 23);
			ck_assert_int_eq(iso[22], ':');
		}
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("access");
	TCase *tc = new_case(suite, "access");
	tcase_add_loop_test(tc, a_line_has_the_atoms_of_the_format, 0, (int)(sizeof lines / sizeof lines[0]));
	tcase_add_test(tc, a_line_of_json_has_every_member);
	tcase_add_loop_test(tc, any_bytes_make_a_valid_json_string, 0,
	                    (int)(sizeof strings / sizeof strings[0]));
	tcase_add_loop_test(tc, a_line_that_is_too_long_has_shortened_values, 0,
	                    (int)(sizeof long_lines / sizeof long_lines[0]));
	tcase_add_loop_test(tc, the_server_name_equals_server_name_of_wsgi, 0, (int)(sizeof servers / sizeof servers[0]));
	tcase_add_test(tc, an_unknown_value_is_a_dash);
	tcase_add_loop_test(tc, no_byte_of_a_client_ends_the_line_or_a_quoted_value, 0, 256);
	tcase_add_test(tc, a_line_that_exceeds_the_buffer_is_truncated);
	tcase_add_loop_test(tc, an_invalid_format_is_refused_with_the_column, 0,
	                    (int)(sizeof refused / sizeof refused[0]));
	tcase_add_loop_test(tc, the_user_of_basic_credentials_is_found, 0,
	                    (int)(sizeof credentials / sizeof credentials[0]));
	tcase_add_test(tc, log_dates_equal_those_of_the_c_library_in_every_time_zone);

	return run_suite(suite);
}
