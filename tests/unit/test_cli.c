#include <prefork/error.h>
#include <prefork/settings.h>

#include "base/text.h"
#include "cli/cli.h"
#include "model/settings.h"

#include "../support.h"

#include "config.h"

#include <stdio.h>

enum { WORDS_MAX = 12 };

static const char *const rows_variables[] = { "PREFORK_WORKERS", "PREFORK_WORKER", "PREFORK_BIND", "PREFORK_RAW_ENV",
					      "PREFORK_TIMEOUT", "PREFORK_PORT",   "OUR_ARGS",     "PREFORK_CONFIG",
					      "PREFORK_OURS",    "PREFORK_LOG_FILE", "PREFORK_LOGLEVEL" };
static const struct prefork_option rows[] = {
	{ .struct_size = sizeof(struct prefork_option), .name = "raw_env", .type = PREFORK_OPTION_LIST,
	  .flags = "-e, --env", .section = "Ours", .doc = "A variable." },
	{ .struct_size = sizeof(struct prefork_option), .name = "sendfile", .type = PREFORK_OPTION_BOOL,
	  .flags = "--no-sendfile", .default_text = "yes", .section = "Ours", .doc = "Use sendfile(2)." },
	{ .struct_size = sizeof(struct prefork_option), .name = "preload_app", .type = PREFORK_OPTION_BOOL,
	  .flags = "--preload", .section = "Ours", .doc = "Load early." },
	{ .struct_size = sizeof(struct prefork_option), .name = "format", .type = PREFORK_OPTION_STRING,
	  .traits = PREFORK_OPTION_MAY_BE_EMPTY, .default_text = "plain", .section = "Ours", .doc = "A text." },
};

static struct prefork_settings *new_settings(void)
{
	struct prefork_settings *settings = NULL;

	for (size_t i = 0; i < sizeof rows_variables / sizeof rows_variables[0]; i++)
		ck_assert_int_eq(unsetenv(rows_variables[i]), 0);
	ck_assert_int_eq(prefork_settings_create(&settings), 0);
	ck_assert_int_eq(prefork_settings_add_options(settings, rows, sizeof rows / sizeof rows[0]), 0);
	return settings;
}

/* Parses `line`, whose words are separated by blanks, behind the name of a program. */
static int parse(struct prefork_settings *settings, const char *line)
{
	char bytes[1000], *rest = bytes, *word, *words[WORDS_MAX + 1] = { (char *)(uintptr_t)"prog" };
	int count = 1;

	ck_assert_uint_lt(strlen(line), sizeof bytes);
	strcpy(bytes, line);
	while ((word = strsep(&rest, " ")) != NULL && count < WORDS_MAX)
		if (*word != '\0')
			words[count++] = word;
	return prefork_settings_parse(settings, count, words);
}

static const struct {
	const char *line, *message;
} bad_lines[] = {
	{ "--wrokers 4", "unknown option '--wrokers'; did you mean --workers?" },
	{ "--work 4", "unknown option '--work'; --help lists all options" },
	{ "-z", "unknown option '-z'; --help lists all options" },
	{ "--errorlog -", "unknown option '--errorlog'; did you mean --error-logfile?" },
	{ "--log-flie -", "unknown option '--log-flie'; did you mean --log-file?" },
	{ "--preload-app", "unknown option '--preload-app'; did you mean --preload?" },
	{ "--workers", "--workers: a value is missing" },
	{ "--workers --timeout 5",
	  "--workers: a value is missing; if the next word is the value, write --workers=--timeout" },
	{ "--workers=", "--workers: a value is missing" },
	{ "--workers 4x", "--workers: expected a whole number from 1 to 4096, not '4x'" },
	{ "-w4097", "-w: expected a whole number from 1 to 4096, not '4097'" },
	{ "-w -1", "-w: expected a whole number from 1 to 4096, not '-1'" },
	{ "--timeout 5parsecs", "--timeout: expected a time from 0 to 30d (such as 30, 1.5s, 500ms or 2m), not '5parsecs'" },
	{ "--log-level inof",
	  "--log-level: expected one of debug, info, warning, error, critical, not 'inof'; did you mean 'info'?" },
	{ "--preload=maybe", "--preload: expected yes or no, not 'maybe'" },
	{ "--no-preload=yes", "--no-preload: takes no value" },
	{ "--socket-mode 999", "--socket-mode: expected an octal mode from 0000 to 0777, not '999'" },
	{ "--bind a:1,", "--bind: an item between the commas is empty" },
	{ "--proxy-protocol=v3",
	  "--proxy-protocol: expected one of off, v1, v2, auto; no for the first, yes or nothing for the last, not 'v3'; "
	  "did you mean 'v1'?" },
	{ "--proxy-protocol app:app", "unexpected argument 'app:app'; only options are accepted" },
	{ "--proxy-allow-from 10.0.0.1/8", NULL },
	{ "app:app", "unexpected argument 'app:app'; only options are accepted" },
	{ "-w 8 --workers-max 2", NULL },
	{ "--threads 2", NULL },
	{ "--threads 2 -k sync", NULL },
};

