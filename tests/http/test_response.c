#include "../support.h"

#include "http/date.h"
#include "http/response_head.h"
#include "http/status.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static char buffer[1024];
static struct pfi_out out;

static void reset_output(void)
{
	out = (struct pfi_out){ buffer, 0, sizeof buffer };
}

static void expect(const char *text)
{
	ck_assert_msg(out.length == strlen(text) && memcmp(buffer, text, out.length) == 0, "'%.*s', not '%s'",
	              (int)out.length, buffer, text);
}

START_TEST(a_head_is_built_from_its_parts)
{
	ck_assert_int_eq(pfi_response_line(&out, 200, NULL), 0);
	ck_assert_int_eq(pfi_response_field(&out, "X-A", 3, "b c", 3), 0);
	ck_assert_int_eq(pfi_response_field(&out, "Empty", 5, "", 0), 0);
	ck_assert_int_eq(pfi_response_length(&out, UINT64_MAX), 0);
	ck_assert_int_eq(PFI_OUT_LITERAL(&out, "\r\n"), 0);
	expect("HTTP/1.1 200 OK\r\nX-A: b c\r\nEmpty: \r\nContent-Length: 18446744073709551615\r\n\r\n");
}
END_TEST

START_TEST(an_application_may_set_the_reason)
{
	ck_assert_int_eq(pfi_response_line(&out, 299, "Caf\xe9"), 0);
	ck_assert_int_eq(pfi_response_line(&out, 799, NULL), 0);
	ck_assert_int_eq(pfi_response_line(&out, 204, ""), 0);
	ck_assert_int_eq(pfi_response_line(&out, 404, "Not Found"), 0);
	expect("HTTP/1.1 299 Caf\xe9\r\nHTTP/1.1 799 Unknown\r\nHTTP/1.1 204 \r\nHTTP/1.1 404 Not Found\r\n");
}
END_TEST

/* Response splitting: bytes that end a line are refused, and no part of the value is written. */
START_TEST(bytes_that_could_end_a_line_are_refused)
{
	ck_assert_int_eq(pfi_response_line(&out, 99, NULL), -EINVAL);
	ck_assert_int_eq(pfi_response_line(&out, 1000, NULL), -EINVAL);
	ck_assert_int_eq(pfi_response_line(&out, 200, "OK\r\nX: y"), -EINVAL);
	ck_assert_int_eq(pfi_response_field(&out, "A", 1, "b\r\nC: d", 7), -EINVAL);
	ck_assert_int_eq(pfi_response_field(&out, "A", 1, "b\nC", 3), -EINVAL);
	ck_assert_int_eq(pfi_response_field(&out, "A", 1, "b\0C", 3), -EINVAL);
	ck_assert_int_eq(pfi_response_field(&out, "A: x\r\nB", 7, "b", 1), -EINVAL);
	ck_assert_int_eq(pfi_response_field(&out, "A B", 3, "b", 1), -EINVAL);
	ck_assert_int_eq(pfi_response_field(&out, "", 0, "b", 1), -EINVAL);
	expect("");
}
END_TEST

START_TEST(text_that_does_not_fit_is_not_written_at_all)
{
	for (size_t size = 0; size < 9; size++) {
		out = (struct pfi_out){ buffer, 0, size };
		ck_assert_int_eq(pfi_response_field(&out, "ABC", 3, "de", 2), -ENOSPC);
		ck_assert_uint_eq(out.length, 0);
	}
	out = (struct pfi_out){ buffer, 0, 9 };
	ck_assert_int_eq(pfi_response_field(&out, "ABC", 3, "de", 2), 0);
	for (size_t size = 0; size < 200; size++) {
		out = (struct pfi_out){ buffer, 0, size };
		ck_assert_int_eq(pfi_error_response(&out, 400, "x", "Sun, 06 Nov 1994 08:49:37 GMT", false), -ENOSPC);
		ck_assert_uint_eq(out.length, 0);
		ck_assert_int_eq(pfi_response_line(&out, 799, "123456789") == 0, size >= 24);
	}
}
END_TEST

static const struct {
	int status;
	bool to_head;
	uint8_t minor;
	bool has_length;
	enum pfi_response_body body;
} responses[] = {
	{ 200, false, 1, true, PFI_RESPONSE_LENGTH },   { 200, false, 1, false, PFI_RESPONSE_CHUNKED },
	{ 200, false, 0, true, PFI_RESPONSE_LENGTH },   { 200, false, 0, false, PFI_RESPONSE_CLOSE },
	{ 200, true, 1, true, PFI_RESPONSE_NONE },      { 200, true, 0, false, PFI_RESPONSE_NONE },
	{ 204, false, 1, false, PFI_RESPONSE_NONE },    { 304, false, 1, true, PFI_RESPONSE_NONE },
	{ 103, false, 1, false, PFI_RESPONSE_NONE },    { 205, false, 1, false, PFI_RESPONSE_CHUNKED },
	{ 500, false, 1, false, PFI_RESPONSE_CHUNKED },
};

