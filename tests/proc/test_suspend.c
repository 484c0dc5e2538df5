/* Requests that are suspended by their handler and answered later, by a thread of the application. */
#include "../support.h"

#include "web.h"

#include "model/message.h"
#include "os/clock.h"

#include <prefork/error.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MANY = 1000, HELD = 50, ROUNDS = 2000 };

/* Counts of the worker. */
enum { SUSPENDED, RESUMED, GONE, DRAIN_BEGIN, ABANDONED, LAST_ERROR };

/* What the thread of the application does with a request. */
enum task { ANSWER, RESUME, RESUME_LATER, WRITE, STOP };

static struct {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct {
		struct prefork_request *request;
		enum task task;
	} jobs[2 * MANY];
	size_t count;
	struct prefork_request *held[2 * MANY]; /* until the path /release, or drain_begin */
	size_t held_count;
	bool resumes_gone;    /* client_gone resumes the request */
	bool resumes_drained; /* drain_begin resumes all */
	pthread_t thread;
	struct web_counts *counts;
} app = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };

static void check(bool holds)
{
	if (!holds)
		abort(); /* the worker aborts, and the test sees its exit status */
}

static void note(int what)
{
	atomic_fetch_add(&app.counts->noted[what], 1);
}

static int respond(struct prefork_request *request, const char *text)
{
	const int r = prefork_response_start(request, 200, NULL);

	return r < 0 ? r : prefork_response_bytes(request, text, strlen(text));
}

static void push(struct prefork_request *request, enum task task)
{
	pthread_mutex_lock(&app.lock);
	check(app.count < 2 * MANY);
	app.jobs[app.count].request = request;
	app.jobs[app.count++].task = task;
	pthread_cond_signal(&app.cond);
	pthread_mutex_unlock(&app.lock);
}

static void hold(struct prefork_request *request)
{
	pthread_mutex_lock(&app.lock);
	check(app.held_count < 2 * MANY);
	app.held[app.held_count++] = request;
	pthread_mutex_unlock(&app.lock);
}

static void release_all(void)
{
	pthread_mutex_lock(&app.lock);
	for (size_t i = 0; i < app.held_count; i++) {
		(void)respond(app.held[i], "released"); /* fails if the client is gone */
		check(prefork_request_resume(app.held[i]) == 0);
	}
	app.held_count = 0;
	pthread_mutex_unlock(&app.lock);
}

static void do_job(struct prefork_request *request, enum task task)
{
	if (task == ANSWER)
		check(respond(request, "later") == 0);
	if (task == WRITE) {
		check(prefork_response_start(request, 200, NULL) == 0);
		check(prefork_response_write(request, "one", 3) == 0 && prefork_response_write(request, "two", 3) == 0);
		check(prefork_response_end(request) == 0);
	}
	if (task == RESUME_LATER)
		(void)poll(NULL, 0, 20);
	check(prefork_request_resume(request) == 0);
}

static void *run_app(void *unused)
{
	(void)unused;
	for (;;) {
		pthread_mutex_lock(&app.lock);
		while (app.count == 0)
			pthread_cond_wait(&app.cond, &app.lock);
		struct prefork_request *const request = app.jobs[0].request;
		const enum task task = app.jobs[0].task;
		memmove(app.jobs, app.jobs + 1, --app.count * sizeof app.jobs[0]);
		pthread_mutex_unlock(&app.lock);
		if (task == STOP)
			return NULL;
		do_job(request, task);
	}
}

static int start_app(struct prefork_worker *worker, void *user)
{
	struct web *const web = user;

	(void)worker;
	app.counts = web->counts;
	return -pthread_create(&app.thread, NULL, run_app, NULL);
}

static void stop_app(struct prefork_worker *worker, void *user)
{
	(void)worker;
	(void)user;
	push(NULL, STOP);
	(void)pthread_join(app.thread, NULL);
}

static void suspend(struct prefork_request *request)
{
	check(prefork_request_suspend(request) == 0);
}

