/* Answers over real sockets: every source of a body, and clients that are slow, silent or gone. */
#include "../support.h"

#include "web.h"

#include "model/message.h"
#include "os/fd.h"

#include <prefork/error.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BIG = 6 * 1024 * 1024, FILE_SIZE = 100000, ANSWER_MAX = BIG + 65536 };

static char file_path[] = "/tmp/test_answers.XXXXXX";
static char big[BIG];
static char answer[ANSWER_MAX];

static int start_200(struct prefork_request *request)
{
	return prefork_response_start(request, 200, NULL);
}

/* The user pointer of a request is the descriptor + 1; forget_file() closes it. */
static int answer_file(struct prefork_request *request, int64_t offset, int64_t size)
{
	const int fd = open(file_path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	prefork_request_set_user(request, (void *)(intptr_t)(fd + 1));
	(void)start_200(request);
	return prefork_response_file(request, fd, offset, size);
}

static int whole_file(struct prefork_request *request)
{
	return answer_file(request, 0, FILE_SIZE);
}

static int part_of_file(struct prefork_request *request)
{
	return answer_file(request, 10, 20);
}

static int no_byte_of_file(struct prefork_request *request)
{
	return answer_file(request, 0, 0);
}

static int beyond_file(struct prefork_request *request)
{
	return answer_file(request, 0, FILE_SIZE + 1);
}

static int impossible_file(struct prefork_request *request)
{
	(void)start_200(request);
	web_counts(request)->noted[0] = prefork_response_file(request, -1, 0, 10);
	web_counts(request)->noted[1] = prefork_response_file(request, 0, -1, 10);
	web_counts(request)->noted[2] = prefork_response_file(request, 0, 0, -10);
	const int fds[] = {
		open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), open(file_path, O_WRONLY | O_CLOEXEC),
		open(file_path, O_PATH | O_CLOEXEC), socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
	};
	for (int i = 0; i < 4; i++) {
		web_counts(request)->noted[3 + i] = prefork_response_file(request, fds[i], 0, 10);
		(void)close(fds[i]);
	}
	web_counts(request)->noted[7] = prefork_response_file(request, fds[0], 0, 10); /* it was closed */
	return prefork_response_bytes(request, "no file", 7);
}

static int bytes(struct prefork_request *request)
{
	(void)start_200(request);
	return prefork_response_bytes(request, "hello", 5);
}

static int big_bytes(struct prefork_request *request)
{
	(void)start_200(request);
	return prefork_response_bytes(request, big, sizeof big);
}

static int pieces(struct prefork_request *request)
{
	(void)start_200(request);
	(void)prefork_response_write(request, "one", 3);
	(void)prefork_response_write(request, "two", 3);
	return prefork_response_end(request);
}

static int measured_pieces(struct prefork_request *request)
{
	(void)start_200(request);
	(void)prefork_response_field(request, "Content-Length", "6");
	(void)prefork_response_write(request, "one", 3);
	(void)prefork_response_write(request, "two", 3);
	return 0;
}

static ptrdiff_t pull_three(struct prefork_request *request, const void **ret_bytes, void *user)
{
	(void)user;
	*ret_bytes = "piece";
	return atomic_fetch_add(&web_counts(request)->noted[0], 1) % 4 < 3 ? 5 : 0;
}

static int pulled(struct prefork_request *request)
{
	(void)start_200(request);
	return prefork_response_pull(request, pull_three, NULL);
}

static int measured_pulled(struct prefork_request *request)
{
	(void)start_200(request);
	(void)prefork_response_field(request, "Content-Length", "15");
	return prefork_response_pull(request, pull_three, NULL);
}

static ptrdiff_t pull_for_ever(struct prefork_request *request, const void **ret_bytes, void *user)
{
	(void)user;
	(void)request;
	*ret_bytes = big;
	return 65536;
}

static int endless(struct prefork_request *request)
{
	(void)start_200(request);
	return prefork_response_pull(request, pull_for_ever, NULL);
}

static int nothing(struct prefork_request *request)
{
	(void)start_200(request);
	return 0;
}

static int no_content(struct prefork_request *request)
{
	(void)prefork_response_start(request, 204, NULL);
	(void)prefork_response_field(request, "Content-Length", "7"); /* which a 204 must not have */
	return prefork_response_bytes(request, "dropped", 7);
}

static int early_hints(struct prefork_request *request)
{
	(void)prefork_response_start(request, 103, NULL);
	(void)prefork_response_field(request, "Link", "</a.css>; rel=preload");
	web_counts(request)->noted[0] = prefork_response_end(request);
	web_counts(request)->noted[1] = prefork_response_begun(request);
	return bytes(request);
}

static int hints_with_a_body(struct prefork_request *request)
{
	(void)prefork_response_start(request, 103, NULL);
	web_counts(request)->noted[0] = prefork_response_write(request, "x", 1);
	web_counts(request)->noted[1] = prefork_response_bytes(request, "x", 1);
	web_counts(request)->noted[2] = prefork_response_pull(request, pull_three, NULL);
	(void)prefork_response_reset(request);
	return bytes(request);
}

static int second_thoughts(struct prefork_request *request)
{
	(void)prefork_response_start(request, 404, "Gone Fishing");
	(void)prefork_response_field(request, "X-First", "1");
	web_counts(request)->noted[0] = prefork_response_reset(request);
	(void)bytes(request);
	web_counts(request)->noted[1] = prefork_response_reset(request);
	web_counts(request)->noted[2] = prefork_response_close(request);
	web_counts(request)->noted[3] = prefork_response_start(request, 200, NULL);
	return 0;
}

