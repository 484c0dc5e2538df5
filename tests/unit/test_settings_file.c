/*
 * What an application adds to the reading of the settings: a file reader, a completion, overrides.
 */
#include <prefork/error.h>
#include <prefork/prefork.h>

#include "../support.h"

#include "config.h"

#include <stdio.h>

/* What the reader is to do, and what it was given. */
static struct {
	const char *name, *text; /* a value that it assigns */
	int result, calls;
	char path[64];
} file;

/* A value that the completion assigns, in two calls if there is more. */
static struct {
	const char *name, *text, *more;
} further;

static int read_file(struct prefork_settings *settings, const char *path, const char *place, void *user)
{
	ck_assert_ptr_eq(user, &file);
	ck_assert_ptr_nonnull(place);
	file.calls++;
	(void)snprintf(file.path, sizeof file.path, "%s", path ? path : "none");
	if (file.name) {
		const int r = prefork_settings_assign(settings, file.name, file.text, "ours: it");

		if (r < 0)
			return r;
	}
	ck_assert_int_eq(prefork_settings_set_user(settings, &file.calls), 0);
	return file.result;
}

/* Two threads need the class threads, as an application may decide. */
static int complete(struct prefork_settings *settings, void *user)
{
	int r = 0;

	(void)user;
	if (further.name)
		r = prefork_settings_assign(settings, further.name, further.text, "further: it");
	if (r == 0 && further.more)
		r = prefork_settings_assign(settings, further.name, further.more, "further: it");
	if (r < 0 || prefork_settings_int(settings, "threads") < 2)
		return r;
	return prefork_settings_override(settings, "worker_class", "threads", "--threads");
}

static int parse(const char *const *words, struct prefork_settings **ret)
{
	const char *argv[16] = { "test" };
	int count = 1;

	for (; words && words[count - 1]; count++)
		argv[count] = words[count - 1];
	ck_assert_int_eq(prefork_settings_create(ret), 0);
	ck_assert_int_eq(prefork_settings_set_file_reader(*ret, read_file, &file), 0);
	ck_assert_int_eq(prefork_settings_set_completion(*ret, complete, NULL), 0);
	return prefork_settings_parse(*ret, count, (char *const *)argv);
}

START_TEST(a_value_of_the_reader_has_the_precedence_of_a_file)
{
	const char *const words[] = { "--timeout", "9", "-c", "a file", NULL };
	struct prefork_settings *settings = NULL;
	enum prefork_origin origin;
	const char *place;

	file.name = "timeout", file.text = "7";
	ck_assert_int_eq(parse(words, &settings), 0);
	ck_assert_int_eq(prefork_settings_int(settings, "timeout"), 9000);
	ck_assert_str_eq(file.path, "a file");
	prefork_settings_destroy(settings);
	ck_assert_int_eq(parse(NULL, &settings), 0);
	ck_assert_int_eq(prefork_settings_int(settings, "timeout"), 7000);
	ck_assert_str_eq(file.path, "none");
	ck_assert_int_eq(prefork_settings_origin(settings, "timeout", &origin, &place), 0);
	ck_assert_int_eq(origin, PREFORK_FROM_FILE);
	ck_assert_str_eq(place, "ours: it");
	ck_assert_ptr_eq(prefork_settings_user(settings), &file.calls);
	ck_assert_int_eq(file.calls, 2);
	ck_assert_int_eq(prefork_settings_assign(settings, "timeout", "8", "late"), -EBUSY);
	prefork_settings_destroy(settings);
}
END_TEST

static const struct {
	const char *name, *text, *message;
} mistakes[] = {
	{ "timeout", "x", "ours: it: expected a time" },
	{ "tiemout", "7", "ours: it: unknown setting 'tiemout'" },
	{ "check_config", "yes", "only the command line can set 'check_config'" },
};

START_TEST(a_value_of_the_reader_is_checked)
{
	struct prefork_settings *settings = NULL;

	file.name = mistakes[_i].name, file.text = mistakes[_i].text;
	ck_assert_int_lt(parse(NULL, &settings), 0);
	ck_assert_ptr_nonnull(strstr(prefork_error(), mistakes[_i].message));
	prefork_settings_destroy(settings);
}
END_TEST

