/* Several threads that write pieces of one response: pieces do not mix, and none follows the end. */
#include "../support.h"

#include "web.h"

#include <prefork/error.h>
#include <prefork/service.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { WRITERS = 3, PIECE = 200000, LEAST = 20, MANY = 200, RESPONSE_MAX = 256 * 1024 * 1024 };

static char *response;

struct writer {
	struct prefork_request *request;
	pthread_t thread;
	char letter;
	_Atomic int *written;
	int refused; /* the error of the last write */
};

/* Runs in the worker. It pauses now and then, so that the response stays small; and longer once there are many pieces,
 * because the thread that ends the response may be late. */
static void *write_pieces(void *user)
{
	struct writer *const writer = user;
	static _Thread_local char piece[PIECE];

	memset(piece, writer->letter, sizeof piece);
	while ((writer->refused = prefork_response_write(writer->request, piece, sizeof piece)) == 0) {
		const int written = atomic_fetch_add(writer->written, 1);

		if (written >= MANY)
			(void)nanosleep(&(struct timespec){ .tv_nsec = 100 * 1000 * 1000 }, NULL);
		else if (written % 16 == 15)
			(void)nanosleep(&(struct timespec){ .tv_nsec = 1000 * 1000 }, NULL);
	}
	return NULL;
}

struct writers {
	struct writer all[WRITERS];
	_Atomic int written;
};

static void join(struct writers *writers, _Atomic int *noted)
{
	for (int i = 0; i < WRITERS; i++) {
		(void)pthread_join(writers->all[i].thread, NULL);
		if (writers->all[i].refused != -EALREADY)
			atomic_store(noted, writers->all[i].refused);
	}
	free(writers);
}

/* Runs in the worker. /ended: prefork_response_end() ends the response while the threads write. Other targets: the
 * handler returns, and later writes are refused until `finished`, which joins the threads. */
static int handle(struct prefork_request *request, void *user)
{
	const bool calls = strcmp(prefork_request_target(request, NULL), "/ended") == 0;
	struct writers *const writers = calloc(1, sizeof *writers);
	int r = writers ? 0 : -ENOMEM;

	(void)user;
	(void)prefork_response_start(request, 200, NULL);
	for (int i = 0; r == 0 && i < WRITERS; i++) {
		writers->all[i] = (struct writer){ request, .letter = (char)('a' + i), .written = &writers->written };
		r = -pthread_create(&writers->all[i].thread, NULL, write_pieces, &writers->all[i]);
	}
	while (r == 0 && atomic_load(&writers->written) < LEAST)
		(void)nanosleep(&(struct timespec){ .tv_nsec = 100 * 1000 }, NULL);
	if (calls) {
		r = prefork_response_end(request);
		join(writers, &web_counts(request)->noted[0]);
		return r;
	}
	prefork_request_set_user(request, writers);
	return r;
}

static void finished(struct prefork_request *request, void *user)
{
	struct writers *const writers = prefork_request_user(request);

	(void)user;
	if (writers)
		join(writers, &web_counts(request)->noted[0]);
}

/* The size of the first chunk's data, which is of one letter and `*ret_next` follows; 0: the last one. */
static size_t chunk(const char *at, const char **ret_next)
{
	char *data;
	const size_t size = strtoul(at, &data, 16);

	ck_assert_int_eq(memcmp(data, "\r\n", 2), 0);
	data += 2;
	ck_assert(size == 0 || memcmp(data, data + 1, size - 1) == 0); /* all bytes are the same */
	ck_assert_int_eq(memcmp(data + size, "\r\n", 2), 0);
	*ret_next = data + size + 2;
	return size;
}

/* Two responses on one connection: whole chunks of one writer each, the end, and the next response at once. */
START_TEST(pieces_of_several_threads_do_not_mix_and_none_follows_the_end)
{
	static const char *const targets[] = { "/returns", "/ended" };
	static const char *const settings[] = { "--keep-alive", "20", NULL };
	static const struct prefork_http_service service = {
		.struct_size = sizeof service, .handle = handle, .finished = finished,
	};
	struct web web;
	char request[256];

	web_open_service(&web, &service, settings);
	const int length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: h\r\n\r\n"
	                            "GET %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", targets[_i], targets[_i]);
	const int fd = web_request(&web, request, (size_t)length);
	response = malloc(RESPONSE_MAX);
	const size_t got = web_read_all(fd, response, RESPONSE_MAX);
	const char *at = response;
	for (int i = 0; i < 2; i++) {
		int chunks = 0;

		ck_assert_int_eq(memcmp(at, "HTTP/1.1 200", 12), 0);
		at = strstr(at, "\r\n\r\n") + 4;
		while (chunk(at, &at) > 0)
			chunks++;
		ck_assert_int_ge(chunks, LEAST);
	}
	ck_assert_ptr_eq(at, response + got);
	free(response);
	ck_assert_int_eq(web.counts->noted[0], 0);
	ck_assert_int_eq(web.counts->error, 0);
	web_close(&web);
}
END_TEST