/* How it ended is noted, and how many pieces had been taken then. */
static int writes_for_long(struct prefork_request *request)
{
	enum { PIECE = 64 * 1024, PIECES = 64 * 1024 * 1024 / PIECE };
	int r = start_200(request), n = 0;

	while (r == 0 && n < PIECES && (r = prefork_response_write(request, big, PIECE)) == 0)
		n++;
	web_counts(request)->noted[0] = n;
	web_counts(request)->noted[1] = r;
	return r;
}

static int last_one(struct prefork_request *request)
{
	(void)start_200(request);
	(void)prefork_response_close(request);
	return prefork_response_bytes(request, "bye", 3);
}

static int echo(struct prefork_request *request)
{
	char piece[1000];
	ptrdiff_t n;

	(void)start_200(request);
	while ((n = prefork_request_read(request, piece, sizeof piece)) > 0)
		(void)prefork_response_write(request, piece, (size_t)n);
	return n < 0 ? (int)n : prefork_response_end(request);
}

static int reads_and_notes(struct prefork_request *request)
{
	char piece[1000];
	ptrdiff_t n;

	while ((n = prefork_request_read(request, piece, sizeof piece)) > 0)
		;
	web_counts(request)->noted[0] = (int)n;
	web_counts(request)->noted[1] = (int)prefork_request_read(request, piece, sizeof piece);
	return n < 0 ? (int)n : bytes(request);
}

/* Notes the descriptors of the worker while it has the body in hands. */
static int echo_and_count(struct prefork_request *request)
{
	const int r = echo(request);

	web_counts(request)->noted[0] = pfi_fd_count();
	return r;
}

/* Until the test lets it go. */
static int held(struct prefork_request *request)
{
	while (web_counts(request)->noted[0] == 0)
		(void)poll(NULL, 0, 2);
	return bytes(request);
}

/* Until the test lets one go. */
static int held_alone(struct prefork_request *request)
{
	_Atomic int *const tokens = &web_counts(request)->noted[1];

	for (int left = 0; left <= 0 || !atomic_compare_exchange_strong(tokens, &left, left - 1); left = *tokens)
		(void)poll(NULL, 0, 2);
	return bytes(request);
}

static int trailers(struct prefork_request *request)
{
	char text[256], piece[16];
	const char *name, *value;
	size_t name_size, value_size = 0;
	int length = 0;

	while (prefork_request_read(request, piece, sizeof piece) > 0)
		;
	(void)start_200(request);
	for (size_t i = 0; (value = prefork_request_trailer_at(request, i, &name, &name_size, &value_size)) != NULL; i++)
		length += snprintf(text + length, sizeof text - (size_t)length, "%s(%zu)=%s(%zu)|", name, name_size, value,
		                   value_size);
	value = prefork_request_trailer(request, "x-SUM", &value_size);
	length += snprintf(text + length, sizeof text - (size_t)length, "%s %zu %s", value ? value : "none", value_size,
	                   prefork_request_header(request, "X-Sum", NULL) ? "leaked" : "apart");
	return prefork_response_bytes(request, text, (size_t)length);
}

static const struct {
	const char *path;
	int (*answer)(struct prefork_request *request);
	const char *head; /* a part of it, NULL: none is asked for */
	const char *body; /* with its framing; NULL: not told here */
} sources[] = {
	{ "/bytes", bytes, "Content-Length: 5\r\n", "hello" },
	{ "/pieces", pieces, "Transfer-Encoding: chunked\r\n", "3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n" },
	{ "/measured-pieces", measured_pieces, "Content-Length: 6\r\n", "onetwo" },
	{ "/pulled", pulled, "Transfer-Encoding: chunked\r\n", "5\r\npiece\r\n5\r\npiece\r\n5\r\npiece\r\n0\r\n\r\n" },
	{ "/measured-pulled", measured_pulled, "Content-Length: 15\r\n", "piecepiecepiece" },
	{ "/part-of-file", part_of_file, "Content-Length: 20\r\n", "klmnopqrstuvwxyzabcd" },
	{ "/no-byte-of-file", no_byte_of_file, "Content-Length: 0\r\n", "" },
	{ "/nothing", nothing, "Content-Length: 0\r\n", "" },
	{ "/no-content", no_content, "HTTP/1.1 204 No Content\r\n", "" },
	{ "/last-one", last_one, "Connection: close\r\n", "bye" },
	{ "/impossible-file", impossible_file, "Content-Length: 7\r\n", "no file" },
	{ "/second-thoughts", second_thoughts, "HTTP/1.1 200 OK\r\n", "hello" },
	{ "/hints-with-a-body", hints_with_a_body, "Content-Length: 5\r\n", "hello" },
	/* Those below have tests of their own. */
	{ "/whole-file", whole_file, NULL, NULL },
	{ "/beyond-file", beyond_file, NULL, NULL },
	{ "/big", big_bytes, NULL, NULL },
	{ "/endless", endless, NULL, NULL },
	{ "/writes-for-long", writes_for_long, NULL, NULL },
	{ "/early-hints", early_hints, NULL, NULL },
	{ "/echo", echo, NULL, NULL },
	{ "/echo-and-count", echo_and_count, NULL, NULL },
	{ "/trailers", trailers, NULL, NULL },
	{ "/held", held, NULL, NULL },
	{ "/held-alone", held_alone, NULL, NULL },
	{ "/reads", reads_and_notes, NULL, NULL },
};
enum { SOURCES = sizeof sources / sizeof sources[0], PLAIN_SOURCES = 13 };