START_TEST(an_invalid_command_line_is_refused_with_its_cause)
{
	struct prefork_settings *const settings = new_settings();
	const int r = parse(settings, bad_lines[_i].line);

	if (bad_lines[_i].message == NULL) {
		ck_assert_int_eq(r, PREFORK_ECONFIG);
	} else {
		ck_assert_int_eq(r, PREFORK_EUSAGE);
		ck_assert_str_eq(prefork_error(), bad_lines[_i].message);
	}
	prefork_settings_destroy(settings);
}
END_TEST

START_TEST(a_wrong_setting_exits_with_status_2)
{
	ck_assert_int_eq(prefork_exit_status(PREFORK_EUSAGE), 2);
	ck_assert_int_eq(prefork_exit_status(PREFORK_ECONFIG), 2);
	ck_assert_int_eq(prefork_exit_status(-EADDRINUSE), 1);
	ck_assert_int_eq(prefork_exit_status(1), 0);
}
END_TEST

START_TEST(a_flag_is_accepted_in_every_form)
{
	static const char *const lines[] = { "-w 4", "-w4", "-w=4", "--workers 4", "--workers=4", "-w 3 --workers 4" };

	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
		struct prefork_settings *const settings = new_settings();

		ck_assert_msg(parse(settings, lines[i]) == 0, "%s: %s", lines[i], prefork_error());
		ck_assert_int_eq(prefork_settings_int(settings, "workers"), 4);
		ck_assert_int_eq(prefork_settings_was_set(settings, "workers"), 1);
		ck_assert_int_eq(parse(settings, ""), -EALREADY);
		prefork_settings_destroy(settings);
	}
}
END_TEST

START_TEST(a_switch_has_a_negative_form)
{
	static const struct {
		const char *line, *name;
		int64_t value;
	} cases[] = {
		{ "", "preload_app", 0 },
		{ "--preload", "preload_app", 1 },
		{ "--preload --no-preload", "preload_app", 0 },
		{ "--preload=on", "preload_app", 1 },
		{ "", "sendfile", 1 },
		{ "--no-sendfile", "sendfile", 0 },
		{ "--no-sendfile --sendfile", "sendfile", 1 },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct prefork_settings *const settings = new_settings();

		ck_assert_int_eq(parse(settings, cases[i].line), 0);
		ck_assert_msg(prefork_settings_int(settings, cases[i].name) == cases[i].value, "%s", cases[i].line);
		prefork_settings_destroy(settings);
	}
}
END_TEST

