/* Settings as members of a struct: prefork_settings_add_module() and prefork_settings_values(). */
#include <prefork/error.h>
#include <prefork/http.h>
#include <prefork/settings.h>

#include "model/assign.h"
#include "model/library_options.h"
#include "model/settings.h"

#include "../support.h"

enum policy { POLICY_KEEP, POLICY_DROP };

struct queue_settings {
	bool is_strict;
	int depth;
	uint32_t mode;
	int64_t wait_ms;
	uint64_t size;
	const char *path;
	struct prefork_list hosts;
	enum policy policy;
	const char *policy_word;
	uint32_t workers;
	const char *worker_class;
};

#define ROW(row_name, row_type, struct_member)                                        \
	.struct_size = sizeof(struct prefork_option), .name = row_name,               \
	PREFORK_OPTION_IN(row_type, struct queue_settings, struct_member), .section = "Queue", .doc = "A row."

static const struct prefork_option rows[] = {
	{ ROW("queue_strict", BOOL, is_strict) },
	{ ROW("queue_depth", INT, depth), .min = -5, .max = 100, .default_text = "-5" },
	{ ROW("queue_mode", MODE, mode), .max = 0777, .default_text = "0640" },
	{ ROW("queue_wait", DURATION, wait_ms), .default_text = "auto", .traits = PREFORK_OPTION_MAY_BE_AUTO },
	{ ROW("queue_size", SIZE, size), .default_text = "8g" },
	{ ROW("queue_path", STRING, path) },
	{ ROW("queue_hosts", LIST, hosts), .default_text = "a,b", .traits = PREFORK_OPTION_COMMAS },
	{ ROW("queue_policy", CHOICE, policy), .choices = "keep|drop", .default_text = "drop" },
	{ ROW("workers", INT, workers), .traits = PREFORK_OPTION_REFERENCE },
	{ ROW("worker_class", CHOICE, worker_class), .traits = PREFORK_OPTION_REFERENCE },
};

static const struct prefork_module module = {
	.struct_size = sizeof module,
	.name = "queue",
	.options = rows,
	.option_count = sizeof rows / sizeof rows[0],
	.values_size = sizeof(struct queue_settings),
};

static struct prefork_settings *with_module(void)
{
	struct prefork_settings *settings = NULL;

	ck_assert_int_eq(prefork_settings_create(&settings), 0);
	ck_assert_msg(prefork_settings_add_module(settings, &module) == 0, "%s", prefork_error());
	return settings;
}

static void set(struct prefork_settings *settings, const char *name, const char *text)
{
	const size_t index = pfi_settings_find(settings, name);

	ck_assert_msg(pfi_settings_assign(settings, index, text, PREFORK_FROM_COMMAND_LINE, name) == 0, "%s",
		      prefork_error());
}

START_TEST(members_hold_the_defaults_of_their_rows)
{
	struct prefork_settings *const settings = with_module();
	const struct queue_settings *const queue = prefork_settings_values(settings, &module);

	ck_assert(!queue->is_strict);
	ck_assert_int_eq(queue->depth, -5);
	ck_assert_uint_eq(queue->mode, 0640);
	ck_assert_int_eq(queue->wait_ms, -1);
	ck_assert_uint_eq(queue->size, (uint64_t)8 << 30);
	ck_assert_ptr_null(queue->path);
	ck_assert_uint_eq(queue->hosts.count, 2);
	ck_assert_str_eq(queue->hosts.items[1], "b");
	ck_assert_ptr_null(queue->hosts.items[2]);
	ck_assert_int_eq(queue->policy, POLICY_DROP);
	ck_assert_uint_eq(queue->workers, 1);
	ck_assert_str_eq(queue->worker_class, "sync");
	prefork_settings_destroy(settings);
}
END_TEST

