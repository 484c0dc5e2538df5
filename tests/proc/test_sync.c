#include "../support.h"
#include "asleep.h"

#include "harness.h"

#include "model/message.h"

#include <prefork/error.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct prefork_service echo_service = { .struct_size = sizeof echo_service, .ready = harness_echo };

static void expect_exit(struct harness *harness, int code)
{
	const struct pfi_exit_status exit_status = harness_reap(harness);

	ck_assert(exit_status.known);
	ck_assert_int_eq(exit_status.signo, 0);
	ck_assert_int_eq(exit_status.code, code);
}

START_TEST(many_connections_are_echoed_and_a_drain_message_ends_the_worker)
{
	struct harness harness;

	harness_open(&harness, &echo_service);
	harness_spawn(&harness);
	for (int i = 0; i < 100; i++) { /* past a few turns at the back of the queue */
		const int fd = harness_connect(&harness);

		harness_expect_echo(fd, "hello");
		harness_expect_echo(fd, "again");
		ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
		harness_expect_end(fd);
		(void)close(fd);
	}
	ck_assert_uint_eq(harness_requests(&harness), 200);
	harness_await_connections(&harness, 0);
	harness_await_idle(&harness);
	ck_assert(harness_has_activity(&harness, "again"));
	harness_send(&harness, PFI_MESSAGE_DRAIN, 0);
	expect_exit(&harness, PREFORK_EXIT_RECYCLE);
	harness_close(&harness);
}
END_TEST

/* The weakness of a blocking worker: here, connections without input delay no other one. */
START_TEST(idle_connections_never_block_the_worker)
{
	enum { IDLE = 300 };
	struct harness harness;
	int idle[IDLE];

	harness_open(&harness, &echo_service);
	harness_spawn(&harness);
	for (int i = 0; i < IDLE; i++)
		idle[i] = harness_connect(&harness);
	const int fd = harness_connect(&harness);
	harness_expect_echo(fd, "hello");
	harness_expect_echo(idle[IDLE - 1], "late");
	harness_await_connections(&harness, IDLE + 1);
	(void)close(fd);
	for (int i = 0; i < IDLE; i++)
		(void)close(idle[i]);
	harness_close(&harness);
}
END_TEST

/* A client that does not read delays only itself, and receives every byte in the end. */
START_TEST(output_for_a_slow_client_is_buffered)
{
	enum { SIZE = 8 * 1024 * 1024 };
	struct harness harness;
	unsigned char *const bytes = malloc(SIZE);
	size_t sent = 0, read_back = 0;

	ck_assert_ptr_nonnull(bytes);
	harness_open(&harness, &echo_service);
	harness_spawn(&harness);
	const int fd = harness_connect(&harness);
	for (size_t i = 0; i < SIZE; i++)
		bytes[i] = (unsigned char)(i * 31 >> 3);
	while (sent < SIZE) { /* until the buffers of both ends are full */
		const ssize_t n = send(fd, bytes + sent, SIZE - sent, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0) {
			struct pollfd pollfd = { .fd = fd, .events = POLLOUT };
			if (poll(&pollfd, 1, 200) == 0)
				break;
			continue;
		}
		sent += (size_t)n;
	}
	const int other = harness_connect(&harness);
	harness_expect_echo(other, "hello");
	while (read_back < sent) {
		unsigned char got[4096];
		const ssize_t n = recv(fd, got, sizeof got, 0);

		ck_assert_int_gt(n, 0);
		ck_assert_mem_eq(got, bytes + read_back, (size_t)n);
		read_back += (size_t)n;
	}
	(void)close(other);
	(void)close(fd);
	free(bytes);
	harness_close(&harness);
}
END_TEST

/* It counts from the first input: before that, the test may be slow to send. */
static enum prefork_next echo_with_deadline(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	char byte;

	if (recv(prefork_connection_fd(connection), &byte, 1, MSG_PEEK) > 0)
		prefork_connection_set_deadline(connection, 50);
	return harness_echo(worker, connection, user);
}

static enum prefork_next send_late(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	(void)worker;
	(void)user;
	(void)prefork_connection_write(connection, "late", 4);
	return PREFORK_CLOSE;
}

