/* The queue of lines for Python, without Python: as a sink of a log whose lines go through it. */
#include "log_queue.h"

#include "../suite.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 4, LINES = 3000 };

static void reset(void)
{
	wsgi_log_queue_reset();
}

static int put(const char *message)
{
	return wsgi_log_queue_put(PREFORK_LOG_INFO, "room", message, NULL, 0);
}

START_TEST(a_line_is_copied_with_its_pairs)
{
	char key[] = "event", text[] = "boil";
	const struct prefork_log_pair pairs[] = { PREFORK_TEXT(key, text), PREFORK_NUMBER("pid", 7), PREFORK_TEXT("none", NULL) };

	ck_assert_int_eq(wsgi_log_queue_put(PREFORK_LOG_ERROR, "room", "hot", pairs, 3), 0);
	key[0] = text[0] = 'X';

	struct wsgi_log_line *const line = wsgi_log_queue_take();

	ck_assert_int_eq(line->level, PREFORK_LOG_ERROR);
	ck_assert_str_eq(line->module, "room");
	ck_assert_str_eq(line->message, "hot");
	ck_assert_str_eq(line->pairs[0].key, "event");
	ck_assert_str_eq(line->pairs[0].text, "boil");
	ck_assert_int_eq(line->pairs[1].number, 7);
	ck_assert_ptr_null(line->pairs[2].text);
	ck_assert_int_gt(line->time_us, 0);
	ck_assert_ptr_null(wsgi_log_queue_take());
	free(line);
}
END_TEST

START_TEST(a_full_queue_refuses_lines_and_bytes)
{
	char *const large = calloc(1, WSGI_LOG_QUEUE_BYTES);

	for (int i = 0; i < WSGI_LOG_QUEUE_LINES; i++)
		ck_assert_int_eq(put("x"), 0);
	ck_assert_int_eq(put("x"), -ENOBUFS);
	ck_assert_uint_eq(wsgi_log_queue_length(), WSGI_LOG_QUEUE_LINES);
	free(wsgi_log_queue_take());
	ck_assert_int_eq(put("last"), 0);
	for (struct wsgi_log_line *line; (line = wsgi_log_queue_take()) != NULL; free(line))
		ck_assert(wsgi_log_queue_length() > 0 || strcmp(line->message, "last") == 0);
	memset(large, 'y', WSGI_LOG_QUEUE_BYTES - 1);
	ck_assert_int_eq(put(large), -ENOBUFS);
	large[WSGI_LOG_QUEUE_BYTES / 2] = '\0';
	ck_assert_int_eq(put(large), 0);
	ck_assert_int_eq(put(large), -ENOBUFS);
	free(wsgi_log_queue_take());
	ck_assert_int_eq(put(large), 0);
	free(wsgi_log_queue_take());
	free(large);
}
END_TEST

static void send_to_queue(void *user, enum prefork_log_level level, const char *module, const char *message,
                          const struct prefork_log_pair *pairs, size_t count)
{
	(void)user;
	while (wsgi_log_queue_put(level, module, message, pairs, count) == -ENOBUFS)
		(void)usleep(100);
}

static void *log_much(void *log)
{
	static atomic_int number;
	const struct prefork_log_pair pair = PREFORK_NUMBER("thread", atomic_fetch_add(&number, 1));

	for (int i = 0; i < LINES; i++)
		prefork_log_write(log, PREFORK_LOG_INFO, "room", &pair, 1, "%d", i);
	return NULL;
}

START_TEST(each_thread_s_lines_come_out_once_and_in_order)
{
	struct prefork_log *log;
	pthread_t threads[THREADS];
	int next[THREADS] = { 0 }, all = 0;

	ck_assert_int_eq(prefork_log_create("/dev/null", 2, &log), 0);
	prefork_log_set_sink(log, send_to_queue, NULL);
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, log_much, log), 0);
	while (all < THREADS * LINES) {
		struct wsgi_log_line *const line = wsgi_log_queue_take();

		if (line == NULL)
			continue;
		ck_assert_int_eq(atoi(line->message), next[line->pairs[0].number]++);
		all++;
		free(line);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_ptr_null(wsgi_log_queue_take());
	prefork_log_destroy(log);
}
END_TEST

/* A child neither repeats lines of its parent, nor puts any into a queue that nobody empties, unless it resets it. */
START_TEST(a_forked_child_starts_with_an_empty_queue)
{
	int status;

	ck_assert_int_eq(put("of the parent"), 0);

	const pid_t pid = fork();

	if (pid == 0) {
		bool as_expected = put("x") == -ESRCH;

		wsgi_log_queue_reset();
		as_expected &= wsgi_log_queue_take() == NULL && put("y") == 0;
		struct wsgi_log_line *const line = wsgi_log_queue_take();

		as_expected &= line != NULL && strcmp(line->message, "y") == 0;
		_exit(as_expected ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	free(wsgi_log_queue_take());
}
END_TEST

START_TEST(a_process_that_crashes_writes_what_waits)
{
	char bytes[100] = "";
	int pipe_fds[2];

	ck_assert_int_eq(pipe(pipe_fds), 0);
	ck_assert_int_eq(put("one"), 0);
	ck_assert_int_eq(put("two"), 0);
	wsgi_log_queue_dump(pipe_fds[1]);
	ck_assert_int_eq(read(pipe_fds[0], bytes, sizeof bytes - 1), 8);
	ck_assert_str_eq(bytes, "one\ntwo\n");
	ck_assert_uint_eq(wsgi_log_queue_length(), 2);
	wsgi_log_queue_reset();
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("log_queue");
	TCase *tcase = tcase_create("log_queue");

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, reset, NULL);
	tcase_add_test(tcase, a_line_is_copied_with_its_pairs);
	tcase_add_test(tcase, a_full_queue_refuses_lines_and_bytes);
	tcase_add_test(tcase, each_thread_s_lines_come_out_once_and_in_order);
	tcase_add_test(tcase, a_forked_child_starts_with_an_empty_queue);
	tcase_add_test(tcase, a_process_that_crashes_writes_what_waits);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