START_TEST(members_hold_parsed_copied_and_overridden_values)
{
	struct prefork_settings *const settings = with_module();
	struct prefork_settings *copy = NULL;
	const char *const argv[] = { "server", "--queue-strict", "--queue-depth", "7", "--queue-wait", "2s", "--queue-path",
				     "/tmp", "--queue-hosts", "c", "--queue-hosts", "d,e", "--queue-policy", "keep",
				     "--workers", "3", NULL };

	ck_assert_msg(prefork_settings_parse(settings, sizeof argv / sizeof argv[0] - 1, (char *const *)(uintptr_t)argv) == 0,
		      "%s", prefork_error());
	ck_assert_int_eq(pfi_settings_copy(settings, &copy), 0);
	ck_assert_int_eq(pfi_settings_set_for_pool(copy, "queue_depth", "9", "web"), 0);
	ck_assert_int_eq(pfi_settings_set_for_pool(copy, "workers", "4", "web"), 0);
	for (int i = 0; i < 2; i++) {
		const struct queue_settings *const queue = prefork_settings_values(i ? copy : settings, &module);

		ck_assert(queue->is_strict);
		ck_assert_int_eq(queue->depth, i ? 9 : 7);
		ck_assert_int_eq(queue->wait_ms, 2000);
		ck_assert_str_eq(queue->path, "/tmp");
		ck_assert_uint_eq(queue->hosts.count, 3);
		ck_assert_str_eq(queue->hosts.items[2], "e");
		ck_assert_int_eq(queue->policy, POLICY_KEEP);
		ck_assert_uint_eq(queue->workers, i ? 4 : 3);
		ck_assert_uint_eq(pfi_library_settings(i ? copy : settings)->workers, i ? 4 : 3);
	}
	prefork_settings_destroy(settings);
	prefork_settings_destroy(copy);
}
END_TEST

START_TEST(the_address_of_a_member_names_its_row)
{
	struct prefork_settings *const settings = with_module();
	const struct queue_settings *const queue = prefork_settings_values(settings, &module);
	enum prefork_origin origin;
	const char *place;

	set(settings, "queue_depth", "3");
	ck_assert_int_eq(prefork_settings_origin_of(settings, &queue->depth, &origin, &place), 0);
	ck_assert_int_eq(origin, PREFORK_FROM_COMMAND_LINE);
	ck_assert_str_eq(place, "queue_depth");
	ck_assert_int_eq(prefork_settings_origin_of(settings, &queue->hosts, &origin, &place), 0);
	ck_assert_int_eq(origin, PREFORK_FROM_ROW);
	ck_assert_str_eq(place, "default");
	ck_assert_int_eq(prefork_settings_origin_of(settings, &queue->policy_word, &origin, &place), -EINVAL);
	ck_assert_int_eq(prefork_settings_origin_of(settings, &origin, NULL, NULL), -EINVAL);
	prefork_settings_destroy(settings);
}
END_TEST

START_TEST(a_choice_stored_as_an_index_refuses_a_word_without_an_index)
{
	struct prefork_settings *const settings = with_module();
	const struct queue_settings *const queue = prefork_settings_values(settings, &module);

	ck_assert_int_eq(prefork_settings_add_choice(settings, "queue_policy", "spill", NULL), -EINVAL);
	ck_assert_int_eq(prefork_settings_add_choice(settings, "queue_policy", "hold", "keep"), 0);
	set(settings, "queue_policy", "hold");
	ck_assert_int_eq(queue->policy, POLICY_KEEP);
	ck_assert_int_eq(prefork_settings_add_choice(settings, "worker_class", "fibers", NULL), 0);
	set(settings, "worker_class", "fibers");
	ck_assert_str_eq(queue->worker_class, "fibers");
	prefork_settings_destroy(settings);
}
END_TEST