START_TEST(an_expired_deadline_is_reported_once_and_closes_the_connection)
{
	const struct prefork_service service = {
		.struct_size = sizeof service, .ready = echo_with_deadline, .timed_out = send_late,
	};
	struct harness harness;
	char bytes[5];

	harness_open(&harness, &service);
	harness_spawn(&harness);
	const int fd = harness_connect(&harness);
	harness_expect_echo(fd, "hello");
	ck_assert_int_eq(recv(fd, bytes, sizeof bytes, MSG_WAITALL), 4);
	ck_assert_mem_eq(bytes, "late", 4);
	harness_expect_end(fd);
	(void)close(fd);
	harness_close(&harness);
}
END_TEST

static const struct {
	int signo;
	bool graceful;
} stops[] = { { SIGTERM, true }, { SIGINT, false }, { SIGQUIT, false } };

START_TEST(signals_drain_a_worker_and_the_arbiter_is_notified)
{
	struct harness harness;

	harness_open(&harness, &echo_service);
	harness_spawn(&harness);
	const int idle = harness_connect(&harness);
	harness_expect_echo(idle, "hello");
	ck_assert_int_eq(pfi_pidfd_signal(harness.child.pidfd, SIGHUP, 0), 0); /* has no meaning for a worker */
	ck_assert_int_eq(pfi_pidfd_signal(harness.child.pidfd, SIGWINCH, 0), 0);
	harness_expect_echo(idle, "still here");
	ck_assert_int_eq(pfi_pidfd_signal(harness.child.pidfd, stops[_i].signo, 0), 0);
	ck_assert_uint_eq(harness_receive(&harness).type, PFI_MESSAGE_RETIRING);
	harness_expect_end(idle);
	expect_exit(&harness, PREFORK_EXIT_RECYCLE);
	(void)close(idle);
	harness_close(&harness);
}
END_TEST

/* Connections that are in the backlog when the server stops are served. */
START_TEST(a_stop_serves_the_backlog_first)
{
	enum { QUEUED = 20 };
	struct harness harness;
	int fds[QUEUED];

	harness_open(&harness, &echo_service);
	harness_spawn(&harness);
	ck_assert_int_eq(pfi_pidfd_signal(harness.child.pidfd, SIGSTOP, 0), 0);
	for (int i = 0; i < QUEUED; i++) {
		fds[i] = harness_connect(&harness);
		ck_assert_int_eq(send(fds[i], "hello", 5, MSG_NOSIGNAL), 5);
	}
	for (int i = 0; i < QUEUED; i++)
		harness_await_acknowledged(fds[i]);
	harness_send(&harness, PFI_MESSAGE_DRAIN, 1);
	ck_assert_int_eq(pfi_pidfd_signal(harness.child.pidfd, SIGCONT, 0), 0);
	for (int i = 0; i < QUEUED; i++) {
		char bytes[5];

		ck_assert_int_eq(recv(fds[i], bytes, sizeof bytes, MSG_WAITALL), 5);
		(void)close(fds[i]);
	}
	expect_exit(&harness, PREFORK_EXIT_RECYCLE);
	harness_close(&harness);
}
END_TEST

/* While the worker drains, each connection that it serves adds two to the backlog. */
static enum prefork_next multiply(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof address;

	if (prefork_worker_directive(worker) == PREFORK_CONTINUE)
		return harness_echo(worker, connection, user);
	(void)getsockname(*(const int *)user, (struct sockaddr *)&address, &size);
	for (int i = 0; i < 2; i++) {
		const int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

		(void)connect(fd, (struct sockaddr *)&address, size);
		(void)close(fd);
	}
	return PREFORK_CLOSE;
}

/* Connections keep arriving on a socket that does not refuse them: those in the backlog at the begin of the stop are
 * served. */
START_TEST(continuous_connections_do_not_delay_a_stop)
{
	enum { QUEUED = 20 };
	const struct prefork_service service = { .struct_size = sizeof service, .ready = multiply };
	struct harness harness;
	int fds[QUEUED];

	harness_open(&harness, &service);
	const int listener = dup(harness.listener->fd); /* the worker closes its own */
	harness.context.user = (void *)(uintptr_t)&listener;
	harness_spawn(&harness);
	harness_stop(&harness);
	for (int i = 0; i < QUEUED; i++)
		fds[i] = harness_connect(&harness);
	harness_await_backlog(&harness, QUEUED);
	harness_send(&harness, PFI_MESSAGE_DRAIN, 1);
	ck_assert_int_eq(pfi_pidfd_signal(harness.child.pidfd, SIGCONT, 0), 0);
	for (int i = 0; i < QUEUED; i++) {
		harness_expect_end(fds[i]);
		(void)close(fds[i]);
	}
	expect_exit(&harness, PREFORK_EXIT_RECYCLE);
	(void)close(listener);
	harness_close(&harness);
}
END_TEST

