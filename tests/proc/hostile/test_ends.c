/*
 * Servers that end under load: during a graceful stop each connection is served or
 * refused and never reset, and no worker outlives the arbiter.
 */
#include "server.h"

#include "os/clock.h"
#include "../../features.h"
#include "../../support.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static const char *const classes[] = { "sync", "threads", "libev" };

enum { CLASSES = sizeof classes / sizeof classes[0], THREADS = 3, BATCH = 8, STOPS = 11 };

/* An address of this process alone: a client that is dropped sends its SYN again after 1 s, and on 127.0.0.1 another test
 * may have bound the port by then. */
static in_addr_t own_host(void)
{
	return (INADDR_LOOPBACK & 0xff000000U) | ((unsigned)getpid() & 0x7fffffU) << 1 | 1U;
}

static const char *own_address(void)
{
	static char text[32];
	const in_addr_t host = own_host();

	(void)snprintf(text, sizeof text, "127.%u.%u.%u:0", host >> 16 & 0xff, host >> 8 & 0xff, host & 0xff);
	return text;
}

static const char *class_arguments(int class, const char *arguments[16])
{
	const char *const these[] = { "--bind", own_address(), "--worker-class", classes[class], "--graceful-timeout", "20s",
				      "--threads", class == 1 ? "2" : "1", "--log-level", "warning", NULL };

	memcpy(arguments, these, sizeof these);
	return has_worker_class(classes[class]) ? classes[class] : NULL;
}

/* ---- clients ---- */

struct clients {
	uint16_t port;
	_Atomic bool over;
	_Atomic unsigned served, refused, reset, cut;
	pthread_t threads[THREADS];
};

static int send_hello(uint16_t port)
{
	const struct timeval limit = { .tv_sec = patience_ms(20000) / 1000 };
	const struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port),
					     .sin_addr.s_addr = htonl(own_host()) };
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0)
		return -1;
	if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
	    (send(fd, "hello", 5, MSG_NOSIGNAL) == 5 || errno == EPIPE))
		return fd;

	const int r = -errno;

	(void)close(fd);
	return r;
}

static void count_result(struct clients *clients, int fd)
{
	char bytes[5];

	if (fd == -ECONNREFUSED) {
		atomic_fetch_add(&clients->refused, 1);
		atomic_store(&clients->over, true);
	} else if (fd < 0) {
		atomic_fetch_add(&clients->reset, 1);
		atomic_store(&clients->over, true);
	} else {
		const ssize_t n = recv(fd, bytes, sizeof bytes, MSG_WAITALL);

		atomic_fetch_add(n == sizeof bytes ? &clients->served : n < 0 ? &clients->reset : &clients->cut, 1);
		(void)close(fd);
	}
}

/* Several at a time, so that the backlog is never empty. */
static void *keep_sending(void *argument)
{
	struct clients *const clients = argument;
	int fds[BATCH];

	while (!atomic_load(&clients->over)) {
		for (int i = 0; i < BATCH; i++)
			fds[i] = send_hello(clients->port);
		for (int i = 0; i < BATCH; i++)
			count_result(clients, fds[i]);
	}
	return NULL;
}

static void start_clients(struct clients *clients, uint16_t port)
{
	*clients = (struct clients){ .port = port };
	for (int t = 0; t < THREADS; t++)
		ck_assert_int_eq(pthread_create(&clients->threads[t], NULL, keep_sending, clients), 0);
}

static void wait_until_served(struct clients *clients, unsigned count)
{
	const uint64_t end_ms = pfi_now_ms() + (uint64_t)patience_ms(20000);

	while (atomic_load(&clients->served) < count) {
		ck_assert_msg(pfi_now_ms() < end_ms, "no response");
		(void)poll(NULL, 0, 1);
	}
}

/* Wait until a client was refused: each one is, once the server has exited. */
static void wait_until_refused(struct clients *clients)
{
	const uint64_t end_ms = pfi_now_ms() + (uint64_t)patience_ms(20000);

	while (!atomic_load(&clients->over)) {
		ck_assert_msg(pfi_now_ms() < end_ms, "no connection is refused");
		(void)poll(NULL, 0, 1);
	}
}

static void stop_clients(struct clients *clients)
{
	atomic_store(&clients->over, true);
	for (int t = 0; t < THREADS; t++)
		(void)pthread_join(clients->threads[t], NULL);
}

/* ---- graceful stops ---- */

/* Three servers, one per worker class, are stopped at the same time. */
START_TEST(a_stop_serves_or_refuses_each_connection)
{
	struct server servers[CLASSES];
	struct clients clients_of[CLASSES];
	const char *arguments[16];
	bool runs[CLASSES];

	if (_i % 3 == 2) /* as without privileges on some kernels */
		ck_assert_int_eq(setenv("TEST_NO_FILTER", "1", 1), 0);
	for (int c = 0; c < CLASSES; c++) {
		runs[c] = class_arguments(c, arguments) != NULL;
		if (runs[c])
			ck_assert(server_start(&servers[c], arguments, 2));
	}
	for (int c = 0; c < CLASSES; c++) {
		if (runs[c])
			start_clients(&clients_of[c], servers[c].port);
	}
	for (int c = 0; c < CLASSES; c++) {
		if (!runs[c])
			continue;
		wait_until_served(&clients_of[c], 20 + (unsigned)_i);
		ck_assert_int_eq(kill(servers[c].pid, SIGTERM), 0);
	}
	for (int c = 0; c < CLASSES; c++) {
		if (!runs[c])
			continue;
		ck_assert_msg(server_wait(&servers[c]) == 0, "%s", classes[c]);
		wait_until_refused(&clients_of[c]);
		stop_clients(&clients_of[c]);
		ck_assert_msg(clients_of[c].reset == 0 && clients_of[c].cut == 0, "%s: %u reset, %u cut, %u served, %u refused",
			      classes[c], clients_of[c].reset, clients_of[c].cut, clients_of[c].served, clients_of[c].refused);
		ck_assert_uint_gt(clients_of[c].refused, 0);
		ck_assert(server_workers_gone(&servers[c], 2000));
		server_finish(&servers[c]);
	}
}
END_TEST