static int handle(struct prefork_request *request, void *user)
{
	size_t size;
	const char *const path = prefork_request_path(request, &size);

	(void)user;
	for (size_t i = 0; i < SOURCES; i++) {
		if (strlen(sources[i].path) == size && memcmp(sources[i].path, path, size) == 0)
			return sources[i].answer(request);
	}
	return prefork_fail(-ENOENT, "no such path");
}

static const char *const kept[] = { "--keep-alive", "20", NULL };

static int ask(const struct web *web, const char *method, const char *path, const char *rest)
{
	char request[512];
	const int length = snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: h\r\n%s", method, path, rest);

	return web_ask(web, request, (size_t)length);
}

static size_t get_all(const struct web *web, const char *method, const char *path)
{
	return web_read_all(ask(web, method, path, "Connection: close\r\n\r\n"), answer, sizeof answer);
}

/* Who has just come in has nothing that could be kept short: a first request may well be on its
 * way, and no client sends that again by itself. */
START_TEST(a_first_request_may_come_when_its_worker_leaves)
{
	static const char *const settings[] = { "--keep-alive", "100ms", NULL };
	static const char request[] = "GET /bytes HTTP/1.1\r\nHost: x\r\n\r\n";
	struct web web;

	web_open(&web, handle, settings);
	const int new = harness_connect(&web.harness), kept_one = web_ask(&web, request, sizeof request - 1);
	ck_assert_int_eq(recv(kept_one, answer, 1, MSG_PEEK), 1);
	harness_send(&web.harness, PFI_MESSAGE_DRAIN, 0);
	(void)web_read_all(kept_one, answer, sizeof answer);
	ck_assert_int_eq(web_status(answer), 200);
	ck_assert_int_eq(send(new, request, sizeof request - 1, MSG_NOSIGNAL), sizeof request - 1);
	(void)web_read_all(new, answer, sizeof answer);
	ck_assert_int_eq(web_status(answer), 200);
	ck_assert_ptr_nonnull(strstr(answer, "Connection: close"));
	web_close(&web);
}
END_TEST

START_TEST(each_source_has_its_head_and_its_body)
{
	struct web web;

	web_open(&web, handle, kept);
	(void)get_all(&web, "GET", sources[_i].path);
	const char *const body = strstr(answer, "\r\n\r\n");
	ck_assert_msg(body != NULL && strstr(answer, sources[_i].head) != NULL, "%s", answer);
	ck_assert_int_eq(strstr(answer, "Content-Length: ") == NULL && strstr(answer, "chunked") == NULL,
	                 web_status(answer) == 204);
	ck_assert_str_eq(body + 4, sources[_i].body);
	web_close(&web);
}
END_TEST

static int last_and_linger(struct prefork_request *request, void *user)
{
	struct web_counts *const counts = web_counts(request);
	int r = start_200(request);

	(void)user;
	if (r == 0)
		r = prefork_response_last(request, "last", 4);
	counts->noted[0] = 1;
	while (counts->noted[1] == 0)
		(void)poll(NULL, 0, 1);
	return r;
}

static const struct {
	const char *request;
	bool waits; /* for the end of the connection */
} exit_message[] = {
	{ "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", true },
	{ "GET / HTTP/1.0\r\n\r\n", true },
	{ "GET / HTTP/1.1\r\nHost: h\r\n\r\n", false },
	{ "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", false },
	{ "GET / HTTP/1.0\r\n\r\nGET /more HTTP/1.0\r\n\r\n", false },
	{ "POST / HTTP/1.0\r\nContent-Length: 4\r\n\r\nbody", false },
};

/* A packet of its own for the end is saved, but never at the price of an answer: the kernel
 * throws away what waits when it must reset the connection. */
START_TEST(only_the_last_word_to_who_listens_waits_for_the_end)
{
	const char *const request = exit_message[_i].request;
	struct timespec sent, seen;
	struct web web;

	web_open(&web, last_and_linger, NULL);
	const int fd = web_ask(&web, request, strlen(request));
	struct pollfd readable = { .fd = fd, .events = POLLIN };
	web_wait(&web.counts->noted[0], 1);
	(void)clock_gettime(CLOCK_MONOTONIC, &sent);
	const int found = poll(&readable, 1, exit_message[_i].waits ? 50 : harness_patience_ms());
	(void)clock_gettime(CLOCK_MONOTONIC, &seen);
	/* Where this machine has slept, the kernel may have stopped waiting. */
	if (!exit_message[_i].waits)
		ck_assert_int_eq(found, 1);
	else if ((seen.tv_sec - sent.tv_sec) * 1000 + (seen.tv_nsec - sent.tv_nsec) / 1000000 < 100)
		ck_assert_int_eq(found, 0);
	web.counts->noted[1] = 1;
	(void)shutdown(fd, SHUT_WR); /* so that a kept connection ends, too */
	(void)web_read_all(fd, answer, sizeof answer);
	ck_assert_int_eq(web_status(answer), 200);
	ck_assert_str_eq(strstr(answer, "\r\n\r\n") + 4, "last");
	web_close(&web);
}
END_TEST

/* All but what is only found out while a body is made: that it is chunked, or that there is none
 * (RFC 9110 9.3.2). */
