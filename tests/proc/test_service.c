/* The guarantees of <prefork/service.h>, observed by a client. */
#include "../support.h"
#include "asleep.h"

#include "harness.h"

#include "model/message.h"
#include "os/clock.h"
#include "worker/accept_set.h"

#include <prefork/error.h>

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct prefork_worker worker_t;
typedef struct prefork_connection connection_t;

static void *resume_elsewhere(void *argument)
{
	connection_t *const connection = argument;

	if (!prefork_connection_may_block(connection))
		abort();
	prefork_connection_resume(connection, harness_echo(prefork_connection_worker(connection), connection, NULL));
	return NULL;
}

static enum prefork_next suspend(worker_t *worker, connection_t *connection, void *user)
{
	pthread_t thread;
	char byte;

	(void)worker;
	(void)user;
	const ssize_t n = recv(prefork_connection_fd(connection), &byte, 1, MSG_PEEK);
	if (n <= 0)
		return n < 0 && errno == EAGAIN ? PREFORK_WAIT_READABLE : PREFORK_CLOSE;
	if (pthread_create(&thread, NULL, resume_elsewhere, connection) != 0)
		return PREFORK_CLOSE;
	(void)pthread_detach(thread);
	return PREFORK_SUSPENDED;
}

START_TEST(a_suspended_connection_is_resumed_from_another_thread)
{
	const struct prefork_service service = { .struct_size = sizeof service, .ready = suspend };
	struct harness harness;

	harness_open(&harness, &service);
	harness_spawn(&harness);
	const int fd = harness_connect(&harness);
	for (int i = 0; i < 200; i++)
		harness_expect_echo(fd, "hello");
	harness_send(&harness, PFI_MESSAGE_DRAIN, 0);
	harness_expect_end(fd);
	ck_assert_int_eq(harness_reap(&harness).code, 0);
	(void)close(fd);
	harness_close(&harness);
}
END_TEST

/* Reads two pieces in one callback, and sends a byte between them, however long the client takes. */
static enum prefork_next read_twice(worker_t *worker, connection_t *connection, void *user)
{
	char bytes[2];

	(void)worker;
	(void)user;
	for (size_t i = 0; i < sizeof bytes; i++) {
		if (i > 0)
			(void)prefork_connection_write(connection, "?", 1);
		while (prefork_connection_read(connection, &bytes[i], 1) == -EAGAIN) {
			if (prefork_connection_wait(connection, PREFORK_WAIT_READABLE, UINT64_MAX) < 0)
				return PREFORK_CLOSE;
		}
	}
	(void)prefork_connection_write(connection, bytes, sizeof bytes);
	return PREFORK_CLOSE;
}

START_TEST(a_callback_may_block_on_its_connection)
{
	const struct prefork_service service = { .struct_size = sizeof service, .ready = read_twice };
	struct harness harness;
	char bytes[2];

	harness_open(&harness, &service);
	harness_spawn(&harness);
	const int fd = harness_connect(&harness);
	ck_assert_int_eq(send(fd, "o", 1, MSG_NOSIGNAL), 1);
	ck_assert_int_eq(recv(fd, bytes, 1, MSG_WAITALL), 1);
	harness_await_idle(&harness); /* while the callback waits for the client, it has no deadline */
	ck_assert_int_eq(send(fd, "k", 1, MSG_NOSIGNAL), 1);
	ck_assert_int_eq(recv(fd, bytes, 2, MSG_WAITALL), 2);
	ck_assert_mem_eq(bytes, "ok", 2);
	(void)close(fd);
	harness_close(&harness);
}
END_TEST

START_TEST(a_callback_that_blocks_on_its_connection_returns_when_the_worker_quits)
{
	const struct prefork_service service = { .struct_size = sizeof service, .ready = read_twice };
	struct harness harness;

	harness_open(&harness, &service);
	harness_spawn(&harness);
	const int fd = harness_connect(&harness);
	ck_assert_int_eq(send(fd, "o", 1, MSG_NOSIGNAL), 1);
	harness_signal(&harness, SIGQUIT);
	ck_assert_int_eq(harness_reap(&harness).code, 0);
	(void)close(fd);
	harness_close(&harness);
}
END_TEST