static int cannot_start(struct prefork_worker *worker, void *user)
{
	(void)worker;
	return prefork_fail(*(const int *)user, "no database at all");
}

static const struct {
	int error;
	int status;
} boots[] = {
	{ -EINVAL, PREFORK_EXIT_BOOT },
	{ PREFORK_EAPP, PREFORK_EXIT_APP },
	{ PREFORK_EFATAL, PREFORK_EXIT_FATAL },
};

START_TEST(a_worker_that_cannot_start_reports_the_cause)
{
	const struct prefork_service service = {
		.struct_size = sizeof service, .ready = harness_echo, .worker_start = cannot_start,
	};
	struct harness harness;
	int error = boots[_i].error;

	harness_open(&harness, &service);
	harness.context.user = &error;
	ck_assert_int_eq(pfi_spawn(harness_be_worker, &harness.context, &harness.child),
	                 0);
	const struct pfi_message message = harness_receive(&harness);
	ck_assert_uint_eq(message.type, PFI_MESSAGE_FAILED);
	ck_assert_int_eq((int)message.value, boots[_i].status);
	ck_assert_str_eq(message.text, "no database at all");
	expect_exit(&harness, boots[_i].status);
	harness_close(&harness);
}
END_TEST

START_TEST(an_idle_worker_is_never_woken)
{
	struct harness harness;
	struct asleep threads;
	char path[64], line[128];
	unsigned long before = 0, after = 0;

	harness_open(&harness, &echo_service);
	harness_spawn(&harness);
	const int fd = harness_connect(&harness);
	harness_expect_echo(fd, "hello");
	(void)snprintf(path, sizeof path, "/proc/%d/status", (int)harness.child.pid);
	harness_await_idle(&harness);
	asleep_open(&threads, &harness.child.pid, 1);
	asleep_wait(&threads);
	asleep_close(&threads);
	for (int i = 0; i < 2; i++) {
		/* This does not wait for an event: it checks that there is none. */
		(void)poll(NULL, 0, i == 0 ? 200 : 1000);
		FILE *const file = fopen(path, "re");
		ck_assert_ptr_nonnull(file);
		while (fgets(line, sizeof line, file))
			(void)sscanf(line, "voluntary_ctxt_switches: %lu", i == 0 ? &before : &after);
		(void)fclose(file);
	}
	ck_assert_uint_gt(before, 0);
	ck_assert_uint_eq(before, after);
	(void)close(fd);
	harness_close(&harness);
}
END_TEST

START_TEST(an_orphan_exits_by_itself)
{
	struct harness harness;

	harness_open(&harness, &echo_service);
	/* LeakSanitizer or a busy machine may delay the exit by more than the default, 1 s. */
	harness_set(&harness, "orphan_timeout", "1h");
	harness_spawn(&harness);
	ck_assert_int_eq(shutdown(harness.channel[0], SHUT_RDWR), 0);
	expect_exit(&harness, PREFORK_EXIT_RECYCLE);
	harness_close(&harness);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sync");
	TCase *tc = new_case(suite, "sync");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, many_connections_are_echoed_and_a_drain_message_ends_the_worker);
	tcase_add_test(tc, idle_connections_never_block_the_worker);
	tcase_add_test(tc, output_for_a_slow_client_is_buffered);
	tcase_add_test(tc, an_expired_deadline_is_reported_once_and_closes_the_connection);
	tcase_add_loop_test(tc, signals_drain_a_worker_and_the_arbiter_is_notified, 0, 3);
	tcase_add_test(tc, a_stop_serves_the_backlog_first);
	tcase_add_test(tc, continuous_connections_do_not_delay_a_stop);
	tcase_add_loop_test(tc, a_worker_that_cannot_start_reports_the_cause, 0, 3);
	tcase_add_test(tc, an_idle_worker_is_never_woken);
	tcase_add_test(tc, an_orphan_exits_by_itself);

	return run_suite(suite);
}