START_TEST(too_few_or_too_many_arguments_are_refused)
{
	struct prefork_settings *settings = new_settings();

	ck_assert_int_eq(prefork_settings_accept_arguments(settings, 1, 2, "MODULE:APP"), 0);
	ck_assert_int_eq(parse(settings, "-w 2 app:app -- --odd"), 0);
	ck_assert_uint_eq(prefork_settings_argument_count(settings), 2);
	ck_assert_str_eq(prefork_settings_argument(settings, 0), "app:app");
	ck_assert_str_eq(prefork_settings_argument(settings, 1), "--odd");
	prefork_settings_destroy(settings);
	settings = new_settings();
	ck_assert_int_eq(prefork_settings_accept_arguments(settings, 1, 1, "MODULE:APP"), 0);
	ck_assert_int_eq(parse(settings, ""), PREFORK_EUSAGE);
	ck_assert_str_eq(prefork_error(), "MODULE:APP is missing; see --help");
	prefork_settings_destroy(settings);
	settings = new_settings();
	ck_assert_int_eq(prefork_settings_accept_arguments(settings, 1, 1, "MODULE:APP"), 0);
	ck_assert_int_eq(parse(settings, "a b"), PREFORK_EUSAGE);
	ck_assert_str_eq(prefork_error(), "unexpected argument 'b'");
	prefork_settings_destroy(settings);
}
END_TEST

static const struct {
	const char *name, *value, *message;
} bad_variables[] = {
	{ "PREFORK_WORKER", "3", "PREFORK_WORKER in the environment is not a setting; did you mean PREFORK_WORKERS?" },
	{ "PREFORK_LOG_FILE", "-", "PREFORK_LOG_FILE in the environment is not a setting; did you mean PREFORK_ERRORLOG?" },
	{ "PREFORK_OURS", "3", "PREFORK_OURS in the environment is not a setting" },
	{ "PREFORK_WORKERS", "x", "PREFORK_WORKERS: expected a whole number from 1 to 4096, not 'x'" },
	{ "PREFORK_WORKERS", "", "PREFORK_WORKERS: a value is missing" },
	{ "OUR_ARGS", "--workers x", "OUR_ARGS: --workers: expected a whole number from 1 to 4096, not 'x'" },
	{ "OUR_ARGS", "--wrokers 1", "OUR_ARGS: unknown option '--wrokers'; did you mean --workers?" },
	{ "OUR_ARGS", "'open", "OUR_ARGS: a quote is not closed" },
	{ "OUR_ARGS", "app:app", "OUR_ARGS: unexpected argument 'app:app'; only options are accepted" },
	{ "OUR_ARGS", "--help", "OUR_ARGS: --help and --version work on the command line only" },
};

START_TEST(an_invalid_variable_is_refused_with_its_name)
{
	struct prefork_settings *const settings = new_settings();

	ck_assert_int_eq(prefork_settings_set_argument_variable(settings, "OUR_ARGS"), 0);
	ck_assert_int_eq(setenv(bad_variables[_i].name, bad_variables[_i].value, 1), 0);
	ck_assert_int_eq(parse(settings, "-w 2"), PREFORK_ECONFIG);
	ck_assert_str_eq(prefork_error(), bad_variables[_i].message);
	prefork_settings_destroy(settings);
}
END_TEST

START_TEST(unrelated_variables_are_ignored)
{
	struct prefork_settings *const settings = new_settings();

	ck_assert_int_eq(prefork_settings_claim_variable(settings, "PREFORK_OURS"), 0);
	ck_assert_int_eq(setenv("PREFORK_OURS", "x", 1), 0);
	ck_assert_int_eq(setenv("PREFORK_PORT", "tcp://10.0.0.1:80", 1), 0); /* as Kubernetes does */
	ck_assert_int_eq(setenv("PREFORK_SLOT", "3", 1), 0); /* as in a program that a worker has started */
	ck_assert_int_eq(setenv("PREFORK_RAW_ENV", "A=1,2\nB=3", 1), 0);
	ck_assert_int_eq(setenv("PREFORK_BIND", "a:1,b:2", 1), 0);
	ck_assert_int_eq(parse(settings, ""), 0);
	ck_assert_uint_eq(prefork_settings_count(settings, "raw_env"), 2);
	ck_assert_str_eq(prefork_settings_item(settings, "raw_env", 0), "A=1,2");
	ck_assert_uint_eq(prefork_settings_count(settings, "bind"), 2);
	prefork_settings_destroy(settings);
}
END_TEST