/* Only a few descriptors are left; later connections are closed. */
static int leave_few_descriptors(worker_t *worker, void *user)
{
	const struct rlimit limit = { 24, 24 };

	(void)worker;
	(void)user;
	return setrlimit(RLIMIT_NOFILE, &limit);
}

START_TEST(without_descriptors_accepting_pauses_and_resumes)
{
	enum { CLIENTS = 40 };
	const struct prefork_service service = {
		.struct_size = sizeof service, .ready = harness_echo, .worker_start = leave_few_descriptors,
	};
	struct harness harness;
	int fds[CLIENTS];

	harness_open(&harness, &service);
	harness_spawn(&harness);
	for (int i = 0; i < CLIENTS; i++)
		fds[i] = harness_connect(&harness);
	harness_expect_echo(fds[0], "hello"); /* an accepted connection is served */
	for (int i = 0; i < CLIENTS - 1; i++)
		(void)close(fds[i]);
	harness_expect_echo(fds[CLIENTS - 1], "hello"); /* and one that was pending is accepted */
	(void)close(fds[CLIENTS - 1]);
	harness_close(&harness);
}
END_TEST

static enum prefork_next hang(worker_t *worker, connection_t *connection, void *user)
{
	(void)connection;
	(void)user;
	prefork_worker_set_activity(worker, "GET /hang\n", 10);
	prefork_worker_ready(worker); /* is sent only once */
	while (pause() < 0)
		continue;
	return PREFORK_CLOSE;
}

START_TEST(an_aborted_worker_is_logged_with_its_activity)
{
	const struct prefork_service service = { .struct_size = sizeof service, .ready = hang };
	struct harness harness;
	char text[8192] = "";
	size_t size = 0;
	int ends[2];

	harness_open(&harness, &service);
	ck_assert_int_eq(pipe(ends), 0);
	const int before = dup(2);
	ck_assert_int_eq(dup2(ends[1], 2), 2);
	harness_spawn(&harness);
	ck_assert_int_eq(dup2(before, 2), 2);
	(void)close(before);
	(void)close(ends[1]);
	const int fd = harness_connect(&harness);
	const uint64_t until_ms = pfi_now_ms() + (uint64_t)harness_patience_ms();
	while (!harness_has_activity(&harness, "GET /hang\n") && pfi_now_ms() < until_ms)
		(void)poll(NULL, 0, 1);
	ck_assert_int_eq(pfi_pidfd_signal(harness.child.pidfd, SIGABRT, 0), 0);
	const struct pfi_exit_status exit_status = harness_reap(&harness);
	ck_assert_int_eq(exit_status.signo, SIGABRT);
	for (ssize_t n; (n = read(ends[0], text + size, sizeof text - 1 - size)) > 0;)
		size += (size_t)n;
	ck_assert_ptr_nonnull(strstr(text, " event=worker_abort pool="));
	ck_assert_ptr_nonnull(strstr(text, "with \"GET /hang?\""));
	(void)close(ends[0]);
	(void)close(fd);
	harness_close(&harness);
}
END_TEST

static enum prefork_next die(worker_t *worker, connection_t *connection, void *user)
{
	(void)worker;
	(void)connection;
	(void)user;
	_exit(9);
}

/* Otherwise its exit would count as a boot failure and stop the server. */
START_TEST(a_worker_that_crashes_on_its_first_connection_was_ready)
{
	const struct prefork_service service = { .struct_size = sizeof service, .ready = die };

	for (int i = 0; i < 20; i++) {
		struct harness harness;

		harness_open(&harness, &service);
		const int fd = harness_connect(&harness);
		ck_assert_int_eq(send(fd, "x", 1, MSG_NOSIGNAL), 1);
		harness_spawn(&harness);
		ck_assert_int_eq(harness_reap(&harness).code, 9);
		(void)close(fd);
		harness_close(&harness);
	}
}
END_TEST

/* Responds to complete lines. */
static enum prefork_next respond_to_lines(worker_t *worker, connection_t *connection, void *user)
{
	char bytes[64];
	const ptrdiff_t n = prefork_connection_read(connection, bytes, sizeof bytes);

