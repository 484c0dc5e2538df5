/* Handlers of HTTP in tasks (coroutines) of the application's loop: each test is about one way to get this wrong. */
#include "../support.h"

#include "task_driver.h"
#include "task_requests.h"

#include "model/message.h"
#include "model/worker_score.h"
#include "os/clock.h"

#include <prefork/error.h>
#include <prefork/host_loop.h>
#include <prefork/service.h>
#include <prefork/transport.h>
#include <prefork/worker.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PIECE = 100000 };

/* What is handled while the log line of a timeout is written. */
static void expect_activity(const struct harness *harness, const char *text)
{
	const uint64_t until_ms = pfi_now_ms() + (uint64_t)harness_patience_ms();

	while (!harness_has_activity(harness, text)) {
		ck_assert_msg(pfi_now_ms() < until_ms, "%s", harness->context.score->thread_slots[0].activity);
		(void)poll(NULL, 0, 1);
	}
}

static int handle_hang(struct prefork_request *request, void *user)
{
	char bytes[10];

	(void)user;
	if (is_for(request, "/innocent")) {
		(void)task_sleep(600000);
		return respond(request, "innocent");
	}
	check(prefork_request_read(request, bytes, sizeof bytes) > 0);
	note(request, 0, 1);
	while (atomic_load(&web_counts(request)->noted[1]) == 0) /* hangs */
		(void)usleep(1000);
	return respond(request, "late");
}

START_TEST(the_log_names_the_task_that_hangs_not_the_one_that_began_last)
{
	struct web web;

	web_open(&web, handle_hang, streams);
	const int hanging = request_path(&web, "/hangs", "Content-Length: 3\r\nConnection: close\r\n");
	web_wait(&web.counts->handled, 1);
	const int innocent = request_path(&web, "/innocent", "");
	web_wait(&web.counts->handled, 2);
	expect_activity(&web.harness, "a task; the last to begin: GET /innocent");
	send_text(hanging, "abc");
	web_wait(&web.counts->noted[0], 1);
	expect_activity(&web.harness, "GET /hangs");
	atomic_store(&web.counts->noted[1], 1);
	(void)web_read_all(hanging, response, sizeof response);
	ck_assert_ptr_nonnull(strstr(response, "late"));
	expect_activity(&web.harness, "a task; the last to begin: GET /innocent");
	harness_signal(&web.harness, SIGQUIT);
	(void)close(innocent);
	web_reap(&web);
}
END_TEST

/* The wait may last longer than the timeout, and changes no deadline of the thread. */
START_TEST(a_wait_moves_no_deadline)
{
	const char *const settings[] = { "--stream-uploads", "--timeout", "8", NULL };
	struct web web;

	task_options.reports_idle = _i == 1;
	web_open(&web, handle_hang, settings);
	const int fd = request_path(&web, "/hangs", "Content-Length: 3\r\n");
	web_wait(&web.counts->handled, 1);
	(void)poll(NULL, 0, 500);
	const uint64_t sent_ms = pfi_now_ms();
	send_text(fd, "abc");
	web_wait(&web.counts->noted[0], 1);
	const uint64_t deadline_ms = web.harness.context.score->thread_slots[0].deadline_ms;
	ck_assert_uint_ge(deadline_ms, sent_ms);
	ck_assert_uint_le(deadline_ms, pfi_now_ms() + (_i == 1 ? 8000 : 12000));
	atomic_store(&web.counts->noted[1], 1);
	(void)web_read_all(fd, response, sizeof response);
	web_close(&web);
}
END_TEST

struct interrupt {
	struct task *task;
	struct prefork_request *request;
	unsigned after_ms;
};

static void interrupt_task(void *user)
{
	const struct interrupt interrupt = *(struct interrupt *)user;

	free(user);
	(void)task_sleep(interrupt.after_ms);
	task_interrupt(interrupt.task);
}

static void interrupt_me_after(unsigned ms)
{
	struct interrupt *const interrupt = malloc(sizeof *interrupt);

	*interrupt = (struct interrupt){ .task = task_self(), .after_ms = ms };
	task_spawn(interrupt_task, interrupt);
}

