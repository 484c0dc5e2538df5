/* How responses and connections end over real sockets: the end agrees with the header, and no part of a response is
 * lost when its connection is closed. */
#include "../support.h"

#include "web.h"

#include "model/message.h"

#include <prefork/listener.h>
#include <prefork/worker.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef TEST_TASKS
#define HANDLERS_ARE_TASKS true
#else
#define HANDLERS_ARE_TASKS false
#endif

enum { LARGE = 3 * 1024 * 1024 };

static char large[LARGE];
static char response[LARGE + 4096];

/* Number of responses received. */
static int count_responses(void)
{
	int count = 0;

	for (const char *at = response; (at = strstr(at, "HTTP/1.1 ")) != NULL; at++)
		count++;
	return count;
}

static int respond_nothing(struct prefork_request *request)
{
	(void)prefork_response_field(request, "Content-Length", "10");
	web_counts(request)->noted[0] = prefork_response_bytes(request, "", 0);
	return 0;
}

static int respond_host(struct prefork_request *request)
{
	size_t size;
	const char *const host = prefork_request_header(request, "Host", &size);

	if (size != strlen(host))
		return prefork_response_bytes(request, "not a text", 10);
	return prefork_response_bytes(request, host, size);
}

/* When the test has set noted[0]. */
static int respond_large(struct prefork_request *request)
{
	while (web_counts(request)->noted[0] == 0)
		(void)poll(NULL, 0, 1);
	return prefork_response_bytes(request, large, sizeof large);
}

static int respond_unread(struct prefork_request *request)
{
	return prefork_response_bytes(request, "unread", 6);
}

