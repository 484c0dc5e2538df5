/* How answers and connections end over real sockets: nobody is told one thing and shown another,
 * and nothing of an answer is lost with its connection. */
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

enum { LARGE = 3 * 1024 * 1024 };

static char large[LARGE];
static char answer[LARGE + 4096];

/* How many answers there are. */
static int count_answers(void)
{
	int count = 0;

	for (const char *at = answer; (at = strstr(at, "HTTP/1.1 ")) != NULL; at++)
		count++;
	return count;
}

static int answer_nothing(struct prefork_request *request)
{
	(void)prefork_response_field(request, "Content-Length", "10");
	web_counts(request)->noted[0] = prefork_response_bytes(request, "", 0);
	return 0;
}

static int answer_host(struct prefork_request *request)
{
	size_t size;
	const char *const host = prefork_request_header(request, "Host", &size);

	if (size != strlen(host))
		return prefork_response_bytes(request, "not a text", 10);
	return prefork_response_bytes(request, host, size);
}

/* As soon as the test says that it may. */
static int answer_large(struct prefork_request *request)
{
	while (web_counts(request)->noted[0] == 0)
		(void)poll(NULL, 0, 1);
	return prefork_response_bytes(request, large, sizeof large);
}

static int answer_unread(struct prefork_request *request)
{
	return prefork_response_bytes(request, "unread", 6);
}

/* Until the worker has left its listener. */
static int answer_late(struct prefork_request *request)
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
	int (*answer)(struct prefork_request *request);
} answers[] = {
	{ "/late", answer_late },
	{ "/nothing", answer_nothing },
	{ "/host", answer_host },
	{ "/large", answer_large },
	{ "/unread", answer_unread },
};

static int handle(struct prefork_request *request, void *user)
{
	size_t size;
	const char *const path = prefork_request_path(request, &size);

	(void)user;
	(void)prefork_response_start(request, 200, NULL);
	for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
		if (strlen(answers[i].path) == size && memcmp(answers[i].path, path, size) == 0)
			return answers[i].answer(request);
	}
	return -ENOENT;
}

static const char *const kept[] = { "--keep-alive", "20", NULL };

