#include <prefork/error.h>
#include <prefork/settings.h>

#include "base/number.h"
#include "model/assign.h"
#include "model/library_options.h"
#include "model/settings.h"

#include "../support.h"

static struct prefork_settings *new_settings(void)
{
	struct prefork_settings *settings = NULL;

	ck_assert_int_eq(prefork_settings_create(&settings), 0);
	return settings;
}

/* Formats `value` as text for a row of this type. */
static void format_value(const struct prefork_option *row, int64_t value, char *bytes, size_t size)
{
	struct pfi_text text;

	pfi_text_init(&text, bytes, size);
	switch (row->type) {
	case PREFORK_OPTION_DURATION:
		pfi_text_format(&text, "%lldms", (long long)value);
		break;
	case PREFORK_OPTION_MODE:
		pfi_text_format(&text, "%llo", (long long)value);
		break;
	default:
		pfi_text_format(&text, "%lld", (long long)value);
	}
}

static bool is_number(enum prefork_option_type type)
{
	return type == PREFORK_OPTION_INT || type == PREFORK_OPTION_DURATION || type == PREFORK_OPTION_SIZE ||
	       type == PREFORK_OPTION_MODE;
}

static int assign(struct prefork_settings *settings, size_t index, const char *text)
{
	return pfi_settings_assign(settings, index, text, PREFORK_FROM_COMMAND_LINE, "here");
}

START_TEST(a_number_outside_its_bounds_is_refused)
{
	struct prefork_settings *const settings = new_settings();
	size_t rows = 0;

	for (size_t i = 0; i < settings->count; i++) {
		const struct prefork_option *const row = &settings->rows[i];
		char bytes[64];

		if (!is_number(row->type))
			continue;
		rows++;
		ck_assert_msg(row->min != 0 || row->max != 0, "%s has no bounds", row->name);
		format_value(row, row->min, bytes, sizeof bytes);
		ck_assert_msg(assign(settings, i, bytes) == 0, "%s refuses %s", row->name, bytes);
		ck_assert_int_eq(prefork_settings_int(settings, row->name), row->min);
		format_value(row, row->max, bytes, sizeof bytes);
		ck_assert_msg(assign(settings, i, bytes) == 0, "%s refuses %s", row->name, bytes);
		format_value(row, row->max + 1, bytes, sizeof bytes);
		ck_assert_msg(assign(settings, i, bytes) == -EINVAL, "%s takes %s", row->name, bytes);
		format_value(row, row->min - 1, bytes, sizeof bytes);
		ck_assert_msg(row->type == PREFORK_OPTION_MODE || assign(settings, i, bytes) == -EINVAL,
			      "%s takes %s", row->name, bytes);
		ck_assert_int_eq(prefork_settings_int(settings, row->name), row->max);
		ck_assert_ptr_nonnull(strstr(prefork_error(), "here: expected "));
	}
	ck_assert_uint_gt(rows, 15);
	prefork_settings_destroy(settings);
}
END_TEST

static const char *const garbage[] = { "", " ", "x", "1x", " 1", "1 ", "0x1", "1,2", "\xff", "9999999999999999999999",
				       "1\n", "Autos", "none", "-" };

START_TEST(garbage_is_refused_by_every_number_flag_and_choice)
{
	struct prefork_settings *const settings = new_settings();

	for (size_t i = 0; i < settings->count; i++) {
		const struct prefork_option *const row = &settings->rows[i];

		if (row->type == PREFORK_OPTION_STRING || row->type == PREFORK_OPTION_LIST)
			continue;
		for (size_t k = 0; k < sizeof garbage / sizeof garbage[0]; k++)
			ck_assert_msg(assign(settings, i, garbage[k]) == -EINVAL, "%s takes '%s'", row->name,
				      garbage[k]);
		ck_assert_int_eq(prefork_settings_was_set(settings, row->name), 0);
	}
	prefork_settings_destroy(settings);
}
END_TEST

