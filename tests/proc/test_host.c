/* Errors of an application that serves HTTP: invalid service structs, and handlers that fail. */
#include "../suite.h"

#include "http/http_options.h"
#include "os/fd.h"

#include <prefork/arbiter.h>
#include <prefork/error.h>
#include <prefork/http.h>
#include <prefork/listener.h>
#include <prefork/log.h>
#include <prefork/settings.h>
#include <prefork/worker.h>

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int fds_before;
static char log_path[] = "/tmp/test_host.XXXXXX";
static struct prefork_settings *settings;
static struct prefork_arbiter *arbiter;

static void set_up(void)
{
	static const int restored[] = { SIGTERM, SIGINT, SIGALRM };

	for (size_t i = 0; i < sizeof restored / sizeof restored[0]; i++)
		ck_assert(signal(restored[i], SIG_DFL) != SIG_ERR);
	fds_before = pfi_fd_count();
	(void)strcpy(log_path + strlen(log_path) - 6, "XXXXXX");
	const int fd = mkstemp(log_path);
	ck_assert_int_ge(fd, 0);
	(void)close(fd);
	const char *const argv[] = { "test", "--bind", "127.0.0.1:0", "--error-logfile", log_path, NULL };
	ck_assert_int_eq(prefork_http_load(5, (char *const *)(uintptr_t)argv, &settings), 0);
	ck_assert_int_eq(prefork_arbiter_create(settings, &arbiter), 0);
}

static void tear_down(void)
{
	prefork_arbiter_destroy(arbiter);
	prefork_settings_destroy(settings);
	(void)unlink(log_path);
	ck_assert_int_eq(pfi_fd_count(), fds_before);
}

static bool path_is(const struct prefork_request *request, const char *path)
{
	size_t size;
	const char *const actual = prefork_request_path(request, &size);

	return size == strlen(path) && memcmp(actual, path, size) == 0;
}

static ptrdiff_t pull_nothing(struct prefork_request *request, const void **ret_bytes, void *user)
{
	(void)ret_bytes;
	(void)user;
	return path_is(request, "/pull-silent") ? PREFORK_EAPP : prefork_fail(-EIO, "the tape ran out");
}

/* Each path is an error of the handler. */
static int handle(struct prefork_request *request, void *user)
{
	(void)user;
	if (path_is(request, "/message"))
		return prefork_fail(-ENOENT, "no such queue: 7");
	if (path_is(request, "/number"))
		return -ENOSPC;
	if (path_is(request, "/silent"))
		return PREFORK_EAPP;
	if (path_is(request, "/never"))
		return 0;
	(void)prefork_response_start(request, 200, NULL);
	if (path_is(request, "/pull") || path_is(request, "/pull-silent"))
		return prefork_response_pull(request, pull_nothing, NULL);
	if (path_is(request, "/short")) {
		(void)prefork_response_field(request, "Content-Length", "10");
		(void)prefork_response_write(request, "four", 4);
		return 0;
	}
	return prefork_response_bytes(request, "fine", 4);
}

static const struct prefork_http_service whole = { .struct_size = sizeof whole, .handle = handle };

START_TEST(an_invalid_service_struct_is_refused)
{
	const struct prefork_http_service unsized = { .handle = handle };
	const struct prefork_http_service tiny = { .struct_size = sizeof(size_t) * 2, .handle = handle };
	const struct prefork_http_service garbage = { .struct_size = (size_t)-1, .handle = handle };
	const struct prefork_http_service handless = { .struct_size = sizeof handless };

	ck_assert_int_eq(prefork_http_add_service(arbiter, "web", NULL, NULL), -EINVAL);
	ck_assert_int_eq(prefork_http_add_service(arbiter, "web", &unsized, NULL), -EINVAL);
	ck_assert_int_eq(prefork_http_add_service(arbiter, "web", &tiny, NULL), -EINVAL);
	ck_assert_int_eq(prefork_http_add_service(arbiter, "web", &garbage, NULL), -EINVAL);
	ck_assert_int_eq(prefork_http_add_service(arbiter, "web", &handless, NULL), -EINVAL);
	ck_assert(strstr(prefork_error(), "handle") != NULL);
	ck_assert_int_eq(prefork_http_add_service(arbiter, NULL, &whole, NULL), -EINVAL);
	ck_assert_int_eq(prefork_http_add_service(NULL, "web", &whole, NULL), -EINVAL);
}
END_TEST

