/* The bridge in several threads, as the strategies threads and libev use it. */
#include "python.h"

#include "dump.h"
#include "interpreter.h"
#include "kitchen.h"

#include "../suite.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 8, ROUNDS = 150 };

static unsigned thread_states(void)
{
	unsigned count = 0;

	(void)wsgi_gil_take();
	for (PyThreadState *state = PyInterpreterState_ThreadHead(PyInterpreterState_Get()); state;
	     state = PyThreadState_Next(state))
		count++;
	wsgi_gil_release();
	return count;
}

static bool gets_response(const char *target, int status, const char *part)
{
	struct prefork_request request = kitchen_request(target);
	bool ok;

	kitchen_serve(&request);
	ok = request.status == status && (part == NULL || (request.sent && strstr(request.sent, part)));
	free(request.sent);
	return ok;
}

static atomic_int failures;

static void *serve_many(void *number)
{
	char target[64], line[80];

	for (int i = 0; i < ROUNDS; i++) {
		(void)snprintf(target, sizeof target, "/environment/%d-%d?q=%d", *(int *)number, i, i);
		(void)snprintf(line, sizeof line, "PATH_INFO='/environment/%d-%d'\n", *(int *)number, i);
		failures += !gets_response(target, 200, line);
		(void)snprintf(line, sizeof line, "QUERY_STRING='q=%d'\n", i);
		failures += !gets_response(target, 200, line);
		failures += !gets_response("/generator", 200, "alpha beta");
		failures += !gets_response("/writer", 200, "written twice and returned");
		failures += !gets_response("/exits", 500, NULL);
	}
	return NULL;
}

