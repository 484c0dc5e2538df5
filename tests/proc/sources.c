#include "sources.h"

#include "../support.h"

#include "os/fd.h"

#include <prefork/error.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char file_path[] = "/tmp/test_responses.XXXXXX";
char big[BIG];
char response[RESPONSE_MAX];

static int start_200(struct prefork_request *request)
{
	return prefork_response_start(request, 200, NULL);
}

/* The user pointer of the request is the descriptor + 1. */
static int respond_with_file(struct prefork_request *request, int64_t offset, int64_t size)
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
	return respond_with_file(request, 0, FILE_SIZE);
}

static int part_of_file(struct prefork_request *request)
{
	return respond_with_file(request, 10, 20);
}

static int no_byte_of_file(struct prefork_request *request)
{
	return respond_with_file(request, 0, 0);
}

static int beyond_file(struct prefork_request *request)
{
	return respond_with_file(request, 0, FILE_SIZE + 1);
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

/* Notes the number of pieces accepted, and the error. */
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

/* Notes the number of descriptors of the worker while it holds the body. */
static int echo_and_count(struct prefork_request *request)
{
	const int r = echo(request);

	web_counts(request)->noted[0] = pfi_fd_count();
	return r;
}

/* Waits until noted[0] is set. */
static int held(struct prefork_request *request)
{
	while (web_counts(request)->noted[0] == 0)
		(void)poll(NULL, 0, 2);
	return bytes(request);
}

/* Waits for one of the tokens in noted[1]. */
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

const struct source sources[] = {
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
	/* The sources below have their own tests. */
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
int sources_handle(struct prefork_request *request, void *user)
{
	size_t size;
	const char *const path = prefork_request_path(request, &size);

	(void)user;
	for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++) {
		if (strlen(sources[i].path) == size && memcmp(sources[i].path, path, size) == 0)
			return sources[i].respond(request);
	}
	return prefork_fail(-ENOENT, "no such path");
}

const char *const kept[] = { "--keep-alive", "20", NULL };

int sources_request(const struct web *web, const char *method, const char *path, const char *rest)
{
	char request[512];
	const int length = snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: h\r\n%s", method, path, rest);

	return web_request(web, request, (size_t)length);
}

size_t sources_get(const struct web *web, const char *method, const char *path)
{
	return web_read_all(sources_request(web, method, path, "Connection: close\r\n\r\n"), response, sizeof response);
}

void sources_make_file(void)
{
	(void)strcpy(file_path + strlen(file_path) - 6, "XXXXXX");
	const int fd = mkstemp(file_path);

	ck_assert_int_ge(fd, 0);
	for (size_t i = 0; i < FILE_SIZE; i++)
		big[i] = (char)('a' + i % 26);
	ck_assert_int_eq(write(fd, big, FILE_SIZE), FILE_SIZE);
	ck_assert_int_eq(close(fd), 0);
}

void sources_remove_file(void)
{
	(void)unlink(file_path);
}
