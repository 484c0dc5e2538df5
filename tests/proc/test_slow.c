/* Clients that send request bodies slowly, or receive responses slowly: no other connection is delayed. */
#include "../support.h"

#include "web.h"

#include "model/message.h"
#include "os/clock.h"

#include <prefork/error.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	BIG = 6 * 1024 * 1024, /* more than the kernel buffers for a connection */
	PIECE = 10000,
	CLIENTS = 16,  /* more than threads */
	MANY = 64,
	BODY = 200000,
	RESPONSE_MAX = BIG + BIG / 100 + 65536,
};

static char file_path[] = "/tmp/test_slow.XXXXXX";
static int file = -1;
static char big[BIG];
static char response[RESPONSE_MAX];

static int hello(struct prefork_request *request)
{
	(void)prefork_response_start(request, 200, NULL);
	return prefork_response_bytes(request, "hello", 5);
}

static int bytes(struct prefork_request *request)
{
	(void)prefork_response_start(request, 200, NULL);
	return prefork_response_bytes(request, big, BIG);
}

static int write_pieces(struct prefork_request *request)
{
	int r = 0;

	for (size_t at = 0; r == 0 && at < BIG; at += PIECE)
		r = prefork_response_write(request, big + at, BIG - at < PIECE ? BIG - at : PIECE);
	return r;
}

static int pieces(struct prefork_request *request)
{
	(void)prefork_response_start(request, 200, NULL);
	const int r = write_pieces(request);
	web_counts(request)->noted[0] = 1; /* all is written */
	return r;
}

static int fail_at_end(struct prefork_request *request)
{
	char length[16];

	(void)snprintf(length, sizeof length, "%d", BIG + 1);
	(void)prefork_response_start(request, 200, NULL);
	(void)prefork_response_field(request, "Content-Length", length);
	const int r = write_pieces(request);
	return r < 0 ? r : prefork_fail(-EIO, "the last byte is lost");
}

/* The user pointer of the request is the number of bytes returned so far. */
static ptrdiff_t pull(struct prefork_request *request, const void **ret_bytes, void *user)
{
	const size_t at = (size_t)(uintptr_t)prefork_request_user(request), left = BIG - at;
	const size_t size = left < 65536 ? left : 65536;

	(void)user;
	*ret_bytes = big + at;
	prefork_request_set_user(request, (void *)(uintptr_t)(at + size));
	return (ptrdiff_t)size;
}

static int pulled(struct prefork_request *request)
{
	(void)prefork_response_start(request, 200, NULL);
	return prefork_response_pull(request, pull, NULL);
}

static int from_file(struct prefork_request *request)
{
	(void)prefork_response_start(request, 200, NULL);
	return prefork_response_file(request, file, 0, BIG);
}

/* Reads the whole body and sends it back. */
static int echo(struct prefork_request *request)
{
	char *const body = malloc(BODY + 1);
	size_t size = 0;
	ptrdiff_t n = -ENOMEM;

	while (body && (n = prefork_request_read(request, body + size, BODY + 1 - size)) > 0)
		size += (size_t)n;
	(void)prefork_response_start(request, 200, NULL);
	const int r = n < 0 ? (int)n : prefork_response_bytes(request, body, size);
	free(body);
	return r;
}

static const struct {
	const char *path;
	int (*respond)(struct prefork_request *request);
} paths[] = {
	{ "/bytes", bytes }, { "/pieces", pieces }, { "/pulled", pulled }, { "/file", from_file },
	/* Responses below are not large. */
	{ "/hello", hello }, { "/echo", echo }, { "/fails-late", fail_at_end },
};
enum { PATHS = sizeof paths / sizeof paths[0], SOURCES = 4 };

static int handle(struct prefork_request *request, void *user)
{
	const char *const target = prefork_request_target(request, NULL);

	(void)user;
	for (size_t i = 0; i < PATHS; i++) {
		if (strcmp(paths[i].path, target) == 0)
			return paths[i].respond(request);
	}
	return prefork_fail(-ENOENT, "no such path");
}

static void send_all(int fd, const char *text, size_t size)
{
	while (size > 0) {
		const ssize_t n = send(fd, text, size, MSG_NOSIGNAL);

		ck_assert_msg(n > 0, "%s", strerror(errno));
		text += n;
		size -= (size_t)n;
	}
}