START_TEST(every_word_of_a_choice_is_accepted)
{
	struct prefork_settings *const settings = new_settings();
	size_t words = 0;

	for (size_t i = 0; i < settings->count; i++) {
		const struct prefork_option *const row = &settings->rows[i];
		char bytes[200], *rest = bytes, *word;

		if (row->type != PREFORK_OPTION_CHOICE)
			continue;
		strcpy(bytes, row->choices);
		while ((word = strsep(&rest, "|")) != NULL) {
			ck_assert_int_eq(assign(settings, i, word), 0);
			ck_assert_str_eq(prefork_settings_text(settings, row->name), word);
			words++;
		}
	}
	ck_assert_uint_gt(words, 10);
	prefork_settings_destroy(settings);
}
END_TEST

START_TEST(the_defaults_of_the_rows_pass_the_check)
{
	struct prefork_settings *const settings = new_settings();

	ck_assert_int_eq(pfi_options_check(settings), 0);
	ck_assert_int_eq(prefork_settings_int(settings, "workers"), 1);
	ck_assert_int_eq(prefork_settings_int(settings, "timeout"), 30000);
	ck_assert_int_eq(prefork_settings_int(settings, "backlog"), 2048);
	ck_assert_int_eq(prefork_settings_int(settings, "stop_linger"), -1);
	ck_assert_int_eq(prefork_settings_int(settings, "socket_mode"), 0666);
	ck_assert_str_eq(prefork_settings_text(settings, "worker_class"), "sync");
	ck_assert_ptr_null(prefork_settings_text(settings, "proc_name"));
	ck_assert_uint_eq(prefork_settings_count(settings, "bind"), 1);
	ck_assert_str_eq(prefork_settings_item(settings, "bind", 0), "127.0.0.1:8000");
	ck_assert_ptr_null(prefork_settings_item(settings, "bind", 1));
	prefork_settings_destroy(settings);
}
END_TEST

START_TEST(a_wrong_name_or_type_is_reported)
{
	struct prefork_settings *const settings = new_settings();

	ck_assert_int_eq(prefork_settings_int(settings, "wrokers"), -EINVAL);
	ck_assert_str_eq(prefork_error(), "unknown option wrokers");
	ck_assert_int_eq(prefork_settings_int(settings, "bind"), -EINVAL);
	ck_assert_str_eq(prefork_error(), "option bind is of another type");
	ck_assert_ptr_null(prefork_settings_text(settings, "workers"));
	ck_assert_uint_eq(prefork_settings_count(settings, "workers"), 0);
	ck_assert_int_eq(prefork_settings_int(NULL, "workers"), -EINVAL);
	ck_assert_int_eq(prefork_settings_was_set(settings, "x"), 0);
	ck_assert_int_eq(prefork_settings_origin(settings, "x", NULL, NULL), -ENOENT);
	ck_assert_ptr_null(prefork_settings_argument(settings, 0));
	prefork_settings_destroy(settings);
	prefork_settings_destroy(NULL);
}
END_TEST

START_TEST(a_list_grows_within_a_source_and_is_replaced_by_a_higher_one)
{
	struct prefork_settings *const settings = new_settings();
	const size_t bind = pfi_settings_find(settings, "bind");

	ck_assert_int_eq(pfi_settings_assign(settings, bind, "a:1, b:2", PREFORK_FROM_FILE, "f:1"), 0);
	ck_assert_int_eq(pfi_settings_assign(settings, bind, "c:3", PREFORK_FROM_FILE, "f:2"), 0);
	ck_assert_uint_eq(prefork_settings_count(settings, "bind"), 3);
	ck_assert_str_eq(prefork_settings_item(settings, "bind", 1), "b:2");
	ck_assert_int_eq(pfi_settings_assign(settings, bind, "d:4", PREFORK_FROM_COMMAND_LINE, "-b"), 0);
	ck_assert_int_eq(pfi_settings_assign(settings, bind, "e:5", PREFORK_FROM_ENVIRONMENT, "E"), 0);
	ck_assert_uint_eq(prefork_settings_count(settings, "bind"), 1);
	ck_assert_str_eq(prefork_settings_item(settings, "bind", 0), "d:4");
	ck_assert_int_eq(pfi_settings_assign(settings, bind, "a,,b", PREFORK_FROM_FILE, "f:3"), -EINVAL);
	ck_assert_str_eq(prefork_error(), "f:3: an item between the commas is empty");
	ck_assert_int_eq(pfi_settings_assign(settings, bind, "a,", PREFORK_FROM_FILE, "f:3"), -EINVAL);
	for (int i = 1; i < 64; i++)
		ck_assert_int_eq(assign(settings, bind, "x"), 0);
	ck_assert_int_eq(assign(settings, bind, "x"), -EINVAL);
	prefork_settings_destroy(settings);
}
END_TEST

