/* Guarantees between connections that are ready at the same time. */
#include "../support.h"

#include "harness.h"

#include "model/message.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct prefork_worker worker_t;
typedef struct prefork_connection connection_t;

enum { OTHERS = 40, BYTES = 1024, TURNS = 3, DEADLINE_MS = 500 };

/* In the worker: bytes read from the others since the first turn of the connection that returns PREFORK_AGAIN. */
static atomic_uint bytes_read;

/* Reads one byte at a time: "t" of the others, or "p", which starts some turns by PREFORK_AGAIN. The last of these sends
 * how many bytes of the others were read meanwhile. */
static enum prefork_next take_turns(worker_t *worker, connection_t *connection, void *user)
{
	const uintptr_t turn = (uintptr_t)prefork_connection_user(connection);
	char byte, text[16];

	(void)worker;
	(void)user;
	if (turn == 0) {
		const ptrdiff_t n = prefork_connection_read(connection, &byte, 1);

		if (n <= 0)
			return n == -EAGAIN ? PREFORK_WAIT_READABLE : PREFORK_CLOSE;
		if (byte == 'h')
			return prefork_connection_write(connection, "h", 1);
		if (byte == 't')
			atomic_fetch_add(&bytes_read, 1);
		if (byte != 'p')
			return PREFORK_WAIT_READABLE;
		atomic_store(&bytes_read, 0);
	}
	prefork_connection_set_user(connection, (void *)(turn + 1));
	if (turn < TURNS)
		return PREFORK_AGAIN;
	(void)snprintf(text, sizeof text, "%u\n", atomic_load(&bytes_read));
	(void)prefork_connection_write(connection, text, strlen(text));
	return PREFORK_CLOSE;
}

START_TEST(again_is_honoured_under_load_of_other_connections)
{
	const struct prefork_service service = { .struct_size = sizeof service, .ready = take_turns };
	struct harness harness;
	char input[BYTES], text[16] = "";
	int others[OTHERS];

	harness_open(&harness, &service);
	harness_spawn(&harness);
	const int waiting = harness_connect(&harness);
	harness_expect_echo(waiting, "h");
	memset(input, 't', sizeof input);
	for (int i = 0; i < OTHERS; i++) {
		others[i] = harness_connect(&harness);
		harness_expect_echo(others[i], "h");
	}
	ck_assert_int_eq(pfi_pidfd_signal(harness.child.pidfd, SIGSTOP, 0), 0);
	ck_assert_int_eq(send(waiting, "p", 1, MSG_NOSIGNAL), 1);
	for (int i = 0; i < OTHERS; i++)
		ck_assert_int_eq(send(others[i], input, sizeof input, MSG_NOSIGNAL), BYTES);
	ck_assert_int_eq(pfi_pidfd_signal(harness.child.pidfd, SIGCONT, 0), 0);
	ck_assert_int_gt(recv(waiting, text, sizeof text - 1, MSG_WAITALL), 0);
	ck_assert_msg(atoi(text) < OTHERS * BYTES / 4, "after %d bytes of others", atoi(text));
	for (int i = 0; i < OTHERS; i++)
		(void)close(others[i]);
	(void)close(waiting);
	harness_close(&harness);
}
END_TEST

static _Atomic(connection_t *) suspended[2]; /* in the worker */
static atomic_int closed_count;

/* Two connections are suspended, and a callback of the third resumes both: the loop may have got their events
 * already. */
static enum prefork_next resume_others(worker_t *worker, connection_t *connection, void *user)
{
	char byte;
	const ptrdiff_t n = prefork_connection_read(connection, &byte, 1);

	(void)worker;
	(void)user;
	if (n <= 0)
		return n == -EAGAIN ? PREFORK_WAIT_READABLE : PREFORK_CLOSE;
	if (byte == 'g') {
		for (int i = 0; i < 2; i++)
			prefork_connection_resume(atomic_load(&suspended[i]), PREFORK_CLOSE);
	}
	if (byte != '0' && byte != '1')
		return prefork_connection_write(connection, &byte, 1);
	atomic_store(&suspended[byte - '0'], connection);
	(void)send(prefork_connection_fd(connection), &byte, 1, MSG_NOSIGNAL);
	return PREFORK_SUSPENDED;
}

static void count_closed(worker_t *worker, connection_t *connection, void *user)
{
	(void)worker;
	(void)connection;
	(void)user;
	atomic_fetch_add(&closed_count, 1);
}

static void report_closed(worker_t *worker, void *user)
{
	(void)user;
	for (int i = 0; i < atomic_load(&closed_count); i++)
		prefork_worker_count_request(worker);
}