/* An empty body where ten bytes were promised would make the client take the next answer for them. */
START_TEST(no_response_is_shorter_than_its_content_length)
{
	static const char get[] = "GET /nothing HTTP/1.1\r\nHost: h\r\n\r\nGET /unread HTTP/1.1\r\nHost: h\r\n\r\n";
	static const char head[] = "HEAD /nothing HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
	struct web web;

	web_open(&web, handle, kept);
	(void)web_read_rest(web_ask(&web, get, sizeof get - 1), answer, sizeof answer);
	ck_assert_int_eq(web.counts->noted[0], -EINVAL);
	ck_assert_msg(count_answers() == 1, "%s", answer);
	(void)web_read_all(web_ask(&web, head, sizeof head - 1), answer, sizeof answer);
	ck_assert_int_eq(web.counts->noted[0], 0);
	ck_assert_msg(strstr(answer, "\r\nContent-Length: 10\r\n") != NULL, "%s", answer);
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

/* RFC 9112 3.2.2: the target's host is the host; and it is a text as others are, not one that goes on
 * with the path. */
START_TEST(the_host_of_a_target_is_text)
{
	char request[512];
	struct web web;

	web_open(&web, handle, kept);
	/* What follows the head stays what it is, wherever the text was put. */
	const int length = snprintf(request, sizeof request, "%s\r\n%sGET /unread HTTP/1.1\r\nHost: h\r\n"
	                            "Connection: close\r\n\r\n", hosts[_i].request,
	                            strstr(hosts[_i].request, "POST") != NULL ? "body" : "");
	(void)web_read_all(web_ask(&web, request, (size_t)length), answer, sizeof answer);
	const char *const body = strstr(answer, "\r\n\r\n") + 4;
	ck_assert_msg(strncmp(body, hosts[_i].host, strlen(hosts[_i].host)) == 0 &&
	              strncmp(body + strlen(hosts[_i].host), "HTTP/1.1 200", 12) == 0, "%s", answer);
	web_close(&web);
}
END_TEST

/* What a client says that has not asked for the end is not heard any more when we end; but a close with bytes
 * unread is a reset, which throws away all that the client has not taken yet. */
START_TEST(a_close_does_not_discard_the_response)
{
	static const char *const settings[] = { "--keep-alive", "0", NULL };
	static const char get[] = "GET /large HTTP/1.1\r\nHost: h\r\n\r\n";
	struct web web;

	web_open(&web, handle, settings);
	const int fd = web_ask(&web, get, sizeof get - 1);
	web_wait(&web.counts->handled, 1);
	ck_assert_int_eq(send(fd, get, sizeof get - 1, MSG_NOSIGNAL), (ssize_t)sizeof get - 1);
	web.counts->noted[0] = 1;
	for (int i = 0; i < 100 && web.counts->finished == 0; i++) /* unless it is waited for */
		(void)poll(NULL, 0, 2);
	const size_t got = web_read_all(fd, answer, sizeof answer);
	ck_assert_uint_eq(got - (size_t)(strstr(answer, "\r\n\r\n") + 4 - answer), LARGE);
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

/* Who is to send its next request elsewhere hears of it in the answer (RFC 9110 10.1.1). Where bodies are
 * collected first, all have been read. */
START_TEST(a_connection_closed_after_an_unread_body_announces_it)
{
	static const char *const settings[] = { "--keep-alive", "20", "--stream-uploads", NULL };
	static char request[1000000 + 200];
	const bool streams = harness_may_block() || harness_threads() > 0;
	struct web web;

	web_open(&web, handle, settings);
	const int head = snprintf(request, 200, "POST /unread HTTP/1.1\r\nHost: h\r\n%s\r\n", unread[_i].head);
	memset(request + head, 'x', unread[_i].body);
	const int fd = web_ask(&web, request, (size_t)head + unread[_i].body);
	if (unread[_i].is_kept || !streams)
		ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
	(void)web_read_all(fd, answer, sizeof answer);
	const bool says_so = strstr(answer, "\r\nConnection: close\r\n") != NULL;
	if (streams || unread[_i].body > 0)
		ck_assert_msg(says_so == (streams && !unread[_i].is_kept), "%s", answer);
	web_close(&web);
}
END_TEST

/* One that holds as many clients as it may does not hold the server's last ones off. */
START_TEST(a_stop_empties_the_queue_of_a_full_worker_too)
{
	static const char *const settings[] = { "--keep-alive", "20", "--worker-connections", "1", NULL };
	static const char get[] = "GET /unread HTTP/1.1\r\nHost: h\r\n\r\n";
	struct web web;
	char first[4096];

	web_open(&web, handle, settings);
	const int kept_one = web_ask(&web, get, sizeof get - 1);
	ck_assert_int_gt(recv(kept_one, first, sizeof first, 0), 0);
	int queued[3];
	for (int i = 0; i < 3; i++)
		queued[i] = web_ask(&web, get, sizeof get - 1);
	for (int i = 0; i < 3; i++)
		harness_await_acknowledged(queued[i]);
	harness_send(&web.harness, PFI_MESSAGE_DRAIN, 1);
	for (int i = 0; i < 3; i++) {
		(void)web_read_all(queued[i], answer, sizeof answer);
		ck_assert_int_eq(web_status(answer), 200);
	}
	(void)close(kept_one);
	web_close(&web);
}
END_TEST

/* A thread that is in a callback may ask about the listener: it must not find another's socket there. */
START_TEST(the_index_of_a_removed_listener_stays_unused)
{
	static const char get[] = "GET /late HTTP/1.1\r\nHost: h\r\n\r\n";
	struct web web;

	web_open(&web, handle, kept);
	const int fd = web_ask(&web, get, sizeof get - 1);
	web_wait(&web.counts->handled, 1);
	harness_send(&web.harness, PFI_MESSAGE_DRAIN, 0);
	(void)web_read_all(fd, answer, sizeof answer);
	ck_assert_int_eq(web_status(answer), 200);
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
	tcase_add_test(tc, a_stop_empties_the_queue_of_a_full_worker_too);
	if (harness_threads() > 0)
		tcase_add_test(tc, the_index_of_a_removed_listener_stays_unused);
	return run_suite(suite);
}