	(void)worker;
	(void)user;
	if (n == 0 || (n < 0 && n != -EAGAIN))
		return PREFORK_CLOSE;
	return n > 0 && bytes[n - 1] == '\n' ? prefork_connection_write(connection, "hello\n", 6) : PREFORK_WAIT_READABLE;
}

/* The first request of an accepted connection, or the rest of a request, may arrive late. A connection that has got a
 * response is closed at once. */
START_TEST(connections_without_a_response_continue_during_a_drain)
{
	const struct prefork_service service = { .struct_size = sizeof service, .ready = respond_to_lines };
	struct harness harness;
	char bytes[6];

	harness_open(&harness, &service);
	harness_spawn(&harness);
	const int new = harness_connect(&harness), half = harness_connect(&harness), kept = harness_connect(&harness);
	ck_assert_int_eq(send(half, "hel", 3, MSG_NOSIGNAL), 3);
	harness_expect_echo(kept, "hello\n");
	harness_await_connections(&harness, 3);
	harness_send(&harness, PFI_MESSAGE_DRAIN, 0);
	harness_expect_end(kept);
	harness_expect_echo(new, "hello\n");
	harness_expect_end(new);
	ck_assert_int_eq(send(half, "lo\n", 3, MSG_NOSIGNAL), 3);
	ck_assert_int_eq(recv(half, bytes, sizeof bytes, MSG_WAITALL), sizeof bytes);
	harness_expect_end(half);
	ck_assert_int_eq(harness_reap(&harness).code, 0);
	(void)close(new);
	(void)close(half);
	(void)close(kept);
	harness_close(&harness);
}
END_TEST

/* The kernel has woken no other worker for it. */
START_TEST(a_draining_worker_accepts_the_connection_that_woke_it)
{
	const struct prefork_service service = { .struct_size = sizeof service, .ready = harness_echo };
	struct harness harness;

	for (int i = 0; i < 20; i++) {
		harness_open(&harness, &service);
		harness_spawn(&harness);
		harness_await_idle(&harness);
		/* So that both are pending, in whatever order its threads run. */
		ck_assert_int_eq(pfi_pidfd_signal(harness.child.pidfd, SIGSTOP, 0), 0);
		const int fd = harness_connect(&harness);
		ck_assert_int_eq(send(fd, "hello", 5, MSG_NOSIGNAL), 5);
		harness_await_acknowledged(fd);
		harness_send(&harness, PFI_MESSAGE_DRAIN, 0);
		ck_assert_int_eq(pfi_pidfd_signal(harness.child.pidfd, SIGCONT, 0), 0);
		char bytes[5];
		ck_assert_int_eq(recv(fd, bytes, sizeof bytes, MSG_WAITALL), 5);
		(void)close(fd);
		(void)harness_reap(&harness);
		harness_close(&harness);
	}
}
END_TEST

/* A drain waits only a short time for a client that sends nothing. That deadline is not reported to the service. */
START_TEST(an_idle_connection_does_not_delay_a_drain)
{
	const struct prefork_service service = {
		.struct_size = sizeof service, .ready = respond_to_lines, .timed_out = die,
	};
	struct harness harness;

	harness_open(&harness, &service);
	harness_spawn(&harness);
	const int fd = harness_connect(&harness);
	harness_await_connections(&harness, 1);
	harness_send(&harness, PFI_MESSAGE_DRAIN, 0);
	harness_expect_end(fd);
	ck_assert_int_eq(harness_reap(&harness).code, 0);
	(void)close(fd);
	harness_close(&harness);
}
END_TEST

static enum prefork_next offload_echo(worker_t *worker, connection_t *connection, void *user)
{
	(void)worker;
	return prefork_connection_offload(connection, harness_echo, user);
}

START_TEST(without_a_pool_an_offloaded_callback_is_called_at_once)
{
	const struct prefork_service service = { .struct_size = sizeof service, .ready = offload_echo };
	struct harness harness;

	harness_open(&harness, &service);
	harness_spawn(&harness);
	const int fd = harness_connect(&harness);
	for (int i = 0; i < 10; i++)
		harness_expect_echo(fd, "hello");
	(void)close(fd);
	harness_close(&harness);
}
END_TEST