START_TEST(head_gets_the_same_fields_and_no_body)
{
	static char whole[2048];
	struct web web;
	char *rest = NULL;

	web_open(&web, handle, kept);
	const size_t length = get_all(&web, "GET", sources[_i].path);
	const bool measured = strstr(answer, "Content-Length: ") != NULL && strcmp(sources[_i].path, "/nothing") != 0;
	ck_assert_uint_lt(length, sizeof whole);
	memcpy(whole, answer, length + 1);
	(void)get_all(&web, "HEAD", sources[_i].path);
	ck_assert_str_eq(strstr(answer, "\r\n\r\n") + 4, "");
	ck_assert_int_eq(strstr(answer, "Content-Length: ") != NULL, measured);
	for (char *line = strtok_r(answer, "\r\n", &rest); line != NULL; line = strtok_r(NULL, "\r\n", &rest))
		ck_assert_msg(strncmp(line, "Date: ", 6) == 0 || strstr(whole, line) != NULL, "%s", line);
	web_close(&web);
}
END_TEST

START_TEST(a_kept_connection_goes_on_behind_each_source)
{
	char request[512];
	struct web web;
	int answers = 0;

	web_open(&web, handle, kept);
	const int length = snprintf(request, sizeof request, "HEAD %s HTTP/1.1\r\nHost: h\r\n\r\nGET %s HTTP/1.1\r\nHost: h\r\n"
	                            "\r\nGET /bytes HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
	                            sources[_i].path, sources[_i].path);
	(void)web_read_all(web_ask(&web, request, (size_t)length), answer, sizeof answer);
	for (const char *at = answer; (at = strstr(at, "HTTP/1.1 2")) != NULL; at++)
		answers++;
	const bool closes = strcmp(sources[_i].path, "/last-one") == 0;
	ck_assert_msg(answers == (closes ? 1 : 3), "%s", answer);
	if (!closes)
		ck_assert_msg(strcmp(answer + strlen(answer) - 9, "\r\n\r\nhello") == 0, "%s", answer);
	web_close(&web);
}
END_TEST

START_TEST(misuse_is_refused_and_changes_nothing)
{
	struct web web;

	web_open(&web, handle, NULL);
	(void)get_all(&web, "GET", "/impossible-file");
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(web.counts->noted[i], -EINVAL);
	ck_assert_int_eq(web.counts->noted[3], -EISDIR);
	ck_assert_int_eq(web.counts->noted[4], -EBADF);
	ck_assert_int_eq(web.counts->noted[5], -EBADF);
	ck_assert_int_eq(web.counts->noted[6], -EINVAL);
	ck_assert_int_eq(web.counts->noted[7], -EBADF);
	(void)get_all(&web, "GET", "/hints-with-a-body");
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(web.counts->noted[i], -EINVAL);
	(void)get_all(&web, "GET", "/second-thoughts");
	ck_assert(strstr(answer, "X-First") == NULL && strstr(answer, "Fishing") == NULL);
	ck_assert_int_eq(web.counts->noted[0], 0);
	for (int i = 1; i < 4; i++)
		ck_assert_int_eq(web.counts->noted[i], -EALREADY);
	ck_assert_int_eq(web.counts->error, 0);
	web_close(&web);
}
END_TEST

START_TEST(a_file_comes_whole_byte_for_byte)
{
	struct web web;

	web_open(&web, handle, NULL);
	const size_t got = get_all(&web, "GET", "/whole-file");
	const char *const body = strstr(answer, "\r\n\r\n") + 4;
	ck_assert_uint_eq(got - (size_t)(body - answer), FILE_SIZE);
	for (size_t i = 0; i < FILE_SIZE; i++)
		ck_assert_msg(body[i] == (char)('a' + i % 26), "byte %zu", i);
	web_close(&web);
}
END_TEST

/* What was promised and is not there: the client must not take it for the whole. */
START_TEST(a_file_that_is_too_short_breaks_off)
{
	struct web web;

	web_open(&web, handle, kept);
	const size_t got = web_read_rest(ask(&web, "GET", "/beyond-file", "\r\n"), answer, sizeof answer);
	ck_assert(strstr(answer, "Content-Length: 100001\r\n") != NULL);
	ck_assert_uint_le(got - (size_t)(strstr(answer, "\r\n\r\n") + 4 - answer), FILE_SIZE);
	web_wait(&web.counts->finished, 1);
	ck_assert_int_eq(web.counts->error, -EIO);
	web_close(&web);
}
END_TEST

START_TEST(interim_answers_come_before_the_final_one)
{
	static const char expected[] = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\n";
	struct web web;

	web_open(&web, handle, NULL);
	(void)get_all(&web, "GET", "/early-hints");
	ck_assert_msg(strncmp(answer, expected, sizeof expected - 1) == 0, "%s", answer);
	ck_assert_int_eq(web.counts->noted[0], 0);
	ck_assert_int_eq(web.counts->noted[1], 0); /* the final one has not begun */
	web_close(&web);
}
END_TEST

START_TEST(a_client_of_http_1_0_gets_no_interim_answer)
{
	static const char request[] = "GET /early-hints HTTP/1.0\r\n\r\n";
	struct web web;

	web_open(&web, handle, NULL);
	(void)web_read_all(web_ask(&web, request, sizeof request - 1), answer, sizeof answer);
	ck_assert_msg(web_status(answer) == 200, "%s", answer);
	web_close(&web);
}
END_TEST

START_TEST(a_client_that_asks_first_is_told_to_go_on)
{
	static const char told[] = "HTTP/1.1 100 Continue\r\n\r\n";
	struct web web;
	char first[sizeof told];

	web_open(&web, handle, NULL);
	const int fd = ask(&web, "POST", "/echo", "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n");
	ck_assert_int_eq(recv(fd, first, sizeof told - 1, MSG_WAITALL), (ssize_t)sizeof told - 1);
	ck_assert_int_eq(memcmp(first, told, sizeof told - 1), 0);
	ck_assert_int_eq(send(fd, "hello", 5, MSG_NOSIGNAL), 5);
	(void)web_read_all(fd, answer, sizeof answer);
	ck_assert_msg(web_status(answer) == 200 && strstr(answer, "\r\n\r\n5\r\nhello\r\n0\r\n\r\n") != NULL, "%s", answer);
	web_close(&web);
}
END_TEST

