/* What a draining worker that serves HTTP does with kept connections: the setting drain_idle. */
#include "../support.h"

#include "web.h"

#include "model/message.h"
#include "os/clock.h"

#include <prefork/service.h>
#include <prefork/worker.h>

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	SHORT_MS = 300,   /* drain_idle that a test waits for                    */
	LONG_MS = 60000,  /* drain_idle that no test waits for: longer than its limit */
	KEPT = 5,
};
#define SHORT "300ms"
#define LONG "60s"

static const char get[] = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
static char answer[4096];

/* Runs in the worker: /wait sends its head, and the body once noted[0] is set. */
static int handle(struct prefork_request *request, void *user)
{
	struct web_counts *const counts = web_counts(request);

	(void)user;
	(void)prefork_response_start(request, 200, NULL);
	if (strcmp(prefork_request_target(request, NULL), "/wait") != 0)
		return prefork_response_bytes(request, "ok", 2);
	(void)prefork_response_field(request, "Content-Length", "4");
	(void)prefork_response_write(request, "on", 2);
	while (atomic_load(&counts->noted[0]) == 0)
		(void)poll(NULL, 0, 1);
	return prefork_response_write(request, "ce", 2);
}

static void open_with(struct web *web, const char *drain_idle, const char *more)
{
	const char *const settings[] = { "--keep-alive", "120", "--drain-idle", drain_idle, more, NULL };

	web_open(web, handle, settings);
}

/* Receives `size` bytes of a body after its head. */
static void receive(int fd, size_t size)
{
	size_t got = 0;
	const char *body = NULL;

	while (!body || (size_t)(answer + got - body - 4) < size) {
		const ssize_t n = recv(fd, answer + got, sizeof answer - 1 - got, 0);

		ck_assert_msg(n > 0, "end or error %d after %zu bytes: %s", n < 0 ? errno : 0, got, answer);
		got += (size_t)n;
		answer[got] = '\0';
		body = strstr(answer, "\r\n\r\n");
	}
	ck_assert_int_eq(web_status(answer), 200);
}

static bool announces_close(void)
{
	return strstr(answer, "\r\nConnection: close\r\n") != NULL;
}

/* A connection with one response. */
static int keep(const struct web *web)
{
	const int fd = web_request(web, get, sizeof get - 1);

	receive(fd, 2);
	ck_assert(!announces_close());
	return fd;
}

static void ask(int fd)
{
	ck_assert_int_eq(send(fd, get, sizeof get - 1, MSG_NOSIGNAL), sizeof get - 1);
}

static void expect_last_response(int fd)
{
	(void)web_read_all(fd, answer, sizeof answer); /* until end of file, which is no reset */
	ck_assert_int_eq(web_status(answer), 200);
	ck_assert_msg(announces_close(), "%s", answer);
}

START_TEST(a_request_on_a_kept_connection_is_served_during_a_drain)
{
	struct web web;
	int fds[KEPT];

	open_with(&web, LONG, NULL);
	for (int i = 0; i < KEPT; i++)
		fds[i] = keep(&web);
	harness_send(&web.harness, PFI_MESSAGE_DRAIN, (uint32_t)_i);
	for (int i = 0; i < KEPT; i++) {
		ask(fds[i]);
		if (i == 0) { /* sent while the drain begins: the worker may read it before the message */
			receive(fds[i], 2);
			harness_await_drain(&web.harness);
			if (announces_close())
				(void)close(fds[i]);
			else
				ask(fds[i]);
		}
		if (i > 0 || !announces_close())
			expect_last_response(fds[i]);
	}
	web_reap(&web); /* at once: LONG is more than its time limit */
}
END_TEST

START_TEST(an_idle_connection_is_closed_after_drain_idle)
{
	struct web web;

	open_with(&web, SHORT, NULL);
	const int idle = keep(&web), busy = keep(&web);
	const uint64_t began_ms = pfi_now_ms();
	harness_send(&web.harness, PFI_MESSAGE_DRAIN, (uint32_t)_i);
	harness_await_drain(&web.harness);
	ask(busy);
	if (pfi_now_ms() - began_ms < SHORT_MS) /* else this process did not run for a while, and the request is late */
		expect_last_response(busy);
	else
		(void)web_read_rest(busy, answer, sizeof answer);
	ck_assert_uint_eq(web_read_all(idle, answer, sizeof answer), 0);
	ck_assert_uint_ge(pfi_now_ms() - began_ms, SHORT_MS);
	web_reap(&web);
}
END_TEST

/* Shorter limits win; the worker exits by itself before graceful_timeout. */
static const struct {
	const char *flag;
	uint64_t least_ms;
} limits[] = {
	{ "--graceful-timeout=400ms", 300 },
	{ "--keep-alive=300ms", 300 },
};