/* When the worker has closed its listener. */
static int respond_late(struct prefork_request *request)
{
	struct prefork_listener *const listener = prefork_worker_listener(prefork_request_worker(request), 0);
	struct web_counts *const counts = web_counts(request);
	int listens = 1;
	socklen_t size = sizeof listens;

	counts->noted[0] = prefork_listener_fd(listener);
	while (getsockopt(counts->noted[0], SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens)
		(void)poll(NULL, 0, 1);
	counts->noted[1] = prefork_listener_fd(listener);
	counts->noted[2] = fcntl(counts->noted[1], F_GETFD) >= 0;
	return prefork_response_bytes(request, "late", 4);
}

static const struct {
	const char *path;
	int (*respond)(struct prefork_request *request);
} handlers[] = {
	{ "/late", respond_late },
	{ "/nothing", respond_nothing },
	{ "/host", respond_host },
	{ "/large", respond_large },
	{ "/unread", respond_unread },
};

static int handle(struct prefork_request *request, void *user)
{
	size_t size;
	const char *const path = prefork_request_path(request, &size);

	(void)user;
	(void)prefork_response_start(request, 200, NULL);
	for (size_t i = 0; i < sizeof handlers / sizeof handlers[0]; i++) {
		if (strlen(handlers[i].path) == size && memcmp(handlers[i].path, path, size) == 0)
			return handlers[i].respond(request);
	}
	return -ENOENT;
}

static const char *const kept[] = { "--keep-alive", "20", NULL };

/* With an empty body and Content-Length: 10, the client would read the next response as the body. */
START_TEST(no_response_is_shorter_than_its_content_length)
{
	static const char get[] = "GET /nothing HTTP/1.1\r\nHost: h\r\n\r\nGET /unread HTTP/1.1\r\nHost: h\r\n\r\n";
	static const char head[] = "HEAD /nothing HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
	struct web web;

	web_open(&web, handle, kept);
	(void)web_read_rest(web_request(&web, get, sizeof get - 1), response, sizeof response);
	ck_assert_int_eq(web.counts->noted[0], -EINVAL);
	ck_assert_msg(count_responses() == 1, "%s", response);
	(void)web_read_all(web_request(&web, head, sizeof head - 1), response, sizeof response);
	ck_assert_int_eq(web.counts->noted[0], 0);
	ck_assert_msg(strstr(response, "\r\nContent-Length: 10\r\n") != NULL, "%s", response);
	web_close(&web);
}
END_TEST

static const struct {
	const char *request;
	const char *host;
} hosts[] = {
	{ "GET /host HTTP/1.1\r\nHost: here\r\n", "here" },
	{ "GET http://there/host HTTP/1.1\r\nHost: there\r\n", "there" },
	{ "GET http://farther.away:8080/host HTTP/1.1\r\nHost: h\r\n", "farther.away:8080" },
	{ "GET http://there/host HTTP/1.1\r\nX-One: 1\r\nHost:\r\nX-Two: 2\r\n", "there" },
	{ "POST http://there/host HTTP/1.1\r\nContent-Length: 4\r\nHost: h\r\n", "there" },
};

/* RFC 9112 3.2.2: the host of the target replaces the field Host. The text ends with the host, not with the path. */
START_TEST(the_host_of_a_target_is_text)
{
	char request[512];
	struct web web;

	web_open(&web, handle, kept);
	/* The bytes after the head are unchanged, wherever the text is stored. */
	const int length = snprintf(request, sizeof request, "%s\r\n%sGET /unread HTTP/1.1\r\nHost: h\r\n"
	                            "Connection: close\r\n\r\n", hosts[_i].request,
	                            strstr(hosts[_i].request, "POST") != NULL ? "body" : "");
	(void)web_read_all(web_request(&web, request, (size_t)length), response, sizeof response);
	const char *const body = strstr(response, "\r\n\r\n") + 4;
	ck_assert_msg(strncmp(body, hosts[_i].host, strlen(hosts[_i].host)) == 0 &&
	              strncmp(body + strlen(hosts[_i].host), "HTTP/1.1 200", 12) == 0, "%s", response);
	web_close(&web);
}
END_TEST

/* A worker that closes does not read a further request. But close(2) with unread input sends a reset, and the client
 * loses the part of the response that it has not read. */
START_TEST(a_close_does_not_discard_the_response)
{
	static const char *const settings[] = { "--keep-alive", "0", NULL };
	static const char get[] = "GET /large HTTP/1.1\r\nHost: h\r\n\r\n";
	struct web web;

	web_open(&web, handle, settings);
	const int fd = web_request(&web, get, sizeof get - 1);
	web_wait(&web.counts->handled, 1);
	ck_assert_int_eq(send(fd, get, sizeof get - 1, MSG_NOSIGNAL), (ssize_t)sizeof get - 1);
	web.counts->noted[0] = 1;
	for (int i = 0; i < 100 && web.counts->finished == 0; i++) /* or until the handler has waited for the client */
		(void)poll(NULL, 0, 2);
	const size_t got = web_read_all(fd, response, sizeof response);
	ck_assert_uint_eq(got - (size_t)(strstr(response, "\r\n\r\n") + 4 - response), LARGE);
	web_close(&web);
}
END_TEST

static const struct {
	const char *head;
	size_t body;
	bool is_kept;
} unread[] = {
	{ "Content-Length: 10\r\n", 10, true },
	{ "Content-Length: 10\r\nExpect: 100-continue\r\n", 0, false },
	{ "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n", 0, false },
	{ "Content-Length: 1000000\r\n", 1000000, false },
};

/* If the client must send its next request on another connection, the response says so (RFC 9110 10.1.1). If bodies
 * are collected first, all of them have been read. */
START_TEST(a_connection_closed_after_an_unread_body_announces_it)
{
	static const char *const settings[] = { "--keep-alive", "20", "--stream-uploads", NULL };
	static char request[1000000 + 200];
	const bool streams = harness_may_block() || harness_threads() > 0;
	struct web web;

	web_open(&web, handle, settings);
	const int head = snprintf(request, 200, "POST /unread HTTP/1.1\r\nHost: h\r\n%s\r\n", unread[_i].head);
	memset(request + head, 'x', unread[_i].body);
	const int fd = web_request(&web, request, (size_t)head + unread[_i].body);
	if (unread[_i].is_kept || !streams)
		ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
	(void)web_read_all(fd, response, sizeof response);
	const bool announces = strstr(response, "\r\nConnection: close\r\n") != NULL;
	if (streams || unread[_i].body > 0)
		ck_assert_msg(announces == (streams && !unread[_i].is_kept), "%s", response);
	web_close(&web);
}
END_TEST

/* A worker at worker_connections accepts the last connections of the server, too. */
START_TEST(a_stop_serves_the_backlog_of_a_full_worker_too)
{
	static const char *const settings[] = { "--keep-alive", "20", "--worker-connections", "1", NULL };
	static const char get[] = "GET /unread HTTP/1.1\r\nHost: h\r\n\r\n";
	struct web web;
	char first[4096];

	web_open(&web, handle, settings);
	const int kept_one = web_request(&web, get, sizeof get - 1);
	ck_assert_int_gt(recv(kept_one, first, sizeof first, 0), 0);
	int queued[3];
	for (int i = 0; i < 3; i++)
		queued[i] = web_request(&web, get, sizeof get - 1);
	for (int i = 0; i < 3; i++)
		harness_await_acknowledged(queued[i]);
	harness_send(&web.harness, PFI_MESSAGE_DRAIN, 1);
	for (int i = 0; i < 3; i++) {
		(void)web_read_all(queued[i], response, sizeof response);
		ck_assert_int_eq(web_status(response), 200);
	}
	(void)close(kept_one);
	web_close(&web);
}
END_TEST

/* A callback may read the descriptor of the listener: it must not be the number of another socket. */
START_TEST(the_index_of_a_removed_listener_stays_unused)
{
	static const char get[] = "GET /late HTTP/1.1\r\nHost: h\r\n\r\n";
	struct web web;

	web_open(&web, handle, kept);
	const int fd = web_request(&web, get, sizeof get - 1);
	web_wait(&web.counts->handled, 1);
	harness_send(&web.harness, PFI_MESSAGE_DRAIN, 0);
	(void)web_read_all(fd, response, sizeof response);
	ck_assert_int_eq(web_status(response), 200);
	ck_assert_int_eq(web.counts->noted[1], web.counts->noted[0]);
	ck_assert_int_eq(web.counts->noted[2], 1);
	web_close(&web);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("endings");
	TCase *tc = new_case(suite, "endings");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, no_response_is_shorter_than_its_content_length);
	tcase_add_loop_test(tc, the_host_of_a_target_is_text, 0, (int)(sizeof hosts / sizeof hosts[0]));
	tcase_add_test(tc, a_close_does_not_discard_the_response);
	tcase_add_loop_test(tc, a_connection_closed_after_an_unread_body_announces_it, 0,
	                    (int)(sizeof unread / sizeof unread[0]));
	tcase_add_test(tc, a_stop_serves_the_backlog_of_a_full_worker_too);
	if (harness_threads() > 0 && !HANDLERS_ARE_TASKS) /* its handler blocks until another thread acts */
		tcase_add_test(tc, the_index_of_a_removed_listener_stays_unused);
	return run_suite(suite);
}