#if HAVE_INIH
/* Creates a file with this text; the caller unlinks `path`. */
static void write_file(char path[32], const char *text, size_t size)
{
	strcpy(path, "/tmp/prefork-cli-XXXXXX");
	const int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, size), (ssize_t)size);
	ck_assert_int_eq(close(fd), 0);
}

static void overwrite(const char *path, const char *text)
{
	FILE *const file = fopen(path, "w");

	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs(text, file), 0);
	ck_assert_int_eq(fclose(file), 0);
}

static int parse_with_file(struct prefork_settings *settings, const char *path, const char *more)
{
	char line[200];

	(void)snprintf(line, sizeof line, "--config %s %s", path, more);
	return parse(settings, line);
}

#define LONG "0123456789012345678901234567890123456789012345678901234567890123456789"

static const struct {
	const char *text;
	size_t size; /* 0: strlen */
	const char *message; /* behind the path */
} bad_files[] = {
	{ "workers = 1\n", 0, ":1: settings must follow the line [prefork]" },
	{ "[prefrok]\nworkers = 1\n", 0, ":1: unknown section 'prefrok'; did you mean 'prefork'?" },
	{ "[prefork]\nworkers = 1\n[]\n", 0, ":3: unknown section ''; did you mean 'prefork'?" },
	{ "[prefork\n", 0, ":1: a ']' is missing" },
	{ "[prefork] x\n", 0, ":1: nothing may follow the ']'" },
	{ "[prefork]\n\nwrokers = 1\n", 0, ":3: unknown setting 'wrokers'; did you mean 'workers'?" },
	{ "[prefork]\nlog-file = -\n", 0, ":2: unknown setting 'log-file'; did you mean 'errorlog'?" },
	{ "[prefork]\nenv = A=1\n", 0, ":2: unknown setting 'env'; did you mean 'raw_env'?" },
	{ "[prefork]\nworkers = x\n", 0, ":2: workers: expected a whole number from 1 to 4096, not 'x'" },
	{ "[prefork]\nworkers =\n", 0, ":2: workers: a value is missing" },
	{ "[prefork]\nworkers\n", 0, ":2: expected NAME = VALUE, or [prefork]" },
	{ "[prefork]\nworkers = 1\nworkers = 2\n", 0, ":3: workers is set twice, first in line 2" },
	{ "[prefork]\nworkers = 1\n  timeout = 2\n", 0,
	  ":3: an indented line continues the value above; only a list, or quoted text that ends in \\, can be "
	  "continued" },
	{ "[prefork]\nconfig = x\n", 0, ":2: only the command line can set 'config'" },
	{ "[prefork]\nworkers = 1\0\n", 24, ":2: the line contains a NUL byte" },
	{ "[prefork]\nformat = \"x ; y\"\n", 0,
	  ":2: a quote is not closed (a ';' after a blank begins a comment: write \\x3b)" },
	{ "[prefork]\nformat = \"x\" y\n", 0, ":2: only a \\ may follow the closing quote" },
	{ "[prefork]\nformat = \"x\" \\\n  y\n", 0, ":3: expected a quote: the line above ends in \\" },
	{ "[prefork]\nformat = \"x\" \\\nworkers = 2\n", 0,
	  ":3: the quoted text above ends in \\, but this line does not continue it" },
	{ "[prefork]\nformat = \"\\q\"\n", 0, ":2: after a \\ expected n, r, t, \", \\ or xHH (not x00)" },
	{ "[prefork]\nformat = \"\\x00\"\n", 0, ":2: after a \\ expected n, r, t, \", \\ or xHH (not x00)" },
	{ "[prefork]\nformat = " LONG LONG LONG "\n", 0,
	  ":2: the line is longer than 196 bytes; continue a list in indented lines, and quoted text, after a \\, "
	  "in the next line" },
};

START_TEST(an_invalid_file_is_refused_with_its_line)
{
	struct prefork_settings *const settings = new_settings();
	char path[32];
	const size_t size = bad_files[_i].size;

	write_file(path, bad_files[_i].text, size > 0 ? size : strlen(bad_files[_i].text));
	ck_assert_int_eq(parse_with_file(settings, path, ""), PREFORK_ECONFIG);
	ck_assert_int_eq(strncmp(prefork_error(), path, strlen(path)), 0);
	ck_assert_str_eq(prefork_error() + strlen(path), bad_files[_i].message);
	ck_assert_int_eq(unlink(path), 0);
	prefork_settings_destroy(settings);
}
END_TEST

