/*
 * Whole servers come to their end under load: a client of a graceful stop is answered or
 * refused and never reset, and nobody survives the arbiter.
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

static const char *const classes[] = { "sync", "threads", "libev" };

enum { CLASSES = sizeof classes / sizeof classes[0], THREADS = 3, BATCH = 8, STOPS = 11 };

static const char *class_arguments(int class, const char *arguments[16])
{
	const char *const these[] = { "--bind", "127.0.0.1:0", "--worker-class", classes[class], "--graceful-timeout", "20s",
				      "--threads", class == 1 ? "2" : "1", NULL };

	memcpy(arguments, these, sizeof these);
	return has_worker_class(classes[class]) ? classes[class] : NULL;
}

/* ---- clients ---- */

struct crowd {
	uint16_t port;
	_Atomic bool over;
	_Atomic unsigned answered, refused, reset, cut;
	pthread_t threads[THREADS];
};

static int call(uint16_t port)
{
	const struct timeval limit = { .tv_sec = patience_ms(20000) / 1000 };
	const struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port),
					     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
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

static void tell(struct crowd *crowd, int fd)
{
	char bytes[5];

	if (fd == -ECONNREFUSED) {
		atomic_fetch_add(&crowd->refused, 1);
		atomic_store(&crowd->over, true);
	} else if (fd < 0) {
		atomic_fetch_add(&crowd->reset, 1);
		atomic_store(&crowd->over, true);
	} else {
		const ssize_t n = recv(fd, bytes, sizeof bytes, MSG_WAITALL);

		atomic_fetch_add(n == sizeof bytes ? &crowd->answered : n < 0 ? &crowd->reset : &crowd->cut, 1);
		(void)close(fd);
	}
}

/* Several at a time, so that there is always a queue. */
static void *keep_calling(void *argument)
{
	struct crowd *const crowd = argument;
	int fds[BATCH];

	while (!atomic_load(&crowd->over)) {
		for (int i = 0; i < BATCH; i++)
			fds[i] = call(crowd->port);
		for (int i = 0; i < BATCH; i++)
			tell(crowd, fds[i]);
	}
	return NULL;
}

static void gather(struct crowd *crowd, uint16_t port)
{
	*crowd = (struct crowd){ .port = port };
	for (int t = 0; t < THREADS; t++)
		ck_assert_int_eq(pthread_create(&crowd->threads[t], NULL, keep_calling, crowd), 0);
}

static void wait_until_answered(struct crowd *crowd, unsigned count)
{
	const uint64_t end_ms = pfi_now_ms() + (uint64_t)patience_ms(20000);

	while (atomic_load(&crowd->answered) < count) {
		ck_assert_msg(pfi_now_ms() < end_ms, "no answers");
		(void)poll(NULL, 0, 1);
	}
}

/* Wait until a client was refused: each one is, once the server has exited. */
static void wait_until_refused(struct crowd *crowd)
{
	const uint64_t end_ms = pfi_now_ms() + (uint64_t)patience_ms(20000);

	while (!atomic_load(&crowd->over)) {
		ck_assert_msg(pfi_now_ms() < end_ms, "no connection is refused");
		(void)poll(NULL, 0, 1);
	}
}

static void disperse(struct crowd *crowd)
{
	atomic_store(&crowd->over, true);
	for (int t = 0; t < THREADS; t++)
		(void)pthread_join(crowd->threads[t], NULL);
}

/* ---- graceful stops ---- */

