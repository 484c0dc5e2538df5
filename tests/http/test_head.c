#include "../support.h"

#include "http/framing.h"
#include "http/head.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct pfi_limits limits = PFI_LIMITS_DEFAULT;
static struct pfi_field fields[100];
static struct pfi_head head;

static enum pfi_verdict parse(const char *text)
{
	pfi_head_start(&head, fields, &limits);
	return pfi_head_feed(&head, text, strlen(text));
}

static void expect_span(const char *bytes, struct pfi_span span, const char *expected)
{
	ck_assert_msg(span.length == strlen(expected) && memcmp(bytes + span.at, expected, span.length) == 0,
	              "'%.*s', not '%s'", (int)span.length, bytes + span.at, expected);
}

static const struct {
	const char *line;
	const char *method, *path, *query, *authority;
	enum pfi_target_form form;
	int minor;
} lines[] = {
	{ "GET / HTTP/1.1", "GET", "/", NULL, "", PFI_TARGET_ORIGIN, 1 },
	{ "GET /a/b?c=d?e HTTP/1.0", "GET", "/a/b", "c=d?e", "", PFI_TARGET_ORIGIN, 0 },
	{ "GET /a? HTTP/1.9", "GET", "/a", "", "", PFI_TARGET_ORIGIN, 9 },
	{ "DELETE //x HTTP/1.1", "DELETE", "//x", NULL, "", PFI_TARGET_ORIGIN, 1 },
	{ "GET http://h:1/p?q HTTP/1.1", "GET", "/p", "q", "h:1", PFI_TARGET_ABSOLUTE, 1 },
	{ "GET https://h HTTP/1.1", "GET", "", NULL, "h", PFI_TARGET_ABSOLUTE, 1 },
	{ "GET http://h?q HTTP/1.1", "GET", "", "q", "h", PFI_TARGET_ABSOLUTE, 1 },
	{ "OPTIONS * HTTP/1.1", "OPTIONS", "*", NULL, "", PFI_TARGET_ASTERISK, 1 },
	{ "CONNECT h:443 HTTP/1.1", "CONNECT", "", NULL, "h:443", PFI_TARGET_AUTHORITY, 1 },
	{ "CONNECT [::1]:443 HTTP/1.1", "CONNECT", "", NULL, "[::1]:443", PFI_TARGET_AUTHORITY, 1 },
};

START_TEST(a_request_line_is_parsed_into_its_parts)
{
	char text[256];

	snprintf(text, sizeof text, "%s\r\nHost: h\r\n\r\n", lines[_i].line);
	ck_assert_int_eq(parse(text), PFI_DONE);
	ck_assert_uint_eq(head.at, strlen(text));
	expect_span(text, head.method, lines[_i].method);
	expect_span(text, head.path, lines[_i].path);
	ck_assert_int_eq(head.has_query, lines[_i].query != NULL);
	expect_span(text, head.query, lines[_i].query != NULL ? lines[_i].query : "");
	expect_span(text, head.authority, lines[_i].authority);
	ck_assert_int_eq(head.form, lines[_i].form);
	ck_assert_int_eq(head.minor, lines[_i].minor);
}
END_TEST

START_TEST(fields_are_found_by_position_and_by_name)
{
	static const char text[] = "GET / HTTP/1.1\r\nA:1\r\nhOST: \t h:80 \t\r\nB_b: x y\t\r\nEmpty:\r\n\r\nmore";

	ck_assert_int_eq(parse(text), PFI_DONE);
	ck_assert_uint_eq(head.at, sizeof text - 1 - 4);
	ck_assert_uint_eq(head.fields_count, 4);
	expect_span(text, fields[0].name, "A");
	expect_span(text, fields[0].value, "1");
	expect_span(text, fields[1].value, "h:80");
	expect_span(text, fields[2].name, "B_b");
	expect_span(text, fields[2].value, "x y");
	expect_span(text, fields[3].value, "");
	ck_assert(fields[2].underscore && !fields[1].underscore);
	ck_assert_ptr_eq(pfi_head_field(&head, PFI_FIELD_HOST), &fields[1]);
	ck_assert_ptr_null(pfi_head_field(&head, PFI_FIELD_CONNECTION));
}
END_TEST