START_TEST(a_file_that_is_not_the_readers_is_read_as_ini)
{
	const char *const words[] = { "-c", "/nowhere/absent.ini", NULL };
	struct prefork_settings *settings = NULL;

	file.result = 1;
	ck_assert_int_eq(parse(words, &settings), PREFORK_ECONFIG);
	ck_assert_ptr_nonnull(strstr(prefork_error(), HAVE_INIH ? "absent.ini" : "without libinih"));
	prefork_settings_destroy(settings);
	ck_assert_int_eq(parse(NULL, &settings), 0); /* and there may be none */
	prefork_settings_destroy(settings);
}
END_TEST

START_TEST(a_completion_replaces_values_of_every_source)
{
	const char *const words[] = { "--threads", "4", "-k", "sync", NULL };
	struct prefork_settings *settings = NULL;
	const char *place;

	ck_assert_int_eq(parse(words, &settings), 0);
	ck_assert_str_eq(prefork_settings_text(settings, "worker_class"), "threads");
	ck_assert_int_eq(prefork_settings_origin(settings, "worker_class", NULL, &place), 0);
	ck_assert_str_eq(place, "--threads");
	prefork_settings_destroy(settings);
}
END_TEST

START_TEST(a_value_that_a_completion_assigns_is_below_the_file)
{
	const char *const words[] = { "--timeout", "9", NULL };
	struct prefork_settings *settings = NULL;
	enum prefork_origin origin;
	const char *place;

	further.name = "timeout", further.text = "5";
	ck_assert_int_eq(parse(words, &settings), 0);
	ck_assert_int_eq(prefork_settings_int(settings, "timeout"), 9000);
	prefork_settings_destroy(settings);
	file.name = "timeout", file.text = "7";
	ck_assert_int_eq(parse(NULL, &settings), 0);
	ck_assert_int_eq(prefork_settings_int(settings, "timeout"), 7000);
	prefork_settings_destroy(settings);
	file.name = NULL;
	ck_assert_int_eq(parse(NULL, &settings), 0);
	ck_assert_int_eq(prefork_settings_int(settings, "timeout"), 5000);
	ck_assert_int_eq(prefork_settings_origin(settings, "timeout", &origin, &place), 0);
	ck_assert_int_eq(origin, PREFORK_FROM_COMPLETION);
	ck_assert_str_eq(place, "further: it");
	ck_assert_int_eq(prefork_settings_was_set(settings, "timeout"), 1);
	ck_assert_int_eq(prefork_settings_assign(settings, "timeout", "8", "late"), -EBUSY);
	prefork_settings_destroy(settings);
	further.text = "x";
	ck_assert_int_eq(parse(NULL, &settings), PREFORK_ECONFIG);
	ck_assert_ptr_nonnull(strstr(prefork_error(), "further: it: expected a time"));
	prefork_settings_destroy(settings);
}
END_TEST

START_TEST(a_further_completion_replaces_what_the_last_one_has_assigned)
{
	struct prefork_settings *settings = NULL;
	struct prefork_arbiter *arbiter = NULL;

	further.name = "bind", further.text = "127.0.0.1:0", further.more = "127.0.0.2:0";
	ck_assert_int_eq(parse(NULL, &settings), 0);
	ck_assert_uint_eq(prefork_settings_count(settings, "bind"), 2);
	ck_assert_int_eq(prefork_arbiter_create(settings, &arbiter), 0);
	ck_assert_int_eq(prefork_arbiter_override(arbiter, "workers", "3", "here"), 0);
	ck_assert_uint_eq(prefork_settings_count(prefork_arbiter_settings(arbiter), "bind"), 2);
	further.name = NULL, further.more = NULL;
	ck_assert_int_eq(prefork_arbiter_override(arbiter, "workers", "2", "here"), 0);
	ck_assert_int_eq(prefork_settings_was_set(prefork_arbiter_settings(arbiter), "bind"), 0);
	ck_assert_str_ne(prefork_settings_item(prefork_arbiter_settings(arbiter), "bind", 0), "127.0.0.1:0");
	prefork_arbiter_destroy(arbiter);
	prefork_settings_destroy(settings);
}
END_TEST