/* Rows that compile and do not fit their member. The last one fits. */
static const struct {
	struct prefork_option row;
	int error;
	const char *message;
} wrong[] = {
	{ { ROW("x", DURATION, size), .default_text = "auto", .traits = PREFORK_OPTION_MAY_BE_AUTO }, -EINVAL, "cannot hold" },
	{ { ROW("x", INT, mode), .min = -1, .max = 5 }, -EINVAL, "cannot hold" },
	{ { ROW("x", SIZE, depth), .max = INT64_MAX }, -EINVAL, "cannot hold" },
	{ { ROW("x", INT, depth) }, -EINVAL, "cannot hold" },
	{ { .struct_size = sizeof(struct prefork_option), .name = "x", .type = PREFORK_OPTION_BOOL, .section = "Queue",
	    .doc = "A row.", .member = PREFORK_MEMBER_TEXT }, -EINVAL, "cannot hold" },
	{ { .struct_size = sizeof(struct prefork_option), .name = "x", .type = PREFORK_OPTION_BOOL, .section = "Queue",
	    .doc = "A row.", .member = PREFORK_MEMBER_BOOL, .offset = sizeof(struct queue_settings) }, -EINVAL, "outside" },
	{ { ROW("no_such_row", INT, workers), .traits = PREFORK_OPTION_REFERENCE }, -ENOENT, "no_such_row" },
	{ { ROW("bind", INT, workers), .traits = PREFORK_OPTION_REFERENCE }, -EINVAL, "another type" },
	{ { ROW("max_requests", INT, depth), .traits = PREFORK_OPTION_REFERENCE }, 0, "" },
};

START_TEST(a_row_that_does_not_fit_its_member_is_refused_without_effect)
{
	const struct prefork_option both[] = { rows[0], wrong[_i].row };
	const struct prefork_module bad = { .struct_size = sizeof bad, .name = "bad", .options = both, .option_count = 2,
					    .values_size = sizeof(struct queue_settings) };
	struct prefork_settings *settings = NULL;

	ck_assert_int_eq(prefork_settings_create(&settings), 0);
	ck_assert_msg(prefork_settings_add_module(settings, &bad) == wrong[_i].error, "%s", prefork_error());
	if (wrong[_i].error < 0) {
		ck_assert_msg(strstr(prefork_error(), wrong[_i].message) != NULL, "%s", prefork_error());
		ck_assert_ptr_null(prefork_settings_values(settings, &bad));
		ck_assert_int_eq(prefork_settings_add_module(settings, &module), 0);
	}
	prefork_settings_destroy(settings);
}
END_TEST

START_TEST(a_module_is_added_once_and_before_parsing)
{
	struct prefork_settings *const settings = with_module();
	struct prefork_settings *other = NULL;
	const char *const argv[] = { "server", NULL };

	ck_assert_int_eq(prefork_settings_add_module(settings, &module), -EEXIST);
	ck_assert_int_eq(prefork_settings_add_options(settings, rows, 1), -EEXIST);
	ck_assert_int_eq(prefork_settings_create(&other), 0);
	ck_assert_int_eq(prefork_settings_add_options(other, rows, 1), -EINVAL); /* a member, and no struct */
	ck_assert_ptr_null(prefork_settings_values(other, &module));
	ck_assert_int_eq(prefork_settings_parse(other, 1, (char *const *)(uintptr_t)argv), 0);
	ck_assert_int_eq(prefork_settings_add_module(other, &module), -EBUSY);
	prefork_settings_destroy(settings);
	prefork_settings_destroy(other);
}
END_TEST

START_TEST(every_row_of_both_libraries_has_a_member)
{
	struct prefork_settings *settings = NULL;

	ck_assert_int_eq(prefork_settings_create(&settings), 0);
	ck_assert_int_eq(prefork_http_add_options(settings), 0);
	for (size_t row = 0; row < settings->count; row++) {
		bool is_bound = false;

		for (size_t i = 0; i < settings->binding_count; i++)
			is_bound |= settings->bindings[i].row == row;
		ck_assert_msg(is_bound, "%s has no member", settings->rows[row].name);
	}
	prefork_settings_destroy(settings);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("modules");
	TCase *tc = new_case(suite, "modules");

	tcase_add_test(tc, members_hold_the_defaults_of_their_rows);
	tcase_add_test(tc, members_hold_parsed_copied_and_overridden_values);
	tcase_add_test(tc, the_address_of_a_member_names_its_row);
	tcase_add_test(tc, a_choice_stored_as_an_index_refuses_a_word_without_an_index);
	tcase_add_loop_test(tc, a_row_that_does_not_fit_its_member_is_refused_without_effect, 0,
			    sizeof wrong / sizeof wrong[0]);
	tcase_add_test(tc, a_module_is_added_once_and_before_parsing);
	tcase_add_test(tc, every_row_of_both_libraries_has_a_member);
	return run_suite(suite);
}