START_TEST(a_silent_client_between_two_requests_is_let_go)
{
	static const char *const settings[] = { "--keep-alive", "100ms", NULL };
	struct web web;

	web_open(&web, handle, settings);
	(void)web_read_all(ask(&web, "GET", "/bytes", "\r\n"), answer, sizeof answer);
	ck_assert_msg(strcmp(answer + strlen(answer) - 5, "hello") == 0, "%s", answer);
	ck_assert(strstr(answer, "Connection: close") == NULL);
	web_close(&web);
}
END_TEST

START_TEST(a_client_that_takes_nothing_is_cut_off)
{
	static const char *const settings[] = { "--write-timeout", "200ms", "--keep-alive", "20", NULL };
	static const char *const paths[] = { "/endless", "/big" };
	struct web web;

	web_open(&web, handle, settings);
	const int fd = ask(&web, "GET", paths[_i], "\r\n");
	web_wait(&web.counts->finished, 1);
	ck_assert_int_eq(web.counts->error, -ETIMEDOUT);
	ck_assert_uint_lt(web_read_rest(fd, answer, sizeof answer), BIG);
	(void)get_all(&web, "GET", "/bytes"); /* the worker is fine */
	ck_assert_int_eq(web_status(answer), 200);
	web_close(&web);
}
END_TEST

/* Where nobody may wait for the client, a handler that goes on writing is told before memory runs out;
 * elsewhere it waits. Either way the answer never looks like a whole one. */
START_TEST(what_is_written_to_a_client_that_takes_nothing_has_a_bound)
{
	static const char *const settings[] = { "--write-timeout", "300ms", "--spool-limit", "8m", NULL };
	const bool waits = harness_may_block() || harness_threads() > 0;
	struct web web;

	web_open(&web, handle, settings);
	const int fd = ask(&web, "GET", "/writes-for-long", "\r\n");
	web_wait(&web.counts->finished, 1);
	ck_assert_int_eq(web.counts->noted[1], waits ? -ETIMEDOUT : -ENOBUFS);
	ck_assert_int_lt(web.counts->noted[0], 32 * 1024 / 64); /* the kernel's buffers, and ours */
	ck_assert_int_lt(web.counts->error, 0);
	const size_t got = web_read_rest(fd, answer, sizeof answer - 1);
	ck_assert_uint_gt(got, 65536);
	ck_assert_ptr_null(strstr(answer + got - 5, "0\r\n\r\n"));
	(void)get_all(&web, "GET", "/bytes"); /* the worker is fine */
	ck_assert_int_eq(web_status(answer), 200);
	web_close(&web);
}
END_TEST

/* The time between two requests does not begin before the answer has been taken. */
START_TEST(a_slow_reader_gets_all_of_a_large_answer)
{
	static const char *const settings[] = { "--keep-alive", "50ms", NULL };
	struct web web;

	web_open(&web, handle, settings);
	const int fd = ask(&web, "GET", "/big", "\r\n");
	web_wait(&web.counts->handled, 1);
	(void)poll(NULL, 0, 200); /* the slowness itself: longer than keep-alive */
	const size_t got = web_read_all(fd, answer, sizeof answer);
	ck_assert_uint_eq(got - (size_t)(strstr(answer, "\r\n\r\n") + 4 - answer), BIG);
	web_close(&web);
}
END_TEST

START_TEST(a_client_that_is_gone_in_the_middle_of_an_answer_ends_it)
{
	static const struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	struct web web;
	char byte;

	web_open(&web, handle, NULL);
	const int fd = ask(&web, "GET", "/endless", "\r\n");
	ck_assert_int_eq(recv(fd, &byte, 1, 0), 1);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
	ck_assert_int_eq(close(fd), 0);
	web_wait(&web.counts->finished, 1);
	ck_assert_int_lt(web.counts->error, 0);
	web_close(&web);
}
END_TEST

static const struct {
	const char *rest; /* of a POST whose body does not come whole */
	int error;
} halves[] = {
	{ "Content-Length: 50\r\n\r\nhalf", -ECONNRESET },
	{ "Transfer-Encoding: chunked\r\n\r\n5\r\nhel", -ECONNRESET },
	{ "Transfer-Encoding: chunked\r\n\r\nzz\r\n", -EPROTO },
	{ "Content-Length: 5000\r\n\r\n", -EFBIG },
	{ "Transfer-Encoding: chunked\r\n\r\n1000\r\n", -EFBIG },
};

/* Where the body is collected first, the handler never hears of it; where it is read by the
 * handler, it hears of it, and hears the same again. */
START_TEST(half_a_body_never_looks_like_a_whole_one)
{
	static const char *const settings[] = { "--limit-request-body", "1000", "--body-timeout", "5", NULL };
	struct web web;

	web_open(&web, handle, settings);
	const int fd = ask(&web, "POST", "/reads", halves[_i].rest);
	ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
	(void)web_read_all(fd, answer, sizeof answer);
	ck_assert_int_eq(web_status(answer), halves[_i].error == -EFBIG ? 413 : 400);
	if (web.counts->handled > 0 && halves[_i].error != -EFBIG) {
		ck_assert_int_eq(web.counts->noted[0], halves[_i].error);
		ck_assert_int_eq(web.counts->noted[1], halves[_i].error);
		web_wait(&web.counts->finished, 1);
		ck_assert_int_eq(web.counts->error, halves[_i].error);
	}
	web_close(&web);
}
END_TEST

