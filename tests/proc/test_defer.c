/* Which listeners have TCP_DEFER_ACCEPT, as the kernel reports it, under an arbiter. */
#include "../suite.h"

#include "os/fd.h"

#include <prefork/arbiter.h>
#include <prefork/error.h>
#include <prefork/http.h>
#include <prefork/listener.h>
#include <prefork/settings.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int respond_hello(struct prefork_request *request, void *user)
{
	(void)user;
	(void)prefork_response_start(request, 200, NULL);
	return prefork_response_bytes(request, "hello", 5);
}

static enum prefork_next greet(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	(void)worker;
	(void)user;
	(void)prefork_connection_write(connection, "hello", 5);
	return PREFORK_CLOSE;
}

static const struct prefork_http_service web = { .struct_size = sizeof web, .handle = respond_hello };
static const struct prefork_service greeter = { .struct_size = sizeof greeter, .ready = greet };

enum { WEB = 1, GREETER = 2 };

static const struct {
	unsigned pools;
	const char *word;
	bool inherited;
	int seconds; /* TCP_DEFER_ACCEPT */
} cases[] = {
	{ WEB, "auto", false, 1 },
	{ WEB, "on", false, 1 },
	{ WEB, "off", false, 0 },
	{ WEB, "auto", true, 0 },
	{ WEB, "on", true, 0 },
	{ GREETER, "auto", false, 0 },
	{ GREETER, "on", false, 1 },
	{ WEB | GREETER, "auto", false, 0 }, /* one listener for both pools: clients of the greeter send nothing first */
};

static int fds_before;

static void set_up(void)
{
	static const int restored[] = { SIGTERM, SIGINT, SIGALRM };

	for (size_t i = 0; i < sizeof restored / sizeof restored[0]; i++)
		ck_assert(signal(restored[i], SIG_DFL) != SIG_ERR);
	fds_before = pfi_fd_count();
}

static int open_socket(void)
{
	const struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	const int fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
	ck_assert_int_eq(listen(fd, 16), 0);
	return fd;
}

static struct prefork_arbiter *start(const char *address, const char *word, const char *header_timeout, unsigned pools)
{
	const char *const argv[] = { "test", "--bind", address, "--defer-accept", word, "--header-timeout",
		                     header_timeout, "--log-level", "critical", NULL };
	struct prefork_settings *settings = NULL;
	struct prefork_arbiter *arbiter = NULL;

	ck_assert_int_eq(prefork_http_load((int)(sizeof argv / sizeof argv[0]) - 1,
	                                   (char *const *)(uintptr_t)argv, &settings), 0);
	ck_assert_int_eq(prefork_arbiter_create(settings, &arbiter), 0);
	if (pools & WEB)
		ck_assert_int_eq(prefork_http_add_service(arbiter, "web", &web, NULL), 0);
	if (pools & GREETER)
		ck_assert_int_eq(prefork_arbiter_add_service(arbiter, "greeter", &greeter, NULL), 0);
	ck_assert_msg(prefork_arbiter_start(arbiter) == 0, "%s", prefork_error());
	prefork_settings_destroy(settings);
	return arbiter;
}

START_TEST(only_own_client_first_listeners_defer_accept)
{
	const bool inherited = cases[_i].inherited;
	const int fd = inherited ? open_socket() : -1;
	char address[32] = "127.0.0.1:0";
	socklen_t size = sizeof(int);
	int seconds = -1;

	if (inherited)
		(void)snprintf(address, sizeof address, "fd://%d", fd);
	struct prefork_arbiter *const arbiter = start(address, cases[_i].word, "10", cases[_i].pools);
	const struct prefork_listener *const listener = prefork_arbiter_listener(arbiter, 0);

	ck_assert_int_eq(prefork_listener_is_inherited(listener), inherited);
	ck_assert_int_eq(getsockopt(prefork_listener_fd(listener), IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, &size), 0);
	ck_assert_int_eq(seconds, cases[_i].seconds);
	prefork_arbiter_destroy(arbiter);
	ck_assert_int_eq(pfi_fd_count(), fds_before);
}
END_TEST

static int connect_to(const struct prefork_listener *listener)
{
	const char *const patience = getenv("TEST_PATIENCE");
	const struct timeval limit = { .tv_sec = 20L * (patience != NULL && atoi(patience) > 0 ? atoi(patience) : 1) };
	struct sockaddr_in address;
	socklen_t size = sizeof address;
	const int fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
	ck_assert_int_eq(getsockname(prefork_listener_fd(listener), (struct sockaddr *)&address, &size), 0);
	ck_assert_int_eq(connect(fd, (const struct sockaddr *)&address, size), 0);
	return fd;
}

/* The worker can accept the connection after 1 s, when header_timeout starts. */
START_TEST(a_connection_without_a_request_times_out)
{
	struct prefork_arbiter *const arbiter = start("127.0.0.1:0", "auto", "200ms", WEB);
	const int fd = connect_to(prefork_arbiter_listener(arbiter, 0));
	char byte;

	ck_assert_int_eq(recv(fd, &byte, 1, 0), 0);
	ck_assert_int_eq(close(fd), 0);
	prefork_arbiter_destroy(arbiter);
	ck_assert_int_eq(pfi_fd_count(), fds_before);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("defer");
	TCase *tc = tcase_create("defer");
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, set_up, NULL);
	tcase_add_loop_test(tc, only_own_client_first_listeners_defer_accept, 0,
	                    (int)(sizeof cases / sizeof cases[0]));
	tcase_add_test(tc, a_connection_without_a_request_times_out);
	suite_add_tcase(suite, tc);

	return run_suite(suite);
}