static ptrdiff_t pull(struct prefork_request *request, const void **ret_bytes, void *user)
{
	const uintptr_t step = (uintptr_t)prefork_request_user(request);

	(void)user;
	prefork_request_set_user(request, (void *)(step + 1));
	*ret_bytes = "piece";
	if (step == 4)
		return 0;
	if (step % 2 == 0)
		return 5;
	suspend(request);
	note(SUSPENDED);
	push(request, RESUME_LATER);
	return step == 1 ? 0 : 5;
}

static int pull_pieces(struct prefork_request *request)
{
	const int r = prefork_response_start(request, 200, NULL);

	return r < 0 ? r : prefork_response_pull(request, pull, NULL);
}

/* Errors of wrong calls, as text. */
static int misuse(struct prefork_request *request)
{
	char text[64];
	const int not_suspended = prefork_request_resume(request), first = prefork_request_suspend(request),
		  second = prefork_request_suspend(request), resume = prefork_request_resume(request),
		  again = prefork_request_resume(request), of_null = prefork_request_suspend(NULL);

	check(prefork_request_resume(NULL) == -EINVAL && prefork_request_is_abandoned(NULL));
	(void)snprintf(text, sizeof text, "%d %d %d %d %d %d", not_suspended == -EINVAL, first, second == -EALREADY, resume,
	               again == -EALREADY, of_null == -EINVAL);
	return respond(request, text);
}

static int suspend_ended(struct prefork_request *request)
{
	check(respond(request, "ended") == 0);
	check(prefork_request_suspend(request) == -EALREADY);
	check(*prefork_error() != '\0');
	return 0;
}

static int wait_for_gone(struct prefork_request *request)
{
	const uint64_t end_ms = pfi_now_ms() + 20000;
	const int before = atomic_load(&app.counts->noted[GONE]);

	if (prefork_worker_thread(prefork_request_worker(request)) != 0) {
		while (atomic_load(&app.counts->noted[GONE]) == before && pfi_now_ms() < end_ms)
			(void)poll(NULL, 0, 5);
		return respond(request, "gone");
	}
	while (!prefork_request_is_abandoned(request) && pfi_now_ms() < end_ms)
		(void)poll(NULL, 0, 5);
	note(GONE);
	return respond(request, "gone");
}

static int handle(struct prefork_request *request, void *user)
{
	const char *const path = prefork_request_target(request, NULL);
	static const struct {
		const char *path;
		enum task task;
	} tasks[] = { { "/answer", ANSWER }, { "/resume", RESUME }, { "/write", WRITE }, { "/rounds", RESUME } };

	(void)user;
	for (size_t i = 0; i < sizeof tasks / sizeof tasks[0]; i++) {
		if (strcmp(path, tasks[i].path) != 0)
			continue;
		suspend(request);
		note(SUSPENDED);
		push(request, tasks[i].task);
		return 0;
	}
	if (strcmp(path, "/hold") == 0) {
		suspend(request);
		hold(request);
		note(SUSPENDED); /* last: a test that waits for it releases the request then */
		return 0;
	}
	if (strcmp(path, "/fail") == 0) {
		suspend(request);
		note(SUSPENDED);
		push(request, RESUME_LATER);
		return prefork_fail(-EIO, "on purpose");
	}
	if (strcmp(path, "/release") == 0)
		release_all();
	return strcmp(path, "/pull") == 0     ? pull_pieces(request)
	       : strcmp(path, "/misuse") == 0 ? misuse(request)
	       : strcmp(path, "/ended") == 0  ? suspend_ended(request)
	       : strcmp(path, "/gone") == 0   ? wait_for_gone(request)
	                                      : respond(request, "hello");
}

static int resumed(struct prefork_request *request, void *user)
{
	const char *const path = prefork_request_target(request, NULL);
	const uintptr_t round = (uintptr_t)prefork_request_user(request);

	(void)user;
	note(RESUMED);
	if (strcmp(path, "/rounds") == 0 && round < ROUNDS) {
		prefork_request_set_user(request, (void *)(round + 1));
		suspend(request);
		push(request, RESUME);
		return 0;
	}
	if (strcmp(path, "/resume") == 0 || strcmp(path, "/rounds") == 0)
		return respond(request, "resumed");
	return 0;
}

