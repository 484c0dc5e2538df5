/* Values of raw_env: what is replaced, and what stays as gunicorn passes it on. */
#include "raw_env.h"

#include "../suite.h"

#include <limits.h>

static const struct {
	const char *value, *expected;
	bool needs_worker;
} values[] = {
	{ "", "", false },
	{ "plain", "plain", false },
	{ "{slot}", "3", true },
	{ "/run/app-{slot}.sock", "/run/app-3.sock", true },
	{ "{slot}{slot}", "33", true },
	{ "{pid}-{slot}", "4711-3", true },
	{ "{{slot}}", "{slot}", false },
	{ "{{pid}}", "{pid}", false },
	{ "{{slot}}={slot}", "{slot}=3", true },
	{ "{{slot}", "{3", true },
	{ "{slot}}", "3}", true },
	{ "{{{slot}}}", "{{slot}}", false },
	{ "{\"workers\":{slot}}", "{\"workers\":3}", true },
	{ "{", "{", false },
	{ "{slot", "{slot", false },
	{ "slot}", "slot}", false },
	{ "{Slot}", "{Slot}", false },
	{ "{ slot }", "{ slot }", false },
	{ "{age}", "{age}", false },
	{ "{}", "{}", false },
	{ "{{ name }}", "{{ name }}", false },
	{ "{\"a\": {\"b\": {}}}", "{\"a\": {\"b\": {}}}", false },
	{ "%(slot)s $slot %d", "%(slot)s $slot %d", false },
	{ "\xff{slot}\xc3", "\xff" "3\xc3", true },
};

START_TEST(names_are_replaced_and_other_braces_stay)
{
	const struct wsgi_raw_env_worker worker = { .slot = 3, .pid = 4711 };
	char *const text = wsgi_raw_env_expand(values[_i].value, &worker);

	ck_assert_ptr_nonnull(text);
	ck_assert_str_eq(text, values[_i].expected);
	ck_assert_int_eq(wsgi_raw_env_needs_worker(values[_i].value), values[_i].needs_worker);
	free(text);
}
END_TEST

/* For a preloaded application, before there is a worker. */
START_TEST(what_needs_no_worker_is_expanded_without_one)
{
	char *const text = values[_i].needs_worker ? NULL : wsgi_raw_env_expand(values[_i].value, NULL);

	if (text)
		ck_assert_str_eq(text, values[_i].expected);
	ck_assert_int_eq(text == NULL, values[_i].needs_worker);
	free(text);
}
END_TEST

START_TEST(the_largest_numbers_are_written_in_full)
{
	const struct wsgi_raw_env_worker worker = { .slot = UINT_MAX, .pid = INT_MAX };
	char *const text = wsgi_raw_env_expand("{slot}{pid}", &worker);

	ck_assert_str_eq(text, "42949672952147483647");
	free(text);
}
END_TEST

int main(void)
{
	const int count = (int)(sizeof values / sizeof values[0]);
	Suite *const suite = suite_create("raw_env");
	TCase *const tcase = tcase_create("raw_env");

	tcase_add_loop_test(tcase, names_are_replaced_and_other_braces_stay, 0, count);
	tcase_add_loop_test(tcase, what_needs_no_worker_is_expanded_without_one, 0, count);
	tcase_add_test(tcase, the_largest_numbers_are_written_in_full);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