/* A client with a small receive buffer: a few segments, of 64 KiB on loopback. */
static int slow_reader(const struct web *web, const char *path)
{
	const int fd = harness_connect(&web->harness), capacity = 200000;
	char request[128];
	const int length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", path);

	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &capacity, sizeof capacity), 0);
	send_all(fd, request, (size_t)length);
	return fd;
}

/* Removes the chunked framing, if there is one. Returns the number of bytes of the body. */
static size_t unframe(char *body, size_t size)
{
	char *from = body, *to = body;

	if (strstr(response, "Transfer-Encoding: chunked\r\n") == NULL)
		return size;
	for (;;) {
		char *end;
		const size_t length = strtoul(from, &end, 16);

		if (length == 0 || end + 2 + length > body + size)
			return (size_t)(to - body);
		memmove(to, end + 2, length);
		to += length;
		from = end + 2 + length + 2;
	}
}

/* Asserts that the body is `big` or a beginning of it. Returns its size. */
static size_t check_response(size_t got)
{
	char *const body = strstr(response, "\r\n\r\n");

	ck_assert_msg(body != NULL && web_status(response) == 200, "%.500s", response);
	*body = '\0'; /* so that strstr() searches the head only */
	body[1] = '\0';
	(void)memcpy(body, "\r\n", 3);
	const size_t size = unframe(body + 4, got - (size_t)(body + 4 - response));
	ck_assert_uint_le(size, BIG);
	ck_assert_int_eq(memcmp(body + 4, big, size), 0);
	return size;
}

static void expect_big(int fd)
{
	ck_assert_uint_eq(check_response(web_read_all(fd, response, sizeof response)), BIG);
}

static void expect_hello(const struct web *web)
{
	static const char request[] = "GET /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

	(void)web_read_all(web_request(web, request, sizeof request - 1), response, sizeof response);
	ck_assert_msg(web_status(response) == 200 && strstr(response, "\r\n\r\nhello") != NULL, "%s", response);
}

/* Whether one thread can wait for a client while another serves. */
static bool has_threads(void)
{
	return harness_threads() > 0;
}

/* Whether a callback, or an offloaded one, may block on its connection. */
static bool may_block(void)
{
#ifdef TEST_EV_DRIVER
	return false;
#else
	return harness_may_block() || has_threads();
#endif
}

START_TEST(slow_readers_delay_no_other_connection)
{
	static const char *const settings[] = { "--write-timeout", "1h", NULL }; /* the last one is not read for long */
	struct web web;
	int fds[CLIENTS];

	web_open(&web, handle, settings);
	for (int i = 0; i < CLIENTS; i++)
		fds[i] = slow_reader(&web, paths[_i].path);
	web_wait(&web.counts->handled, CLIENTS);
	expect_hello(&web);
	for (int i = 0; i < CLIENTS; i++)
		expect_big(fds[i]);
	web_close(&web);
}
END_TEST

enum { TURNS = 48, TURNS_MAX = 150, LITTLE = 32768 };

static char parts[SOURCES][RESPONSE_MAX];

/* The rest of each response, a little of each in turn: none may wait until the others are complete. */
static void read_rests(const int fds[SOURCES], size_t got[SOURCES])
{
	bool has_ended[SOURCES] = { false };

	for (int ends = 0; ends < SOURCES;) {
		for (int i = 0; i < SOURCES; i++) {
			const ssize_t n = has_ended[i] ? 0 : recv(fds[i], parts[i] + got[i], LITTLE, 0);

			ck_assert_msg(n >= 0, "%s after %zu bytes: %s", paths[i].path, got[i], strerror(errno));
			got[i] += (size_t)n;
			ends += n == 0 && !has_ended[i];
			has_ended[i] = n == 0;
			ck_assert_uint_lt(got[i], RESPONSE_MAX - LITTLE);
		}
	}
}

/* While a client reads a little now and then, the kernel does not report the socket as writable. What an idle client's
 * kernel takes at first counts, too: that client has the limit twice. */