#define ROW(row_name, row_type) \
	.struct_size = sizeof(struct prefork_option), .name = row_name, .type = PREFORK_OPTION_##row_type, \
	.section = "Ours", .doc = "Of the application."

START_TEST(an_application_adds_rows_defaults_and_arguments)
{
	static const struct prefork_option rows[] = {
		{ ROW("keepalive", DURATION), .flags = "--keep-alive", .max = 60000, .default_text = "2" },
		{ ROW("limit_request_line", SIZE), .min = 1, .max = 8190, .default_text = "4094" },
		{ ROW("raw_env", LIST), .flags = "-e, --env" },
	};
	struct prefork_settings *const settings = new_settings();

	ck_assert_int_eq(prefork_settings_add_options(settings, rows, 3), 0);
	ck_assert_int_eq(prefork_settings_int(settings, "keepalive"), 2000);
	ck_assert_int_eq(prefork_settings_int(settings, "limit_request_line"), 4094);
	ck_assert_int_eq(prefork_settings_set_default(settings, "keepalive", "5"), 0);
	ck_assert_int_eq(prefork_settings_set_default(settings, "keepalive", "7"), 0);
	ck_assert_int_eq(prefork_settings_int(settings, "keepalive"), 7000);
	ck_assert_int_eq(prefork_settings_was_set(settings, "keepalive"), 0);
	ck_assert_int_eq(prefork_settings_set_default(settings, "bind", "a:1,b:2"), 0);
	ck_assert_int_eq(prefork_settings_set_default(settings, "bind", "c:3"), 0);
	ck_assert_uint_eq(prefork_settings_count(settings, "bind"), 1);
	ck_assert_int_eq(prefork_settings_set_default(settings, "nope", "5"), -ENOENT);
	ck_assert_int_eq(prefork_settings_set_default(settings, "keepalive", "61"), -EINVAL);
	ck_assert_str_eq(prefork_error(), "the program's default for keepalive: expected a time from 0 to 1m (such "
					  "as 30, 1.5s, 500ms or 2m), not '61'");
	ck_assert_int_eq(prefork_settings_add_choice(settings, "worker_class", "gthread", "threads"), 0);
	ck_assert_int_eq(prefork_settings_add_choice(settings, "worker_class", "gthread", "threads"), -EEXIST);
	ck_assert_int_eq(prefork_settings_add_choice(settings, "worker_class", "sync", NULL), -EEXIST);
	ck_assert_int_eq(prefork_settings_add_choice(settings, "worker_class", "x", "sy"), -EINVAL);
	ck_assert_int_eq(prefork_settings_add_choice(settings, "workers", "x", NULL), -EINVAL);
	ck_assert_int_eq(prefork_settings_set_default(settings, "worker_class", "gthread"), 0);
	ck_assert_str_eq(prefork_settings_text(settings, "worker_class"), "threads");
	prefork_settings_destroy(settings);
}
END_TEST

