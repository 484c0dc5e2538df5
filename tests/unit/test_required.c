/*
 * The public functions with NULL for each argument that must not be NULL: each returns -EINVAL, or its
 * equivalent, and sets an error message. The list of functions is taken from the headers.
 */
#include "../support.h"
#include "required.h"

#include <prefork/http.h>
#include <prefork/prefork.h>
#include <prefork/tls.h>
#include <prefork/transport.h>

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

/* Rows of one function differ in the argument, which is part of the name. */
#define ANY ((void *)&anything)

static union {
	max_align_t aligned;
	char bytes[1 << 16];
} anything; /* a function that checks its arguments first does not read this object */

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
	int64_t result;
	bool has_message;
} rows[] = {
#define ROW_NUMBER(name, argument, arguments, result) \
	{ #name, #argument, call_##name##_##argument, (int64_t)(result), true },
#define ROW_POINTER(name, argument, arguments) { #name, #argument, call_##name##_##argument, 0, true },
#define ROW_QUIET(name, argument, arguments) { #name, #argument, call_##name##_##argument, 0, false },
#define ROW_UNTRIED(name) { #name, "", NULL, 0, false },
	REQUIRED_ROWS(ROW_NUMBER, ROW_POINTER, ROW_POINTER, ROW_QUIET, ROW_UNTRIED)
};

enum { ROWS = sizeof rows / sizeof rows[0] };

START_TEST(null_is_refused_with_a_message)
{
	const struct row *const it = &rows[_i];

	if (it->call == NULL)
		return;
	prefork_error_clear();
	const int64_t result = it->call();
	if (!it->has_message)
		return;
	ck_assert_msg(result == it->result, "%s, %s is NULL: %lld", it->name, it->argument, (long long)result);
	ck_assert_msg(*prefork_error() != '\0', "%s, %s is NULL: no message", it->name, it->argument);
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

/* ---- struct_size ---- */

static int run_nothing(struct prefork_worker *worker, void *user)
{
	(void)worker, (void)user;
	return 0;
}

static enum prefork_next close_connection(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	(void)worker, (void)connection, (void)user;
	return PREFORK_CLOSE;
}

static int result(struct prefork_request *request, void *user)
{
	(void)request, (void)user;
	return 0;
}

static const struct prefork_hooks hooks = { .struct_size = sizeof hooks };
static const struct prefork_service service = { .struct_size = sizeof service, .ready = close_connection };
static const struct prefork_strategy strategy = { .struct_size = sizeof strategy, .name = "mine", .run = run_nothing };
static const struct prefork_http_service http = { .struct_size = sizeof http, .handle = result };
static const struct prefork_option row = {
	.struct_size = sizeof row, .name = "mine", .type = PREFORK_OPTION_INT, .section = "mine", .doc = "mine"
};

static struct prefork_settings *settings;
static struct prefork_arbiter *arbiter;

static int add_hooks(const void *table) { return prefork_arbiter_add_hooks(arbiter, table, NULL); }
static int add_service(const void *table) { return prefork_arbiter_add_service(arbiter, "web", table, NULL); }
static int add_strategy(const void *table) { return prefork_arbiter_add_strategy(arbiter, table); }
static int add_pool(const void *table) { return prefork_arbiter_add_pool(arbiter, "web", table, NULL, NULL, NULL); }
static int add_http(const void *table) { return prefork_http_add_service(arbiter, "web", table, NULL); }

static int add_row(const void *table)
{
	struct prefork_settings *fresh = NULL;
	int r = prefork_settings_create(&fresh);

	if (r == 0)
		r = prefork_settings_add_options(fresh, table, 1);
	prefork_settings_destroy(fresh);
	return r;
}

#define UP_TO(type, member) (offsetof(type, member) + sizeof ((type *)NULL)->member)

static const struct {
	const char *name;
	int (*add)(const void *table);
	const void *table;
	size_t known, least;
} tables[] = {
	{ "hooks", add_hooks, &hooks, sizeof hooks, UP_TO(struct prefork_hooks, before_fork) },
	{ "service", add_service, &service, sizeof service, UP_TO(struct prefork_service, ready) },
	{ "strategy", add_strategy, &strategy, sizeof strategy, UP_TO(struct prefork_strategy, run) },
	{ "strategy of a pool", add_pool, &strategy, sizeof strategy, UP_TO(struct prefork_strategy, run) },
	{ "HTTP service", add_http, &http, sizeof http, UP_TO(struct prefork_http_service, handle) },
	{ "option", add_row, &row, sizeof row, UP_TO(struct prefork_option, doc) },
};

enum { LONGER = 32, TABLES = sizeof tables / sizeof tables[0] };

/* Adds a table whose struct_size is `size`; the bytes behind the known members are `tail`. */
static int add_of_size(int i, size_t size, char tail)
{
	static union {
		max_align_t aligned;
		char bytes[1024];
	} table;
	const char *const words[] = { "test", NULL };

	memset(&table, tail, sizeof table);
	memcpy(&table, tables[i].table, tables[i].known);
	memcpy(&table, &size, sizeof size); /* the first member of each */
	prefork_error_clear();
	ck_assert_int_eq(prefork_http_load(1, (char *const *)(uintptr_t)words, &settings), 0);
	ck_assert_int_eq(prefork_arbiter_create(settings, &arbiter), 0);
	const int r = tables[i].add(&table);
	prefork_arbiter_destroy(arbiter);
	prefork_settings_destroy(settings);
	return r;
}

START_TEST(struct_size_follows_one_rule_in_every_table)
{
	const size_t known = tables[_i].known, least = tables[_i].least;
	const struct {
		size_t size;
		char tail;
		int result;
	} cases[] = {
		{ known, 1, 0 }, { least, 1, 0 }, { known + LONGER, 0, 0 }, { known + LONGER, 1, -EINVAL },
		{ 0, 0, -EINVAL }, { least - 1, 0, -EINVAL }, { SIZE_MAX, 0, -EINVAL },
	};

	for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
		const int r = add_of_size(_i, cases[c].size, cases[c].tail);

		ck_assert_msg(r == cases[c].result, "%s of %zu bytes, %d behind it: %d, %s", tables[_i].name, cases[c].size,
		              cases[c].tail, r, prefork_error());
		ck_assert_msg(r == 0 || *prefork_error() != '\0', "%s of %zu bytes: no message", tables[_i].name,
		              cases[c].size);
	}
}
END_TEST

START_TEST(get_int_refuses_an_unknown_name_and_another_type)
{
	int64_t number = 7;

	ck_assert_int_eq(prefork_settings_create(&settings), 0);
	ck_assert_int_eq(prefork_settings_get_int(settings, "workers", &number), 0);
	ck_assert_int_eq(number, 1);
	ck_assert_int_eq(prefork_settings_get_int(settings, "worker", &number), -ENOENT);
	ck_assert_ptr_nonnull(strstr(prefork_error(), "worker"));
	ck_assert_int_eq(prefork_settings_get_int(settings, "bind", &number), -EINVAL);
	ck_assert_int_eq(number, 1);
	prefork_settings_destroy(settings);
}
END_TEST

/* prefork_settings_load() has returned 1 and created no settings; the application has not stopped. */
START_TEST(an_arbiter_without_settings_after_help_is_refused)
{
	const char *const words[] = { "program", "--help", NULL };
	const int out = dup(STDOUT_FILENO);

	settings = NULL; /* other tests have destroyed theirs */
	arbiter = NULL;
	ck_assert_int_ge(out, 0);
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
	(void)fflush(stdout);
	ck_assert_int_eq(dup2(out, STDOUT_FILENO), STDOUT_FILENO);
	(void)close(out);
}
END_TEST

int main(void)
{
	Suite *const suite = suite_create("required");
	TCase *const tc = new_case(suite, "required");

	tcase_add_loop_test(tc, null_is_refused_with_a_message, 0, ROWS);
	tcase_add_test(tc, every_public_function_has_a_row);
	tcase_add_loop_test(tc, struct_size_follows_one_rule_in_every_table, 0, TABLES);
	tcase_add_test(tc, get_int_refuses_an_unknown_name_and_another_type);
	tcase_add_test(tc, an_arbiter_without_settings_after_help_is_refused);
	return run_suite(suite);
}