START_TEST(a_body_that_stops_coming_is_answered_with_408)
{
	static const char *const settings[] = { "--body-timeout", "200ms", NULL };
	struct web web;

	web_open(&web, handle, settings);
	(void)web_read_all(ask(&web, "POST", "/reads", "Content-Length: 9\r\n\r\nhalf"), answer, sizeof answer);
	ck_assert_int_eq(web_status(answer), 408);
	web_close(&web);
}
END_TEST

/* Never silent for long, and never done: on average it must come with a rate. */
START_TEST(a_body_that_only_drips_is_cut_off)
{
	static const char *const settings[] = { "--body-timeout", "300ms", "--body-rate", "1000", NULL };
	static const char *const bodies[] = { "Content-Length: 100000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\nfff\r\n" };
	struct web web;
	struct pollfd wait = { .events = POLLIN };
	int sent = 0;

	web_open(&web, handle, settings);
	wait.fd = ask(&web, "POST", "/reads", bodies[_i]);
	for (; poll(&wait, 1, 50) == 0; sent++) {
		ck_assert_int_eq(send(wait.fd, "x", 1, MSG_NOSIGNAL), 1);
		ck_assert_int_lt(sent, 1000);
	}
	(void)web_read_rest(wait.fd, answer, sizeof answer);
	ck_assert_msg(web_status(answer) == 408, "%d bytes, then %s", sent, answer);
	web_close(&web);
}
END_TEST

/* Writes what the socket takes and reads what comes, so that neither side waits for the other. */
static size_t talk(int fd, const char *request, size_t length)
{
	size_t at = 0, got = 0;

	for (;;) {
		struct pollfd wait = { .fd = fd, .events = (short)(POLLIN | (at < length ? POLLOUT : 0)) };
		ssize_t n;

		ck_assert_int_eq(poll(&wait, 1, harness_patience_ms()), 1);
		if (wait.revents & POLLOUT) {
			n = send(fd, request + at, length - at, MSG_NOSIGNAL | MSG_DONTWAIT);
			ck_assert_msg(n > 0, "%s", strerror(errno));
			at += (size_t)n;
		}
		if (!(wait.revents & ~POLLOUT))
			continue;
		n = recv(fd, answer + got, sizeof answer - 1 - got, MSG_DONTWAIT);
		ck_assert_msg(n >= 0, "%s", strerror(errno));
		if (n == 0)
			break;
		got += (size_t)n;
	}
	answer[got] = '\0';
	(void)close(fd);
	return got;
}

/* In memory, and beyond what may stay there; its file is gone with the request. */
/* A client that is told in the middle of its body must be able to read it: a close with bytes unread would
 * reset the connection under the answer. */
START_TEST(a_refusal_in_the_middle_of_a_large_body_is_read_whole)
{
	static const char *const settings[] = { "--limit-request-body", "1000", NULL };
	struct web web;

	web_open(&web, handle, settings);
	const int head = snprintf(big, 200, "POST /reads HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", BIG - 200);
	memset(big + head, 'x', sizeof big - (size_t)head);
	(void)talk(harness_connect(&web.harness), big, sizeof big);
	ck_assert_msg(web_status(answer) == 413 && strstr(answer, "</html>") != NULL, "%s", answer);
	web_close(&web);
}
END_TEST

START_TEST(a_refusal_of_head_has_no_body)
{
	struct web web;

	web_open(&web, handle, NULL);
	(void)get_all(&web, "HEAD", "/nowhere");
	ck_assert_int_eq(web_status(answer), 500);
	ck_assert(strstr(answer, "Content-Length: ") != NULL);
	ck_assert_str_eq(strstr(answer, "\r\n\r\n") + 4, "");
	web_close(&web);
}
END_TEST

START_TEST(a_large_body_comes_back_byte_for_byte)
{
	enum { SIZE = 300000 };
	static const char *const settings[] = { "--body-memory", "4k", "--worker-tmp-dir", "/tmp", NULL };
	static char request[SIZE + 200];
	struct web web;
	int fds = 0;

	web_open(&web, handle, _i == 0 ? NULL : settings);
	const int head = snprintf(request, sizeof request,
	                          "POST /echo-and-count HTTP/1.0\r\nContent-Length: %d\r\n\r\n", SIZE);
	for (size_t i = 0; i < SIZE; i++)
		request[(size_t)head + i] = (char)('a' + i % 23);
	for (int i = 0; i < 5; i++) {
		const size_t got = talk(harness_connect(&web.harness), request, (size_t)head + SIZE);
		const char *const body = strstr(answer, "\r\n\r\n") + 4;
		ck_assert_uint_eq(got - (size_t)(body - answer), SIZE);
		ck_assert_int_eq(memcmp(body, request + head, SIZE), 0);
		ck_assert(i == 0 || fds == web.counts->noted[0]);
		fds = web.counts->noted[0];
	}
	web_close(&web);
}
END_TEST

START_TEST(trailer_fields_are_there_behind_the_body_and_apart)
{
	struct web web;

	web_open(&web, handle, NULL);
	(void)web_read_all(ask(&web, "POST", "/trailers", "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
	                       "3\r\nabc\r\n0\r\nX-Sum:  12 \r\nOther:\r\nUnder_Score: 1\r\n\r\n"), answer, sizeof answer);
	ck_assert_msg(strstr(answer, "\r\n\r\nX-Sum(5)=12(2)|Other(5)=(0)|12 2 apart") != NULL, "%s", answer);
	(void)web_read_all(ask(&web, "POST", "/trailers", "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
	                       "0\r\n\r\n"), answer, sizeof answer);
	ck_assert_msg(strstr(answer, "\r\n\r\nnone") != NULL, "%s", answer);
	web_close(&web);
}
END_TEST

