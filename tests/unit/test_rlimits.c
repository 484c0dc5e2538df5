#include "model/library_options.h"
#include "model/rlimits.h"
#include "model/settings.h"

#include "../support.h"

#include <prefork/error.h>

#include <stdio.h>

enum { BAD = -EINVAL, FAR = -ERANGE, CROSSED = -EDOM };

static const struct {
	const char *text;
	bool is_size;
	int result;
	rlim_t soft, hard;
} texts[] = {
	{ "1024", false, 0, 1024, 1024 },
	{ "1024:4096", false, 0, 1024, 4096 },
	{ "0", false, 0, 0, 0 },
	{ "0:0", true, 0, 0, 0 },
	{ "unlimited", false, 0, RLIM_INFINITY, RLIM_INFINITY },
	{ "1024:unlimited", false, 0, 1024, RLIM_INFINITY },
	{ "64k", true, 0, 65536, 65536 },
	{ "64k:1G", true, 0, 65536, 1073741824 },
	{ "4096:4095", false, CROSSED, 0, 0 },
	{ "unlimited:4096", false, CROSSED, 0, 0 },
	{ "64k", false, BAD, 0, 0 },
	{ "64k:1k", false, BAD, 0, 0 },
	{ "-1", false, BAD, 0, 0 },
	{ "1:-1", false, BAD, 0, 0 },
	{ "", false, BAD, 0, 0 },
	{ ":", false, BAD, 0, 0 },
	{ "1:", false, BAD, 0, 0 },
	{ ":1", false, BAD, 0, 0 },
	{ "1:2:3", false, BAD, 0, 0 },
	{ " 1", false, BAD, 0, 0 },
	{ "Unlimited", false, BAD, 0, 0 },
	{ "9223372036854775808", false, FAR, 0, 0 },
	{ "0000000000000000000000000000000000001:2", false, BAD, 0, 0 },
};

START_TEST(a_limit_is_parsed_completely_or_refused)
{
	struct rlimit limit = { 47, 11 };
	const int r = pfi_rlimit_parse(texts[_i].text, texts[_i].is_size, &limit);

	ck_assert_msg(r == texts[_i].result, "'%s' gave %d", texts[_i].text, r);
	ck_assert_msg(limit.rlim_cur == (r < 0 ? 47 : texts[_i].soft) && limit.rlim_max == (r < 0 ? 11 : texts[_i].hard),
		      "'%s' gave %llu, %llu", texts[_i].text, (unsigned long long)limit.rlim_cur,
		      (unsigned long long)limit.rlim_max);
}
END_TEST

START_TEST(each_row_is_checked_with_the_settings_and_named)
{
	for (unsigned i = 0; i < PFI_RLIMIT_COUNT; i++) {
		const struct pfi_rlimit_row *const row = &pfi_rlimit_rows[i];
		char flag[64];
		char *argv[] = { (char[]){ "program" }, flag };
		struct prefork_settings *settings = NULL;

		(void)snprintf(flag, sizeof flag, "--%s=2:1", row->name);
		for (char *c = flag; *c != '\0'; c++)
			*c = *c == '_' ? '-' : *c;
		ck_assert_int_eq(prefork_settings_load(2, argv, &settings), PREFORK_ECONFIG);
		ck_assert_msg(strncmp(prefork_error(), row->name, strlen(row->name)) == 0, "%s", prefork_error());
		ck_assert_ptr_nonnull(strstr(prefork_error(), "the soft limit is above the hard limit"));
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rlimits");
	TCase *tc = new_case(suite, "rlimits");

	tcase_add_loop_test(tc, a_limit_is_parsed_completely_or_refused, 0, sizeof texts / sizeof texts[0]);
	tcase_add_test(tc, each_row_is_checked_with_the_settings_and_named);
	return run_suite(suite);
}