START_TEST(a_choice_may_be_a_pattern)
{
	struct prefork_settings *const settings = new_settings();

	ck_assert_int_eq(prefork_settings_add_choice(settings, "worker_class", "*:*", NULL), 0);
	ck_assert_int_eq(prefork_settings_add_choice(settings, "worker_class", "gthread*", "threads"), 0);
	ck_assert_int_eq(prefork_settings_set_default(settings, "worker_class", "a.long.module.name.of.more.than."
		"the.sixty.four.bytes.of.a.word:Loop"), 0);
	ck_assert_str_eq(prefork_settings_text(settings, "worker_class"), "a.long.module.name.of.more.than."
		"the.sixty.four.bytes.of.a.word:Loop");
	ck_assert_int_eq(prefork_settings_set_default(settings, "worker_class", "gthreads"), 0);
	ck_assert_str_eq(prefork_settings_text(settings, "worker_class"), "threads");
	ck_assert_int_eq(prefork_settings_set_default(settings, "worker_class", "libev"), 0);
	ck_assert_str_eq(prefork_settings_text(settings, "worker_class"), "libev");
	ck_assert_int_eq(prefork_settings_set_default(settings, "worker_class", "a.b"), -EINVAL);
	ck_assert_msg(strstr(prefork_error(), "did you mean") == NULL, "%s", prefork_error());
	prefork_settings_destroy(settings);
}
END_TEST

static const struct {
	struct prefork_option row;
	int result;
	const char *message;
} bad_rows[] = {
	{ { ROW("Workers", INT) }, -EINVAL, "option Workers needs a name of a-z, 0-9 and _" },
	{ { ROW("", INT) }, -EINVAL, "option  needs a name of a-z, 0-9 and _" },
	{ { ROW("workers", INT) }, -EEXIST, "option workers: its name or a flag belongs to option workers" },
	{ { ROW("w", INT), .flags = "-w" }, -EEXIST, "option w: its name or a flag belongs to option workers" },
	{ { ROW("h", INT), .flags = "-h" }, -EEXIST, "option h: the flag -h is defined by the library" },
	{ { ROW("help", BOOL) }, -EEXIST, "option help is defined by the library" },
	{ { ROW("x", INT), .flags = "-xy" }, -EINVAL, "option x has a flag of another form than -x or --word" },
	{ { ROW("x", INT), .flags = "x" }, -EINVAL, "option x has a flag of another form than -x or --word" },
	{ { ROW("x", INT), .flags = "-1" }, -EINVAL, "option x has a flag of another form than -x or --word" },
	{ { ROW("x", INT), .flags = "--x=" }, -EINVAL, "option x has a flag of another form than -x or --word" },
	{ { ROW("x", INT), .flags = "" }, -EINVAL, "option x has no flag" },
	{ { ROW("x", INT), .min = 2, .max = 1 }, -EINVAL, "option x has a minimum above its maximum" },
	{ { ROW("x", INT), .min = 2, .max = 3, .default_text = "1" }, -EINVAL,
	  "option x: default: expected a whole number from 2 to 3, not '1'" },
	{ { ROW("x", CHOICE), .default_text = "a" }, -EINVAL,
	  "option x needs choices if it is a CHOICE, and has none otherwise" },
	{ { ROW("x", INT), .traits = PREFORK_OPTION_MAY_BE_BOOL }, -EINVAL, "option x may be BOOL, but is no CHOICE" },
	{ { ROW("x", CHOICE), .choices = "a|b" }, -EINVAL, "option x is a CHOICE and needs a default" },
	{ { .struct_size = sizeof(struct prefork_option), .name = "x", .type = (enum prefork_option_type)99,
	    .section = "s", .doc = "d" }, -EINVAL, "option x has an unknown type" },
	{ { .name = "x", .type = PREFORK_OPTION_INT, .section = "s", .doc = "d" }, -EINVAL,
	  "the struct_size of struct prefork_option is 0: it must be the sizeof of the structure" },
	{ { .struct_size = sizeof(struct prefork_option), .name = "x", .type = PREFORK_OPTION_INT }, -EINVAL,
	  "option x needs a section and a doc" },
};

START_TEST(an_inconsistent_row_is_refused_without_effect)
{
	struct prefork_settings *const settings = new_settings();
	const size_t before = settings->count;

	ck_assert_int_eq(prefork_settings_add_options(settings, &bad_rows[_i].row, 1), bad_rows[_i].result);
	ck_assert_str_eq(prefork_error(), bad_rows[_i].message);
	ck_assert_uint_eq(settings->count, before);
	prefork_settings_destroy(settings);
}
END_TEST

