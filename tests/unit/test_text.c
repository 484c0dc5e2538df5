#include "base/nearest.h"
#include "base/number.h"
#include "base/text.h"
#include "base/shell_words.h"

#include "../support.h"

#include <inttypes.h>

enum { BAD = -EINVAL, FAR = -ERANGE };

static int (*const parsers[])(const char *text, int64_t *ret) = {
	pfi_parse_whole, pfi_parse_duration, pfi_parse_size, pfi_parse_octal, pfi_parse_bool,
};
enum { WHOLE, DURATION, SIZE, OCTAL, BOOL };

static const struct {
	int parser;
	const char *text;
	int result;
	int64_t value;
} numbers[] = {
	{ WHOLE, "0", 0, 0 },
	{ WHOLE, "007", 0, 7 },
	{ WHOLE, "-12", 0, -12 },
	{ WHOLE, "9223372036854775807", 0, INT64_MAX },
	{ WHOLE, "9223372036854775808", FAR, 0 },
	{ WHOLE, "99999999999999999999x", BAD, 0 },
	{ WHOLE, "", BAD, 0 },
	{ WHOLE, "-", BAD, 0 },
	{ WHOLE, "--1", BAD, 0 },
	{ WHOLE, "+1", BAD, 0 },
	{ WHOLE, " 1", BAD, 0 },
	{ WHOLE, "1 ", BAD, 0 },
	{ WHOLE, "1x", BAD, 0 },
	{ WHOLE, "0x10", BAD, 0 },
	{ DURATION, "30", 0, 30000 },
	{ DURATION, "30s", 0, 30000 },
	{ DURATION, "500ms", 0, 500 },
	{ DURATION, "1.5", 0, 1500 },
	{ DURATION, "1.5m", 0, 90000 },
	{ DURATION, "0.001", 0, 1 },
	{ DURATION, "0.0010000000000000", 0, 1 },
	{ DURATION, "0.25d", 0, 21600000 },
	{ DURATION, "2H", 0, 7200000 },
	{ DURATION, "0", 0, 0 },
	{ DURATION, "0.0005", FAR, 0 },
	{ DURATION, "0.5ms", FAR, 0 },
	{ DURATION, "1.00000000001", FAR, 0 },
	{ DURATION, "9223372036854775807", FAR, 0 },
	{ DURATION, "9223372036854775807ms", 0, INT64_MAX },
	{ DURATION, "1.", BAD, 0 },
	{ DURATION, ".5", BAD, 0 },
	{ DURATION, "-1", BAD, 0 },
	{ DURATION, "1 s", BAD, 0 },
	{ DURATION, "1sec", BAD, 0 },
	{ DURATION, "1.5.5", BAD, 0 },
	{ DURATION, "1e3", BAD, 0 },
	{ DURATION, "", BAD, 0 },
	{ DURATION, "s", BAD, 0 },
	{ SIZE, "4096", 0, 4096 },
	{ SIZE, "64k", 0, 65536 },
	{ SIZE, "1M", 0, 1048576 },
	{ SIZE, "2g", 0, INT64_C(2147483648) },
	{ SIZE, "9223372036854775807k", FAR, 0 },
	{ SIZE, "1.5k", BAD, 0 },
	{ SIZE, "1kb", BAD, 0 },
	{ SIZE, "-1", BAD, 0 },
	{ SIZE, "k", BAD, 0 },
	{ OCTAL, "660", 0, 0660 },
	{ OCTAL, "0660", 0, 0660 },
	{ OCTAL, "0o660", 0, 0660 },
	{ OCTAL, "0", 0, 0 },
	{ OCTAL, "680", BAD, 0 },
	{ OCTAL, "0o", BAD, 0 },
	{ OCTAL, "0x1", BAD, 0 },
	{ OCTAL, "7777777777777777777777777", FAR, 0 },
	{ BOOL, "yes", 0, 1 },
	{ BOOL, "Off", 0, 0 },
	{ BOOL, "TRUE", 0, 1 },
	{ BOOL, "0", 0, 0 },
	{ BOOL, "", BAD, 0 },
	{ BOOL, "2", BAD, 0 },
	{ BOOL, "yess", BAD, 0 },
	{ BOOL, "ye", BAD, 0 },
};