START_TEST(only_clients_that_read_nothing_time_out)
{
	char limit[32];
	const char *const settings[] = { "--write-timeout", limit, NULL };
	int idle[SOURCES], slow[SOURCES];
	size_t got[SOURCES];
	struct web web;

	(void)snprintf(limit, sizeof limit, "%dms", patience_ms(1500));
	web_open(&web, handle, settings);
	for (int i = 0; i < SOURCES; i++) {
		idle[i] = slow_reader(&web, paths[i].path);
		slow[i] = slow_reader(&web, paths[i].path);
	}
	int turn = 0;
	for (; turn < TURNS_MAX && (turn < TURNS || web.counts->finished < SOURCES); turn++) {
		for (int i = 0; i < SOURCES; i++)
			ck_assert_int_eq(recv(slow[i], parts[i] + turn * LITTLE, LITTLE, MSG_WAITALL), LITTLE);
		(void)poll(NULL, 0, patience_ms(50)); /* slower in total than the limit */
	}
	ck_assert_int_eq(web.counts->finished, SOURCES);
	ck_assert_int_eq(web.counts->error, -ETIMEDOUT);
	for (int i = 0; i < SOURCES; i++)
		got[i] = (size_t)turn * LITTLE;
	read_rests(slow, got);
	for (int i = 0; i < SOURCES; i++) {
		(void)close(slow[i]);
		memcpy(response, parts[i], got[i]);
		response[got[i]] = '\0';
		ck_assert_uint_eq(check_response(got[i]), BIG);
		ck_assert_uint_lt(check_response(web_read_rest(idle[i], response, sizeof response)), BIG);
	}
	web_close(&web);
}
END_TEST

START_TEST(a_disconnecting_reader_ends_its_response)
{
	static const struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	struct web web;

	web_open(&web, handle, NULL);
	const int fd = slow_reader(&web, paths[_i].path);
	web_wait(&web.counts->handled, 1);
	ck_assert_int_gt(recv(fd, response, 100, 0), 0);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
	ck_assert_int_eq(close(fd), 0);
	web_wait(&web.counts->finished, 1);
	ck_assert_int_lt(web.counts->error, 0);
	expect_hello(&web);
	web_close(&web);
}
END_TEST

/* If no callback may block, a response written in pieces ends when the buffers are full. */
static void expect_big_or_refusal(const struct web *web, int fd, const char *path)
{
	if (may_block() || strcmp(path, "/pieces") != 0) {
		expect_big(fd);
		return;
	}
	web_wait(&web->counts->noted[0], 1); /* before anything is read */
	ck_assert_uint_lt(check_response(web_read_rest(fd, response, sizeof response)), BIG);
	web_wait(&web->counts->finished, 1);
	ck_assert_int_eq(web->counts->error, -ENOBUFS);
}

/* Only the threads that write block, because nothing may be stored. */
START_TEST(without_spool_and_memory_a_slow_reader_loses_no_output)
{
	static const char *const settings[] = { "--spool-limit", "0", "--response-memory", "0", NULL };
	struct web web;

	web_open(&web, handle, settings);
	const int fd = slow_reader(&web, paths[_i].path);
	web_wait(&web.counts->handled, 1);
	if (has_threads())
		expect_hello(&web);
	expect_big_or_refusal(&web, fd, paths[_i].path);
	expect_hello(&web);
	web_close(&web);
}
END_TEST

/* One file may have an eighth of spool_limit: once it is full and sent, it is written from its beginning again. */
START_TEST(a_full_spool_file_is_reused)
{
	static const char *const settings[] = { "--spool-limit", "800k", "--response-memory", "0", NULL };
	struct web web;

	web_open(&web, handle, settings);
	const int fd = slow_reader(&web, "/pieces");
	web_wait(&web.counts->handled, 1);
	expect_big_or_refusal(&web, fd, "/pieces");
	web_close(&web);
}
END_TEST

