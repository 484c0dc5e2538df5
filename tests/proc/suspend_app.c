/* The service of test_suspend.c, in the worker: suspends requests, and has a thread that answers them. */
#include "suspend_app.h"

#include "os/clock.h"

#include <prefork/error.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { JOBS_MAX = 4096, PIECE = 64 * 1024 };

/* What the thread of the application does with a request. */
enum task { ANSWER, RESUME, RESUME_LATER, WRITE, WRITE_LARGE, WRITE_UNTIL_ERROR, STOP };

static struct {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct {
		struct prefork_request *request;
		enum task task;
	} jobs[JOBS_MAX];
	size_t count;
	struct prefork_request *held[JOBS_MAX]; /* until the path /release, or drain_begin */
	size_t held_count;
	pthread_t thread;
	struct web_counts *counts;
} app = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };

bool suspend_app_resumes_gone, suspend_app_resumes_drained;

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
	check(app.count < JOBS_MAX);
	app.jobs[app.count].request = request;
	app.jobs[app.count++].task = task;
	pthread_cond_signal(&app.cond);
	pthread_mutex_unlock(&app.lock);
}

static void hold(struct prefork_request *request)
{
	pthread_mutex_lock(&app.lock);
	check(app.held_count < JOBS_MAX);
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

/* The client may leave before the end. */
static void write_large(struct prefork_request *request)
{
	static const char piece[PIECE];

	check(prefork_response_start(request, 200, NULL) == 0);
	for (size_t sent = 0; sent < SUSPEND_APP_LARGE; sent += sizeof piece)
		if (prefork_response_write(request, piece, sizeof piece) < 0)
			return;
	(void)prefork_response_end(request);
}

/* Output is pending when the client leaves, and sending has failed when the request is resumed. */
static void write_until_error(struct prefork_request *request)
{
	static const char piece[PIECE];
	const uint64_t end_ms = pfi_now_ms() + 20000;

	check(prefork_response_start(request, 200, NULL) == 0);
	do
		check(prefork_response_write(request, piece, sizeof piece) == 0);
	while (prefork_connection_pending(prefork_request_connection(request)) == 0);
	note(PENDING);
	while (!prefork_request_is_abandoned(request) && pfi_now_ms() < end_ms)
		(void)poll(NULL, 0, 5);
	while (prefork_response_write(request, piece, sizeof piece) == 0)
		check(pfi_now_ms() < end_ms);
}

static void write_small(struct prefork_request *request)
{
	check(prefork_response_start(request, 200, NULL) == 0);
	check(prefork_response_write(request, "one", 3) == 0 && prefork_response_write(request, "two", 3) == 0);
	check(prefork_response_end(request) == 0);
}

static void do_job(struct prefork_request *request, enum task task)
{
	if (task == ANSWER)
		check(respond(request, "later") == 0 && respond(request, "again") == -EALREADY);
	if (task == WRITE)
		write_small(request);
	if (task == WRITE_LARGE)
		write_large(request);
	if (task == WRITE_UNTIL_ERROR)
		write_until_error(request);
	if (task == RESUME_LATER)
		(void)poll(NULL, 0, 20);
	check(prefork_request_resume(request) == 0);
	if (task == WRITE_UNTIL_ERROR)
		note(RESUMED_BEFORE_RETURN);
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

/* Without a descriptor for the connection watch the handler goes on. In a thread or a task the handler is watched already. */
static int suspend_without_descriptors(struct prefork_request *request)
{
	struct rlimit before, none;

	if (prefork_worker_thread(prefork_request_worker(request)) != 0 ||
	    prefork_connection_is_task(prefork_request_connection(request)))
		return respond(request, "no descriptor");
	check(getrlimit(RLIMIT_NOFILE, &before) == 0);
	none = (struct rlimit){ 0, before.rlim_max };
	check(setrlimit(RLIMIT_NOFILE, &none) == 0);
	check(prefork_request_suspend(request) == -EMFILE && *prefork_error() != '\0');
	check(setrlimit(RLIMIT_NOFILE, &before) == 0);
	check(prefork_request_resume(request) == -EINVAL);
	return respond(request, "no descriptor");
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

/* The handler returns when its request has been resumed already. */
static int resume_before_return(struct prefork_request *request)
{
	const uint64_t end_ms = pfi_now_ms() + 30000;

	suspend(request);
	push(request, WRITE_UNTIL_ERROR);
	while (atomic_load(&app.counts->noted[RESUMED_BEFORE_RETURN]) == 0 && pfi_now_ms() < end_ms)
		(void)poll(NULL, 0, 5);
	return 0;
}

static int handle(struct prefork_request *request, void *user)
{
	const char *const path = prefork_request_target(request, NULL);
	static const struct {
		const char *path;
		enum task task;
	} tasks[] = { { "/answer", ANSWER }, { "/resume", RESUME }, { "/write", WRITE },
		      { "/large", WRITE_LARGE }, { "/rounds", RESUME } };

	(void)user;
	for (size_t i = 0; i < sizeof tasks / sizeof tasks[0]; i++) {
		if (strcmp(path, tasks[i].path) != 0)
			continue;
		suspend(request);
		note(SUSPENDED);
		push(request, tasks[i].task);
		return 0;
	}
	if (strcmp(path, "/hold") == 0 || strcmp(path, "/begin") == 0) {
		suspend(request);
		if (strcmp(path, "/begin") == 0)
			check(prefork_response_start(request, 200, NULL) == 0 && prefork_response_write(request, "part", 4) == 0);
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
	       : strcmp(path, "/full") == 0   ? suspend_without_descriptors(request)
	       : strcmp(path, "/gone") == 0   ? wait_for_gone(request)
	       : strcmp(path, "/early") == 0  ? resume_before_return(request)
	                                      : respond(request, "hello");
}

static int resumed(struct prefork_request *request, void *user)
{
	const char *const path = prefork_request_target(request, NULL);
	const uintptr_t round = (uintptr_t)prefork_request_user(request);

	(void)user;
	note(RESUMED);
	if (strcmp(path, "/rounds") == 0 && round < SUSPEND_APP_ROUNDS) {
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
	if (suspend_app_resumes_gone && strcmp(prefork_request_target(request, NULL), "/hold") == 0)
		check(prefork_request_resume(request) == 0);
}

static void drain_begin(struct prefork_worker *worker, void *user)
{
	(void)worker;
	(void)user;
	note(DRAIN_BEGIN);
	if (suspend_app_resumes_drained)
		release_all();
}

static void abandoned(struct prefork_request *request, void *user)
{
	(void)user;
	atomic_store(&app.counts->noted[LAST_ERROR], prefork_request_error(request));
	note(ABANDONED);
	check(prefork_request_resume(request) == 0);
}

const struct prefork_http_service suspend_app = {
	.struct_size = sizeof suspend_app,
	.worker_start = start_app,
	.handle = handle,
	.worker_stop = stop_app,
	.resumed = resumed,
	.client_gone = client_gone,
	.drain_begin = drain_begin,
	.abandoned = abandoned,
};