START_TEST(a_closed_connection_gets_no_stale_event)
{
	const struct prefork_service service = {
		.struct_size = sizeof service, .traits = PREFORK_SERVICE_COUNTS, .ready = resume_others,
		.closed = count_closed, .worker_stop = report_closed,
	};
	struct harness harness;
	char byte;
	int fds[3];

	harness_open(&harness, &service);
	harness_spawn(&harness);
	for (int i = 0; i < 3; i++) {
		fds[i] = harness_connect(&harness);
		harness_expect_echo(fds[i], i == 0 ? "0" : i == 1 ? "1" : "x");
	}
	ck_assert_int_eq(pfi_pidfd_signal(harness.child.pidfd, SIGSTOP, 0), 0);
	for (int i = 2; i >= 0; i--)
		ck_assert_int_eq(send(fds[i], "g", 1, MSG_NOSIGNAL), 1);
	ck_assert_int_eq(pfi_pidfd_signal(harness.child.pidfd, SIGCONT, 0), 0);
	for (int i = 0; i < 2; i++) {
		const ssize_t n = recv(fds[i], &byte, 1, 0);

		ck_assert_msg(n == 0 || (n < 0 && errno != EAGAIN), "%d was not closed", i);
		(void)close(fds[i]);
	}
	ck_assert_int_eq(recv(fds[2], &byte, 1, 0), 1);
	harness_send(&harness, PFI_MESSAGE_DRAIN, 0);
	harness_expect_end(fds[2]);
	(void)close(fds[2]);
	const struct pfi_exit_status exit_status = harness_reap(&harness);
	ck_assert_msg(exit_status.signo == 0 && exit_status.code == 0, "signal %d, status %d", exit_status.signo, exit_status.code);
	ck_assert_uint_eq(harness_requests(&harness), 3); /* `closed`, once for each */
	harness_close(&harness);
}
END_TEST

/* Echoes a byte; 'd' sets a deadline for the next one; 'b' blocks its thread until the next one arrives. */
static enum prefork_next hold_or_echo(worker_t *worker, connection_t *connection, void *user)
{
	struct pollfd next = { .fd = prefork_connection_fd(connection), .events = POLLIN };
	char byte;
	const ptrdiff_t n = prefork_connection_read(connection, &byte, 1);

	(void)worker;
	(void)user;
	if (n <= 0)
		return n == -EAGAIN ? PREFORK_WAIT_READABLE : PREFORK_CLOSE;
	prefork_connection_set_deadline(connection, byte == 'd' ? (unsigned)patience_ms(DEADLINE_MS) : 0);
	(void)prefork_connection_write(connection, &byte, 1);
	if (byte == 'b')
		(void)poll(&next, 1, -1);
	return PREFORK_WAIT_READABLE;
}

static enum prefork_next send_late(worker_t *worker, connection_t *connection, void *user)
{
	(void)worker;
	(void)user;
	(void)prefork_connection_write(connection, "l", 1);
	return PREFORK_CLOSE;
}

/* The worker was late, not the client. */
START_TEST(a_request_within_its_timeout_is_served_though_every_thread_was_busy)
{
	const struct prefork_service service = {
		.struct_size = sizeof service, .ready = hold_or_echo, .timed_out = send_late,
	};
	const int thread_count = harness_threads() > 0 && harness_may_block() ? harness_threads() : 1;
	struct harness harness;
	int busy[64] = { 0 };

	ck_assert_int_le(thread_count, 64);
	harness_open(&harness, &service);
	harness_spawn(&harness);
	const int sends = harness_connect(&harness), idle = harness_connect(&harness);
	for (int i = 0; i < thread_count; i++) {
		busy[i] = harness_connect(&harness);
		harness_expect_echo(busy[i], "h");
	}
	for (int i = 1; i < thread_count; i++)
		harness_expect_echo(busy[i], "b");
	harness_expect_echo(sends, "d");
	harness_expect_echo(idle, "d");
	harness_expect_echo(busy[0], "b");
	ck_assert_int_eq(send(sends, "q", 1, MSG_NOSIGNAL), 1);
	(void)poll(NULL, 0, patience_ms(DEADLINE_MS + 100)); /* all threads are busy until after the deadline */
	for (int i = 0; i < thread_count; i++)
		ck_assert_int_eq(send(busy[i], "x", 1, MSG_NOSIGNAL), 1);
	const struct { int fd; char byte; } expected[] = { { sends, 'q' }, { idle, 'l' } };
	for (int i = 0; i < 2; i++) {
		char byte = 0;

		ck_assert_int_eq(recv(expected[i].fd, &byte, 1, 0), 1);
		ck_assert_int_eq(byte, expected[i].byte);
		(void)close(expected[i].fd);
	}
	for (int i = 0; i < thread_count; i++)
		(void)close(busy[i]);
	harness_close(&harness);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("turns");
	TCase *tc = new_case(suite, "turns");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, again_is_honoured_under_load_of_other_connections);
	tcase_add_test(tc, a_closed_connection_gets_no_stale_event);
	tcase_add_test(tc, a_request_within_its_timeout_is_served_though_every_thread_was_busy);
	return run_suite(suite);
}