static int handle_interrupted_read(struct prefork_request *request, void *user)
{
	char bytes[100];

	(void)user;
	if (is_for(request, "/next"))
		return respond(request, "next");
	interrupt_me_after(20);
	const ptrdiff_t n = prefork_request_read(request, bytes, sizeof bytes);
	note(request, 0, (int)n);
	check(prefork_request_error(request) == 0);
	if (is_for(request, "/read-on"))
		check(prefork_request_read(request, bytes, sizeof bytes) > 0);
	return respond(request, "interrupted");
}

/* Whether the handler reads the rest or the library discards it. */
START_TEST(an_interrupted_read_keeps_the_request_and_the_connection)
{
	struct web web;

	web_open(&web, handle_interrupted_read, streams);
	const int fd = request_path(&web, _i == 0 ? "/read-on" : "/leave", "Content-Length: 5\r\n");
	web_wait(&web.counts->handled, 1);
	if (_i == 0) {
		await_value(&web.counts->noted[0], -ECANCELED);
		send_text(fd, "12345");
		expect_until(fd, "interrupted");
	} else {
		expect_until(fd, "interrupted");
		send_text(fd, "12345");
	}
	ck_assert_int_eq(web.counts->noted[0], -ECANCELED);
	ck_assert_ptr_null(strstr(response, "Connection: close"));
	send_text(fd, "GET /next HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
	expect_until(fd, "next");
	(void)close(fd);
	web_close(&web);
}
END_TEST

/* Writes pieces until the client has stalled it and the wait was interrupted a few times; then the rest. */
static int handle_interrupted_write(struct prefork_request *request, void *user)
{
	size_t at = 0;
	int cancelled = 0;

	(void)user;
	(void)prefork_response_start(request, 200, NULL);
	if (is_for(request, "/length"))
		(void)prefork_response_field(request, "Content-Length", "8388608");
	while (at < BIG) {
		const size_t size = BIG - at < PIECE ? BIG - at : PIECE;
		if (cancelled < 5)
			interrupt_me_after(10);
		const int r = prefork_response_write(request, big + at, size);
		check(r == 0 || r == -ECANCELED);
		at += r == 0 ? size : 0;
		cancelled += r == -ECANCELED;
		note(request, 0, cancelled);
	}
	return 0;
}

static size_t decode_chunks(char *body)
{
	char *to = body, *from = body;

	for (;;) {
		const size_t size = strtoul(from, &from, 16);

		from += 2;
		memmove(to, from, size);
		to += size;
		from += size + 2;
		if (size == 0)
			return (size_t)(to - body);
	}
}

START_TEST(an_interrupted_write_keeps_the_output_whole)
{
	static const char *const settings[] = { "--response-memory", "1k", "--spool-limit", "0", NULL };
	struct web web;

	web_open(&web, handle_interrupted_write, settings);
	const int fd = request_path(&web, _i == 0 ? "/chunks" : "/length", "");
	web_wait(&web.counts->noted[0], 3);
	const size_t got = web_read_all(fd, response, sizeof response);
	char *const body = strstr(response, "\r\n\r\n") + 4;
	const size_t size = _i == 0 ? decode_chunks(body) : got - (size_t)(body - response);
	ck_assert_uint_eq(size, BIG);
	ck_assert(memcmp(body, big, BIG) == 0);
	web_close(&web);
}
END_TEST

struct reader {
	struct prefork_request *request;
	_Atomic int *result;
	int reading;
};

static void read_body(void *user)
{
	struct reader *const reader = user;
	char bytes[100];

	reader->reading = 1;
	*reader->result = (int)prefork_request_read(reader->request, bytes, sizeof bytes);
	reader->reading = 0;
}

static int handle_left_reader(struct prefork_request *request, void *user)
{
	struct prefork_connection *const connection = prefork_request_connection(request);
	struct reader reader = { .request = request, .result = &web_counts(request)->noted[0] };

	(void)user;
	if (is_for(request, "/next"))
		return respond(request, "next");
	/* Another task refers to this stack, which the application allows itself, not to a hidden one. */
	struct reader *const shared = malloc(sizeof *shared);
	*shared = reader;
	task_spawn(read_body, shared);
	while (shared->reading == 0)
		(void)task_sleep(1);
	check(prefork_connection_cancel_waits(connection));
	while (shared->reading)
		check(prefork_connection_wait(connection, PREFORK_AGAIN, 1) == 0);
	check(!prefork_connection_cancel_waits(connection));
	free(shared);
	return respond(request, "answered");
}

START_TEST(a_reader_that_is_left_behind_can_be_cancelled)
{
	struct web web;

	web_open(&web, handle_left_reader, streams);
	const int fd = request_path(&web, "/left", "Content-Length: 5\r\n");
	expect_until(fd, "answered");
	send_text(fd, "12345GET /next HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
	expect_until(fd, "next");
	ck_assert_int_eq(web.counts->noted[0], -ECANCELED);
	(void)close(fd);
	web_close(&web);
}
END_TEST

struct writer {
	struct prefork_request *request;
	char letter;
	int left;
	int *running;
};

static void write_letters(void *user)
{
	struct writer *const writer = user;
	char *const piece = malloc(PIECE);

	memset(piece, writer->letter, PIECE);
	for (; writer->left > 0; writer->left--)
		check(prefork_response_write(writer->request, piece, PIECE) == 0);
	free(piece);
	--*writer->running;
	free(writer);
}

static void spawn_writer(struct prefork_request *request, char letter, int *running)
{
	struct writer *const writer = malloc(sizeof *writer);

	*writer = (struct writer){ .request = request, .letter = letter, .left = 20, .running = running };
	++*running;
	task_spawn(write_letters, writer);
}

/* Three tasks write, one reads the body; the client takes and sends slowly. */
static int handle_many_tasks(struct prefork_request *request, void *user)
{
	int *const running = calloc(1, sizeof *running);
	char bytes[1000];
	ptrdiff_t n;
	int got = 0;

	(void)user;
	(void)prefork_response_start(request, 200, NULL);
	(void)prefork_response_write(request, "", 0);
	for (char letter = 'a'; letter <= 'c'; letter++)
		spawn_writer(request, letter, running);
	while ((n = prefork_request_read(request, bytes, sizeof bytes)) > 0)
		got += (int)n;
	note(request, 0, got);
	while (*running > 0)
		(void)task_sleep(5);
	free(running);
	return n < 0 ? (int)n : 0;
}

START_TEST(tasks_of_one_request_do_not_block_or_mix_their_output)
{
	static const char *const settings[] = { "--stream-uploads", "--response-memory", "1k", "--spool-limit", "0", NULL };
	struct web web;
	size_t got = 0;
	ssize_t n = 1;

	web_open(&web, handle_many_tasks, settings);
	const int fd = request_path(&web, "/", "Content-Length: 50\r\n");
	web_wait(&web.counts->handled, 1);
	for (int i = 0; i < 50; i++) {
		send_text(fd, "x");
		n = recv(fd, response + got, 1000, 0);
		ck_assert_int_gt(n, 0);
		got += (size_t)n;
	}
	while (n > 0 && (n = recv(fd, response + got, sizeof response - got - 1, 0)) > 0)
		got += (size_t)n;
	response[got] = '\0';
	(void)close(fd);
	ck_assert_int_eq(web.counts->noted[0], 50);
	char *const body = strstr(response, "\r\n\r\n") + 4;
	ck_assert_uint_eq(decode_chunks(body), 60 * PIECE);
	for (int i = 0; i < 60; i++)
		ck_assert_msg(memcmp(body + i * PIECE, body + i * PIECE + 1, PIECE - 1) == 0, "piece %d", i);
	web_close(&web);
}
END_TEST

static int handle_hello(struct prefork_request *request, void *user)
{
	(void)user;
	if (is_for(request, "/sleep"))
		(void)task_sleep(2);
	return respond(request, "hello");
}

START_TEST(a_request_without_a_task_gets_503)
{
	struct web web;

	task_options.refuse = 1;
	web_open(&web, handle_hello, NULL);
	(void)web_read_all(request_path(&web, "/", ""), response, sizeof response);
	ck_assert_int_eq(web_status(response), 503);
	(void)web_read_all(request_path(&web, "/", ""), response, sizeof response);
	ck_assert_int_eq(web_status(response), 200);
	ck_assert_int_eq(web.counts->handled, 1);
	web_close(&web);
}
END_TEST

static int handle_resumed_without_a_task(struct prefork_request *request, void *user)
{
	(void)user;
	if (is_for(request, "/hello"))
		return respond(request, "hello");
	const int r = prefork_request_suspend(request);
	if (r < 0)
		return r;
	task_options.refuse = 1;
	return prefork_request_resume(request);
}

START_TEST(a_request_that_is_resumed_without_a_task_gets_503)
{
	struct web web;

	web_open(&web, handle_resumed_without_a_task, NULL);
	(void)web_read_all(request_path(&web, "/", ""), response, sizeof response);
	ck_assert_int_eq(web_status(response), 503);
	(void)web_read_all(request_path(&web, "/hello", ""), response, sizeof response);
	ck_assert_int_eq(web_status(response), 200);
	web_close(&web);
}
END_TEST

/* The end of a task is no event of the poller: without a wake-up the next one would be that of another connection. */
START_TEST(a_connection_is_resumed_at_once)
{
	enum { REQUESTS = 100 };
	struct web web;

	web_open(&web, handle_hello, streams);
	const int fd = request_path(&web, "/sleep", "");
	expect_until(fd, "hello");
	const uint64_t began_ms = pfi_now_ms();
	for (int i = 0; i < REQUESTS; i++) {
		send_text(fd, "GET /sleep HTTP/1.1\r\nHost: h\r\n\r\n");
		expect_until(fd, "hello");
	}
	ck_assert_uint_lt(pfi_now_ms() - began_ms, (uint64_t)patience_ms(REQUESTS * 100));
	(void)close(fd);
	web_close(&web);
}
END_TEST

static int handle_unread(struct prefork_request *request, void *user)
{
	(void)user;
	if (is_for(request, "/small"))
		return respond(request, "small");
	(void)prefork_response_start(request, 200, NULL);
	return prefork_response_bytes(request, big, BIG);
}

static void note_finished(struct prefork_request *request, void *user)
{
	(void)user;
	(void)task_sleep(1); /* it may wait: other tasks and the loop go on */
	atomic_fetch_add(&web_counts(request)->noted[prefork_connection_is_task(prefork_request_connection(request))], 1);
}

/* Whether the response is complete, cut by write_timeout, or cut by the client. */
START_TEST(what_an_application_does_at_the_end_of_a_request_runs_in_a_task)
{
	static const struct prefork_http_service service = {
		.struct_size = sizeof service, .handle = handle_unread, .finished = note_finished,
	};
	static const char *const settings[] = { "--write-timeout", "300ms", NULL };
	const struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	struct web web;

	web_open_service(&web, &service, settings);
	(void)web_read_all(request_path(&web, "/small", ""), response, sizeof response);
	web_wait(&web.counts->finished, 1);
	const int slow = request_path(&web, "/big", "");
	web_wait(&web.counts->finished, 2);
	const int lost = request_path(&web, "/big", "");
	web_wait(&web.counts->handled, 3);
	ck_assert_int_eq(recv(lost, response, 10, 0), 10);
	ck_assert_int_eq(setsockopt(lost, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
	(void)close(lost);
	web_wait(&web.counts->finished, 3);
	ck_assert_int_eq(web.counts->noted[0], 0);
	ck_assert_int_eq(web.counts->noted[1], 3);
	(void)close(slow);
	web_close(&web);
}
END_TEST

enum { LEAVING = 1000 };

static int handle_long(struct prefork_request *request, void *user)
{
	(void)user;
	while (atomic_load(&web_counts(request)->noted[0]) < LEAVING)
		(void)task_sleep(100);
	return respond(request, "unread");
}

static void note_gone(struct prefork_request *request, void *user)
{
	(void)user;
	atomic_fetch_add(&web_counts(request)->noted[0], 1);
}

START_TEST(clients_that_leave_are_reported_while_their_tasks_wait)
{
	static const struct prefork_http_service service = {
		.struct_size = sizeof service, .handle = handle_long, .client_gone = note_gone,
	};
	static const char *const settings[] = { "--worker-connections", "2000", NULL };
	static int fds[LEAVING];
	struct web web;

	web_open_service(&web, &service, settings);
	for (int i = 0; i < LEAVING; i++)
		fds[i] = request_path(&web, "/", "");
	web_await_progress(&web.counts->handled, LEAVING);
	const uint64_t left_ms = pfi_now_ms();
	for (int i = 0; i < LEAVING; i++)
		(void)close(fds[i]);
	web_await_progress(&web.counts->noted[0], LEAVING);
	const uint64_t took_ms = pfi_now_ms() - left_ms;
	ck_assert_msg(took_ms <= (uint64_t)patience_ms(10000), "took %llu ms", (unsigned long long)took_ms);
	web_await_progress(&web.counts->finished, LEAVING);
	web_close(&web);
}
END_TEST

/* A service of another protocol. */
static enum prefork_next read_a_line(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	char bytes[10];

	(void)user;
	check(prefork_connection_is_task(connection) && prefork_connection_may_block(connection));
	check(prefork_worker_queued(worker) == 0); /* of the tasks, and not what the thread has set for another job */
	const ptrdiff_t n = prefork_connection_read(connection, bytes, 1);
	if (n != 1)
		return n == -EAGAIN ? PREFORK_WAIT_READABLE : PREFORK_CLOSE;
	if (prefork_connection_wait(connection, PREFORK_WAIT_READABLE, 20) == -ETIMEDOUT)
		return prefork_connection_write(connection, "late", 4);
	check(prefork_connection_read(connection, bytes, sizeof bytes) == 3);
	return prefork_connection_write(connection, bytes, 3);
}

static enum prefork_next offload_line(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	(void)user;
	prefork_worker_set_queued(worker, true, 7);
	check(!prefork_connection_is_task(connection) && !prefork_connection_may_block(connection));
	return prefork_connection_offload(connection, read_a_line, NULL);
}

START_TEST(a_connection_of_any_protocol_is_served_by_a_task_or_closed)
{
	static const struct prefork_service service = { .struct_size = sizeof service, .ready = offload_line };
	struct harness harness;
	char bytes[4];

	task_options.refuse = 1;
	harness_open(&harness, &service);
	harness_spawn(&harness);
	const int refused = harness_connect(&harness);
	send_text(refused, "x");
	ck_assert_int_le(recv(refused, bytes, 1, 0), 0);
	const int fd = harness_connect(&harness);
	send_text(fd, "xabc");
	ck_assert_int_eq(recv(fd, bytes, 3, MSG_WAITALL), 3);
	ck_assert_mem_eq(bytes, "abc", 3);
	send_text(fd, "x");
	ck_assert_int_eq(recv(fd, bytes, 4, MSG_WAITALL), 4);
	ck_assert_mem_eq(bytes, "late", 4);
	(void)close(fd);
	(void)close(refused);
	harness_send(&harness, PFI_MESSAGE_DRAIN, 0);
	const struct pfi_exit_status exit_status = harness_reap(&harness);
	ck_assert(exit_status.known && exit_status.signo == 0 && exit_status.code == 0);
	harness_close(&harness);
}
END_TEST

/* A transport that keeps the last byte of what it takes until it is flushed. */
static char kept;

static ptrdiff_t receive_plain(struct prefork_connection *connection, void *bytes, size_t size)
{
	prefork_transport_set_input(connection, false);
	return prefork_socket_receive(connection, bytes, size);
}

static ptrdiff_t send_all_but_one(struct prefork_connection *connection, const struct iovec *pieces, int count)
{
	const struct iovec piece = { pieces[0].iov_base, pieces[0].iov_len - 1 };

	check(count == 1);
	kept = ((const char *)pieces[0].iov_base)[piece.iov_len];
	check(prefork_socket_send(connection, &piece, 1) == (ptrdiff_t)piece.iov_len);
	prefork_transport_set_output(connection, 1);
	return (ptrdiff_t)pieces[0].iov_len;
}

static ptrdiff_t send_no_file(struct prefork_connection *connection, int fd, int64_t *offset, size_t size)
{
	(void)connection, (void)fd, (void)offset, (void)size;
	return -EINVAL;
}

static int flush_one(struct prefork_connection *connection)
{
	const struct iovec piece = { &kept, 1 };

	check(prefork_socket_send(connection, &piece, 1) == 1);
	prefork_transport_set_output(connection, 0);
	return 0;
}

static int use_transport(struct prefork_worker *worker, void *user)
{
	static const struct prefork_transport transport = {
		.struct_size = sizeof transport, .receive = receive_plain, .send = send_all_but_one, .send_file = send_no_file,
		.flush = flush_one, .end_output = prefork_socket_end_output,
	};

	return prefork_worker_set_transport(worker, &transport, user);
}

static enum prefork_next greet_and_read(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	char bytes[10] = "hello";
	const struct iovec piece = { bytes, 5 };

	(void)worker, (void)user;
	const ptrdiff_t n = prefork_connection_read(connection, bytes + 5, 1);
	if (n != 1)
		return n == -EAGAIN ? PREFORK_WAIT_READABLE : PREFORK_CLOSE;
	check(prefork_connection_send(connection, &piece, 1) == 5);
	check(prefork_connection_wait(connection, PREFORK_WAIT_READABLE, 0) == 0);
	check(prefork_connection_read(connection, bytes, sizeof bytes) == 3);
	return prefork_connection_write(connection, bytes, 3);
}

static enum prefork_next offload_greeting(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	(void)worker;
	return prefork_connection_offload(connection, greet_and_read, user);
}

START_TEST(a_task_that_waits_for_input_has_sent_all_of_its_output)
{
	static const struct prefork_service service = { .struct_size = sizeof service, .worker_start = use_transport,
		.ready = offload_greeting };
	struct harness harness;
	char bytes[5];

	harness_open(&harness, &service);
	harness_spawn(&harness);
	const int fd = harness_connect(&harness);
	send_text(fd, "x");
	ck_assert_int_eq(recv(fd, bytes, 5, MSG_WAITALL), 5);
	ck_assert_mem_eq(bytes, "hello", 5);
	send_text(fd, "abc");
	ck_assert_int_eq(recv(fd, bytes, 3, MSG_WAITALL), 3);
	ck_assert_mem_eq(bytes, "abc", 3);
	(void)close(fd);
	harness_send(&harness, PFI_MESSAGE_DRAIN, 0);
	const struct pfi_exit_status exit_status = harness_reap(&harness);
	ck_assert(exit_status.known && exit_status.signo == 0 && exit_status.code == 0);
	harness_close(&harness);
}
END_TEST

int main(void)
{
	Suite *const suite = suite_create("tasks");
	TCase *const tc = new_case(suite, "tasks");

	tcase_add_checked_fixture(tc, task_requests_prepare, NULL);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, the_log_names_the_task_that_hangs_not_the_one_that_began_last);
	tcase_add_loop_test(tc, a_wait_moves_no_deadline, 0, 2);
	tcase_add_loop_test(tc, an_interrupted_read_keeps_the_request_and_the_connection, 0, 2);
	tcase_add_loop_test(tc, an_interrupted_write_keeps_the_output_whole, 0, 2);
	tcase_add_test(tc, a_reader_that_is_left_behind_can_be_cancelled);
	tcase_add_test(tc, tasks_of_one_request_do_not_block_or_mix_their_output);
	tcase_add_test(tc, a_request_without_a_task_gets_503);
	tcase_add_test(tc, a_request_that_is_resumed_without_a_task_gets_503);
	tcase_add_test(tc, a_connection_is_resumed_at_once);
	tcase_add_test(tc, what_an_application_does_at_the_end_of_a_request_runs_in_a_task);
	tcase_add_test(tc, clients_that_leave_are_reported_while_their_tasks_wait);
	tcase_add_test(tc, a_connection_of_any_protocol_is_served_by_a_task_or_closed);
	tcase_add_test(tc, a_task_that_waits_for_input_has_sent_all_of_its_output);
	return run_suite(suite);
}