static void client_gone(struct prefork_request *request, void *user)
{
	(void)user;
	note(GONE);
	if (app.resumes_gone && strcmp(prefork_request_target(request, NULL), "/hold") == 0)
		check(prefork_request_resume(request) == 0);
}

static void drain_begin(struct prefork_worker *worker, void *user)
{
	(void)worker;
	(void)user;
	note(DRAIN_BEGIN);
	if (app.resumes_drained)
		release_all();
}

static void abandoned(struct prefork_request *request, void *user)
{
	(void)user;
	atomic_store(&app.counts->noted[LAST_ERROR], prefork_request_error(request));
	note(ABANDONED);
	check(prefork_request_resume(request) == 0);
}

static const struct prefork_http_service service = {
	.struct_size = sizeof service,
	.worker_start = start_app,
	.handle = handle,
	.worker_stop = stop_app,
	.resumed = resumed,
	.client_gone = client_gone,
	.drain_begin = drain_begin,
	.abandoned = abandoned,
};

static int get(const struct web *web, const char *path)
{
	char bytes[128];
	const int size = snprintf(bytes, sizeof bytes, "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", path);

	return web_request(web, bytes, (size_t)size);
}

static char response[64 * 1024];

static void expect(int fd, int status, const char *end)
{
	(void)web_read_all(fd, response, sizeof response);
	ck_assert_msg(web_status(response) == status, "not %d: %s", status, response);
	ck_assert_msg(strstr(response, end) != NULL, "no %s: %s", end, response);
}

static const struct {
	const char *path, *end;
	int status, suspended;
} exchanges[] = {
	{ "/answer", "\r\n\r\nlater", 200, 1 },
	{ "/resume", "\r\n\r\nresumed", 200, 1 },
	{ "/write", "3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n", 200, 1 },
	{ "/pull", "\r\n\r\n5\r\npiece\r\n5\r\npiece\r\n5\r\npiece\r\n0\r\n\r\n", 200, 2 },
	{ "/misuse", "\r\n\r\n1 0 1 0 1 1", 200, 0 },
	{ "/ended", "\r\n\r\nended", 200, 0 },
	{ "/fail", "500 Internal Server Error", 500, 1 },
};

START_TEST(a_suspended_request_is_answered_later)
{
	struct web web;

	web_open_service(&web, &service, NULL);
	for (int i = 0; i < 3; i++)
		expect(get(&web, exchanges[_i].path), exchanges[_i].status, exchanges[_i].end);
	web_wait(&web.counts->finished, 3);
	ck_assert_int_eq(web.counts->noted[SUSPENDED], 3 * exchanges[_i].suspended);
	web_close(&web);
}
END_TEST

START_TEST(requests_of_a_kept_connection_are_suspended_one_after_the_other)
{
	static const char *const settings[] = { "--keep-alive", "20", NULL };
	static const char requests[] = "GET /answer HTTP/1.1\r\nHost: h\r\n\r\nGET /resume HTTP/1.1\r\nHost: h\r\n\r\n"
				       "GET /write HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
	struct web web;

	web_open_service(&web, &service, settings);
	expect(web_request(&web, requests, sizeof requests - 1), 200, "two\r\n0\r\n\r\n");
	ck_assert_ptr_nonnull(strstr(response, "\r\n\r\nlater"));
	ck_assert_ptr_nonnull(strstr(response, "\r\n\r\nresumed"));
	ck_assert_int_eq(web.counts->noted[RESUMED], 3);
	web_close(&web);
}
END_TEST

/* More suspended requests than threads. */
START_TEST(suspended_requests_hold_no_thread)
{
	struct web web;
	int fds[HELD];

	web_open_service(&web, &service, NULL);
	for (int i = 0; i < HELD; i++)
		fds[i] = get(&web, "/hold");
	web_wait(&web.counts->noted[SUSPENDED], HELD);
	expect(get(&web, "/hello"), 200, "hello");
	harness_await_connections(&web.harness, HELD);
	expect(get(&web, "/release"), 200, "hello");
	for (int i = 0; i < HELD; i++)
		expect(fds[i], 200, "released");
	web_close(&web);
}
END_TEST