START_TEST(an_unreadable_file_is_refused_with_its_path)
{
	struct prefork_settings *settings = new_settings();

	ck_assert_int_eq(parse(settings, "-c /nowhere/x.ini"), PREFORK_ECONFIG);
	ck_assert_str_eq(prefork_error(), "-c: /nowhere/x.ini: No such file or directory");
	prefork_settings_destroy(settings);
	settings = new_settings();
	ck_assert_int_eq(parse(settings, "-c /tmp"), PREFORK_ECONFIG);
	ck_assert_str_eq(prefork_error(), "-c: /tmp: expected a regular file of at most 1 MiB");
	prefork_settings_destroy(settings);
	settings = new_settings();
	ck_assert_int_eq(setenv("PREFORK_CONFIG", "/nowhere/y.ini", 1), 0);
	ck_assert_int_eq(parse(settings, ""), PREFORK_ECONFIG);
	ck_assert_str_eq(prefork_error(), "PREFORK_CONFIG: /nowhere/y.ini: No such file or directory");
	prefork_settings_destroy(settings);
}
END_TEST

START_TEST(the_words_of_a_choice_are_case_insensitive)
{
	static const char text[] = "[prefork]\nloglevel = Warning\n";
	char path[32];

	write_file(path, text, strlen(text));
	for (int place = 0; place < 3; place++) {
		struct prefork_settings *const settings = new_settings();

		if (place == 1)
			ck_assert_int_eq(setenv("PREFORK_LOGLEVEL", "WARNING", 1), 0);
		ck_assert_msg((place == 0 ? parse_with_file(settings, path, "")
		                          : parse(settings, place == 2 ? "--log-level WARNING -k Sync" : "")) == 0,
		              "%s", prefork_error());
		ck_assert_str_eq(prefork_settings_text(settings, "loglevel"), "warning");
		prefork_settings_destroy(settings);
	}
	ck_assert_int_eq(unlink(path), 0);
}
END_TEST

static const struct {
	const char *line, *value;
} booleans[] = {
	{ "", "off" }, { "--proxy-protocol", "auto" }, { "--proxy-protocol --workers 2", "auto" },
	{ "--proxy-protocol v1", "v1" }, { "--proxy-protocol=V2", "v2" }, { "--proxy-protocol off", "off" },
	{ "--proxy-protocol=true", "auto" }, { "--proxy-protocol false", "off" }, { "--proxy-protocol=no", "off" },
};

/* gunicorn had a flag without a value, and then modes. */
START_TEST(a_choice_may_be_a_flag_without_a_value)
{
	struct prefork_settings *const settings = new_settings();

	ck_assert_msg(parse(settings, booleans[_i].line) == 0, "%s: %s", booleans[_i].line, prefork_error());
	ck_assert_str_eq(prefork_settings_text(settings, "proxy_protocol"), booleans[_i].value);
	prefork_settings_destroy(settings);
}
END_TEST

