/* Callbacks that an event loop offloads to its threads, observed by a client: the harness runs libev with four. */
#include "../support.h"

#include "harness.h"

#include "model/message.h"
#include "os/clock.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LARGE = 8 * 1024 * 1024 };

static int entry[2]; /* work items wait for a byte from it */
static char large[LARGE];

static void check(bool holds)
{
	if (!holds)
		abort(); /* the worker aborts, and the test sees its exit status */
}

static enum prefork_next wait_and_respond(struct prefork_worker *worker, struct prefork_connection *connection,
                                         void *user)
{
	char byte;

	check(user == large);
	check(prefork_connection_may_block(connection) && prefork_connection_is_offloaded(connection));
	check(prefork_worker_thread(worker) > 0);
	prefork_worker_set_activity(worker, "waits", 5);
	check(read(entry[0], &byte, 1) == 1);
	prefork_worker_count_request(worker);
	return prefork_connection_write(connection, "done", 4);
}

static enum prefork_next respond_large(struct prefork_worker *worker, struct prefork_connection *connection,
                                      void *user)
{
	(void)worker;
	(void)user;
	(void)prefork_connection_write(connection, large, sizeof large);
	return PREFORK_CLOSE;
}

static enum prefork_next respond_and_set_deadline(struct prefork_worker *worker, struct prefork_connection *connection,
                                            void *user)
{
	(void)worker;
	(void)user;
	prefork_connection_set_deadline(connection, 50);
	return prefork_connection_write(connection, "done", 4);
}

static enum prefork_next send_late(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	(void)worker;
	(void)user;
	(void)prefork_connection_write(connection, "late", 4);
	return PREFORK_CLOSE;
}

static enum prefork_next begin_large(struct prefork_worker *worker, struct prefork_connection *connection,
                                     void *user)
{
	(void)worker;
	(void)user;
	prefork_connection_set_user(connection, large);
	(void)prefork_connection_write(connection, large, sizeof large);
	return PREFORK_WAIT_WRITABLE;
}

static enum prefork_next end_large(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	(void)user;
	check(prefork_connection_error(connection) < 0 && prefork_connection_may_block(connection));
	check(prefork_connection_write(connection, "more", 4) == PREFORK_CLOSE);
	prefork_worker_count_request(worker);
	return PREFORK_WAIT_WRITABLE;
}

/* One letter is one request. */
static enum prefork_next serve(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	char letter;

	if (prefork_connection_user(connection))
		return prefork_connection_offload(connection, end_large, NULL);
	const ptrdiff_t n = prefork_connection_read(connection, &letter, 1);

	(void)user;
	if (n <= 0)
		return n == -EAGAIN ? PREFORK_WAIT_READABLE : PREFORK_CLOSE;
	check(!prefork_connection_may_block(connection) && !prefork_connection_is_offloaded(connection));
	switch (letter) {
	case 'w':
		return prefork_connection_offload(connection, wait_and_respond, large);
	case 'b':
		return prefork_connection_offload(connection, begin_large, NULL);
	case 'd':
		return prefork_connection_offload(connection, respond_and_set_deadline, NULL);
	case 'l':
		return prefork_connection_offload(connection, respond_large, NULL);
	case 'q':
		letter = (char)('0' + prefork_worker_queued(worker));
		break;
	default:
		break;
	}
	return prefork_connection_write(connection, &letter, 1);
}

static const struct prefork_service service = {
	.struct_size = sizeof service, .ready = serve, .timed_out = send_late,
};

static void open_all(struct harness *harness)
{
	harness_open(harness, &service);
	ck_assert_int_eq(pipe(entry), 0);
	harness_spawn(harness);
}

static void close_all(struct harness *harness)
{
	(void)close(entry[0]);
	(void)close(entry[1]);
	harness_close(harness);
}

static void send_letter(int fd, const char *letter)
{
	ck_assert_int_eq(send(fd, letter, 1, MSG_NOSIGNAL), 1);
}

static void expect(int fd, const char *text)
{
	char bytes[16];
	const size_t size = strlen(text);

	ck_assert_int_eq(recv(fd, bytes, size, MSG_WAITALL), (ssize_t)size);
	ck_assert_mem_eq(bytes, text, size);
}

static void release(size_t count)
{
	for (size_t i = 0; i < count; i++)
		ck_assert_int_eq(write(entry[1], "!", 1), 1);
}

