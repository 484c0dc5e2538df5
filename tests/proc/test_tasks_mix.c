/* Ten thousand requests of many kinds at the same time, in tasks: each response is compared byte by byte. */
#include "../support.h"

#include "task_driver.h"
#include "web.h"

#include "base/times.h"
#include "os/clock.h"

#include <prefork/error.h>

#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { CLIENTS = 25, REQUESTS = 400, BODY_MAX = 60000, PIECE = 3000, KINDS = 5 };

static unsigned next_random(unsigned *state)
{
	*state = *state * 1103515245u + 12345u;
	return *state >> 16 & 0x7fff;
}

static char letter(unsigned seed, size_t at)
{
	return (char)('a' + (seed + at) % 26);
}

/* Runs in the worker. */

static int respond_letters(struct prefork_request *request, unsigned seed, size_t size)
{
	char length[16], piece[PIECE];
	int r = prefork_response_start(request, 200, NULL);

	(void)snprintf(length, sizeof length, "%zu", size);
	if (r == 0)
		r = prefork_response_field(request, "Content-Length", length);
	for (size_t at = 0; r == 0 && at < size; at += PIECE) {
		const size_t left = size - at < PIECE ? size - at : PIECE;

		for (size_t i = 0; i < left; i++)
			piece[i] = letter(seed, at + i);
		r = prefork_response_write(request, piece, left);
		if (seed % 7 == 0)
			(void)task_sleep(0);
	}
	return r;
}

static int respond_sum(struct prefork_request *request, bool reads_all)
{
	char bytes[700], text[32];
	unsigned long sum = 0;
	ptrdiff_t n = 1;

	while (n > 0 && (n = prefork_request_read(request, bytes, sizeof bytes)) > 0) {
		for (ptrdiff_t i = 0; i < n; i++)
			sum = sum * 31 + (unsigned char)bytes[i];
		if (!reads_all)
			break;
	}
	if (n < 0)
		return (int)n;
	const int length = snprintf(text, sizeof text, "%lu", reads_all ? sum : 0);
	const int r = prefork_response_start(request, 200, NULL);
	return r < 0 ? r : prefork_response_bytes(request, text, (size_t)length);
}

/* /KIND/SEED/SIZE */
static int handle(struct prefork_request *request, void *user)
{
	unsigned kind, seed;
	size_t size;

	(void)user;
	if (sscanf(prefork_request_target(request, NULL), "/%u/%u/%zu", &kind, &seed, &size) != 3)
		return prefork_fail(-EINVAL, "a target that is none of the test's");
	if (kind == 1)
		(void)task_sleep(1 + seed % 3);
	return kind <= 2 ? respond_letters(request, seed, kind == 2 ? size : size % 100) : respond_sum(request, kind == 3);
}

/* Clients. They report by their return value: Check's assertions are for one thread. */

struct client {
	const struct web *web;
	unsigned random;
	pthread_t thread;
	char bytes[BODY_MAX + 1000];
};

static bool send_all(int fd, const char *bytes, size_t size)
{
	for (ssize_t n; size > 0; bytes += n, size -= (size_t)n)
		if ((n = send(fd, bytes, size, MSG_NOSIGNAL)) <= 0)
			return false;
	return true;
}

/* In slices, some of them late. */
static bool send_body(struct client *client, int fd, size_t size)
{
	for (size_t at = 0, slice; at < size; at += slice) {
		slice = 1 + next_random(&client->random) % 9000;
		if (slice > size - at)
			slice = size - at;
		if (slice % 5 == 0)
			(void)usleep(500);
		if (!send_all(fd, client->bytes + at, slice))
			return false;
	}
	return true;
}

/* The body of a response with a Content-Length; -1: there is none. */
static long receive(struct client *client, int fd)
{
	char *body = NULL;
	size_t got = 0;
	long length = -1;

	while (!body || got < (size_t)(body + 4 - client->bytes) + (size_t)length) {
		const ssize_t n = recv(fd, client->bytes + got, sizeof client->bytes - 1 - got, 0);

		if (n <= 0)
			return -1;
		got += (size_t)n;
		client->bytes[got] = '\0';
		if (!body && (body = strstr(client->bytes, "\r\n\r\n")) != NULL) {
			const char *const field = strstr(client->bytes, "Content-Length: ");

			if (!field || strncmp(client->bytes, "HTTP/1.1 200 ", 13) != 0)
				return -1;
			length = strtol(field + 16, NULL, 10);
		}
	}
	memmove(client->bytes, body + 4, (size_t)length + 1);
	return length;
}

