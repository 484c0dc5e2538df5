#include "http/fields.h"

#include "../support.h"
#include "guard.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static struct guard guard;

START_TEST(every_known_name_is_found_in_any_case)
{
	const char *const name = pfi_field_name((enum pfi_field_id)_i);
	char text[64];

	ck_assert_int_eq(pfi_field_find(name, strlen(name)), _i);
	for (size_t i = 0; i <= strlen(name); i++)
		text[i] = (char)toupper((unsigned char)name[i]);
	ck_assert_int_eq(pfi_field_find(text, strlen(name)), _i);
	ck_assert_int_eq(pfi_field_find(name, strlen(name) - 1), PFI_FIELD_OTHER);
	ck_assert_ptr_null(strchr(name, '_')); /* the parser searches only the other names for one */
}
END_TEST

START_TEST(a_name_that_resembles_a_known_one_is_not_found)
{
	static const char *const names[] = { "hosT2", "hpst", "h0st", "content_length", "content-lengtH ",
		                             "x", "", "tE\x01", "connectiom", "transfer-encodings" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		ck_assert_int_eq(pfi_field_find(names[i], strlen(names[i])), PFI_FIELD_OTHER);
}
END_TEST

/* The comparison of eight bytes at a time has the result of a comparison byte by byte. */
START_TEST(texts_are_compared_without_case)
{
	static const char lower[] = "az-09:/.proxy-authentic";
	char text[sizeof lower];

	for (size_t length = 0; length < sizeof lower; length++) {
		ck_assert(pfi_text_is(guard_put(&guard, lower, length), length, lower, length));
		ck_assert(!pfi_text_is(lower, length, lower, length + 1));
		for (size_t at = 0; at < length; at++) {
			for (int c = 0; c < 256; c++) {
				const bool same = (c >= 'A' && c <= 'Z' ? c + 'a' - 'A' : c) == lower[at];

				memcpy(text, lower, length);
				text[at] = (char)c;
				ck_assert_int_eq(pfi_text_is(guard_put(&guard, text, length), length, lower, length),
				                 same);
			}
		}
	}
}
END_TEST

static unsigned classes_by_grammar(int c)
{
	const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
	const bool digit = c >= '0' && c <= '9';
	const bool token = letter || digit || (c != 0 && c < 128 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
	const bool control = (c < 0x20 && c != '\t') || c == 0x7f;
	unsigned classes = 0;

	classes |= token ? PFI_CHAR_TOKEN : 0;
	classes |= token && !(c >= 'a' && c <= 'z') && c != '#' ? PFI_CHAR_METHOD : 0;
	classes |= c > ' ' && c != 0x7f && c != '#' ? PFI_CHAR_TARGET : 0;
	classes |= letter || digit || (c != 0 && c < 128 && strchr("-._~%!$&'()*+;=", c) != NULL) ?
	           PFI_CHAR_HOST : 0;
	classes |= !control ? PFI_CHAR_TEXT : 0;
	classes |= digit ? PFI_CHAR_DIGIT : 0;
	return classes;
}

START_TEST(every_byte_has_the_classes_of_the_grammar)
{
	for (int c = 0; c < 256; c++)
		ck_assert_msg(pfi_chars[c] == classes_by_grammar(c), "byte 0x%02x: %u, not %u", c,
		              pfi_chars[c], classes_by_grammar(c));
}
END_TEST

/* Byte by byte. */
static const char *value_end(const char *text, const char *end)
{
	while (text < end && pfi_char_is(*text, PFI_CHAR_TEXT))
		text++;
	return text;
}

/* The scan of eight bytes at a time has the result of a scan byte by byte, at every offset, whatever is before and
 * after the byte. */
START_TEST(the_end_of_a_value_is_found_at_every_offset)
{
	static const char fillers[] = { '\x80', '\xff', '\t', ' ', '~', '\0' };
	char text[40];

	for (size_t length = 0; length <= sizeof text; length++) {
		for (size_t at = 0; at <= length; at++) {
			for (int c = 0; c < 256; c++) {
				memset(text, fillers[at % 5], at);
				memset(text + at, fillers[(length + (size_t)c) % 6], sizeof text - at);
				if (at < length)
					text[at] = (char)c;
				const char *const put = guard_put(&guard, text, length), *const end = put + length;
				ck_assert_ptr_eq(pfi_value_end(put, end), value_end(put, end));
			}
		}
	}
}
END_TEST

START_TEST(only_the_grammar_of_tokens_and_values_is_accepted)
{
	ck_assert(pfi_token_valid("X-a_9", 5));
	ck_assert(!pfi_token_valid("", 0));
	ck_assert(!pfi_token_valid("a b", 3));
	ck_assert(!pfi_token_valid("a:", 2));
	ck_assert(!pfi_token_valid("caf\xe9", 4));
	ck_assert(pfi_value_valid("", 0));
	ck_assert(pfi_value_valid("caf\xe9\t ok", 8));
	ck_assert(!pfi_value_valid("a\r\nSet-Cookie: x", 16));
	ck_assert(!pfi_value_valid("a\0b", 3));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fields");
	TCase *tc = new_case(suite, "fields");

	guard_open(&guard, 4096);
	tcase_add_loop_test(tc, every_known_name_is_found_in_any_case, 1, PFI_FIELD_COUNT);
	tcase_add_test(tc, a_name_that_resembles_a_known_one_is_not_found);
	tcase_add_test(tc, texts_are_compared_without_case);
	tcase_add_test(tc, every_byte_has_the_classes_of_the_grammar);
	tcase_add_test(tc, the_end_of_a_value_is_found_at_every_offset);
	tcase_add_test(tc, only_the_grammar_of_tokens_and_values_is_accepted);
	const int status = run_suite(suite);
	guard_close(&guard);
	return status;
}