/* Until so many work items wait for a thread: the worker reports the number on `fd`. */
static void await_queued(int fd, char count)
{
	const uint64_t until_ms = pfi_now_ms() + (uint64_t)harness_patience_ms();
	char reported = 0;

	while (reported != count) {
		ck_assert_uint_lt(pfi_now_ms(), until_ms);
		(void)poll(NULL, 0, 1);
		send_letter(fd, "q");
		ck_assert_int_eq(recv(fd, &reported, 1, 0), 1);
	}
}

/* Until each thread runs a work item: a sleeping thread counts as free. */
static void await_begun(const struct harness *harness)
{
	const uint64_t until_ms = pfi_now_ms() + (uint64_t)harness_patience_ms();

	for (unsigned i = 1; i <= TEST_THREADS; i++)
		while (strcmp(harness->context.score->thread_slots[i].activity, "waits") != 0) {
			ck_assert_uint_lt(pfi_now_ms(), until_ms);
			(void)poll(NULL, 0, 1);
		}
}

START_TEST(the_loop_runs_while_every_thread_is_busy)
{
	enum { THREADS = TEST_THREADS, ITEMS = THREADS + 3 };
	struct harness harness;
	int fds[ITEMS];

	open_all(&harness);
	const int other = harness_connect(&harness);
	for (int i = 0; i < ITEMS; i++) {
		fds[i] = harness_connect(&harness);
		send_letter(fds[i], "w");
	}
	await_queued(other, '3');
	harness_expect_echo(other, "x");
	await_begun(&harness);
	release(ITEMS);
	for (int i = 0; i < ITEMS; i++) {
		expect(fds[i], "done");
		harness_expect_echo(fds[i], "y"); /* back in the event loop */
		(void)close(fds[i]);
	}
	(void)close(other);
	close_all(&harness);
}
END_TEST

/* Two requests at once on one connection: the second is read after the response to the first. */
START_TEST(input_that_arrives_meanwhile_is_kept_without_spinning)
{
	struct harness harness;

	open_all(&harness);
	const int fd = harness_connect(&harness), other = harness_connect(&harness);
	send_letter(fd, "w");
	await_queued(other, '0');
	send_letter(fd, "a");
	send_letter(fd, "w");
	harness_expect_echo(other, "x");
	release(2);
	expect(fd, "doneadone");
	(void)close(fd);
	(void)close(other);
	close_all(&harness);
}
END_TEST

START_TEST(a_disconnect_meanwhile_is_detected_afterwards)
{
	struct harness harness;

	open_all(&harness);
	const int fd = harness_connect(&harness), other = harness_connect(&harness);
	send_letter(fd, "w");
	await_queued(other, '0');
	(void)close(fd);
	harness_expect_echo(other, "x");
	release(1);
	harness_await_connections(&harness, 1);
	(void)close(other);
	close_all(&harness);
}
END_TEST

/* The end of a work item need not wake the loop while the client sends nothing, but its deadline must, even while another
 * work item is running. */
START_TEST(a_deadline_set_by_a_work_item_expires_in_time)
{
	struct harness harness;

	open_all(&harness);
	const int fd = harness_connect(&harness), other = harness_connect(&harness);
	harness_expect_echo(fd, "x");
	harness_expect_echo(other, "x");
	send_letter(other, "w");
	await_queued(fd, '0');
	send_letter(fd, "d");
	expect(fd, "donelate");
	harness_expect_end(fd);
	release(1);
	expect(other, "done");
	(void)close(fd);
	(void)close(other);
	close_all(&harness);
}
END_TEST

/* As many slow readers as threads, and one more request. */
START_TEST(slow_readers_hold_no_thread)
{
	enum { READERS = TEST_THREADS };
	struct harness harness;
	int fds[READERS];
	size_t left;
	char bytes[65536];

	open_all(&harness);
	for (int i = 0; i < READERS; i++) {
		fds[i] = harness_connect(&harness);
		send_letter(fds[i], "l");
	}
	const int other = harness_connect(&harness);
	release(1);
	send_letter(other, "w");
	expect(other, "done");
	for (int i = 0; i < READERS; i++) {
		for (left = LARGE; left > 0;) {
			const ssize_t n = recv(fds[i], bytes, sizeof bytes, 0);
			ck_assert_int_gt(n, 0);
			left -= (size_t)n;
		}
		harness_expect_end(fds[i]);
		(void)close(fds[i]);
	}
	(void)close(other);
	close_all(&harness);
}
END_TEST