static bool has_letters(const struct client *client, unsigned seed, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (client->bytes[i] != letter(seed, i))
			return false;
	return true;
}

/* `*ret_is_over`: the connection cannot be used again. The worker discards the rest of a body that its handler does not
 * read, but only for a limited time, which has passed if this process was stopped meanwhile. */
static bool exchange(struct client *client, int fd, bool *ret_is_over)
{
	const uint64_t began_ms = pfi_now_ms();
	const unsigned kind = next_random(&client->random) % KINDS, seed = next_random(&client->random);
	const size_t size = next_random(&client->random) % BODY_MAX;
	unsigned long sum = 0;
	char head[200], text[32];

	const int length = snprintf(head, sizeof head, "POST /%u/%u/%zu HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n", kind,
	                            seed, size, kind >= 3 ? size : 0);
	for (size_t i = 0; i < size; i++)
		client->bytes[i] = letter(seed, i);
	for (size_t i = 0; i < size; i++)
		sum = sum * 31 + (unsigned char)client->bytes[i];
	const bool is_sent = send_all(fd, head, (size_t)length) && (kind < 3 || send_body(client, fd, size));
	const long got = is_sent ? receive(client, fd) : -1;
	*ret_is_over = kind == 4 && pfi_now_ms() - began_ms >= PFI_LINGER_CLOSE_MS;
	if (!is_sent || *ret_is_over)
		return *ret_is_over;
	if (kind <= 2)
		return got == (long)(kind == 2 ? size : size % 100) && has_letters(client, seed, (size_t)got);
	(void)snprintf(text, sizeof text, "%lu", kind == 3 ? sum : 0);
	return got >= 0 && strcmp(client->bytes, text) == 0;
}

static int connect_to(const struct web *web)
{
	const struct timeval limit = { .tv_sec = patience_ms(20000) / 1000 };
	struct sockaddr_in address;
	socklen_t size = sizeof address;
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	(void)getsockname(web->harness.listener->fd, (struct sockaddr *)&address, &size);
	(void)connect(fd, (struct sockaddr *)&address, size); /* if it fails, the first send fails */
	return fd;
}

static void *run_client(void *user)
{
	struct client *const client = user;
	int fd = -1;

	for (int i = 0; i < REQUESTS; i++) {
		bool is_over = false;

		if (fd < 0)
			fd = connect_to(client->web);
		if (!exchange(client, fd, &is_over))
			return client;
		if (is_over || next_random(&client->random) % 10 == 0) {
			(void)close(fd);
			fd = -1;
		}
	}
	if (fd >= 0)
		(void)close(fd);
	return NULL;
}

START_TEST(ten_thousand_mixed_requests_get_their_own_responses)
{
	static const char *const settings[] = { "--stream-uploads", "--keep-alive", "20", "--response-memory", "4k",
		                                "--spool-limit", "0", NULL };
	struct client *const clients = calloc(CLIENTS, sizeof *clients);
	struct web web;

	web_open(&web, handle, settings);
	for (unsigned i = 0; i < CLIENTS; i++) {
		clients[i].web = &web;
		clients[i].random = i + 1;
		ck_assert_int_eq(pthread_create(&clients[i].thread, NULL, run_client, &clients[i]), 0);
	}
	for (unsigned i = 0; i < CLIENTS; i++) {
		void *failed = NULL;

		ck_assert_int_eq(pthread_join(clients[i].thread, &failed), 0);
		ck_assert_msg(!failed, "client %u got: %.200s", i, clients[i].bytes);
	}
	ck_assert_int_eq(web.counts->handled, CLIENTS * REQUESTS);
	free(clients);
	web_close(&web);
}
END_TEST

int main(void)
{
	Suite *const suite = suite_create("tasks_mix");
	TCase *const tc = new_case(suite, "tasks_mix");

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, ten_thousand_mixed_requests_get_their_own_responses);
	return run_suite(suite);
}