START_TEST(settings_without_the_rows_of_http_are_refused)
{
	struct prefork_settings *bare = NULL;
	struct prefork_arbiter *other = NULL;

	ck_assert_int_eq(prefork_settings_create(&bare), 0);
	ck_assert_int_eq(prefork_arbiter_create(bare, &other), 0);
	ck_assert_int_eq(prefork_http_add_service(other, "web", &whole, NULL), -EINVAL);
	ck_assert(strstr(prefork_error(), "prefork_http_add_options") != NULL);
	prefork_arbiter_destroy(other);
	prefork_settings_destroy(bare);
}
END_TEST

static const struct {
	const char *text;
	int result;
} receivers[] = {
	{ "localhost:8125", 0 },
	{ "", 0 },
	{ "localhost:99999", PREFORK_ECONFIG },
	{ "127.0.0.256:8125", PREFORK_ECONFIG },
	{ "fd://3", PREFORK_ECONFIG },
};

START_TEST(a_pool_refuses_what_is_no_address_of_another_program)
{
	struct prefork_pool *pool = NULL;

	ck_assert_int_eq(prefork_arbiter_add_pool(arbiter, "web", NULL, pfi_http_table(), NULL, &pool), 0);
	ck_assert_int_eq(prefork_pool_set(pool, "statsd_host", receivers[_i].text), receivers[_i].result);
	if (receivers[_i].result < 0)
		ck_assert_msg(strstr(prefork_error(), "statsd_host (pool web: statsd_host): bad address") != NULL, "%s",
		              prefork_error());
}
END_TEST

/* Sends one request for `target`; receives all until end of file or reset. */
static size_t get(const char *target, char *response, size_t size)
{
	const char *const patience = getenv("TEST_PATIENCE");
	const struct timeval limit = { .tv_sec = 20L * (patience != NULL && atoi(patience) > 0 ? atoi(patience) : 1) };
	struct sockaddr_in address;
	socklen_t address_size = sizeof address;
	char request[128];
	size_t got = 0;
	ssize_t n = 0;
	const int fd = socket(AF_INET, SOCK_STREAM, 0);
	const int length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", target);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
	ck_assert_int_eq(getsockname(prefork_listener_fd(prefork_arbiter_listener(arbiter, 0)),
	                             (struct sockaddr *)&address, &address_size), 0);
	ck_assert_int_eq(connect(fd, (const struct sockaddr *)&address, address_size), 0);
	ck_assert_int_eq(send(fd, request, (size_t)length, MSG_NOSIGNAL), length);
	while (got < size - 1 && (n = recv(fd, response + got, size - 1 - got, 0)) > 0)
		got += (size_t)n;
	ck_assert_msg(errno != EAGAIN || n >= 0, "%s: no response", target);
	response[got] = '\0';
	(void)close(fd);
	return got;
}

static void read_log(char *text, size_t size)
{
	FILE *const file = fopen(log_path, "r");

	ck_assert_ptr_nonnull(file);
	text[fread(text, 1, size - 1, file)] = '\0';
	(void)fclose(file);
}

#define PAIRS " event=request_failed pool=web slot=0 pid="

static const struct {
	const char *target;
	const char *response; /* how it begins */
	const char *line;   /* in the log; NULL: none */
} failures[] = {
	{ "/message", "HTTP/1.1 500 ", "[ERROR] Error handling request GET /message: no such queue: 7" PAIRS },
	{ "/number", "HTTP/1.1 500 ", "[ERROR] Error handling request GET /number: No space left on device" PAIRS },
	{ "/silent", "HTTP/1.1 500 ", NULL },
	{ "/never", "HTTP/1.1 500 ", "[ERROR] Error handling request GET /never: the handler returned without a response" PAIRS },
	{ "/pull", "HTTP/1.1 500 ", "[ERROR] Error handling request GET /pull: the tape ran out" PAIRS },
	{ "/pull-silent", "HTTP/1.1 500 ", NULL },
	{ "/short", "HTTP/1.1 200 ",
	  "[ERROR] Error handling request GET /short: the body is shorter than its Content-Length" PAIRS },
	{ "/fine", "HTTP/1.1 200 ", NULL },
};