START_TEST(no_resume_is_lost)
{
	struct web web;
	int fds[8];

	web_open_service(&web, &service, NULL);
	for (int i = 0; i < 8; i++)
		fds[i] = get(&web, "/rounds");
	for (int i = 0; i < 8; i++)
		expect(fds[i], 200, "resumed");
	ck_assert_int_eq(web.counts->noted[RESUMED], 8 * (ROUNDS + 1));
	web_close(&web);
}
END_TEST

START_TEST(a_request_that_is_not_resumed_gets_504)
{
	static const char *const settings[] = { "--suspend-timeout", "1", NULL };
	struct web web;

	web_open_service(&web, &service, settings);
	expect(get(&web, "/hold"), 504, "504 Gateway Timeout");
	web_wait(&web.counts->finished, 1);
	ck_assert_int_eq(web.counts->noted[ABANDONED], 1);
	ck_assert_int_eq(web.counts->noted[LAST_ERROR], -ETIMEDOUT);
	ck_assert_int_eq(web.counts->error, -ETIMEDOUT);
	harness_await_connections(&web.harness, 0);
	web_close(&web);
}
END_TEST

START_TEST(suspended_requests_count_in_queue_limit)
{
	static const char *const settings[] = { "--queue-limit", "2", NULL };
	struct web web;

	web_open_service(&web, &service, settings);
	const int first = get(&web, "/hold"), second = get(&web, "/hold");
	web_wait(&web.counts->noted[SUSPENDED], 2);
	expect(get(&web, "/hello"), 503, "too many requests are waiting");
	harness_signal(&web.harness, SIGQUIT);
	(void)web_read_rest(first, response, sizeof response);
	(void)web_read_rest(second, response, sizeof response);
	ck_assert_int_eq(harness_reap(&web.harness).code, 0);
	ck_assert_int_eq(web.counts->noted[ABANDONED], 2);
	web_discard(&web);
}
END_TEST

static void open_many(struct web *web, int fds[MANY], const char *const settings[])
{
	web_open_service(web, &service, settings);
	for (int i = 0; i < MANY; i++)
		fds[i] = get(web, "/hold");
	web_wait(&web->counts->noted[SUSPENDED], MANY);
}

START_TEST(a_drain_answers_1000_suspended_requests)
{
	static const char *const settings[] = { "--worker-connections", "2000", NULL };
	static int fds[MANY];
	struct web web;

	app.resumes_drained = true;
	open_many(&web, fds, settings);
	harness_send(&web.harness, PFI_MESSAGE_DRAIN, 0);
	for (int i = 0; i < MANY; i++)
		expect(fds[i], 200, "released");
	ck_assert_int_eq(web.counts->noted[DRAIN_BEGIN], 1);
	web_reap(&web);
}
END_TEST

/* Each has a response, the worker does not wait for the end of graceful_timeout, and the leak sanitizer finds nothing. */
START_TEST(a_drain_abandons_1000_suspended_requests_at_its_end)
{
	static const char *const settings[] = { "--worker-connections", "2000", "--graceful-timeout", "4", NULL };
	static int fds[MANY];
	struct web web;

	open_many(&web, fds, settings);
	harness_send(&web.harness, PFI_MESSAGE_DRAIN, 0);
	for (int i = 0; i < MANY; i++) {
		(void)web_read_rest(fds[i], response, sizeof response);
		ck_assert_msg(web_status(response) == 503, "%s", response);
	}
	const struct pfi_exit_status status = harness_reap(&web.harness);
	ck_assert_msg(status.signo == 0 && status.code == 0, "signal %d, status %d", status.signo, status.code);
	ck_assert_int_eq(web.counts->noted[DRAIN_BEGIN], 1);
	ck_assert_int_eq(web.counts->noted[ABANDONED], MANY);
	ck_assert_int_eq(web.counts->noted[LAST_ERROR], -EINTR);
	web_discard(&web);
}
END_TEST