/* ---- quick stops, and stops during a reload ---- */

START_TEST(a_quick_stop_waits_for_no_request)
{
	struct server server;
	const char *arguments[16];

	if (class_arguments(_i, arguments) == NULL)
		return;
	ck_assert(server_start(&server, arguments, 60000));
	const int blocked[] = { send_hello(server.port), send_hello(server.port), send_hello(server.port), send_hello(server.port) };

	const uint64_t before_ms = pfi_now_ms();
	ck_assert_int_eq(kill(server.pid, SIGQUIT), 0);
	ck_assert_int_eq(server_wait(&server), 0);
	ck_assert_uint_lt(pfi_now_ms() - before_ms, (unsigned)patience_ms(5000));
	ck_assert(server_workers_gone(&server, 1));
	for (size_t i = 0; i < sizeof blocked / sizeof blocked[0]; i++)
		(void)close(blocked[i]);
	server_finish(&server);
}
END_TEST

START_TEST(a_stop_during_a_reload_ends_all_workers)
{
	static const char *const arguments[] = { "--bind", "127.0.0.1:0", "--canary-time", "60s", NULL };
	struct server server;

	ck_assert(server_start(&server, arguments, 0));
	ck_assert_int_eq(kill(server.pid, SIGHUP), 0);
	if (_i > 0)
		ck_assert(server_wait_ready(&server, 3)); /* the canary is on probation */
	ck_assert_int_eq(kill(server.pid, SIGTERM), 0);
	ck_assert_int_eq(server_wait(&server), 0);
	ck_assert(server_workers_gone(&server, 1));
	server_finish(&server);
}
END_TEST

/* ---- SIGKILL of the arbiter ---- */

enum situation { IDLE, LOADED, BLOCKED, SITUATIONS };

static bool is_free(uint16_t port)
{
	const struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port),
					     .sin_addr.s_addr = htonl(own_host()) };
	const int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const bool is = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
			bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 1) == 0;

	(void)close(fd);
	return is;
}

START_TEST(no_worker_outlives_the_arbiter)
{
	const enum situation situation = (enum situation)(_i / CLASSES);
	struct server server;
	struct clients clients;
	int blocked[8];
	const char *arguments[16];

	if (class_arguments(_i % CLASSES, arguments) == NULL)
		return;
	ck_assert(server_start(&server, arguments, situation == BLOCKED ? 60000 : 1));
	if (situation == LOADED) {
		start_clients(&clients, server.port);
		wait_until_served(&clients, 50);
	}
	for (size_t i = 0; situation == BLOCKED && i < sizeof blocked / sizeof blocked[0]; i++)
		blocked[i] = send_hello(server.port);
	if (situation == BLOCKED)
		(void)poll(NULL, 0, 50); /* most likely they are accepted by now */
	ck_assert_int_eq(kill(server.pid, SIGKILL), 0);
	ck_assert_msg(server_workers_gone(&server, 2000), "%s, situation %d", classes[_i % CLASSES], (int)situation);
	ck_assert(is_free(server.port));
	if (situation == LOADED)
		stop_clients(&clients);
	for (size_t i = 0; situation == BLOCKED && i < sizeof blocked / sizeof blocked[0]; i++)
		(void)close(blocked[i]);
	server_finish(&server);
}
END_TEST

/* The path of a killed server does not prevent the next start. */
START_TEST(a_path_of_a_killed_server_can_be_bound_again)
{
	char directory[] = "/tmp/prefork-test-XXXXXX", address[128];
	struct server server;
	struct stat entry;

	ck_assert_ptr_nonnull(mkdtemp(directory));
	(void)snprintf(address, sizeof address, "unix:%s/socket", directory);
	const char *const path = address + 5;
	const char *const arguments[] = { "--bind", address, NULL };

	for (int i = 0; i < 2; i++) {
		ck_assert(server_start(&server, arguments, 0));
		ck_assert_int_eq(kill(server.pid, SIGKILL), 0);
		ck_assert(server_workers_gone(&server, 2000));
		ck_assert_int_eq(stat(path, &entry), 0); /* the path still exists */
		server_finish(&server);
	}
	ck_assert(server_start(&server, arguments, 0));
	ck_assert_int_eq(kill(server.pid, SIGTERM), 0);
	ck_assert_int_eq(server_wait(&server), 0);
	ck_assert_int_lt(stat(path, &entry), 0);
	server_finish(&server);
	ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

int main(void)
{
	Suite *const suite = suite_create("ends");
	TCase *const tc = new_case(suite, "ends");

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, a_stop_serves_or_refuses_each_connection, 0, STOPS);
	tcase_add_loop_test(tc, a_quick_stop_waits_for_no_request, 0, CLASSES);
	tcase_add_loop_test(tc, a_stop_during_a_reload_ends_all_workers, 0, 2);
	tcase_add_loop_test(tc, no_worker_outlives_the_arbiter, 0, SITUATIONS * CLASSES);
	tcase_add_test(tc, a_path_of_a_killed_server_can_be_bound_again);
	return run_suite(suite);
}