START_TEST(rows_of_a_longer_struct_are_accepted_if_the_rest_is_zero)
{
	struct {
		struct prefork_option row;
		const char *unknown_member;
	} rows[] = {
		{ { ROW("one", INT), .default_text = "1" }, NULL },
		{ { ROW("two", INT), .default_text = "2" }, "unknown here" },
	};
	struct prefork_settings *const settings = new_settings();

	rows[0].row.struct_size = rows[1].row.struct_size = sizeof rows[0];
	ck_assert_int_eq(prefork_settings_add_options(settings, &rows[0].row, 2), -EINVAL);
	rows[1].unknown_member = NULL;
	ck_assert_int_eq(prefork_settings_add_options(settings, &rows[0].row, 2), 0);
	ck_assert_int_eq(prefork_settings_int(settings, "one"), 1);
	ck_assert_int_eq(prefork_settings_int(settings, "two"), 2);
	prefork_settings_destroy(settings);
}
END_TEST

static const struct {
	const char *name, *text, *second, *second_text, *message;
} contradictions[] = {
	{ "workers", "8", "workers_max", "4", "workers_max (here) is 4, less than workers (here), which is 8" },
	{ "workers", "2", "max_unavailable", "3", "max_unavailable (here) is more than workers (here), which is 2" },
	{ "max_unavailable", "0", "surge", "0",
	  "surge (here) and max_unavailable (here) are both 0, so that no worker could be replaced: with surge 0, "
	  "max_unavailable must be 1 or more" },
	{ "timeout", "5", "soft_timeout", "5", "soft_timeout (here) must be shorter than timeout (here)" },
};

START_TEST(rows_that_contradict_each_other_are_refused)
{
	struct prefork_settings *const settings = new_settings();

	ck_assert_int_eq(assign(settings, pfi_settings_find(settings, contradictions[_i].name), contradictions[_i].text), 0);
	ck_assert_int_eq(pfi_options_check(settings), 0);
	ck_assert_int_eq(assign(settings, pfi_settings_find(settings, contradictions[_i].second), contradictions[_i].second_text), 0);
	ck_assert_int_eq(pfi_options_check(settings), PREFORK_ECONFIG);
	ck_assert_str_eq(prefork_error(), contradictions[_i].message);
	prefork_settings_destroy(settings);
}
END_TEST

START_TEST(workers_max_grows_with_workers_unless_set)
{
	static const struct {
		const char *workers, *max;
		int64_t expected, sockets;
	} cases[] = {
		{ "1", "0", 64, 5 },     { "4", "0", 64, 8 },         { "16", "0", 64, 32 },        { "20", "0", 80, 40 },
		{ "20", "21", 21, 21 },  { "2000", "0", 4096, 4000 }, { "4096", "0", 4096, 4096 }, { "1", "2", 2, 2 },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct prefork_settings *const settings = new_settings();

		ck_assert_int_eq(prefork_settings_set_default(settings, "workers", cases[i].workers), 0);
		ck_assert_int_eq(prefork_settings_set_default(settings, "workers_max", cases[i].max), 0);
		ck_assert_int_eq(pfi_settings_workers_max(pfi_library_settings(settings)), cases[i].expected);
		ck_assert_int_eq(pfi_settings_sockets(pfi_library_settings(settings), (uint32_t)cases[i].expected),
				 cases[i].sockets);
		prefork_settings_destroy(settings);
	}
}
END_TEST