/* _i has a bit per source; the command line has the highest priority. */
START_TEST(the_source_with_the_highest_priority_wins)
{
	static const char text[] = "[prefork]\nworkers = 4 ; why not\n";
	const bool line = _i & 1, args = _i & 2, variable = _i & 4, file = _i & 8, host = _i & 16;
	const int expected = line ? 7 : args ? 6 : variable ? 5 : file ? 4 : host ? 3 : 1;
	const enum prefork_origin origins[] = { 0, PREFORK_FROM_ROW, 0, PREFORK_FROM_HOST, PREFORK_FROM_FILE,
						PREFORK_FROM_ENVIRONMENT, PREFORK_FROM_VARIABLE,
						PREFORK_FROM_COMMAND_LINE };
	struct prefork_settings *const settings = new_settings();
	enum prefork_origin origin;
	char path[32];

	write_file(path, file ? text : "", file ? strlen(text) : 0);
	ck_assert_int_eq(prefork_settings_set_argument_variable(settings, "OUR_ARGS"), 0);
	if (host)
		ck_assert_int_eq(prefork_settings_set_default(settings, "workers", "3"), 0);
	if (variable)
		ck_assert_int_eq(setenv("PREFORK_WORKERS", "5", 1), 0);
	if (args)
		ck_assert_int_eq(setenv("OUR_ARGS", "-w 6", 1), 0);
	ck_assert_int_eq(parse_with_file(settings, path, line ? "-w 7" : ""), 0);
	ck_assert_int_eq(prefork_settings_int(settings, "workers"), expected);
	ck_assert_int_eq(prefork_settings_origin(settings, "workers", &origin, NULL), 0);
	ck_assert_int_eq(origin, origins[expected]);
	ck_assert_int_eq(unlink(path), 0);
	prefork_settings_destroy(settings);
}
END_TEST

START_TEST(a_printed_configuration_is_read_back_unchanged)
{
	static const char odd[] = "\"quoted\" ; \\ \t\x1b tail with blanks " LONG LONG LONG LONG " ";
	struct prefork_settings *const settings = new_settings(), *const again = new_settings();
	const char *const words[] = { "prog", "-w", "3", "-b", "unix:/tmp/a,b:2", "-e", "A=1,2 ; 3", "-e", " B", "-e", odd, "-t", "1500ms",
				"--socket-mode=600", "--stop-linger", "2", "--format", odd, "--no-sendfile" };
	char path[32];
	FILE *file;

	ck_assert_int_eq(prefork_settings_parse(settings, sizeof words / sizeof words[0], (char *const *)words), 0);
	write_file(path, "", 0);
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	pfi_print_config(settings, file);
	ck_assert_int_eq(fclose(file), 0);
	ck_assert_msg(parse_with_file(again, path, "") == 0, "%s", prefork_error());
	for (size_t i = 0; i < settings->count; i++)
		if (!(settings->rows[i].traits & PREFORK_OPTION_COMMAND_LINE))
			ck_assert_msg(!pfi_settings_differ(settings, again, i), "%s differs",
				      settings->rows[i].name);
	ck_assert_int_eq(unlink(path), 0);
	prefork_settings_destroy(settings);
	prefork_settings_destroy(again);
}
END_TEST

static int refuse_more_than_eight_workers(const struct prefork_settings *settings, void *user)
{
	++*(int *)user;
	return prefork_settings_int(settings, "workers") <= 8 ? 0 : prefork_fail(PREFORK_ECONFIG, "more than 8 workers");
}

/* A reload reads the file and the environment again, with the same command line and defaults. */
START_TEST(a_reload_reads_the_new_file_and_keeps_the_command_line)
{
	struct prefork_settings *const settings = new_settings(), *again = NULL;
	int checked = 0;
	char path[32];

	write_file(path, "[prefork]\nworkers = 4\nbacklog = 64\ntimeout = 5\n", 46);
	ck_assert_int_eq(prefork_settings_set_default(settings, "threads", "2"), 0);
	ck_assert_int_eq(prefork_settings_set_default(settings, "worker_class", "threads"), 0);
	ck_assert_int_eq(prefork_settings_add_check(settings, refuse_more_than_eight_workers, &checked), 0);
	ck_assert_int_eq(parse_with_file(settings, path, "--timeout 9"), 0);
	overwrite(path, "[prefork]\nworkers = 6\nbacklog = 64\ntimeout = 7\n");
	pfi_settings_freeze(settings);
	ck_assert_int_eq(pfi_settings_reread(settings, &again), 0);
	ck_assert_int_eq(prefork_settings_int(again, "workers"), 6);
	ck_assert_int_eq(prefork_settings_int(again, "timeout"), 9000);
	ck_assert_int_eq(prefork_settings_int(again, "threads"), 2);
	ck_assert_int_eq(prefork_settings_int(settings, "workers"), 4);
	ck_assert_int_eq(pfi_settings_diff_unreloadable(settings, again), 0);
	prefork_settings_destroy(again);

	overwrite(path, "[prefork]\nbacklog = 65\n");
	ck_assert_int_eq(pfi_settings_reread(settings, &again), 0);
	ck_assert_int_eq(pfi_settings_diff_unreloadable(settings, again), PREFORK_ECONFIG);
	ck_assert_ptr_nonnull(strstr(prefork_error(), ":2: backlog cannot be changed by a reload"));
	prefork_settings_destroy(again);

	again = NULL;
	overwrite(path, "[prefork]\nworkers = many\n");
	ck_assert_int_eq(pfi_settings_reread(settings, &again), PREFORK_ECONFIG);
	overwrite(path, "[prefork]\nworkers = 9\n");
	ck_assert_int_eq(pfi_settings_reread(settings, &again), PREFORK_ECONFIG);
	ck_assert_str_eq(prefork_error(), "more than 8 workers");
	ck_assert_ptr_null(again);
	ck_assert_int_eq(checked, 4);
	ck_assert_int_eq(unlink(path), 0);
	prefork_settings_destroy(settings);
}
END_TEST
#endif

