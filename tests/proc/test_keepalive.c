/* The time of keepalive begins when the client has received the response, of which the kernel buffers megabytes. */
#include "../support.h"

#include "web.h"

#include "os/clock.h"

#include <prefork/service.h>
#include <prefork/worker.h>

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	SIZE = 600000,      /* the kernel accepts it at once             */
	CAPACITY = 60000,   /* of the receive buffer of a slow client    */
	PARTS = 20,
	KEEPALIVE_MS = 2000,
	WRITE_TIMEOUT_MS = 1000,
	CLOSED_MS = 20000,  /* the limit for a connection to be closed   */
};

static char body[SIZE], response[SIZE + 4096];

/* Runs in the worker: a large response to /big; for other targets, notes the number of connections. */
static int handle(struct prefork_request *request, void *user)
{
	const bool big = strcmp(prefork_request_target(request, NULL), "/big") == 0;

	(void)user;
	if (!big)
		web_counts(request)->noted[0] = (int)prefork_worker_connections(prefork_request_worker(request));
	(void)prefork_response_start(request, 200, NULL);
	return prefork_response_bytes(request, body, big ? SIZE : 2);
}

static int request_big(const struct web *web)
{
	static const char request[] = "GET /big HTTP/1.1\r\nHost: h\r\n\r\n";
	const int fd = harness_connect(&web->harness), capacity = CAPACITY;

	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &capacity, sizeof capacity), 0);
	ck_assert_int_eq(send(fd, request, sizeof request - 1, MSG_NOSIGNAL), sizeof request - 1);
	web_wait(&web->counts->finished, 1);
	return fd;
}

/* Receives the head, which the first part must contain, and SIZE bytes, in about `ms` milliseconds. Returns the earliest
 * time at which the kernel may have received them all. */
static uint64_t receive_slowly(int fd, int ms)
{
	uint64_t buffered_ms = pfi_now_ms();
	ssize_t got = recv(fd, response, SIZE / PARTS, MSG_WAITALL);

	ck_assert_int_eq(got, SIZE / PARTS);
	ck_assert_int_eq(web_status(response), 200);
	const ssize_t size = strstr(response, "\r\n\r\n") + 4 - response + SIZE;
	while (got < size) {
		const ssize_t left = size - got, part = left < SIZE / PARTS ? left : SIZE / PARTS;

		(void)poll(NULL, 0, ms / PARTS);
		if (left > 2 * CAPACITY) /* the kernel doubles the capacity (socket(7)) */
			buffered_ms = pfi_now_ms();
		ck_assert_int_eq(recv(fd, response + got, (size_t)part, MSG_WAITALL), part);
		got += part;
	}
	return buffered_ms;
}

static const struct {
	int receives_ms, sends_ms;
} cases[] = {
	{ KEEPALIVE_MS * 13 / 10, KEEPALIVE_MS * 13 / 10 }, /* it is still receiving when keepalive has passed */
	{ KEEPALIVE_MS * 7 / 10, KEEPALIVE_MS * 23 / 20 },  /* it has received all, but for less than keepalive */
};
enum { CASES = sizeof cases / sizeof cases[0] };

START_TEST(a_client_that_receives_slowly_may_send_its_next_request)
{
	static const char *const settings[] = { "--keep-alive", "2", NULL };
	static const char next[] = "GET /next HTTP/1.1\r\nHost: h\r\n\r\n";
	struct web web;

	web_open(&web, handle, settings);
	const int fd = request_big(&web);
	const uint64_t begin_ms = pfi_now_ms();
	const uint64_t buffered_ms = receive_slowly(fd, cases[_i].receives_ms);
	const uint64_t spent_ms = pfi_now_ms() - begin_ms, sends_ms = (uint64_t)cases[_i].sends_ms;
	(void)poll(NULL, 0, spent_ms < sends_ms ? (int)(sends_ms - spent_ms) : 0);
	ck_assert_int_eq(send(fd, next, sizeof next - 1, MSG_NOSIGNAL), sizeof next - 1);
	/* Else this process did not run for a while. See pfi_pending_output_idle_ms(). */
	const bool is_in_time = pfi_now_ms() - buffered_ms < KEEPALIVE_MS * 3 / 4;
	const ssize_t got = recv(fd, response, sizeof response - 1, 0);
	ck_assert_msg(!is_in_time || (got > 0 && web_status(response) == 200), "%zd bytes, errno %d", got, errno);
	while (recv(fd, response, sizeof response, 0) > 0) /* until it is closed at the end of keepalive */
		continue;
	(void)close(fd);
	web_close(&web);
}
END_TEST

/* The number of connections of the worker besides the one of this request. */
static int other_connections(const struct web *web)
{
	static const char request[] = "GET /count HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

	(void)web_read_all(web_request(web, request, sizeof request - 1), response, sizeof response);
	return web->counts->noted[0] - 1;
}

START_TEST(a_client_that_receives_nothing_is_closed_after_write_timeout)
{
	static const char *const settings[] = { "--keep-alive", "500ms", "--write-timeout", "1", NULL };
	struct web web;

	web_open(&web, handle, settings);
	const uint64_t began_ms = pfi_now_ms();
	const int fd = request_big(&web);
	const uint64_t end_ms = pfi_now_ms() + (uint64_t)patience_ms(CLOSED_MS);
	const int others = other_connections(&web);
	ck_assert(others == 1 || pfi_now_ms() - began_ms >= WRITE_TIMEOUT_MS);
	while (other_connections(&web) > 0) {
		ck_assert_uint_lt(pfi_now_ms(), end_ms);
		(void)poll(NULL, 0, 50);
	}
	ck_assert_uint_ge(web_read_all(fd, response, sizeof response), SIZE); /* the kernel still has the whole response */
	web_close(&web);
}
END_TEST

int main(void)
{
	Suite *const suite = suite_create("keepalive");
	TCase *const tc = new_case(suite, "keepalive");

	tcase_add_loop_test(tc, a_client_that_receives_slowly_may_send_its_next_request, 0, CASES);
	tcase_add_test(tc, a_client_that_receives_nothing_is_closed_after_write_timeout);
	return run_suite(suite);
}