START_TEST(clients_that_leave_are_reported)
{
	static const char *const settings[] = { "--worker-connections", "2000", NULL };
	static int fds[MANY];
	struct web web;

	app.resumes_gone = true;
	open_many(&web, fds, settings);
	const uint64_t left_ms = pfi_now_ms();
	for (int i = 0; i < MANY; i++)
		ck_assert_int_eq(close(fds[i]), 0);
	web_wait(&web.counts->noted[GONE], MANY);
	const uint64_t took_ms = pfi_now_ms() - left_ms;
	ck_assert_msg(took_ms <= 1000 * (uint64_t)harness_patience_ms() / 5000, "took %llu ms", (unsigned long long)took_ms);
	web_wait(&web.counts->finished, MANY);
	ck_assert_int_eq(web.counts->noted[GONE], MANY);
	web_close(&web);
}
END_TEST

/* In a thread of the library client_gone is called; otherwise the handler asks. */
START_TEST(a_running_handler_finds_that_its_client_has_left)
{
	struct web web;

	web_open_service(&web, &service, NULL);
	const int fd = get(&web, "/gone");
	web_wait(&web.counts->handled, 1);
	ck_assert_int_eq(close(fd), 0);
	web_wait(&web.counts->noted[GONE], 1);
	web_wait(&web.counts->finished, 1);
	ck_assert_int_eq(web.counts->noted[GONE], 1);
	web_close(&web);
}
END_TEST

/* With client_gone_on_fin a client that has shut down its output is gone, and still gets its response. */
START_TEST(a_fin_counts_as_set)
{
	static const char *const settings[] = { "--client-gone-on-fin=no", NULL };
	const struct linger reset = { .l_onoff = 1 };
	struct web web;

	app.resumes_gone = true;
	web_open_service(&web, &service, _i ? settings : NULL);
	const int half = get(&web, "/hold"), whole = get(&web, "/hold");
	web_wait(&web.counts->noted[SUSPENDED], 2);
	ck_assert_int_eq(shutdown(half, SHUT_WR), 0);
	(void)setsockopt(whole, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	ck_assert_int_eq(close(whole), 0);
	web_wait(&web.counts->noted[GONE], _i ? 1 : 2);
	if (_i) {
		web_wait(&web.counts->finished, 1);
		expect(get(&web, "/hello"), 200, "hello"); /* another second for a wrong report: the drain waits for `half` */
		harness_signal(&web.harness, SIGQUIT);
		ck_assert_int_eq(harness_reap(&web.harness).code, 0);
		ck_assert_int_eq(web.counts->noted[GONE], 1);
		(void)close(half);
		web_discard(&web);
		return;
	}
	(void)web_read_rest(half, response, sizeof response);
	web_close(&web);
}
END_TEST

int main(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < 4096 && files.rlim_max >= 4096) {
		files.rlim_cur = 4096;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}

	Suite *suite = suite_create("suspend");
	TCase *tc = tcase_create("suspend");
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, a_suspended_request_is_answered_later, 0, sizeof exchanges / sizeof exchanges[0]);
	tcase_add_test(tc, requests_of_a_kept_connection_are_suspended_one_after_the_other);
	tcase_add_test(tc, suspended_requests_hold_no_thread);
	tcase_add_test(tc, no_resume_is_lost);
	tcase_add_test(tc, a_request_that_is_not_resumed_gets_504);
	tcase_add_test(tc, suspended_requests_count_in_queue_limit);
	tcase_add_test(tc, a_drain_answers_1000_suspended_requests);
	tcase_add_test(tc, a_drain_abandons_1000_suspended_requests_at_its_end);
	tcase_add_test(tc, clients_that_leave_are_reported);
	tcase_add_test(tc, a_running_handler_finds_that_its_client_has_left);
	tcase_add_loop_test(tc, a_fin_counts_as_set, 0, 2);
	suite_add_tcase(suite, tc);

	return run_suite(suite);
}