START_TEST(drain_idle_is_limited_by_other_settings)
{
	struct web web;

	open_with(&web, LONG, limits[_i].flag);
	const uint64_t began_ms = pfi_now_ms(); /* the time of keepalive begins with the response */
	const int fd = keep(&web);
	harness_send(&web.harness, PFI_MESSAGE_DRAIN, 0);
	ck_assert_uint_eq(web_read_all(fd, answer, sizeof answer), 0);
	ck_assert_uint_ge(pfi_now_ms() - began_ms, limits[_i].least_ms);
	web_reap(&web);
}
END_TEST

START_TEST(with_drain_idle_0_idle_connections_are_closed_at_once)
{
	struct web web;

	open_with(&web, "0", NULL);
	const int fd = keep(&web);
	const uint64_t began_ms = pfi_now_ms();
	harness_send(&web.harness, PFI_MESSAGE_DRAIN, (uint32_t)_i);
	ck_assert_uint_eq(web_read_all(fd, answer, sizeof answer), 0);
	ck_assert_uint_lt(pfi_now_ms() - began_ms, (uint64_t)patience_ms(1000));
	web_reap(&web);
}
END_TEST

/* The worker is stopped meanwhile, so that the request is in the receive buffer before the drain begins. It may read
 * the request before the message: then the response does not announce the close. */
START_TEST(with_drain_idle_0_a_request_that_was_received_is_served)
{
	struct web web;

	open_with(&web, "0", NULL);
	const int fd = keep(&web);
	harness_await_idle(&web.harness);
	harness_signal(&web.harness, SIGSTOP);
	ask(fd);
	harness_await_acknowledged(fd);
	harness_send(&web.harness, PFI_MESSAGE_DRAIN, 0);
	harness_signal(&web.harness, SIGCONT);
	(void)web_read_all(fd, answer, sizeof answer);
	ck_assert_int_eq(web_status(answer), 200);
	web_reap(&web);
}
END_TEST

START_TEST(a_quick_stop_does_not_wait_for_kept_connections)
{
	struct web web;

	open_with(&web, LONG, NULL);
	const int fd = keep(&web);
	if (_i == 1) {
		harness_send(&web.harness, PFI_MESSAGE_DRAIN, 0);
		harness_await_drain(&web.harness);
	}
	harness_signal(&web.harness, SIGQUIT);
	(void)web_read_rest(fd, answer, sizeof answer);
	web_reap(&web);
}
END_TEST

START_TEST(a_worker_without_connections_exits_at_once)
{
	struct web web;

	open_with(&web, LONG, NULL);
	(void)close(keep(&web));
	harness_send(&web.harness, PFI_MESSAGE_DRAIN, (uint32_t)_i);
	web_reap(&web);
}
END_TEST

/* The head of the response has promised to keep the connection before the drain began. */
START_TEST(a_connection_that_becomes_idle_during_a_drain_waits_for_one_more_request)
{
	static const char wait[] = "GET /wait HTTP/1.1\r\nHost: h\r\n\r\n";
	struct web web;

	open_with(&web, LONG, NULL);
	const int fd = web_request(&web, wait, sizeof wait - 1);
	receive(fd, 2);
	ck_assert(!announces_close());
	harness_send(&web.harness, PFI_MESSAGE_DRAIN, 0);
	harness_await_drain(&web.harness);
	atomic_store(&web.counts->noted[0], 1);
	ck_assert_int_eq(recv(fd, answer, 2, MSG_WAITALL), 2);
	ck_assert_mem_eq(answer, "ce", 2);
	ask(fd);
	expect_last_response(fd);
	web_reap(&web);
}
END_TEST

int main(void)
{
	Suite *const suite = suite_create("drain_idle");
	TCase *const tc = new_case(suite, "drain_idle");

	/* Loops over the value of the message: 0 replaces a worker, 1 stops the server. */
	tcase_add_loop_test(tc, a_request_on_a_kept_connection_is_served_during_a_drain, 0, 2);
	tcase_add_loop_test(tc, an_idle_connection_is_closed_after_drain_idle, 0, 2);
	tcase_add_loop_test(tc, drain_idle_is_limited_by_other_settings, 0, (int)(sizeof limits / sizeof limits[0]));
	tcase_add_loop_test(tc, with_drain_idle_0_idle_connections_are_closed_at_once, 0, 2);
	tcase_add_test(tc, with_drain_idle_0_a_request_that_was_received_is_served);
	tcase_add_loop_test(tc, a_quick_stop_does_not_wait_for_kept_connections, 0, 2);
	tcase_add_loop_test(tc, a_worker_without_connections_exits_at_once, 0, 2);
	if (harness_threads() > 0) /* otherwise the handler delays the drain message */
		tcase_add_test(tc, a_connection_that_becomes_idle_during_a_drain_waits_for_one_more_request);
	return run_suite(suite);
}