/* The callback that ends an aborted response may block, too. */
START_TEST(a_response_without_a_client_is_ended_in_a_thread)
{
	const struct linger at_once = { .l_onoff = 1 };
	struct harness harness;
	uint64_t ended = 0;
	char bytes[16];

	open_all(&harness);
	const int fd = harness_connect(&harness), other = harness_connect(&harness);
	send_letter(fd, "b");
	ck_assert_int_gt(recv(fd, bytes, sizeof bytes, 0), 0);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
	(void)close(fd);
	harness_expect_echo(other, "x");
	harness_await_connections(&harness, 1);
	for (unsigned i = 1; i <= TEST_THREADS; i++)
		ended += harness.context.score->thread_slots[i].requests;
	ck_assert_uint_eq(ended, 1);
	(void)close(other);
	close_all(&harness);
}
END_TEST

START_TEST(a_draining_worker_finishes_its_work_items)
{
	enum { ITEMS = TEST_THREADS + 2 };
	struct harness harness;
	int fds[ITEMS];

	open_all(&harness);
	const int idle = harness_connect(&harness);
	for (int i = 0; i < ITEMS; i++) {
		fds[i] = harness_connect(&harness);
		send_letter(fds[i], "w");
	}
	await_begun(&harness);
	await_queued(idle, '2');
	harness_send(&harness, PFI_MESSAGE_DRAIN, 0);
	harness_expect_end(idle);
	release(ITEMS);
	for (int i = 0; i < ITEMS; i++) {
		expect(fds[i], "done");
		harness_expect_end(fds[i]);
		(void)close(fds[i]);
	}
	const struct pfi_exit_status exit_status = harness_reap(&harness);
	ck_assert(exit_status.known && exit_status.signo == 0);
	ck_assert_int_eq(exit_status.code, 0);
	(void)close(idle);
	close_all(&harness);
}
END_TEST

/* Whether the first thread is in pthread_join(3): a futex(2) whose value is the number of a thread. A mutex or a
 * condition variable has another value. */
static bool is_joining(pid_t pid)
{
	char path[64];
	unsigned long value = 0;
	long call = -1;

	(void)snprintf(path, sizeof path, "/proc/%d/syscall", (int)pid);
	FILE *const file = fopen(path, "re");
	ck_assert_ptr_nonnull(file);
	const int found = fscanf(file, "%ld %*x %*x %lx", &call, &value); /* 0: it runs */
	(void)fclose(file);
	(void)snprintf(path, sizeof path, "/proc/%d/task/%lu", (int)pid, value);
	return found == 2 && call == SYS_futex && value != 0 && access(path, F_OK) == 0;
}

static void await_joining(pid_t pid)
{
	const uint64_t until_ms = pfi_now_ms() + (uint64_t)harness_patience_ms();

	while (!is_joining(pid)) {
		ck_assert_uint_lt(pfi_now_ms(), until_ms);
		(void)poll(NULL, 0, 1);
	}
}

START_TEST(a_quitting_worker_drops_queued_work_items)
{
	enum { ITEMS = TEST_THREADS + 2 };
	struct harness harness;
	int fds[ITEMS];

	open_all(&harness);
	const int idle = harness_connect(&harness);
	for (int i = 0; i < ITEMS; i++) {
		fds[i] = harness_connect(&harness);
		send_letter(fds[i], "w");
	}
	await_begun(&harness);
	await_queued(idle, '2');
	harness_signal(&harness, SIGQUIT);
	await_joining(harness.child.pid); /* by now the waiting work items are dropped */
	release(ITEMS);
	const struct pfi_exit_status exit_status = harness_reap(&harness);
	ck_assert(exit_status.known && exit_status.signo == 0);
	ck_assert_int_eq(exit_status.code, 0);
	for (unsigned i = 1; i <= TEST_THREADS; i++)
		ck_assert_uint_eq(harness.context.score->thread_slots[i].requests, 1);
	for (int i = 0; i < ITEMS; i++)
		(void)close(fds[i]);
	(void)close(idle);
	close_all(&harness);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("offload");
	TCase *tc = new_case(suite, "offload");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, the_loop_runs_while_every_thread_is_busy);
	tcase_add_test(tc, input_that_arrives_meanwhile_is_kept_without_spinning);
	tcase_add_test(tc, a_disconnect_meanwhile_is_detected_afterwards);
	tcase_add_test(tc, a_deadline_set_by_a_work_item_expires_in_time);
	tcase_add_test(tc, slow_readers_hold_no_thread);
	tcase_add_test(tc, a_response_without_a_client_is_ended_in_a_thread);
	tcase_add_test(tc, a_draining_worker_finishes_its_work_items);
	tcase_add_test(tc, a_quitting_worker_drops_queued_work_items);

	return run_suite(suite);
}