START_TEST(dropping_underscores_keeps_the_rest_in_order)
{
	static const char text[] = "GET / HTTP/1.1\r\nA_: 1\r\nHost: h\r\nB_: 2\r\nC: 3\r\nCookie: 4\r\n\r\n";

	ck_assert_int_eq(parse(text), PFI_DONE);
	ck_assert_uint_eq(head.underscores_count, 2);
	pfi_head_drop_underscores(&head);
	ck_assert_uint_eq(head.fields_count, 3);
	expect_span(text, pfi_head_field(&head, PFI_FIELD_HOST)->value, "h");
	expect_span(text, fields[1].name, "C");
	expect_span(text, pfi_head_field(&head, PFI_FIELD_COOKIE)->value, "4");
}
END_TEST

static const struct {
	const char *method;
	int usual, fold, any, both; /* the status of the refusal; 0: taken */
} methods[] = {
	{ "GET", 0, 0, 0, 0 },
	{ "M-SEARCH", 0, 0, 0, 0 },
	{ "get", 501, 0, 0, 0 },
	{ "GeT", 501, 0, 0, 0 },
	{ "GE#T", 501, 501, 0, 0 },
	{ "ge#t", 501, 501, 0, 0 },
	{ "A", 501, 501, 0, 0 },
	{ "a", 501, 501, 0, 0 },
	{ "AAAAAAAAAAAAAAAAAAAAA", 501, 501, 0, 0 },
	{ "G@T", 400, 400, 400, 400 },
	{ "g@t", 400, 400, 400, 400 },
	{ "", 400, 400, 400, 400 },
};

/* In any pieces. */
START_TEST(the_limits_decide_which_methods_are_accepted)
{
	const int wanted[] = { methods[_i].usual, methods[_i].fold, methods[_i].any, methods[_i].both };
	char text[64];
	const size_t length = (size_t)snprintf(text, sizeof text, "%s / HTTP/1.1\r\nHost: h\r\n\r\n", methods[_i].method);

	for (unsigned settings = 0; settings < 4; settings++) {
		struct pfi_limits its = limits;

		its.fold_method = settings & 1;
		its.any_method = settings & 2;
		for (size_t cut = 1; cut <= length; cut++) {
			pfi_head_start(&head, fields, &its);
			(void)pfi_head_feed(&head, text, cut);
			const enum pfi_verdict verdict = pfi_head_feed(&head, text, length);
			ck_assert_int_eq(verdict, wanted[settings] == 0 ? PFI_DONE : PFI_BAD);
			ck_assert_int_eq(head.http_error.status, wanted[settings]);
			if (wanted[settings] == 0)
				expect_span(text, head.method, methods[_i].method);
		}
	}
}
END_TEST

/* An invalid request gets its response at once, not after header_timeout. */
START_TEST(a_violation_is_reported_at_its_first_byte)
{
	static const char *const texts[] = { "\x16", "GET  ", "GET /a\x01", "GET / HTTQ", "GET / HTTP/1.1\r\n ",
		                             "GET / HTTP/1.1\r\nHost ", "GET / HTTP/1.1\r\nHost: a\n" };

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		const size_t length = strlen(texts[i]);
		pfi_head_start(&head, fields, &limits);
		ck_assert_int_eq(pfi_head_feed(&head, texts[i], length - 1), PFI_MORE);
		ck_assert_int_eq(pfi_head_feed(&head, texts[i], length), PFI_BAD);
		ck_assert_int_eq(pfi_head_feed(&head, texts[i], length), PFI_BAD);
	}
}
END_TEST