START_TEST(a_response_has_one_framing)
{
	ck_assert_int_eq(pfi_response_body(responses[_i].status, responses[_i].to_head, responses[_i].minor,
	                                responses[_i].has_length), responses[_i].body);
}
END_TEST

START_TEST(a_chunk_prefix_is_hexadecimal)
{
	static const uint64_t lengths[] = { 0, 1, 9, 10, 15, 16, 255, 256, 4096, 0x123456789abcdefU, UINT64_MAX };
	char text[PFI_CHUNK_PREFIX_MAX];
	char expected[32];

	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		const int length = snprintf(expected, sizeof expected, "%" PRIx64 "\r\n", lengths[i]);
		ck_assert_uint_eq(pfi_chunk_prefix(text, lengths[i]), (size_t)length);
		ck_assert_int_eq(memcmp(text, expected, (size_t)length), 0);
	}
}
END_TEST

START_TEST(every_registered_status_line_has_its_length)
{
	unsigned registered = 0;

	for (int status = 0; status < 1000; status++) {
		size_t length = 0;
		const char *const line = pfi_status_line(status, &length);
		char expected[64];
		if (line == NULL) {
			ck_assert_str_eq(pfi_status_reason(status), "Unknown");
			continue;
		}
		snprintf(expected, sizeof expected, "HTTP/1.1 %d %s\r\n", status, pfi_status_reason(status));
		ck_assert_str_eq(line, expected);
		ck_assert_uint_eq(length, strlen(line));
		registered++;
	}
	ck_assert_uint_ge(registered, 60);
	ck_assert_str_eq(pfi_status_reason(404), "Not Found");
}
END_TEST

START_TEST(an_error_page_is_a_complete_response_and_escaped)
{
	ck_assert_int_eq(pfi_error_response(&out, 400, "<b> & \"c\"", "Sun, 06 Nov 1994 08:49:37 GMT", false), 0);
	buffer[out.length] = '\0';
	ck_assert_ptr_nonnull(strstr(buffer, "HTTP/1.1 400 Bad Request\r\n"));
	ck_assert_ptr_nonnull(strstr(buffer, "\r\nConnection: close\r\n"));
	ck_assert_ptr_nonnull(strstr(buffer, "&lt;b&gt; &amp; \"c\""));
	const char *const body = strstr(buffer, "\r\n\r\n") + 4;
	ck_assert_uint_eq(strtoul(strstr(buffer, "Content-Length: ") + 16, NULL, 10), strlen(body));

	reset_output();
	ck_assert_int_eq(pfi_error_response(&out, 400, "x", "Sun, 06 Nov 1994 08:49:37 GMT", true), 0);
	ck_assert_int_eq(memcmp(buffer + out.length - 4, "\r\n\r\n", 4), 0);
}
END_TEST

/* Compared with the C library, for all days of eight centuries. */
START_TEST(dates_equal_those_of_the_c_library)
{
	char text[PFI_DATE_LENGTH + 1] = "";
	char expected[64];

	pfi_date_format(784111777, text);
	ck_assert_str_eq(text, "Sun, 06 Nov 1994 08:49:37 GMT");
	for (uint64_t day = 0; day < 292194; day++) {
		const time_t seconds = (time_t)(day * 86400 + day * 7919 % 86400);
		struct tm tm;
		pfi_date_format((uint64_t)seconds, text);
		strftime(expected, sizeof expected, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&seconds, &tm));
		ck_assert_str_eq(text, expected);
	}
}
END_TEST

START_TEST(a_cached_date_changes_with_its_second)
{
	struct pfi_date_cache cache = { 0 };

	ck_assert_int_eq(memcmp(pfi_date_cached(&cache, 0), "Thu, 01 Jan 1970 00:00:00 GMT", PFI_DATE_LENGTH), 0);
	ck_assert_int_eq(memcmp(pfi_date_cached(&cache, 61), "Thu, 01 Jan 1970 00:01:01 GMT", PFI_DATE_LENGTH), 0);
	ck_assert_int_eq(memcmp(pfi_date_cached(&cache, 61), "Thu, 01 Jan 1970 00:01:01 GMT", PFI_DATE_LENGTH), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("response");
	TCase *tc = new_case(suite, "response");

	tcase_add_checked_fixture(tc, reset_output, NULL);
	tcase_add_test(tc, a_head_is_built_from_its_parts);
	tcase_add_test(tc, an_application_may_set_the_reason);
	tcase_add_test(tc, bytes_that_could_end_a_line_are_refused);
	tcase_add_test(tc, text_that_does_not_fit_is_not_written_at_all);
	tcase_add_loop_test(tc, a_response_has_one_framing, 0, (int)(sizeof responses / sizeof responses[0]));
	tcase_add_test(tc, a_chunk_prefix_is_hexadecimal);
	tcase_add_test(tc, every_registered_status_line_has_its_length);
	tcase_add_test(tc, an_error_page_is_a_complete_response_and_escaped);
	tcase_add_test(tc, dates_equal_those_of_the_c_library);
	tcase_add_test(tc, a_cached_date_changes_with_its_second);
	return run_suite(suite);
}