START_TEST(an_override_before_the_start_changes_what_the_arbiter_starts_with)
{
	struct prefork_settings *settings = NULL;
	struct prefork_arbiter *arbiter = NULL;
	const struct prefork_settings *now;

	ck_assert_int_eq(parse(NULL, &settings), 0);
	ck_assert_int_eq(prefork_arbiter_create(settings, &arbiter), 0);
	ck_assert_int_eq(prefork_settings_override(settings, "workers", "3", "here"), -EBUSY);
	ck_assert_int_eq(prefork_arbiter_override(arbiter, "workers", "3", "here"), 0);
	ck_assert_int_eq(prefork_arbiter_override(arbiter, "bind", "127.0.0.1:0,127.0.0.2:0", "here"), 0);
	ck_assert_int_eq(prefork_arbiter_override(arbiter, "bind", "127.0.0.3:0", "here"), 0);
	ck_assert_int_eq(prefork_arbiter_override_append(arbiter, "bind", "127.0.0.4:0,127.0.0.5:0", "here"), 0);
	ck_assert_int_eq(prefork_arbiter_override_append(arbiter, "workers", "3", "here"), PREFORK_ECONFIG);
	ck_assert_int_eq(prefork_arbiter_override_append(arbiter, "absent", "1", "here"), -ENOENT);
	ck_assert_int_eq(prefork_arbiter_override(arbiter, "threads", "2", "here"), 0);
	ck_assert_int_eq(prefork_arbiter_override(arbiter, "workers", "many", "here"), PREFORK_ECONFIG);
	ck_assert_int_eq(prefork_arbiter_override(arbiter, "absent", "1", "here"), -ENOENT);
	ck_assert_int_eq(prefork_arbiter_override(arbiter, "errorlog", "/nowhere/at/all", "here"), -ENOENT);
	ck_assert_str_eq(prefork_settings_text(prefork_arbiter_settings(arbiter), "errorlog"), "-");
	now = prefork_arbiter_settings(arbiter);
	ck_assert_int_eq(prefork_settings_int(now, "workers"), 3);
	ck_assert_uint_eq(prefork_settings_count(now, "bind"), 3);
	ck_assert_str_eq(prefork_settings_item(now, "bind", 0), "127.0.0.3:0");
	ck_assert_str_eq(prefork_settings_item(now, "bind", 2), "127.0.0.5:0");
	ck_assert_str_eq(prefork_settings_text(now, "worker_class"), "threads"); /* the completion runs again */
	ck_assert_ptr_eq(prefork_settings_user(now), &file.calls);
	ck_assert_int_eq(prefork_settings_int(settings, "workers"), 1);
	prefork_arbiter_destroy(arbiter);
	prefork_settings_destroy(settings);
}
END_TEST

static void clear(void)
{
	memset(&file, 0, sizeof file);
	memset(&further, 0, sizeof further);
}

int main(void)
{
	Suite *const suite = suite_create("settings_file");
	TCase *const tc = new_case(suite, "settings_file");

	tcase_add_checked_fixture(tc, clear, NULL);
	tcase_add_test(tc, a_value_of_the_reader_has_the_precedence_of_a_file);
	tcase_add_loop_test(tc, a_value_of_the_reader_is_checked, 0, sizeof mistakes / sizeof mistakes[0]);
	tcase_add_test(tc, a_file_that_is_not_the_readers_is_read_as_ini);
	tcase_add_test(tc, a_completion_replaces_values_of_every_source);
	tcase_add_test(tc, a_value_that_a_completion_assigns_is_below_the_file);
	tcase_add_test(tc, a_further_completion_replaces_what_the_last_one_has_assigned);
	tcase_add_test(tc, an_override_before_the_start_changes_what_the_arbiter_starts_with);
	return run_suite(suite);
}