/* Where a thread can wait for the client the handler reads the rest as it comes. */
START_TEST(a_body_that_cannot_be_kept_is_told_and_the_worker_goes_on)
{
	enum { SIZE = 300000 };
	static const char *const settings[] = { "--body-memory", "4k", NULL };
	const struct rlimit limit = { 8192, 8192 };
	static char request[SIZE + 200];
	struct web web;

	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	web_open(&web, handle, settings);
	const int head = snprintf(request, sizeof request, "POST /reads HTTP/1.0\r\nContent-Length: %d\r\n\r\n", SIZE);
	memset(request + head, 'x', SIZE);
	(void)web_read_rest(web_ask(&web, request, (size_t)head + SIZE), answer, sizeof answer);
	ck_assert_msg(web_status(answer) == (harness_may_block() || harness_threads() > 0 ? 200 : 507), "%s", answer);
	(void)get_all(&web, "GET", "/bytes");
	ck_assert_int_eq(web_status(answer), 200);
	web_close(&web);
}
END_TEST

/* Everybody is busy for longer than a client has patience: it is told, and the next one is served. */
START_TEST(a_request_that_waited_for_too_long_is_not_begun)
{
	static const char *const settings[] = { "--queue-timeout", "1s", "--keep-alive", "20", NULL };
	const int thread_count = harness_threads() > 0 ? harness_threads() : 1;
	struct web web;
	int busy[8];

	web_open(&web, handle, settings);
	ck_assert_int_le(thread_count, 8);
	for (int i = 0; i < thread_count; i++)
		busy[i] = ask(&web, "GET", "/held", "Connection: close\r\n\r\n");
	web_wait(&web.counts->handled, thread_count);
	const int late = ask(&web, "GET", "/bytes", "\r\n");
	(void)poll(NULL, 0, 1200); /* the waiting itself */
	web.counts->noted[0] = 1;
	(void)web_read_all(late, answer, sizeof answer);
	ck_assert_msg(web_status(answer) == 503 && strstr(answer, "\r\nRetry-After: 1\r\n") != NULL, "%s", answer);
	for (int i = 0; i < thread_count; i++) {
		(void)web_read_all(busy[i], answer, sizeof answer);
		ck_assert_int_eq(web_status(answer), 200);
	}
	ck_assert_int_eq(web.counts->handled, thread_count);
	(void)get_all(&web, "GET", "/bytes");
	ck_assert_int_eq(web_status(answer), 200);
	web_close(&web);
}
END_TEST