/* Runs in the worker. */
static int write_for_ever(struct prefork_request *request, void *user)
{
	int r = prefork_response_start(request, 200, NULL);

	(void)user;
	while (r == 0)
		r = prefork_response_write(request, "piece", 5);
	return r;
}

/* No piece is sent, so no send(2) fails when the client disconnects. */
START_TEST(pieces_in_a_response_to_head_end_on_a_disconnect)
{
	static const char head[] = "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n";
	char text[512] = "";
	struct web web;

	web_open(&web, write_for_ever, NULL);
	const int fd = web_request(&web, head, sizeof head - 1);
	ck_assert_int_gt(recv(fd, text, sizeof text - 1, 0), 0);
	ck_assert_int_eq(web_status(text), 200);
	ck_assert_int_eq(close(fd), 0);
	web_wait(&web.counts->finished, 1);
	ck_assert_int_eq(web.counts->error, -ECONNRESET);
	web_close(&web);
}
END_TEST

enum {
	STORED_MS = 300, /* from a return to what is stored next, on a busy machine */
	READ_MS = 800,   /* until the client reads, and the end of the response can be sent */
};
static _Atomic int ending_thread; /* its number, once it is about to call prefork_response_end() */
static _Atomic bool has_ended;

/* Runs in the worker, as a thread: the end of the response waits, since other bytes fill the socket. */
static void *end_when_full(void *user)
{
	static char filling[65536];
	struct prefork_request *const request = user;
	const int fd = prefork_connection_fd(prefork_request_connection(request));

	if (prefork_response_write(request, "piece", 5) == 0)
		while (send(fd, filling, sizeof filling, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
			continue;
	atomic_store(&ending_thread, gettid());
	(void)prefork_response_end(request);
	atomic_store(&has_ended, true);
	return NULL;
}

/* Whether that thread waits in the call, or has returned from it. */
static bool is_inside(int thread)
{
	char path[64], line[256] = "";

	(void)snprintf(path, sizeof path, "/proc/self/task/%d/stat", thread);
	FILE *const in = thread > 0 ? fopen(path, "r") : NULL;
	const bool runs = thread == 0 || (in && fgets(line, sizeof line, in) && strstr(line, ") R ") != NULL);
	if (in)
		(void)fclose(in);
	return !runs;
}

/* Runs in the worker, and returns while its thread is inside prefork_response_end(). */
static int return_meanwhile(struct prefork_request *request, void *user)
{
	pthread_t thread;
	int r = prefork_response_start(request, 200, NULL);

	(void)user;
	if (r == 0)
		r = -pthread_create(&thread, NULL, end_when_full, request);
	if (r < 0)
		return r;
	prefork_request_set_user(request, (void *)(uintptr_t)thread);
	while (!is_inside(atomic_load(&ending_thread)))
		(void)nanosleep(&(struct timespec){ .tv_nsec = 1000 * 1000 }, NULL);
	return 0;
}

/* Runs in the worker. The end of prefork_response_end() wakes the worker before the thread can set has_ended. */
static void note_whether_ended(struct prefork_request *request, void *user)
{
	(void)user;
	for (int i = 0; i < patience_ms(STORED_MS) && !atomic_load(&has_ended); i++)
		(void)nanosleep(&(struct timespec){ .tv_nsec = 1000 * 1000 }, NULL);
	web_counts(request)->noted[0] = atomic_load(&has_ended) ? 1 : -1;
	(void)pthread_join((pthread_t)(uintptr_t)prefork_request_user(request), NULL);
}

/* Otherwise the connection would start the next request while the last chunk of this one is being sent. */
START_TEST(a_request_is_finished_when_the_thread_that_ends_its_response_has_returned)
{
	static const char *const settings[] = { "--response-memory", "0", "--spool-limit", "0", NULL };
	static const char text[] = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
	static const struct prefork_http_service service = {
		.struct_size = sizeof service, .handle = return_meanwhile, .finished = note_whether_ended,
	};
	struct web web;

	web_open_service(&web, &service, settings);
	const int fd = web_request(&web, text, sizeof text - 1);
	(void)poll(NULL, 0, patience_ms(READ_MS));
	response = malloc(RESPONSE_MAX);
	(void)web_read_rest(fd, response, RESPONSE_MAX);
	free(response);
	web_wait(&web.counts->finished, 1);
	ck_assert_int_eq(web.counts->noted[0], 1);
	web_close(&web);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("writers");
	TCase *tc = tcase_create("writers");
	tcase_set_timeout(tc, 30);
	tcase_add_loop_test(tc, pieces_of_several_threads_do_not_mix_and_none_follows_the_end, 0, 2);
	tcase_add_test(tc, pieces_in_a_response_to_head_end_on_a_disconnect);
	tcase_add_test(tc, a_request_is_finished_when_the_thread_that_ends_its_response_has_returned);
	suite_add_tcase(suite, tc);

	return run_suite(suite);
}
