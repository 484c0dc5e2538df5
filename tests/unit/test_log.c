#include <prefork/log.h>

#include "os/log.h"
#include "os/logfile.h"

#include "../support.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* Reads all pending bytes; ends them with a NUL. */
static size_t drain(int fd, char *bytes, size_t size)
{
	size_t length = 0;
	ssize_t n;

	while (length + 1 < size && wait_for(fd, POLLIN, 0) && (n = read(fd, bytes + length, size - 1 - length)) > 0)
		length += (size_t)n;
	bytes[length] = '\0';
	return length;
}

/* Creates a log that writes to a pipe. Returns the reading end. */
static int log_to_pipe(struct prefork_log **log)
{
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	ck_assert_int_eq(prefork_log_create("-", fds[1], log), 0);
	ck_assert(!(fcntl(fds[1], F_GETFL) & O_NONBLOCK)); /* the open file description is shared */
	close(fds[1]);
	return fds[0];
}

START_TEST(a_line_has_time_pid_level_message_and_pairs)
{
	const struct prefork_log_pair pairs[] = { PREFORK_NUMBER("pid", 42), PREFORK_TEXT("pool", "web"),
						  PREFORK_TEXT("note", "GET \"/\""), PREFORK_TEXT("none", NULL) };
	char bytes[500], expected[100];
	struct prefork_log *log;
	const int reader = log_to_pipe(&log);

	errno = ENOTTY;
	prefork_log_write(log, PREFORK_LOG_WARNING, "arbiter", pairs, 4, "worker %s", "died");
	ck_assert_int_eq(errno, ENOTTY);
	drain(reader, bytes, sizeof bytes);
	ck_assert_int_eq(bytes[0], '[');
	ck_assert(bytes[11] == ' ' && bytes[20] == ' ' && (bytes[21] == '+' || bytes[21] == '-') && bytes[26] == ']');
	(void)snprintf(expected, sizeof expected, "] [%d] [WARNING] worker died pid=42 pool=web note=\"GET \\\"/\\\"\" none=-\n",
		       (int)getpid());
	ck_assert_str_eq(bytes + 26, expected);
	prefork_log_destroy(log);
	close(reader);
}
END_TEST

static void count(void *user, enum prefork_log_level level, int is_block)
{
	(void)level, (void)is_block;
	++*(unsigned *)user;
	errno = EBADF;
}

START_TEST(a_counter_sees_lines_below_the_level_and_changes_no_errno)
{
	unsigned counted = 0;
	struct prefork_log *log;
	const int reader = log_to_pipe(&log);

	ck_assert_int_eq(prefork_log_set_counter(log, count, &counted), 0);
	ck_assert_int_eq(prefork_log_set_counter(log, count, NULL), -EBUSY);
	errno = ENOTTY;
	prefork_log_printf(log, PREFORK_LOG_DEBUG, "x", "below the level");
	ck_assert_int_eq(errno, ENOTTY);
	prefork_log_write(log, PREFORK_LOG_ERROR, "x", NULL, 0, "written");
	ck_assert_int_eq(errno, ENOTTY);
	prefork_log_block(log, PREFORK_LOG_ERROR, "x", "title", "text", 4);
	ck_assert_int_eq(errno, ENOTTY);
	ck_assert_uint_eq(counted, 3);
	ck_assert_int_eq(prefork_log_set_counter(log, NULL, NULL), 0);
	prefork_log_printf(log, PREFORK_LOG_ERROR, "x", "not counted");
	ck_assert_uint_eq(counted, 3);
	prefork_log_destroy(log);
	close(reader);
}
END_TEST

START_TEST(log_lines_cannot_be_forged)
{
	const struct prefork_log_pair pair = PREFORK_TEXT("path", "/\n[2026] [1] [INFO] forged");
	char bytes[1000];
	struct prefork_log *log;
	const int reader = log_to_pipe(&log);

	prefork_log_write(log, PREFORK_LOG_INFO, "x", &pair, 1, "got %s", "a\r\nb\x1b[2J");
	prefork_log_block(log, PREFORK_LOG_INFO, "x", "trace\n", "one\n[2026] [1] [INFO] forged\n\x1b[2Jlast", 37);
	drain(reader, bytes, sizeof bytes);
	ck_assert_ptr_nonnull(strstr(bytes, "got a\\r\\nb\\x1b[2J path=\"/\\n[2026] [1] [INFO] forged\"\n"));
	ck_assert_ptr_nonnull(strstr(bytes, "trace\\n\n  one\n  [2026] [1] [INFO] forged\n  \\x1b[2Jlast\n"));
	prefork_log_destroy(log);
	close(reader);
}
END_TEST

