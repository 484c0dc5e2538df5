/* Requests and parts of handlers, for tests of tasks. */
#include "task_requests.h"

#include "task_driver.h"

#include "os/clock.h"

#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

char big[BIG];
char response[BIG + BIG / 8];

void check(bool holds)
{
	if (!holds)
		abort();
}

bool is_for(const struct prefork_request *request, const char *path)
{
	return strcmp(prefork_request_target(request, NULL), path) == 0;
}

void note(const struct prefork_request *request, int index, int value)
{
	atomic_store(&web_counts(request)->noted[index], value);
}

int respond(struct prefork_request *request, const char *text)
{
	(void)prefork_response_start(request, 200, NULL);
	return prefork_response_bytes(request, text, strlen(text));
}

void send_text(int fd, const char *text)
{
	ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

int request_path(const struct web *web, const char *path, const char *rest)
{
	char text[300];
	const int length = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: h\r\n%s\r\n", path, rest);

	return web_request(web, text, (size_t)length);
}

void expect_until(int fd, const char *end)
{
	size_t got = 0;
	ssize_t n;

	do {
		n = recv(fd, response + got, 1, 0);
		if (n != 1)
			ck_abort_msg("no more input after: %.*s", (int)got, response);
		response[++got] = '\0';
	} while (got < strlen(end) || strcmp(response + got - strlen(end), end) != 0);
}

void await_value(const _Atomic int *noted, int value)
{
	const uint64_t until_ms = pfi_now_ms() + (uint64_t)harness_patience_ms();

	while (atomic_load(noted) != value) {
		ck_assert_uint_lt(pfi_now_ms(), until_ms);
		(void)poll(NULL, 0, 1);
	}
}

const char *const streams[] = { "--stream-uploads", "--keep-alive", "20", NULL };

void task_requests_prepare(void)
{
	for (size_t i = 0; i < BIG; i++)
		big[i] = (char)('A' + i % 61);
	task_options.refuse = 0;
	task_options.ignores_cancel = false;
	task_options.reports_idle = true;
}