START_TEST(a_number_is_parsed_completely_or_refused)
{
	int64_t value = 4711;
	const int r = parsers[numbers[_i].parser](numbers[_i].text, &value);

	ck_assert_msg(r == numbers[_i].result, "'%s' gave %d", numbers[_i].text, r);
	ck_assert_msg(value == (r < 0 ? 4711 : numbers[_i].value), "'%s' gave %" PRId64, numbers[_i].text, value);
}
END_TEST

START_TEST(formatted_durations_and_sizes_are_parsed_back)
{
	static const int64_t values[] = { 0,     1,       999,     1000,     1500,      60000,
					  90000, 3600000, 5400000, 86400000, 129600000, INT64_MAX };

	for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
		char bytes[64];
		struct pfi_text text;
		int64_t parsed = -1;

		pfi_text_init(&text, bytes, sizeof bytes);
		pfi_text_add_duration(&text, values[i]);
		ck_assert_int_eq(pfi_parse_duration(bytes, &parsed), 0);
		ck_assert_int_eq(parsed, values[i]);
		pfi_text_init(&text, bytes, sizeof bytes);
		pfi_text_add_size(&text, values[i]);
		ck_assert_int_eq(pfi_parse_size(bytes, &parsed), 0);
		ck_assert_int_eq(parsed, values[i]);
	}
}
END_TEST

START_TEST(a_truncated_text_is_marked_and_terminated)
{
	char bytes[8];
	struct pfi_text text;

	pfi_text_init(&text, bytes, sizeof bytes);
	pfi_text_add(&text, "1234567");
	ck_assert(!text.cut);
	pfi_text_add_char(&text, '8');
	ck_assert(text.cut);
	ck_assert_str_eq(bytes, "1234567");
	pfi_text_init(&text, bytes, sizeof bytes);
	pfi_text_format(&text, "%d", 12345678);
	ck_assert(text.cut);
	ck_assert_str_eq(bytes, "1234567");
	ck_assert_uint_eq(text.length, 7);
	pfi_text_format(&text, "more");
	ck_assert_str_eq(bytes, "1234567");
}
END_TEST