static const struct {
	const char *head;
	enum pfi_body_kind body;
	uint64_t length;
	bool keep_alive, expects_continue, upgrade;
} framings[] = {
	{ "GET / HTTP/1.1\r\nHost: h\r\n\r\n", PFI_BODY_NONE, 0, true, false, false },
	{ "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", PFI_BODY_NONE, 0, false, false, false },
	{ "GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Close\r\n\r\n", PFI_BODY_NONE, 0, false, false,
	  false },
	{ "GET / HTTP/1.1\r\nHost: h\r\nConnection: a\r\nConnection: close\r\n\r\n", PFI_BODY_NONE, 0, false,
	  false, false },
	{ "GET / HTTP/1.1\r\nHost: h\r\nConnection: closed\r\n\r\n", PFI_BODY_NONE, 0, true, false, false },
	{ "GET / HTTP/1.0\r\n\r\n", PFI_BODY_NONE, 0, false, false, false },
	{ "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", PFI_BODY_NONE, 0, true, false, false },
	{ "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", PFI_BODY_NONE, 0, false, false, false },
	{ "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\n\r\n", PFI_BODY_LENGTH, 12, true, false, false },
	{ "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", PFI_BODY_NONE, 0, true, false, false },
	{ "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9223372036854775807\r\n\r\n", PFI_BODY_LENGTH,
	  INT64_MAX, true, false, false },
	{ "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\nExpect: 100-Continue\r\n\r\n",
	  PFI_BODY_CHUNKED, 0, true, true, false },
	{ "POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n", PFI_BODY_LENGTH, 1, false, false,
	  false },
	{ "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", PFI_BODY_NONE, 0,
	  true, false, true },
	{ "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n", PFI_BODY_NONE, 0, true, false, false },
	{ "GET / HTTP/1.0\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", PFI_BODY_NONE, 0, false, false,
	  false },
};

START_TEST(a_head_has_one_framing_or_is_refused)
{
	struct pfi_framing framing;

	ck_assert_int_eq(parse(framings[_i].head), PFI_DONE);
	ck_assert_int_eq(pfi_framing_decide(&framing, &head, framings[_i].head), PFI_DONE);
	ck_assert_int_eq(framing.body, framings[_i].body);
	ck_assert_uint_eq(framing.length, framings[_i].length);
	ck_assert_int_eq(framing.keep_alive, framings[_i].keep_alive);
	ck_assert_int_eq(framing.expects_continue, framings[_i].expects_continue);
	ck_assert_int_eq(framing.upgrade, framings[_i].upgrade);
}
END_TEST

START_TEST(the_host_of_an_absolute_target_replaces_Host)
{
	static const char text[] = "GET http://right:1/ HTTP/1.1\r\nHost: wrong\r\n\r\n";
	struct pfi_framing framing;

	ck_assert_int_eq(parse(text), PFI_DONE);
	ck_assert_int_eq(pfi_framing_decide(&framing, &head, text), PFI_DONE);
	expect_span(text, pfi_head_field(&head, PFI_FIELD_HOST)->value, "right:1");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("head");
	TCase *tc = new_case(suite, "head");

	tcase_add_loop_test(tc, a_request_line_is_parsed_into_its_parts, 0, (int)(sizeof lines / sizeof lines[0]));
	tcase_add_test(tc, fields_are_found_by_position_and_by_name);
	tcase_add_test(tc, dropping_underscores_keeps_the_rest_in_order);
	tcase_add_loop_test(tc, the_limits_decide_which_methods_are_accepted, 0,
	                    (int)(sizeof methods / sizeof methods[0]));
	tcase_add_test(tc, a_violation_is_reported_at_its_first_byte);
	tcase_add_loop_test(tc, a_head_has_one_framing_or_is_refused, 0, (int)(sizeof framings / sizeof framings[0]));
	tcase_add_test(tc, the_host_of_an_absolute_target_replaces_Host);

	return run_suite(suite);
}