START_TEST(a_long_line_is_truncated_and_a_long_block_is_not)
{
	static char text[9001], bytes[20000];
	struct prefork_log *log;
	const int reader = log_to_pipe(&log);

	memset(text, 'x', 9000);
	prefork_log_printf(log, PREFORK_LOG_INFO, "x", "%s", text);
	ck_assert_uint_eq(drain(reader, bytes, sizeof bytes), PFI_LOGFILE_LINE_MAX - 1);
	ck_assert_str_eq(bytes + PFI_LOGFILE_LINE_MAX - 6, "x...\n");
	for (size_t i = 99; i < 9000; i += 100)
		text[i] = '\n';
	prefork_log_block(log, PREFORK_LOG_INFO, "x", "title", text, 9000);
	drain(reader, bytes, sizeof bytes);
	size_t lines = 0;
	for (const char *c = bytes; (c = strchr(c, '\n')) != NULL; c++)
		lines++;
	ck_assert_uint_eq(lines, 91);
	prefork_log_destroy(log);
	close(reader);
}
END_TEST

START_TEST(levels_filter_lower_levels)
{
	char bytes[500];
	struct prefork_log *log;
	const int reader = log_to_pipe(&log);

	prefork_log_printf(log, PREFORK_LOG_DEBUG, "x", "no");
	ck_assert_int_eq(prefork_log_level_of("error"), PREFORK_LOG_ERROR);
	ck_assert_int_eq(prefork_log_level_of("Warning"), PREFORK_LOG_WARNING);
	ck_assert_int_eq(prefork_log_level_of("errors"), -EINVAL);
	prefork_log_set_level(log, PREFORK_LOG_ERROR);
	ck_assert_int_eq(prefork_log_enabled(log, PREFORK_LOG_WARNING), 0);
	prefork_log_printf(log, PREFORK_LOG_WARNING, "x", "no");
	prefork_log_printf(log, PREFORK_LOG_CRITICAL, "x", "yes");
	prefork_log_printf(NULL, PREFORK_LOG_CRITICAL, "x", "nowhere");
	drain(reader, bytes, sizeof bytes);
	ck_assert_ptr_null(strstr(bytes, "no"));
	ck_assert_ptr_nonnull(strstr(bytes, "[CRITICAL] yes\n"));
	prefork_log_destroy(log);
	close(reader);
}
END_TEST

/* A reader that stops costs lines and no time. If a write blocks, Check's time limit ends
 * the test. */
static void fill_and_recover(struct prefork_log *log, int reader)
{
	static char bytes[1 << 20];
	char expected[64];
	unsigned sent = 0, arrived = 0;

	for (; sent < 20000; sent++)
		prefork_log_printf(log, PREFORK_LOG_INFO, "x", "line %u", sent);
	drain(reader, bytes, sizeof bytes);
	for (const char *c = bytes; (c = strstr(c, "] line ")) != NULL; c++)
		arrived++;
	ck_assert_uint_gt(arrived, 10);
	ck_assert_uint_lt(arrived, sent);
	prefork_log_printf(log, PREFORK_LOG_INFO, "x", "again");
	drain(reader, bytes, sizeof bytes);
	(void)snprintf(expected, sizeof expected, "[WARNING] %u log lines were lost\n", sent - arrived);
	ck_assert_msg(strstr(bytes, expected) != NULL, "%s not in %s", expected, bytes);
	ck_assert_ptr_nonnull(strstr(bytes, "again\n"));
	ck_assert_uint_eq(prefork_log_take_lost(log), 0);
}

START_TEST(a_reader_of_a_pipe_that_stops_costs_counted_lines)
{
	struct prefork_log *log;
	const int reader = log_to_pipe(&log);

	fill_and_recover(log, reader);
	prefork_log_destroy(log);
	close(reader);
}
END_TEST

START_TEST(a_reader_of_a_socket_that_stops_costs_counted_lines)
{
	struct prefork_log *log;
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	ck_assert_int_eq(prefork_log_create("-", fds[1], &log), 0);
	close(fds[1]);
	fill_and_recover(log, fds[0]);
	prefork_log_destroy(log);
	close(fds[0]);
}
END_TEST

START_TEST(a_pipe_that_breaks_costs_counted_lines)
{
	struct prefork_log *log;
	const int reader = log_to_pipe(&log);

	(void)signal(SIGPIPE, SIG_DFL);
	close(reader);
	prefork_log_printf(log, PREFORK_LOG_INFO, "x", "without a reader");
	prefork_log_printf(log, PREFORK_LOG_INFO, "x", "without a reader");
	ck_assert_uint_eq(prefork_log_take_lost(log), 2);
	prefork_log_destroy(log);
}
END_TEST