/* Each request has its own environ, start_response and input, and the thread state of each thread is freed. */
START_TEST(concurrent_threads_leak_nothing)
{
	const unsigned before = thread_states();
	pthread_t threads[THREADS];
	int numbers[THREADS];

	for (int i = 0; i < THREADS; i++) {
		numbers[i] = i;
		ck_assert_int_eq(pthread_create(&threads[i], NULL, serve_many, &numbers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	ck_assert_int_eq(failures, 0);
	ck_assert_uint_eq(thread_states(), before);
}
END_TEST

static void *do_handle(void *request)
{
	failures += wsgi_request_handle(request, &kitchen) != 0;
	return NULL;
}

static void *do_drive(void *request)
{
	fake_drive(request);
	return NULL;
}

static void *do_finish(void *request)
{
	wsgi_request_finished(request);
	return NULL;
}

static void run_in_a_thread(void *(*function)(void *), void *argument)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, function, argument), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

START_TEST(a_request_can_continue_in_another_thread)
{
	static const char *const targets[] = { "/generator", "/hello", "/close-once", "/a-file" };

	for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
		struct prefork_request request = kitchen_request(targets[i]);

		run_in_a_thread(do_handle, &request);
		run_in_a_thread(do_drive, &request);
		run_in_a_thread(do_finish, &request);
		ck_assert_int_eq(request.status, 200);
		ck_assert_uint_gt(request.sent_size, 1);
		free(request.sent);
	}
	ck_assert_int_eq(failures, 0);
}
END_TEST

static atomic_bool handled;

static void *handle_and_set_flag(void *request)
{
	(void)do_handle(request);
	handled = true;
	return NULL;
}

/* The library ends a request after the last thread of the application has left its callbacks. */
START_TEST(a_handler_returns_after_the_threads_that_read_the_body)
{
	struct prefork_request request = kitchen_request("/");
	char target[32];
	int reader[2], entry[2];
	pthread_t thread;

	ck_assert(pipe(reader) == 0 && pipe(entry) == 0);
	(void)snprintf(target, sizeof target, "/leave-a-reader?%d", reader[0]);
	request = kitchen_request(target);
	request.reader = reader[1];
	request.entry = entry[0];
	ck_assert_int_eq(pthread_create(&thread, NULL, handle_and_set_flag, &request), 0);
	for (int i = 0; i < 100 && !handled; i++)
		(void)usleep(1000);
	ck_assert(!handled);
	ck_assert_int_eq(write(entry[1], "x", 1), 1);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_str_eq(request.sent, "left");
	free(request.sent);
	for (int i = 0; i < 2; i++) {
		(void)close(reader[i]);
		(void)close(entry[i]);
	}
}
END_TEST

/* The bridge detaches the request from such a thread, possibly while the thread calls the library: the thread must
 * read the pointer before it releases the GIL. Otherwise one in four requests crashes. */
START_TEST(a_background_thread_never_uses_a_finished_request)
{
	static const char *const targets[] = { "/leave-a-writer", "/leave-a-busy-reader" };

	for (int i = 0; i < 200; i++)
		ck_assert(gets_response(targets[_i], 200, NULL));
}
END_TEST

static void *do_pull(void *argument)
{
	struct prefork_request *request = argument;
	const void *bytes;

	if (request->pull == NULL) /* the body is complete */
		return NULL;
	const ptrdiff_t n = request->pull(request, &bytes, request->pull_user);

	if (n > 0) {
		request->sent = realloc(request->sent, request->sent_size + (size_t)n + 1);
		memcpy(request->sent + request->sent_size, bytes, (size_t)n);
		request->sent_size += (size_t)n;
		request->sent[request->sent_size] = '\0';
	}
	failures += n < 0;
	return NULL;
}

/* An event loop alternates between responses, and a pool continues them in other threads: a response stays in the
 * context (PEP 567) of its request. */
START_TEST(a_response_keeps_its_context_in_any_thread)
{
	struct prefork_request requests[2];

	kitchen_log[0] = '\0';
	for (int i = 0; i < 2; i++) {
		requests[i] = kitchen_request(i ? "/in-context?two" : "/in-context?one");
		_i ? run_in_a_thread(do_handle, &requests[i]) : (void)do_handle(&requests[i]);
	}
	for (int piece = 0; piece < 3; piece++) {
		for (int i = 0; i < 2; i++)
			_i ? run_in_a_thread(do_pull, &requests[i]) : (void)do_pull(&requests[i]);
	}
	for (int i = 0; i < 2; i++) {
		if (_i)
			(void)do_pull(&requests[i]); /* the end of the body; without it the client closes */
		_i ? run_in_a_thread(do_finish, &requests[i]) : (void)do_finish(&requests[i]);
		ck_assert_str_eq(requests[i].sent, i ? "two two two " : "one one one ");
		free(requests[i].sent);
	}
	ck_assert_str_eq(kitchen_log, "");
	ck_assert(gets_response("/show-closed", 200, "in_context_one_none,in_context_two_none"));
	ck_assert_int_eq(failures, 0);
}
END_TEST

START_TEST(a_request_does_not_have_the_context_of_another)
{
	for (int i = 0; i < 3; i++)
		ck_assert(gets_response("/spoil-context", 200, "no"));
}
END_TEST

static void *serve_one(void *target)
{
	failures += !gets_response(target, 200, "x");
	return NULL;
}

/* The dump runs without the GIL, as in a signal handler. */
START_TEST(a_dump_shows_the_stack_of_every_thread)
{
	char text[16384] = "", target[32];
	int entry[2], out[2];
	pthread_t thread;
	ssize_t n;

	ck_assert_int_eq(pipe(entry), 0);
	ck_assert_int_eq(pipe2(out, O_NONBLOCK), 0);
	(void)snprintf(target, sizeof target, "/read-fd?%d", entry[0]);
	ck_assert_int_eq(pthread_create(&thread, NULL, serve_one, target), 0);
	while (strstr(text, "in read_fd") == NULL) { /* until the thread reads; the time limit of the test ends the loop */
		wsgi_python_dump(out[1]);
		n = read(out[0], text, sizeof text - 1);
		text[n > 0 ? n : 0] = '\0';
	}
	ck_assert_ptr_nonnull(strstr(text, "kitchen.py"));
	ck_assert_int_eq(write(entry[1], "x", 1), 1);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(failures, 0);
	for (int i = 0; i < 2; i++) {
		(void)close(entry[i]);
		(void)close(out[i]);
	}
}
END_TEST

/* Threads that are not stuck change their stacks during the dump. */
START_TEST(a_dump_does_not_disturb_running_threads)
{
	const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
	char target[32];
	pthread_t threads[4];
	int entry[2];

	ck_assert_int_eq(pipe(entry), 0);
	(void)snprintf(target, sizeof target, "/recurse?%d", entry[0]);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, serve_one, target), 0);
	for (int i = 0; i < 3000; i++)
		wsgi_python_dump(nowhere);
	ck_assert_int_eq(write(entry[1], "x", 1), 1);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	ck_assert_int_eq(failures, 0);
	for (int i = 0; i < 2; i++)
		(void)close(entry[i]);
	(void)close(nowhere);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("threads");
	TCase *tcase = tcase_create("threads");

	tcase_add_unchecked_fixture(tcase, kitchen_open, NULL);
	tcase_add_test(tcase, concurrent_threads_leak_nothing);
	tcase_add_test(tcase, a_request_can_continue_in_another_thread);
	tcase_add_loop_test(tcase, a_response_keeps_its_context_in_any_thread, 0, 2);
	tcase_add_test(tcase, a_handler_returns_after_the_threads_that_read_the_body);
	tcase_add_loop_test(tcase, a_background_thread_never_uses_a_finished_request, 0, 2);
	tcase_add_test(tcase, a_request_does_not_have_the_context_of_another);
	tcase_add_test(tcase, a_dump_shows_the_stack_of_every_thread);
	tcase_add_test(tcase, a_dump_does_not_disturb_running_threads);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return run_suite_in_process(suite); /* one interpreter for all tests */
}