static long rss_anon_kb(pid_t pid)
{
	char path[64], line[128];
	long kb = 0;

	(void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	FILE *const status = fopen(path, "re");
	ck_assert_ptr_nonnull(status);
	while (kb == 0 && fgets(line, sizeof line, status) != NULL)
		(void)sscanf(line, "RssAnon: %ld kB", &kb);
	(void)fclose(status);
	return kb;
}

START_TEST(many_slow_readers_need_little_memory)
{
	static const char *const settings[] = { "--response-memory", "16k", NULL };
	struct web web;
	int fds[MANY];

	web_open(&web, handle, settings);
	expect_hello(&web);
	const long before_kb = rss_anon_kb(web.harness.child.pid);
	for (int i = 0; i < MANY; i++)
		fds[i] = slow_reader(&web, paths[_i].path);
	web_wait(&web.counts->handled, 1 + MANY);
	expect_hello(&web);
	/* A pulled piece is kept whole, buffers grow by powers of two, and sanitizers add to them; but the unread part
	 * of each response is megabytes. */
	ck_assert_int_lt(rss_anon_kb(web.harness.child.pid) - before_kb, MANY * 500);
	for (int i = 0; i < MANY; i++)
		(void)close(fds[i]);
	web_close(&web);
}
END_TEST

START_TEST(a_draining_worker_serves_slow_readers_to_the_end)
{
	struct web web;

	web_open(&web, handle, NULL);
	const int fd = slow_reader(&web, paths[_i].path);
	web_wait(&web.counts->handled, 1);
	harness_send(&web.harness, PFI_MESSAGE_DRAIN, 0);
	(void)poll(NULL, 0, 50); /* a worker that truncates the response has done so by then */
	expect_big(fd);
	web_reap(&web);
}
END_TEST

START_TEST(pieces_written_before_a_failure_are_received)
{
	struct web web;

	web_open(&web, handle, NULL);
	const int fd = slow_reader(&web, "/fails-late");
	web_wait(&web.counts->handled, 1);
	(void)poll(NULL, 0, 50);
	ck_assert_uint_eq(check_response(web_read_rest(fd, response, sizeof response)), BIG);
	web_wait(&web.counts->finished, 1);
	ck_assert_int_eq(web.counts->error, -EIO);
	web_close(&web);
}
END_TEST

/* A POST of the first BODY bytes of `big` to /echo, with Content-Length or chunked. */
static size_t make_upload(char *request, size_t size, bool chunked, const char *field)
{
	int at = snprintf(request, size, "POST /echo HTTP/1.1\r\nHost: h\r\n%s", field);

	if (!chunked) {
		at += snprintf(request + at, size - (size_t)at, "Content-Length: %d\r\n\r\n", BODY);
		memcpy(request + at, big, BODY);
		return (size_t)at + BODY;
	}
	at += snprintf(request + at, size - (size_t)at, "Transfer-Encoding: chunked\r\n\r\n");
	for (size_t done = 0; done < BODY; done += 5000) {
		at += snprintf(request + at, size - (size_t)at, "1388\r\n");
		memcpy(request + at, big + done, 5000);
		at += 5000;
		at += snprintf(request + at, size - (size_t)at, "\r\n");
	}
	return (size_t)at + (size_t)snprintf(request + at, size - (size_t)at, "0\r\nX-Trailer: 1\r\n\r\n");
}

static char upload[BODY + 4096];

static void expect_upload(int fd)
{
	const size_t got = web_read_all(fd, response, sizeof response);

	ck_assert_uint_eq(check_response(got), BODY);
}

/* With Content-Length and chunked, in memory and in files. */
START_TEST(incomplete_bodies_delay_no_connection_and_arrive_complete)
{
	static const char *const settings[] = { "--body-memory", "4k", NULL };
	struct web web;
	int fds[CLIENTS];

	web_open(&web, handle, _i & 2 ? settings : NULL);
	const size_t size = make_upload(upload, sizeof upload, _i & 1, "Connection: close\r\n");
	for (int i = 0; i < CLIENTS; i++) {
		fds[i] = harness_connect(&web.harness);
		send_all(fds[i], upload, size / 2);
	}
	for (int i = 0; i < 5; i++)
		expect_hello(&web);
	ck_assert_int_eq(web.counts->handled, 5);
	for (int i = 0; i < CLIENTS; i++)
		send_all(fds[i], upload + size / 2, size - size / 2);
	for (int i = 0; i < CLIENTS; i++)
		expect_upload(fds[i]);
	web_close(&web);
}
END_TEST

START_TEST(a_request_pipelined_after_a_slow_upload_is_served)
{
	static const char next[] = "GET /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
	static const char *const settings[] = { "--keep-alive", "20", NULL };
	struct web web;

	web_open(&web, handle, settings);
	size_t size = make_upload(upload, sizeof upload, _i & 1, "");
	memcpy(upload + size, next, sizeof next - 1);
	size += sizeof next - 1;
	const int fd = harness_connect(&web.harness);
	for (size_t at = 0; at < size; at += BODY / 4) {
		send_all(fd, upload + at, size - at < BODY / 4 ? size - at : BODY / 4);
		(void)poll(NULL, 0, 5);
	}
	const size_t got = web_read_all(fd, response, sizeof response);
	const char *const second = response + got - 5;
	ck_assert_int_eq(memcmp(second, "hello", 5), 0);
	ck_assert_int_eq(memcmp(strstr(response, "\r\n\r\n") + 4, big, BODY), 0);
	ck_assert_int_eq(web.counts->handled, 2);
	web_close(&web);
}
END_TEST

START_TEST(a_draining_worker_waits_for_slow_bodies)
{
	struct web web;

	web_open(&web, handle, NULL);
	const size_t size = make_upload(upload, sizeof upload, _i & 1, "");
	const int fd = harness_connect(&web.harness);
	send_all(fd, upload, size / 2);
	expect_hello(&web);
	harness_send(&web.harness, PFI_MESSAGE_DRAIN, 0);
	(void)poll(NULL, 0, 50); /* a worker that drops the request has done so by then */
	send_all(fd, upload + size / 2, size - size / 2);
	expect_upload(fd); /* and end of file, though the connection is persistent */
	web_reap(&web);
}
END_TEST

START_TEST(a_disconnect_during_a_body_frees_the_request)
{
	struct web web;

	web_open(&web, handle, NULL);
	const size_t size = make_upload(upload, sizeof upload, _i & 1, "");
	const int fd = harness_connect(&web.harness);
	send_all(fd, upload, size / 2);
	expect_hello(&web);
	ck_assert_int_eq(close(fd), 0);
	harness_await_connections(&web.harness, 0);
	ck_assert_int_eq(web.counts->handled, 1);
	web_close(&web);
}
END_TEST

/* If a thread may wait for the rest, the handler starts when the head has arrived, or when no more can be stored. */
START_TEST(a_body_can_be_read_while_it_arrives)
{
	static const char *const settings[][5] = {
		{ "--stream-uploads", NULL },
		{ "--spool-limit", "80k", "--body-memory", "4k", NULL },
		{ "--spool-limit", "0", "--body-memory", "64k", NULL },
		{ "--spool-dir", "/proc", "--body-memory", "64k", NULL }, /* a directory in which no file can be created */
	};
	struct web web;

	web_open(&web, handle, settings[_i / 2]);
	const size_t size = make_upload(upload, sizeof upload, _i & 1, "Connection: close\r\n");
	const int fd = harness_connect(&web.harness);
	send_all(fd, upload, size / 2);
	if (may_block())
		web_wait(&web.counts->handled, 1);
	send_all(fd, upload + size / 2, size - size / 2);
	if (may_block() || _i / 2 == 0 || _i / 2 == 3) /* else a body that cannot be stored is refused */
		expect_upload(fd);
	else
		(void)web_read_rest(fd, response, sizeof response);
	expect_hello(&web);
	web_close(&web);
}
END_TEST

static void make_file(void)
{
	(void)strcpy(file_path + strlen(file_path) - 6, "XXXXXX");
	file = mkstemp(file_path);
	ck_assert_int_ge(file, 0);
	for (size_t i = 0; i < BIG; i++)
		big[i] = (char)('a' + i % 23 + i / 1000 % 3);
	ck_assert_int_eq(write(file, big, BIG), BIG);
	ck_assert_int_eq(unlink(file_path), 0);
}

static void close_file(void)
{
	ck_assert_int_eq(close(file), 0);
}

int main(void)
{
	Suite *suite = suite_create("slow");
	TCase *tc = tcase_create("slow");
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, make_file, close_file);
	tcase_add_loop_test(tc, slow_readers_delay_no_other_connection, 0, SOURCES);
	tcase_add_test(tc, only_clients_that_read_nothing_time_out);
	tcase_add_loop_test(tc, a_disconnecting_reader_ends_its_response, 0, SOURCES);
	tcase_add_loop_test(tc, without_spool_and_memory_a_slow_reader_loses_no_output, 0, SOURCES);
	tcase_add_test(tc, a_full_spool_file_is_reused);
	tcase_add_loop_test(tc, many_slow_readers_need_little_memory, 0, SOURCES);
	tcase_add_loop_test(tc, a_draining_worker_serves_slow_readers_to_the_end, 0, SOURCES);
	tcase_add_test(tc, pieces_written_before_a_failure_are_received);
	tcase_add_loop_test(tc, incomplete_bodies_delay_no_connection_and_arrive_complete, 0, 4);
	tcase_add_loop_test(tc, a_request_pipelined_after_a_slow_upload_is_served, 0, 2);
	tcase_add_loop_test(tc, a_draining_worker_waits_for_slow_bodies, 0, 2);
	tcase_add_loop_test(tc, a_disconnect_during_a_body_frees_the_request, 0, 2);
	tcase_add_loop_test(tc, a_body_can_be_read_while_it_arrives, 0, 8);
	suite_add_tcase(suite, tc);

	return run_suite(suite);
}