START_TEST(a_pipe_broken_before_the_start_costs_counted_lines)
{
	struct prefork_log *log;
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	close(fds[0]);
	ck_assert_int_eq(prefork_log_create("-", fds[1], &log), 0);
	close(fds[1]);
	(void)signal(SIGPIPE, SIG_DFL);
	prefork_log_printf(log, PREFORK_LOG_INFO, "x", "without a reader");
	ck_assert_uint_eq(prefork_log_take_lost(log), 1);
	prefork_log_destroy(log);
}
END_TEST

START_TEST(a_full_disk_costs_counted_lines)
{
	struct prefork_log *log;

	ck_assert_int_eq(prefork_log_create("/dev/full", -1, &log), 0);
	for (int i = 0; i < 17; i++)
		prefork_log_printf(log, PREFORK_LOG_INFO, "x", "line");
	ck_assert_int_eq(prefork_log_put(log, "raw", 3), -ENOSPC);
	ck_assert_uint_eq(prefork_log_take_lost(log), 18);
	ck_assert_uint_eq(prefork_log_take_lost(log), 0);
	prefork_log_destroy(log);
}
END_TEST

/* SIGXFSZ, like SIGPIPE, ends a process by default. Check writes to a file, too: the limit is short. */
START_TEST(a_file_size_limit_costs_counted_lines)
{
	char path[] = "/tmp/prefork-log-XXXXXX";
	struct rlimit before, limit;
	struct prefork_log *log;
	sigset_t pending;
	const int fd = mkstemp(path);
	int last = 0;

	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_eq(prefork_log_create(path, -1, &log), 0);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
	(void)signal(SIGXFSZ, SIG_DFL);
	limit = (struct rlimit){ 100, before.rlim_max };
	const int r = setrlimit(RLIMIT_FSIZE, &limit);
	for (int i = 0; i < 5; i++)
		last = prefork_log_put(log, "0123456789012345678901234567890123456789", 40);
	(void)setrlimit(RLIMIT_FSIZE, &before);
	ck_assert_int_eq(r, 0);
	ck_assert_int_eq(last, -EFBIG);
	ck_assert_uint_eq(prefork_log_take_lost(log), 3);
	ck_assert_int_eq(sigpending(&pending), 0);
	ck_assert_int_eq(sigismember(&pending, SIGXFSZ), 0);
	prefork_log_destroy(log);
}
END_TEST

START_TEST(a_forked_child_does_not_report_lines_lost_by_its_parent)
{
	struct prefork_log *log;
	int status = -1;

	ck_assert_int_eq(prefork_log_create("/dev/full", -1, &log), 0);
	prefork_log_printf(log, PREFORK_LOG_INFO, "x", "line");
	const pid_t child = fork();
	if (child == 0)
		_exit((int)prefork_log_take_lost(log));
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert_uint_eq(prefork_log_take_lost(log), 1);
	prefork_log_destroy(log);
}
END_TEST

static off_t size_of(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 ? status.st_size : -1;
}