START_TEST(help_lists_every_flag_in_79_columns)
{
	struct prefork_settings *const settings = new_settings();
	char *bytes = NULL, *rest, *line, flag[PFI_FLAG_MAX];
	size_t size = 0;
	FILE *const out = open_memstream(&bytes, &size);

	ck_assert_int_eq(prefork_settings_set_program(settings, "prog", "1.0", "Serves."), 0);
	ck_assert_int_eq(prefork_settings_accept_arguments(settings, 0, 1, "MODULE:APP"), 0);
	ck_assert_int_eq(parse(settings, ""), 0);
	pfi_print_help(settings, out);
	ck_assert_int_eq(fclose(out), 0);
	ck_assert_int_eq(strncmp(bytes, "Usage: prog [OPTIONS] [MODULE:APP]\n", 35), 0);
	for (size_t i = 0; i < settings->count; i++)
		for (size_t k = 0; pfi_option_flag(&settings->rows[i], k, flag); k++)
			ck_assert_msg(strstr(bytes, flag) != NULL, "%s is missing", flag);
	for (rest = bytes; (line = strsep(&rest, "\n")) != NULL;)
		ck_assert_msg(strlen(line) <= 79, "too wide: %s", line);
	free(bytes);
	prefork_settings_destroy(settings);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cli");
	TCase *tc = new_case(suite, "cli");

	tcase_add_loop_test(tc, an_invalid_command_line_is_refused_with_its_cause, 0,
			    sizeof bad_lines / sizeof bad_lines[0]);
	tcase_add_test(tc, a_wrong_setting_exits_with_status_2);
	tcase_add_test(tc, a_flag_is_accepted_in_every_form);
	tcase_add_test(tc, a_switch_has_a_negative_form);
	tcase_add_test(tc, too_few_or_too_many_arguments_are_refused);
	tcase_add_loop_test(tc, an_invalid_variable_is_refused_with_its_name, 0, sizeof bad_variables / sizeof bad_variables[0]);
	tcase_add_test(tc, unrelated_variables_are_ignored);
#if HAVE_INIH
	tcase_add_loop_test(tc, an_invalid_file_is_refused_with_its_line, 0, sizeof bad_files / sizeof bad_files[0]);
	tcase_add_test(tc, an_unreadable_file_is_refused_with_its_path);
	tcase_add_test(tc, the_words_of_a_choice_are_case_insensitive);
	tcase_add_loop_test(tc, a_choice_may_be_a_flag_without_a_value, 0, sizeof booleans / sizeof booleans[0]);
	tcase_add_loop_test(tc, the_source_with_the_highest_priority_wins, 0, 32);
	tcase_add_test(tc, a_printed_configuration_is_read_back_unchanged);
	tcase_add_test(tc, a_reload_reads_the_new_file_and_keeps_the_command_line);
#endif
	tcase_add_test(tc, help_lists_every_flag_in_79_columns);
	return run_suite(suite);
}