/* The log is written before the connection ends, so that it is there once the response is. */
START_TEST(a_failing_handler_is_logged_with_request_and_message)
{
	static char response[4096], log[65536];
	const char *const target = failures[_i].target;

	ck_assert_int_eq(prefork_http_add_service(arbiter, "web", &whole, NULL), 0);
	ck_assert_msg(prefork_arbiter_start(arbiter) == 0, "%s", prefork_error());
	/* Its error message must not be in the log line of another request. */
	(void)get("/message?before", response, sizeof response);
	(void)get(target, response, sizeof response);
	ck_assert_msg(strncmp(response, failures[_i].response, strlen(failures[_i].response)) == 0, "%s: %s", target, response);
	(void)get("/fine", response, sizeof response);
	ck_assert_msg(strstr(response, "\r\n\r\nfine") != NULL, "after %s: %s", target, response);
	read_log(log, sizeof log);
	if (failures[_i].line != NULL)
		ck_assert_msg(strstr(log, failures[_i].line) != NULL, "%s", log);
	const char *const before = strstr(log, "Error handling request GET /message?before");
	ck_assert_ptr_nonnull(before);
	const char *const first = strstr(before + 1, "Error handling request");
	ck_assert_msg((first != NULL) == (failures[_i].line != NULL), "%s", log);
}
END_TEST

static unsigned counted;

static void count(void *user, enum prefork_log_level level, int is_block)
{
	(void)user, (void)level, (void)is_block;
	counted++;
}

static int log_a_line(struct prefork_request *request, void *user)
{
	const unsigned before = counted;

	(void)user;
	prefork_log_printf(prefork_worker_log(prefork_request_worker(request)), PREFORK_LOG_ERROR, "test", "a line");
	(void)prefork_response_start(request, 200, NULL);
	return counted == before + 1 ? prefork_response_bytes(request, "counted", 7)
	                             : prefork_response_bytes(request, "lost", 4);
}

START_TEST(a_log_counter_of_the_application_stays_in_workers)
{
	static const struct prefork_http_service service = { .struct_size = sizeof service, .handle = log_a_line };
	static char response[4096];

	ck_assert_int_eq(prefork_http_add_service(arbiter, "web", &service, NULL), 0);
	ck_assert_int_eq(prefork_log_set_counter(prefork_arbiter_log(arbiter), count, NULL), 0);
	ck_assert_int_eq(prefork_arbiter_start(arbiter), 0);
	(void)get("/", response, sizeof response);
	ck_assert_msg(strstr(response, "\r\n\r\ncounted") != NULL, "%s", response);
}
END_TEST

/* As of an application that was built before `finished` and `worker_stop` were added. */
START_TEST(a_shorter_struct_of_an_older_application_is_accepted)
{
	static char response[4096];
	struct prefork_http_service older;

	memset(&older, 0xff, sizeof older); /* the bytes after its end must not be read */
	older.struct_size = offsetof(struct prefork_http_service, handle) + sizeof older.handle;
	older.worker_start = NULL;
	older.handle = handle;
	ck_assert_int_eq(prefork_http_add_service(arbiter, "web", &older, NULL), 0);
	memset(&older, 0xee, sizeof older); /* it was copied */
	ck_assert_int_eq(prefork_arbiter_start(arbiter), 0);
	(void)get("/fine", response, sizeof response);
	ck_assert_msg(strstr(response, "\r\n\r\nfine") != NULL, "%s", response);
}
END_TEST

START_TEST(a_longer_struct_is_accepted_unless_an_unknown_member_is_set)
{
	struct {
		struct prefork_http_service known;
		void (*unknown)(void);
	} newer = { .known = { .struct_size = sizeof newer, .handle = handle } };

	newer.unknown = tear_down;
	ck_assert_int_eq(prefork_http_add_service(arbiter, "web", &newer.known, NULL), -EINVAL);
	ck_assert(strstr(prefork_error(), "newer version") != NULL);
	newer.unknown = NULL;
	ck_assert_int_eq(prefork_http_add_service(arbiter, "web", &newer.known, NULL), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("host");
	TCase *tc = tcase_create("host");
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, an_invalid_service_struct_is_refused);
	tcase_add_test(tc, settings_without_the_rows_of_http_are_refused);
	tcase_add_loop_test(tc, a_pool_refuses_what_is_no_address_of_another_program, 0,
	                    (int)(sizeof receivers / sizeof receivers[0]));
	tcase_add_loop_test(tc, a_failing_handler_is_logged_with_request_and_message, 0,
	                    (int)(sizeof failures / sizeof failures[0]));
	tcase_add_test(tc, a_log_counter_of_the_application_stays_in_workers);
	tcase_add_test(tc, a_shorter_struct_of_an_older_application_is_accepted);
	tcase_add_test(tc, a_longer_struct_is_accepted_unless_an_unknown_member_is_set);
	suite_add_tcase(suite, tc);

	return run_suite(suite);
}