START_TEST(an_override_changes_a_copy_until_it_is_frozen)
{
	struct prefork_settings *const settings = new_settings();
	struct prefork_settings *copy = NULL;
	enum prefork_origin origin;
	const char *place;

	ck_assert_int_eq(assign(settings, pfi_settings_find(settings, "workers"), "3"), 0);
	ck_assert_int_eq(pfi_settings_copy(settings, &copy), 0);
	prefork_settings_destroy(settings);
	ck_assert_int_eq(prefork_settings_int(copy, "workers"), 3);
	ck_assert_int_eq(prefork_settings_origin(copy, "workers", &origin, &place), 0);
	ck_assert_int_eq(origin, PREFORK_FROM_COMMAND_LINE);
	ck_assert_str_eq(place, "here");
	ck_assert_int_eq(pfi_settings_set_for_pool(copy, "workers", "5", "web"), 0);
	ck_assert_int_eq(prefork_settings_int(copy, "workers"), 5);
	ck_assert_int_eq(pfi_settings_set_for_pool(copy, "bind", "a:1,b:2", "web"), 0);
	ck_assert_int_eq(pfi_settings_set_for_pool(copy, "bind", "c:3", "web"), 0);
	ck_assert_uint_eq(prefork_settings_count(copy, "bind"), 1);
	ck_assert_int_eq(pfi_settings_set_for_pool(copy, "workers", "many", "web"), PREFORK_ECONFIG);
	ck_assert_str_eq(prefork_error(), "pool web: workers: expected a whole number from 1 to 4096, not 'many'");
	ck_assert_int_eq(pfi_settings_set_for_pool(copy, "wrokers", "1", "web"), -ENOENT);
	ck_assert_int_eq(pfi_settings_set_for_pool(copy, "loglevel", "debug", "web"), PREFORK_ECONFIG);
	pfi_settings_freeze(copy);
	ck_assert_int_eq(pfi_settings_set_for_pool(copy, "workers", "6", "web"), -EBUSY);
	ck_assert_int_eq(prefork_settings_set_default(copy, "workers", "6"), -EBUSY);
	ck_assert_int_eq(prefork_settings_int(copy, "workers"), 5);
	prefork_settings_destroy(pfi_settings_ref(copy));
	ck_assert_int_eq(prefork_settings_int(copy, "workers"), 5);
	prefork_settings_destroy(copy);
}
END_TEST

START_TEST(a_change_that_needs_a_restart_is_refused_with_its_name)
{
	struct prefork_settings *const old = new_settings(), *const new = new_settings();

	ck_assert_int_eq(assign(new, pfi_settings_find(new, "workers"), "3"), 0);
	ck_assert_int_eq(pfi_settings_diff_unreloadable(old, new), 0);
	ck_assert(pfi_settings_differ(old, new, pfi_settings_find(old, "workers")));
	ck_assert(!pfi_settings_differ(old, new, pfi_settings_find(old, "timeout")));
	ck_assert_int_eq(assign(new, pfi_settings_find(new, "backlog"), "64"), 0);
	ck_assert_int_eq(pfi_settings_diff_unreloadable(old, new), PREFORK_ECONFIG);
	ck_assert_str_eq(prefork_error(), "here: backlog cannot be changed by a reload (it is '2048' and would become "
					  "'64'): restart the server");
	prefork_settings_destroy(old);
	prefork_settings_destroy(new);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("settings");
	TCase *tc = new_case(suite, "settings");

	tcase_add_test(tc, a_number_outside_its_bounds_is_refused);
	tcase_add_test(tc, garbage_is_refused_by_every_number_flag_and_choice);
	tcase_add_test(tc, every_word_of_a_choice_is_accepted);
	tcase_add_test(tc, the_defaults_of_the_rows_pass_the_check);
	tcase_add_test(tc, a_wrong_name_or_type_is_reported);
	tcase_add_test(tc, a_list_grows_within_a_source_and_is_replaced_by_a_higher_one);
	tcase_add_test(tc, an_application_adds_rows_defaults_and_arguments);
	tcase_add_test(tc, a_choice_may_be_a_pattern);
	tcase_add_loop_test(tc, an_inconsistent_row_is_refused_without_effect, 0,
			    sizeof bad_rows / sizeof bad_rows[0]);
	tcase_add_test(tc, rows_of_a_longer_struct_are_accepted_if_the_rest_is_zero);
	tcase_add_loop_test(tc, rows_that_contradict_each_other_are_refused, 0, sizeof contradictions / sizeof contradictions[0]);
	tcase_add_test(tc, workers_max_grows_with_workers_unless_set);
	tcase_add_test(tc, an_override_changes_a_copy_until_it_is_frozen);
	tcase_add_test(tc, a_change_that_needs_a_restart_is_refused_with_its_name);
	return run_suite(suite);
}
