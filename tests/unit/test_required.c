/*
 * The public functions, called with NULL where they need something: each answers -EINVAL, or what stands for it, and
 * an error message. The headers say which functions there are.
 */
#include "../support.h"
#include "required.h"

#include <prefork/http.h>
#include <prefork/prefork.h>

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

/* Rows of one function differ in the argument, which is part of the name. */
#define ANY ((void *)&anything)

static union {
	max_align_t aligned;
	char bytes[1 << 16];
} anything; /* an object of which a function that looks at its arguments first looks at nothing */

#define DEFINE_NUMBER(name, argument, arguments, ...) \
	static int64_t call_##name##_##argument(void) { return (int64_t)name arguments; }
#define DEFINE_POINTER(name, argument, arguments) \
	static int64_t call_##name##_##argument(void) { return name arguments == NULL ? 0 : 1; }
#define DEFINE_NOTHING(name, argument, arguments) \
	static int64_t call_##name##_##argument(void) { (void)name arguments; return 0; }
#define DEFINE_UNTRIED(name)

#pragma GCC diagnostic ignored "-Wformat"
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
static const char *no_format;
REQUIRED_ROWS(DEFINE_NUMBER, DEFINE_POINTER, DEFINE_NOTHING, DEFINE_NOTHING, DEFINE_UNTRIED)

static const struct row {
	const char *name, *argument;
	int64_t (*call)(void);
	int64_t answer;
	bool has_message;
} rows[] = {
#define ROW_NUMBER(name, argument, arguments, answer) \
	{ #name, #argument, call_##name##_##argument, (int64_t)(answer), true },
#define ROW_POINTER(name, argument, arguments) { #name, #argument, call_##name##_##argument, 0, true },
#define ROW_QUIET(name, argument, arguments) { #name, #argument, call_##name##_##argument, 0, false },
#define ROW_UNTRIED(name) { #name, "", NULL, 0, false },
	REQUIRED_ROWS(ROW_NUMBER, ROW_POINTER, ROW_POINTER, ROW_QUIET, ROW_UNTRIED)
};

enum { ROWS = sizeof rows / sizeof rows[0] };

START_TEST(null_is_refused_with_a_message)
{
	const struct row *const row = &rows[_i];

	if (row->call == NULL)
		return;
	prefork_error_clear();
	const int64_t answer = row->call();
	if (!row->has_message)
		return;
	ck_assert_msg(answer == row->answer, "%s, %s is NULL: %lld", row->name, row->argument, (long long)answer);
	ck_assert_msg(*prefork_error() != '\0', "%s, %s is NULL: no message", row->name, row->argument);
}
END_TEST

static void expect_row(const char *header, const char *name, size_t length)
{
	for (int i = 0; i < ROWS; i++) {
		if (strncmp(rows[i].name, name, length) == 0 && rows[i].name[length] == '\0')
			return;
	}
	ck_abort_msg("<prefork/%s>: %.*s() has no row in required.h", header, (int)length, name);
}

/* The name before the first parenthesis behind each PREFORK_API. */
static int expect_functions_of(const char *header, char *text)
{
	static const char mark[] = "\nPREFORK_API ";
	int count = 0;

	for (char *at = text; (at = strstr(at, mark)) != NULL; count++) {
		at += sizeof mark - 1;
		const char *const end = strchr(at, '(');
		const char *begin = end;

		ck_assert_ptr_nonnull(end);
		while (begin > at && strchr(" *\n\t", begin[-1]) == NULL)
			begin--;
		expect_row(header, begin, (size_t)(end - begin));
	}
	return count;
}

START_TEST(every_public_function_has_a_row)
{
	static char text[1 << 17];
	DIR *const directory = opendir(HEADERS);
	int count = 0;

	ck_assert_ptr_nonnull(directory);
	for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
		if (entry->d_name[0] == '.')
			continue;
		const int fd = openat(dirfd(directory), entry->d_name, O_RDONLY | O_CLOEXEC);
		const ssize_t size = read(fd, text, sizeof text - 1);

		ck_assert(size > 0 && size < (ssize_t)sizeof text - 1);
		text[size] = '\0';
		count += expect_functions_of(entry->d_name, text);
		(void)close(fd);
	}
	(void)closedir(directory);
	ck_assert_int_ge(count, 170);
}
END_TEST

/* It should have stopped at the answer 1, and has made no settings. */
START_TEST(who_goes_on_after_help_is_refused)
{
	static const struct prefork_service service = { .struct_size = sizeof service };
	const char *const words[] = { "program", "--help", NULL };
	struct prefork_settings *settings = NULL;
	struct prefork_arbiter *arbiter = NULL;

	ck_assert_ptr_nonnull(freopen("/dev/null", "w", stdout));
	ck_assert_int_eq(prefork_settings_load(2, (char *const *)(uintptr_t)words, &settings), 1);
	ck_assert_int_eq(prefork_arbiter_create(settings, &arbiter), -EINVAL);
	ck_assert_ptr_nonnull(strstr(prefork_error(), "--help"));
	ck_assert_int_eq(prefork_arbiter_add_service(arbiter, "web", &service, NULL), -EINVAL);
	const int r = prefork_arbiter_run(arbiter);
	ck_assert_int_eq(r, -EINVAL);
	prefork_arbiter_destroy(arbiter);
	prefork_settings_destroy(settings);
	ck_assert_int_eq(prefork_exit_status(r), 1);
}
END_TEST

int main(void)
{
	Suite *const suite = suite_create("required");
	TCase *const tc = new_case(suite, "required");

	tcase_add_loop_test(tc, null_is_refused_with_a_message, 0, ROWS);
	tcase_add_test(tc, every_public_function_has_a_row);
	tcase_add_test(tc, who_goes_on_after_help_is_refused);
	return run_suite(suite);
}