/* Three servers, one of each class, are stopped at the same time. */
START_TEST(a_stop_serves_or_refuses_each_connection)
{
	struct server servers[CLASSES];
	struct crowd crowds[CLASSES];
	const char *arguments[16];
	bool runs[CLASSES];

	if (_i % 3 == 2) /* to a process without privileges filters are not allowed, on some kernels */
		ck_assert_int_eq(setenv("TEST_NO_FILTER", "1", 1), 0);
	for (int c = 0; c < CLASSES; c++) {
		runs[c] = class_arguments(c, arguments) != NULL;
		if (runs[c])
			ck_assert(server_start(&servers[c], arguments, 2));
	}
	for (int c = 0; c < CLASSES; c++) {
		if (runs[c])
			gather(&crowds[c], servers[c].port);
	}
	for (int c = 0; c < CLASSES; c++) {
		if (!runs[c])
			continue;
		wait_until_answered(&crowds[c], 20 + (unsigned)_i);
		ck_assert_int_eq(kill(servers[c].pid, SIGTERM), 0);
	}
	for (int c = 0; c < CLASSES; c++) {
		if (!runs[c])
			continue;
		ck_assert_msg(server_wait(&servers[c]) == 0, "%s", classes[c]);
		wait_until_refused(&crowds[c]);
		disperse(&crowds[c]);
		ck_assert_msg(crowds[c].reset == 0 && crowds[c].cut == 0, "%s: %u reset, %u cut, %u answered, %u refused",
			      classes[c], crowds[c].reset, crowds[c].cut, crowds[c].answered, crowds[c].refused);
		ck_assert_uint_gt(crowds[c].refused, 0);
		ck_assert(server_workers_gone(&servers[c], 2000));
		server_finish(&servers[c]);
	}
}
END_TEST

/* ---- quick stops, and stops of what is under way ---- */

START_TEST(a_quick_stop_waits_for_no_request)
{
	struct server server;
	const char *arguments[16];

	if (class_arguments(_i, arguments) == NULL)
		return;
	ck_assert(server_start(&server, arguments, 60000));
	const int clients[] = { call(server.port), call(server.port), call(server.port), call(server.port) };

	const uint64_t before_ms = pfi_now_ms();
	ck_assert_int_eq(kill(server.pid, SIGQUIT), 0);
	ck_assert_int_eq(server_wait(&server), 0);
	ck_assert_uint_lt(pfi_now_ms() - before_ms, (unsigned)patience_ms(5000));
	ck_assert(server_workers_gone(&server, 1));
	for (size_t i = 0; i < sizeof clients / sizeof clients[0]; i++)
		(void)close(clients[i]);
	server_finish(&server);
}
END_TEST

START_TEST(a_stop_in_the_midst_of_a_reload_ends_all)
{
	static const char *const arguments[] = { "--bind", "127.0.0.1:0", "--canary-time", "60s", NULL };
	struct server server;

	ck_assert(server_start(&server, arguments, 0));
	ck_assert_int_eq(kill(server.pid, SIGHUP), 0);
	if (_i > 0)
		ck_assert(server_wait_ready(&server, 3)); /* the canary is there, and on probation */
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
					     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const bool is = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
			bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 1) == 0;

	(void)close(fd);
	return is;
}

START_TEST(no_worker_survives_the_arbiter)
{
	const enum situation situation = (enum situation)(_i / CLASSES);
	struct server server;
	struct crowd crowd;
	int clients[8];
	const char *arguments[16];

	if (class_arguments(_i % CLASSES, arguments) == NULL)
		return;
	ck_assert(server_start(&server, arguments, situation == BLOCKED ? 60000 : 1));
	if (situation == LOADED) {
		gather(&crowd, server.port);
		wait_until_answered(&crowd, 50);
	}
	for (size_t i = 0; situation == BLOCKED && i < sizeof clients / sizeof clients[0]; i++)
		clients[i] = call(server.port);
	if (situation == BLOCKED)
		(void)poll(NULL, 0, 50); /* they have been picked up by now, most likely */
	ck_assert_int_eq(kill(server.pid, SIGKILL), 0);
	ck_assert_msg(server_workers_gone(&server, 2000), "%s, situation %d", classes[_i % CLASSES], (int)situation);
	ck_assert(is_free(server.port));
	if (situation == LOADED)
		disperse(&crowd);
	for (size_t i = 0; situation == BLOCKED && i < sizeof clients / sizeof clients[0]; i++)
		(void)close(clients[i]);
	server_finish(&server);
}
END_TEST

/* The path that it leaves behind is no obstacle to the next one. */
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
		ck_assert_int_eq(stat(path, &entry), 0); /* it is there, and nobody's */
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
	tcase_add_loop_test(tc, a_stop_in_the_midst_of_a_reload_ends_all, 0, 2);
	tcase_add_loop_test(tc, no_worker_survives_the_arbiter, 0, SITUATIONS * CLASSES);
	tcase_add_test(tc, a_path_of_a_killed_server_can_be_bound_again);
	return run_suite(suite);
}
