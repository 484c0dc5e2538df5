/* Tasks of a worker that stops or forks, and what each task has of its own. */
#include "../support.h"

#include "task_driver.h"
#include "task_requests.h"

#include "model/message.h"
#include "model/worker_score.h"
#include "os/clock.h"

#include <prefork/error.h>
#include <prefork/host_loop.h>
#include <prefork/service.h>
#include <prefork/worker.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int handle_cleanup(struct prefork_request *request, void *user)
{
	char bytes[10];
	int r = 0;

	(void)user;
	if (is_for(request, "/sleep"))
		r = task_sleep(600000) < 0 ? -EINTR : 0;
	else
		r = (int)prefork_request_read(request, bytes, sizeof bytes);
	note(request, is_for(request, "/sleep") ? 1 : 2, r);
	atomic_fetch_add(&web_counts(request)->noted[0], 1); /* the cleanup of the application. The test waits for it */
	return r;
}

static void open_sleepers(struct web *web, const char *const settings[], int fds[2])
{
	web_open(web, handle_cleanup, settings);
	fds[0] = request_path(web, "/sleep", "");
	fds[1] = request_path(web, "/upload", "Content-Length: 5\r\n");
	web_wait(&web->counts->handled, 2);
}

START_TEST(a_worker_that_quits_lets_its_tasks_end)
{
	static const char *const settings[] = { "--stream-uploads", "--abort-timeout", "20", NULL };
	struct web web;
	int fds[2];

	open_sleepers(&web, settings, fds);
	harness_signal(&web.harness, SIGQUIT);
	web_wait(&web.counts->noted[0], 2);
	ck_assert_int_eq(web.counts->noted[1], -EINTR);
	ck_assert_int_eq(web.counts->noted[2], -EINTR);
	(void)close(fds[0]);
	(void)close(fds[1]);
	web_reap(&web);
}
END_TEST

START_TEST(tasks_that_do_not_end_delay_a_quick_stop_for_half_of_abort_timeout)
{
	static const char *const settings[] = { "--stream-uploads", "--abort-timeout", "400ms", NULL };
	struct web web;
	int fds[2];

	task_options.ignores_cancel = true;
	open_sleepers(&web, settings, fds);
	const uint64_t began_ms = pfi_now_ms();
	harness_signal(&web.harness, SIGQUIT);
	web_wait(&web.counts->noted[0], 1); /* the reader, which the library has resumed */
	ck_assert_int_eq(web.counts->noted[2], -EINTR);
	(void)close(fds[0]);
	(void)close(fds[1]);
	web_wait(&web.counts->finished, 1);
	atomic_store(&web.counts->handled, 1); /* the other one is never finished */
	web_reap(&web);
	ck_assert_uint_ge(pfi_now_ms() - began_ms, 190);
	ck_assert_uint_lt(pfi_now_ms() - began_ms, (uint64_t)patience_ms(10000)); /* of graceful_timeout, 30 s */
}
END_TEST

START_TEST(tasks_end_before_graceful_timeout_does)
{
	static const char *const settings[] = { "--stream-uploads", "--graceful-timeout", "800ms", "--body-timeout", "60", NULL };
	struct web web;
	int fds[2];

	open_sleepers(&web, settings, fds);
	const uint64_t began_ms = pfi_now_ms();
	harness_send(&web.harness, PFI_MESSAGE_DRAIN, 0);
	web_wait(&web.counts->noted[0], 2);
	ck_assert_uint_ge(pfi_now_ms() - began_ms, 690); /* an eighth is left */
	ck_assert_int_eq(web.counts->noted[1], -EINTR);
	ck_assert_int_eq(web.counts->noted[2], -EINTR);
	(void)close(fds[0]);
	(void)close(fds[1]);
	web_reap(&web);
}
END_TEST

static int handle_messages(struct prefork_request *request, void *user)
{
	char bytes[10];

	(void)user;
	if (is_for(request, "/other")) {
		(void)prefork_fail(-EIO, "the failure of another request");
		return respond(request, "other");
	}
	(void)prefork_fail(-EIO, "my own failure");
	check(prefork_request_read(request, bytes, sizeof bytes) == 3);
	return respond(request, prefork_error());
}

START_TEST(the_error_message_is_that_of_the_task)
{
	struct web web;

	web_open(&web, handle_messages, streams);
	const int fd = request_path(&web, "/mine", "Content-Length: 3\r\nConnection: close\r\n");
	web_wait(&web.counts->handled, 1);
	(void)web_read_all(request_path(&web, "/other", "Connection: close\r\n"), response, sizeof response);
	send_text(fd, "abc");
	(void)web_read_all(fd, response, sizeof response);
	ck_assert_ptr_nonnull(strstr(response, "my own failure"));
	web_close(&web);
}
END_TEST

/* The child shares the epoll set and the eventfd of the worker: it must not change what they poll for. */
static int handle_fork(struct prefork_request *request, void *user)
{
	char bytes[10];

	(void)user;
	const pid_t child = fork();
	if (child == 0) {
		const ptrdiff_t n = prefork_request_read(request, bytes, sizeof bytes);
		_exit(n == -ECANCELED && prefork_worker_dispatch(prefork_request_worker(request)) == 0 ? 0 : 1);
	}
	int status = -1;
	check(waitpid(child, &status, 0) == child);
	note(request, 0, status);
	note(request, 1, 1);
	check(prefork_request_read(request, bytes, sizeof bytes) == 3);
	return respond(request, "parent");
}

START_TEST(a_forked_child_waits_for_nothing)
{
	struct web web;

	web_open(&web, handle_fork, streams);
	const int fd = request_path(&web, "/", "Content-Length: 3\r\nConnection: close\r\n");
	web_wait(&web.counts->noted[1], 1);
	send_text(fd, "abc");
	(void)web_read_all(fd, response, sizeof response);
	ck_assert_ptr_nonnull(strstr(response, "parent"));
	ck_assert_int_eq(web.counts->noted[0], 0);
	web_close(&web);
}
END_TEST

int main(void)
{
	Suite *const suite = suite_create("task_ends");
	TCase *const tc = new_case(suite, "task_ends");

	tcase_add_checked_fixture(tc, task_requests_prepare, NULL);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_worker_that_quits_lets_its_tasks_end);
	tcase_add_test(tc, tasks_that_do_not_end_delay_a_quick_stop_for_half_of_abort_timeout);
	tcase_add_test(tc, tasks_end_before_graceful_timeout_does);
	tcase_add_test(tc, the_error_message_is_that_of_the_task);
	tcase_add_test(tc, a_forked_child_waits_for_nothing);
	return run_suite(suite);
}