static const struct {
	const char *from, *escaped;
} escapes[] = {
	{ "plain text", "plain text" },
	{ "a\nb\r\tc", "a\\nb\\r\\tc" },
	{ "\x1b[31m", "\\x1b[31m" },
	{ "\x7f", "\\x7f" },
	{ "back\\slash", "back\\\\slash" },
	{ "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
	{ "\xe2\x82\xac \xf0\x9f\x98\x80", "\xe2\x82\xac \xf0\x9f\x98\x80" },
	{ "\xc2\x9b" "31m", "\\xc2\\x9b31m" },                     /* C1: starts an escape sequence   */
	{ "\xe2\x80\xa8", "\\xe2\\x80\\xa8" },                      /* U+2028 ends a line              */
	{ "\xe2\x80\xae" "x", "\\xe2\\x80\\xaex" },                /* U+202E turns the direction      */
	{ "\xc0\x8a", "\\xc0\\x8a" },                               /* an overlong newline             */
	{ "\xed\xa0\x80", "\\xed\\xa0\\x80" },                      /* a surrogate                     */
	{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" },             /* above U+10FFFF                  */
	{ "\xc3", "\\xc3" },                                        /* incomplete                      */
	{ "\xe2\x82", "\\xe2\\x82" },
	{ "\xff\xfe", "\\xff\\xfe" },
};

START_TEST(control_characters_and_invalid_utf8_are_escaped)
{
	char bytes[200];
	struct pfi_text text;

	pfi_text_init(&text, bytes, sizeof bytes);
	pfi_text_add_escaped(&text, escapes[_i].from, strlen(escapes[_i].from));
	ck_assert_str_eq(bytes, escapes[_i].escaped);
}
END_TEST

START_TEST(a_quoted_value_is_truncated)
{
	char bytes[200], value[100];
	struct pfi_text text;

	memset(value, 'x', sizeof value - 1);
	value[sizeof value - 1] = '\0';
	pfi_text_init(&text, bytes, sizeof bytes);
	pfi_text_add_quoted(&text, value);
	ck_assert_uint_eq(strlen(bytes), 65);
	ck_assert_str_eq(bytes + 59, "xx...'");
}
END_TEST

static const struct {
	const char *a, *b;
	size_t distance;
} distances[] = {
	{ "workers", "workers", 0 }, { "workers", "wrokers", 1 }, { "workers", "worker", 1 },
	{ "workers", "wworkers", 1 }, { "", "abc", 3 },           { "abc", "", 3 },
	{ "kitten", "sitting", 3 },  { "ab", "ba", 1 },           { "a", "z", 1 },
};

START_TEST(the_distance_counts_typing_errors)
{
	ck_assert_uint_eq(pfi_word_distance(distances[_i].a, distances[_i].b), distances[_i].distance);
	ck_assert_uint_eq(pfi_word_distance(distances[_i].b, distances[_i].a), distances[_i].distance);
}
END_TEST

START_TEST(the_nearest_word_is_suggested_if_it_is_near)
{
	struct pfi_nearest nearest;

	pfi_nearest_init(&nearest, "wrokers");
	pfi_nearest_add(&nearest, "threads");
	ck_assert_ptr_null(nearest.best);
	pfi_nearest_add(&nearest, "worker");
	pfi_nearest_add(&nearest, "workers");
	ck_assert_str_eq(nearest.best, "workers");
	pfi_nearest_init(&nearest, "xyz");
	pfi_nearest_add(&nearest, "bind");
	ck_assert_ptr_null(nearest.best);
}
END_TEST

static const struct {
	const char *line;
	int result;
	const char *words; /* joined by | */
} lines[] = {
	{ "", 0, "" },
	{ "  \t\n ", 0, "" },
	{ "--workers 4", 0, "--workers|4" },
	{ "  -b 'unix:/a b'  ", 0, "-b|unix:/a b" },
	{ "a\"b c\"d", 0, "ab cd" },
	{ "a\\ b", 0, "a b" },
	{ "\"a\\\"b\\c\"", 0, "a\"b\\c" },
	{ "'a\\b'", 0, "a\\b" },
	{ "'' \"\"", 0, "|" },
	{ "$HOME *", 0, "$HOME|*" },
	{ "'open", -EINVAL, NULL },
	{ "\"open", -EINVAL, NULL },
	{ "end\\", -EINVAL, NULL },
};

START_TEST(a_line_is_split_by_the_rules_of_a_shell)
{
	char joined[100];
	struct pfi_text text;
	char **words = NULL;
	size_t count = 0;
	const int r = pfi_split_words(lines[_i].line, &words, &count);

	ck_assert_int_eq(r, lines[_i].result);
	if (r < 0)
		return;
	pfi_text_init(&text, joined, sizeof joined);
	for (size_t i = 0; i < count; i++)
		pfi_text_format(&text, "%s%s", i > 0 ? "|" : "", words[i]);
	ck_assert_str_eq(joined, lines[_i].words);
	ck_assert_ptr_null(words[count]);
	free(words);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("text");
	TCase *tc = new_case(suite, "text");

	tcase_add_loop_test(tc, a_number_is_parsed_completely_or_refused, 0, sizeof numbers / sizeof numbers[0]);
	tcase_add_test(tc, formatted_durations_and_sizes_are_parsed_back);
	tcase_add_test(tc, a_truncated_text_is_marked_and_terminated);
	tcase_add_loop_test(tc, control_characters_and_invalid_utf8_are_escaped, 0, sizeof escapes / sizeof escapes[0]);
	tcase_add_test(tc, a_quoted_value_is_truncated);
	tcase_add_loop_test(tc, the_distance_counts_typing_errors, 0, sizeof distances / sizeof distances[0]);
	tcase_add_test(tc, the_nearest_word_is_suggested_if_it_is_near);
	tcase_add_loop_test(tc, a_line_is_split_by_the_rules_of_a_shell, 0, sizeof lines / sizeof lines[0]);
	return run_suite(suite);
}