/* What waited only for the answer before it was sent too early, and is nobody's overload. */
START_TEST(a_pipelined_request_may_wait_for_the_one_before_it)
{
	static const char *const settings[] = { "--queue-timeout", "50ms", "--keep-alive", "20", NULL };
	struct web web;
	int answers = 0;

	web_open(&web, handle, settings);
	const int fd = ask(&web, "GET", "/held", "\r\nGET /bytes HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
	web_wait(&web.counts->handled, 1);
	(void)poll(NULL, 0, 150);
	web.counts->noted[0] = 1;
	(void)web_read_all(fd, answer, sizeof answer);
	for (const char *at = answer; (at = strstr(at, "HTTP/1.1 200")) != NULL; at++)
		answers++;
	ck_assert_msg(answers == 2, "%s", answer);
	web_close(&web);
}
END_TEST

/* Four threads are held, two requests wait: the seventh is one too many. */
START_TEST(an_overloaded_worker_says_so_at_once)
{
	static const char *const settings[] = { "--queue-limit", "2", "--keep-alive", "20", NULL };
	struct web web;
	int fds[6];

	ck_assert_int_eq(harness_threads(), 4);
	web_open(&web, handle, settings);
	for (int i = 0; i < 4; i++)
		fds[i] = ask(&web, "GET", "/held", "Connection: close\r\n\r\n");
	web_wait(&web.counts->handled, 4);
	for (int i = 4; i < 6; i++)
		fds[i] = ask(&web, "GET", "/held", "Connection: close\r\n\r\n");
	for (int i = 0; i < 2; i++) { /* the loop answers this by itself: when it has, it has seen those before */
		(void)web_read_all(ask(&web, "bad", "/", "\r\n"), answer, sizeof answer);
		ck_assert_int_eq(web_status(answer), 501);
	}
	(void)web_read_all(ask(&web, "HEAD", "/bytes", "\r\n"), answer, sizeof answer);
	ck_assert_msg(web_status(answer) == 503 && strstr(answer, "\r\nRetry-After: 1\r\n") != NULL, "%s", answer);
	(void)web_read_all(ask(&web, "POST", "/echo", "Content-Length: 100000\r\n\r\n"), answer, sizeof answer);
	ck_assert_msg(web_status(answer) == 503, "a body that nobody will read is not waited for: %s", answer);
	web.counts->noted[0] = 1; /* let go */
	for (int i = 0; i < 6; i++) {
		(void)web_read_all(fds[i], answer, sizeof answer);
		ck_assert_msg(web_status(answer) == 200, "%s", answer);
	}
	(void)get_all(&web, "GET", "/bytes");
	ck_assert_int_eq(web_status(answer), 200);
	web_close(&web);
}
END_TEST

/* All threads are busy, and five connections are pending, where two may be; then `free_count` threads become free.
 * How many connections were refused, the others served. */
static int refused_of_a_crowd(struct web *web, int threads, int free_count)
{
	const int handled = web->counts->handled;
	int busy[4], crowd[5], told = 0, served = 0;

	for (int i = 0; i < threads; i++) { /* one by one: or they are a crowd themselves */
		busy[i] = ask(web, "GET", "/held-alone", "Connection: close\r\n\r\n");
		web_wait(&web->counts->handled, handled + i + 1);
	}
	for (int i = 0; i < 5; i++)
		crowd[i] = ask(web, "GET", "/bytes", "Connection: close\r\n\r\n");
	web->counts->noted[1] = free_count;
	for (int i = 0; i < 5; i++) {
		(void)web_read_all(crowd[i], answer, sizeof answer);
		told += web_status(answer) == 503 && strstr(answer, "\r\nRetry-After: 1\r\n") != NULL;
		served += web_status(answer) == 200;
	}
	ck_assert_int_eq(told + served, 5);
	web->counts->noted[1] += threads - free_count;
	for (int i = 0; i < threads; i++) {
		(void)web_read_all(busy[i], answer, sizeof answer);
		ck_assert_int_eq(web_status(answer), 200);
	}
	return told;
}

/* Those in front are refused until there are no more than two behind them. When several threads become free they take
 * several at once, of which none may count as behind it what another has in hands. */
START_TEST(a_crowd_at_the_listener_is_thinned_out)
{
	static const char *const settings[] = { "--queue-limit", "2", NULL };
	const int threads = harness_threads() > 0 ? harness_threads() : 1;
	struct web web;

	web_open(&web, handle, settings);
	ck_assert_int_le(threads, 4);
	ck_assert_int_eq(refused_of_a_crowd(&web, threads, 1), 3);
	for (int free_count = 2; free_count <= threads; free_count++) {
		for (int i = 0; i < 4; i++)
			ck_assert_int_le(refused_of_a_crowd(&web, threads, free_count), 3);
	}
	(void)get_all(&web, "GET", "/bytes");
	ck_assert_int_eq(web_status(answer), 200);
	web_close(&web);
}
END_TEST

/* Checked fixtures run in the process of each test. */
static void make_file(void)
{
	(void)strcpy(file_path + strlen(file_path) - 6, "XXXXXX");
	const int fd = mkstemp(file_path);

	ck_assert_int_ge(fd, 0);
	for (size_t i = 0; i < FILE_SIZE; i++)
		big[i] = (char)('a' + i % 26);
	ck_assert_int_eq(write(fd, big, FILE_SIZE), FILE_SIZE);
	ck_assert_int_eq(close(fd), 0);
}

static void remove_file(void)
{
	(void)unlink(file_path);
}

int main(void)
{
	Suite *suite = suite_create("answers");
	TCase *tc = tcase_create("answers");
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, make_file, remove_file);
	tcase_add_test(tc, a_first_request_may_come_when_its_worker_leaves);
	tcase_add_loop_test(tc, each_source_has_its_head_and_its_body, 0, PLAIN_SOURCES);
	tcase_add_loop_test(tc, head_gets_the_same_fields_and_no_body, 0, PLAIN_SOURCES);
	tcase_add_loop_test(tc, a_kept_connection_goes_on_behind_each_source, 0, PLAIN_SOURCES);
	tcase_add_loop_test(tc, only_the_last_word_to_who_listens_waits_for_the_end, 0,
	                    sizeof exit_message / sizeof exit_message[0]);
	tcase_add_test(tc, misuse_is_refused_and_changes_nothing);
	tcase_add_test(tc, a_file_comes_whole_byte_for_byte);
	tcase_add_test(tc, a_file_that_is_too_short_breaks_off);
	tcase_add_test(tc, interim_answers_come_before_the_final_one);
	tcase_add_test(tc, a_client_of_http_1_0_gets_no_interim_answer);
	tcase_add_test(tc, a_client_that_asks_first_is_told_to_go_on);
	tcase_add_test(tc, a_silent_client_between_two_requests_is_let_go);
	tcase_add_loop_test(tc, a_client_that_takes_nothing_is_cut_off, 0, 2);
	tcase_add_test(tc, what_is_written_to_a_client_that_takes_nothing_has_a_bound);
	tcase_add_test(tc, a_slow_reader_gets_all_of_a_large_answer);
	tcase_add_test(tc, a_client_that_is_gone_in_the_middle_of_an_answer_ends_it);
	tcase_add_loop_test(tc, half_a_body_never_looks_like_a_whole_one, 0, (int)(sizeof halves / sizeof halves[0]));
	tcase_add_test(tc, a_body_that_stops_coming_is_answered_with_408);
	tcase_add_loop_test(tc, a_body_that_only_drips_is_cut_off, 0, 2);
	tcase_add_loop_test(tc, a_large_body_comes_back_byte_for_byte, 0, 2);
	tcase_add_test(tc, a_refusal_in_the_middle_of_a_large_body_is_read_whole);
	tcase_add_test(tc, a_refusal_of_head_has_no_body);
	tcase_add_test(tc, trailer_fields_are_there_behind_the_body_and_apart);
	tcase_add_test(tc, a_body_that_cannot_be_kept_is_told_and_the_worker_goes_on);
	tcase_add_test(tc, a_request_that_waited_for_too_long_is_not_begun);
	tcase_add_test(tc, a_pipelined_request_may_wait_for_the_one_before_it);
	if (harness_may_block())
		tcase_add_test(tc, a_crowd_at_the_listener_is_thinned_out);
	if (harness_threads() > 0 && !harness_may_block())
		tcase_add_test(tc, an_overloaded_worker_says_so_at_once);
	suite_add_tcase(suite, tc);

	return run_suite(suite);
}