START_TEST(reopening_after_a_rotation_writes_to_the_new_file)
{
	char directory[] = "/tmp/prefork-log-XXXXXX", path[64], old[64];
	struct prefork_log *log;
	off_t before;

	ck_assert_ptr_nonnull(mkdtemp(directory));
	(void)snprintf(path, sizeof path, "%s/log", directory);
	(void)snprintf(old, sizeof old, "%s/log.1", directory);
	ck_assert_int_eq(prefork_log_create(path, -1, &log), 0);
	prefork_log_printf(log, PREFORK_LOG_INFO, "x", "one");
	ck_assert_int_eq(rename(path, old), 0);
	prefork_log_printf(log, PREFORK_LOG_INFO, "x", "two");
	before = size_of(old);
	ck_assert_int_gt(before, 0);
	ck_assert_int_eq(prefork_log_reopen(log), 0);
	prefork_log_printf(log, PREFORK_LOG_INFO, "x", "three");
	ck_assert_int_eq(size_of(old), before);
	ck_assert_int_gt(size_of(path), 0);
	ck_assert_int_eq(prefork_log_put(log, "raw", 3), 0);

	/* A failed reopen keeps the old file. */
	ck_assert_int_eq(rename(path, old), 0);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_eq(prefork_log_reopen(log), -EISDIR);
	before = size_of(old);
	prefork_log_printf(log, PREFORK_LOG_INFO, "x", "four");
	ck_assert_int_gt(size_of(old), before);
	prefork_log_destroy(log);
	ck_assert_int_eq(rmdir(path), 0);
	ck_assert_int_eq(unlink(old), 0);
	ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

/* A worker that may not open the file: its arbiter has. */
START_TEST(a_file_that_another_process_has_opened_is_adopted)
{
	char directory[] = "/tmp/prefork-log-XXXXXX", path[64], other[64];
	struct prefork_log *log;
	size_t count;
	off_t before;

	ck_assert_ptr_nonnull(mkdtemp(directory));
	(void)snprintf(path, sizeof path, "%s/log", directory);
	(void)snprintf(other, sizeof other, "%s/other", directory);
	ck_assert_int_eq(prefork_log_create(path, -1, &log), 0);
	ck_assert_int_eq(unlink(path), 0);
	pfi_logfile_begin_reopen();
	pfi_logfile_adopt(STDIN_FILENO, open(other, O_WRONLY | O_CREAT | O_APPEND, 0600)); /* of no log: nothing */
	(void)pfi_logfile_reopened(&count);
	ck_assert_uint_eq(count, 0);
	pfi_logfile_adopt(pfi_log_fd(log), open(other, O_WRONLY | O_CREAT | O_APPEND, 0600));
	ck_assert_int_eq(pfi_logfile_reopened(&count)[0], pfi_log_fd(log));
	ck_assert_uint_eq(count, 1);
	ck_assert_int_eq(prefork_log_reopen(log), 0);
	prefork_log_printf(log, PREFORK_LOG_INFO, "x", "one");
	ck_assert_int_eq(size_of(path), -1);
	before = size_of(other);
	ck_assert_int_gt(before, 0);
	pfi_logfile_end_reopen();
	ck_assert_int_eq(prefork_log_reopen(log), 0);
	prefork_log_printf(log, PREFORK_LOG_INFO, "x", "two");
	ck_assert_int_gt(size_of(path), 0);
	ck_assert_int_eq(size_of(other), before);
	prefork_log_destroy(log);
	ck_assert(unlink(path) == 0 && unlink(other) == 0 && rmdir(directory) == 0);
}
END_TEST

START_TEST(a_log_that_cannot_be_opened_reports_the_cause)
{
	struct prefork_log *log = NULL;

	ck_assert_int_eq(prefork_log_create("/nowhere/log", -1, &log), -ENOENT);
	ck_assert_int_eq(prefork_log_create("-", 1000, &log), -EBADF);
	ck_assert_int_eq(prefork_log_create("", 2, &log), -EINVAL);
	ck_assert_ptr_null(log);
	prefork_log_destroy(NULL);
}
END_TEST

static void *log_many(void *log)
{
	for (int i = 0; i < 200; i++)
		prefork_log_printf(log, PREFORK_LOG_INFO, "x", "from a thread, long enough to be split");
	return NULL;
}

START_TEST(lines_of_many_threads_stay_whole)
{
	char path[] = "/tmp/prefork-log-XXXXXX", line[200];
	struct prefork_log *log;
	pthread_t threads[4];
	int lines = 0;

	close(mkstemp(path));
	ck_assert_int_eq(prefork_log_create(path, -1, &log), 0);
	for (size_t i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, log_many, log), 0);
	for (size_t i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	FILE *const file = fopen(path, "r");
	for (; fgets(line, sizeof line, file) != NULL; lines++)
		ck_assert_ptr_nonnull(strstr(line, "[INFO] from a thread, long enough to be split\n"));
	ck_assert_int_eq(lines, 800);
	(void)fclose(file);
	ck_assert_int_eq(unlink(path), 0);
	prefork_log_destroy(log);
}
END_TEST

static void copy_message(void *user, enum prefork_log_level level, const char *module, const char *message,
		      const struct prefork_log_pair *pairs, size_t count)
{
	(void)snprintf(user, 200, "%d %s %s %s", (int)level, module, message, count > 0 ? pairs[0].text : "");
}

START_TEST(a_sink_receives_each_message)
{
	char received[200] = "";
	struct prefork_log *log;

	ck_assert_int_eq(prefork_log_create("/dev/full", -1, &log), 0);
	prefork_log_set_sink(log, copy_message, received);
	prefork_log_printf(log, PREFORK_LOG_ERROR, "worker", "hello %d", 5);
	ck_assert_str_eq(received, "3 worker hello 5 ");
	prefork_log_block(log, PREFORK_LOG_INFO, "worker", "trace", "a\nbxxx", 3);
	ck_assert_str_eq(received, "1 worker trace a\nb");
	ck_assert_uint_eq(prefork_log_take_lost(log), 0);
	prefork_log_destroy(log);
}
END_TEST

/* Replaces the time of each line, which may be another second's. */
static void hide_times(char *lines)
{
	for (char *line = lines; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (*line == '[')
			(void)memset(line + 1, '-', strcspn(line + 1, "]"));
	}
}

/* As a sink that cannot use a line: at once, and later. */
static void pass_on(void *user, enum prefork_log_level level, const char *module, const char *message,
		    const struct prefork_log_pair *pairs, size_t count)
{
	(void)module;
	prefork_log_pass(*(struct prefork_log **)user, level, message, pairs, count);
}

START_TEST(a_line_that_a_sink_passes_on_is_written_as_without_a_sink)
{
	const struct prefork_log_pair pairs[] = { PREFORK_TEXT("event", "x y"), PREFORK_NUMBER("pid", 7) };
	char with[1000], without[1000];
	struct prefork_log *log;
	const int reader = log_to_pipe(&log);

	prefork_log_write(log, PREFORK_LOG_ERROR, "room", pairs, 2, "one\ntwo");
	prefork_log_block(log, PREFORK_LOG_INFO, "room", "trace", "a\nb", 3);
	drain(reader, without, sizeof without);
	prefork_log_set_sink(log, pass_on, &log);
	prefork_log_write(log, PREFORK_LOG_ERROR, "room", pairs, 2, "one\ntwo");
	prefork_log_block(log, PREFORK_LOG_INFO, "room", "trace", "a\nb", 3);
	drain(reader, with, sizeof with);
	ck_assert_ptr_nonnull(strstr(without, " [ERROR] one\\ntwo event=\"x y\" pid=7\n"));
	ck_assert_ptr_nonnull(strstr(without, " [INFO] trace\n  a\n  b\n"));
	hide_times(with);
	hide_times(without);
	ck_assert_str_eq(with, without);
	prefork_log_destroy(log);
	close(reader);
}
END_TEST

/* A block has one text, and no text if there was no memory for its copy. */
START_TEST(a_pair_that_is_no_block_is_passed_on_as_a_pair)
{
	const struct prefork_log_pair number = PREFORK_NUMBER("text", 7), none = PREFORK_TEXT("text", NULL);
	char written[1000];
	struct prefork_log *log;
	const int reader = log_to_pipe(&log);

	prefork_log_pass(log, PREFORK_LOG_INFO, "first", &number, 1);
	prefork_log_pass(log, PREFORK_LOG_INFO, "second", &none, 1);
	drain(reader, written, sizeof written);
	ck_assert_ptr_nonnull(strstr(written, " [INFO] first text=7\n"));
	ck_assert_ptr_nonnull(strstr(written, " [INFO] second text=-\n"));
	prefork_log_destroy(log);
	close(reader);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("log");
	TCase *tc = new_case(suite, "log");

	tcase_add_test(tc, a_line_has_time_pid_level_message_and_pairs);
	tcase_add_test(tc, a_counter_sees_lines_below_the_level_and_changes_no_errno);
	tcase_add_test(tc, log_lines_cannot_be_forged);
	tcase_add_test(tc, a_long_line_is_truncated_and_a_long_block_is_not);
	tcase_add_test(tc, levels_filter_lower_levels);
	tcase_add_test(tc, a_reader_of_a_pipe_that_stops_costs_counted_lines);
	tcase_add_test(tc, a_reader_of_a_socket_that_stops_costs_counted_lines);
	tcase_add_test(tc, a_pipe_that_breaks_costs_counted_lines);
	tcase_add_test(tc, a_pipe_broken_before_the_start_costs_counted_lines);
	tcase_add_test(tc, a_full_disk_costs_counted_lines);
	tcase_add_test(tc, a_file_size_limit_costs_counted_lines);
	tcase_add_test(tc, a_forked_child_does_not_report_lines_lost_by_its_parent);
	tcase_add_test(tc, reopening_after_a_rotation_writes_to_the_new_file);
	tcase_add_test(tc, a_file_that_another_process_has_opened_is_adopted);
	tcase_add_test(tc, a_log_that_cannot_be_opened_reports_the_cause);
	tcase_add_test(tc, lines_of_many_threads_stay_whole);
	tcase_add_test(tc, a_sink_receives_each_message);
	tcase_add_test(tc, a_line_that_a_sink_passes_on_is_written_as_without_a_sink);
	tcase_add_test(tc, a_pair_that_is_no_block_is_passed_on_as_a_pair);
	return run_suite(suite);
}