enum { WORKERS = 4, CLIENTS = 4 * WORKERS * PFI_REQUEUE_AFTER };

static unsigned connections_of(const struct pfi_scoreboard *scoreboard, unsigned worker)
{
	const struct pfi_worker_score *const score = pfi_scoreboard_at(scoreboard, worker);

	return score->connections;
}

static unsigned connections_of_all(const struct pfi_scoreboard *scoreboard)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < WORKERS; i++)
		sum += connections_of(scoreboard, i);
	return sum;
}

/* Opens CLIENTS connections, one at a time, and closes them. Returns the largest number that one worker had. */
static unsigned most_for_one(const struct harness *harness, const struct pfi_scoreboard *scoreboard,
                             const struct asleep *workers)
{
	int fds[CLIENTS];
	unsigned most = 0;

	for (int i = 0; i < CLIENTS; i++) {
		asleep_wait(workers);
		fds[i] = harness_connect(harness);
		harness_expect_echo(fds[i], "hello");
	}
	for (unsigned i = 0; i < WORKERS; i++) {
		const unsigned got = connections_of(scoreboard, i);

		most = got > most ? got : most;
	}
	for (int i = 0; i < CLIENTS; i++)
		(void)close(fds[i]);
	const uint64_t until_ms = pfi_now_ms() + (uint64_t)harness_patience_ms();
	while (connections_of_all(scoreboard) > 0) {
		ck_assert_uint_lt(pfi_now_ms(), until_ms);
		(void)poll(NULL, 0, 1);
	}
	return most;
}

/* Four workers wait on one listener: each accepts an equal share, plus or minus one turn at the front of the wait
 * queue. */
START_TEST(connections_are_balanced_evenly)
{
	const unsigned fair = CLIENTS / WORKERS + PFI_REQUEUE_AFTER;
	const struct prefork_service service = { .struct_size = sizeof service, .ready = harness_echo };
	struct harness harness;
	struct pfi_child children[WORKERS];
	struct pfi_scoreboard scoreboard;
	struct asleep workers;
	pid_t pids[WORKERS];

	harness_open(&harness, &service);
	ck_assert_int_eq(pfi_scoreboard_open(WORKERS, pfi_worker_score_bytes(harness.context.thread_slots), &scoreboard), 0);
	harness.context.scoreboard = NULL;
	for (unsigned i = 0; i < WORKERS; i++) {
		harness.context.slot = i;
		harness.context.score = pfi_scoreboard_at(&scoreboard, i);
		harness_spawn(&harness);
		children[i] = harness.child;
		pids[i] = harness.child.pid;
		harness.child.pidfd = -1;
	}
	asleep_open(&workers, pids, WORKERS);
	ck_assert_uint_le(most_for_one(&harness, &scoreboard, &workers), fair);
	asleep_close(&workers);
	for (unsigned i = 0; i < WORKERS; i++) {
		harness.child = children[i];
		ck_assert_int_eq(pfi_pidfd_signal(harness.child.pidfd, SIGTERM, 0), 0);
		ck_assert_int_eq(harness_reap(&harness).code, 0);
	}
	pfi_scoreboard_close(&scoreboard);
	harness_close(&harness);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("service");
	TCase *tc = new_case(suite, "service");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_suspended_connection_is_resumed_from_another_thread);
	if (harness_may_block()) {
		tcase_add_test(tc, a_callback_may_block_on_its_connection);
		tcase_add_test(tc, a_callback_that_blocks_on_its_connection_returns_when_the_worker_quits);
	}
	tcase_add_test(tc, without_descriptors_accepting_pauses_and_resumes);
	tcase_add_test(tc, an_aborted_worker_is_logged_with_its_activity);
	tcase_add_test(tc, a_worker_that_crashes_on_its_first_connection_was_ready);
	tcase_add_test(tc, connections_without_a_response_continue_during_a_drain);
	tcase_add_test(tc, a_draining_worker_accepts_the_connection_that_woke_it);
	tcase_add_test(tc, an_idle_connection_does_not_delay_a_drain);
	tcase_add_test(tc, without_a_pool_an_offloaded_callback_is_called_at_once);
	tcase_add_test(tc, connections_are_balanced_evenly);

	return run_suite(suite);
}
