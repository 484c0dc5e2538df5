/* How a connection of a plain service ends: after its last bytes, without a reset, and by any result of a callback. */
#include "../support.h"

#include "harness.h"

#include "model/message.h"

#include <prefork/log.h>
#include <prefork/service.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>

enum { INPUT_SIZE = 100 * 1000, TRIES = 10 };

static char input[INPUT_SIZE];
static char log_path[] = "/tmp/test_closing.XXXXXX";

/* Reads one byte of the input, responds, and closes. */
static enum prefork_next read_one(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	char byte;

	(void)worker;
	(void)user;
	const ptrdiff_t n = prefork_connection_read(connection, &byte, 1);
	if (n <= 0)
		return n == -EAGAIN ? PREFORK_WAIT_READABLE : PREFORK_CLOSE;
	(void)prefork_connection_write(connection, "bye", 3);
	return PREFORK_CLOSE;
}

/* Sends more than is read. Returns 0 if the connection ends with end of file after the response, errno otherwise. A
 * reset is reported once, by the first call after it: by send() if the worker closes before all is sent. */
static int send_too_much(const struct harness *harness)
{
	const int fd = harness_connect(harness);
	char bytes[8];
	int sent = 0, got = 0, error = 0;
	ssize_t n;

	while (sent < INPUT_SIZE && (n = send(fd, input, (size_t)(INPUT_SIZE - sent), MSG_NOSIGNAL)) > 0)
		sent += (int)n;
	if (sent < INPUT_SIZE)
		error = errno;
	while ((n = recv(fd, bytes + got, sizeof bytes - (size_t)got, 0)) > 0)
		got += (int)n;
	if (n < 0 && error == 0)
		error = errno;
	ck_assert(error != 0 || (got == 3 && memcmp(bytes, "bye", 3) == 0));
	(void)close(fd);
	return error;
}

START_TEST(unread_input_does_not_reset_the_response)
{
	const struct prefork_service service = { .struct_size = sizeof service, .ready = read_one };
	struct harness harness;

	harness_open(&harness, &service);
	harness_spawn(&harness);
	for (int i = 0; i < TRIES; i++)
		ck_assert_int_eq(send_too_much(&harness), 0);
	harness_send(&harness, PFI_MESSAGE_DRAIN, 0);
	ck_assert_int_eq(harness_reap(&harness).code, 0);
	harness_close(&harness);
}
END_TEST

START_TEST(without_lingering_close_unread_input_resets_the_connection)
{
	const struct prefork_service service = { .struct_size = sizeof service, .ready = read_one,
		                                 .traits = PREFORK_SERVICE_NO_LINGER };
	struct harness harness;

	harness_open(&harness, &service);
	harness_spawn(&harness);
	ck_assert_int_ne(send_too_much(&harness), 0);
	harness_close(&harness);
}
END_TEST

/* A client that does not close its end delays the worker for at most 2 s. */
START_TEST(a_lingering_close_ends_after_its_time_limit)
{
	const struct prefork_service service = { .struct_size = sizeof service, .ready = read_one };
	struct harness harness;
	char bytes[3];

	harness_open(&harness, &service);
	harness_spawn(&harness);
	const int fd = harness_connect(&harness);
	ck_assert_int_eq(send(fd, "hello", 5, MSG_NOSIGNAL), 5);
	ck_assert_int_eq(recv(fd, bytes, 3, MSG_WAITALL), 3);
	harness_expect_end(fd);
	harness_await_connections(&harness, 1);
	harness_send(&harness, PFI_MESSAGE_DRAIN, 0);
	const uint64_t began_ms = pfi_now_ms();
	ck_assert_int_eq(harness_reap(&harness).code, 0);
	ck_assert_uint_lt(pfi_now_ms() - began_ms, 2000 + (uint64_t)harness_patience_ms());
	(void)close(fd);
	harness_close(&harness);
}
END_TEST

/* Values that are no member of the enum, by each way in which a service can return them. */

static const int invalid_values[] = { 99, -1, 256 + PREFORK_SUSPENDED, PREFORK_SUSPENDED + 1 };
static int result;

static enum prefork_next return_invalid(struct prefork_worker *worker, struct prefork_connection *connection,
                                          void *user)
{
	char bytes[16];

	(void)worker;
	(void)user;
	if (prefork_connection_read(connection, bytes, sizeof bytes) == -EAGAIN)
		return PREFORK_WAIT_READABLE;
	return (enum prefork_next)result;
}

static enum prefork_next accepted_invalid(struct prefork_worker *worker, struct prefork_connection *connection,
                                          void *user)
{
	(void)worker;
	(void)connection;
	(void)user;
	return (enum prefork_next)result;
}

static enum prefork_next offload_invalid(struct prefork_worker *worker, struct prefork_connection *connection,
                                           void *user)
{
	(void)worker;
	return prefork_connection_offload(connection, return_invalid, user);
}

static void *resume_invalid(void *connection)
{
	prefork_connection_resume(connection, (enum prefork_next)result);
	return NULL;
}

static enum prefork_next suspend_and_resume(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	const enum prefork_next next = return_invalid(worker, connection, user);
	pthread_t thread;

	if (next == PREFORK_WAIT_READABLE || pthread_create(&thread, NULL, resume_invalid, connection) != 0)
		return PREFORK_WAIT_READABLE;
	(void)pthread_detach(thread);
	return PREFORK_SUSPENDED;
}

static const struct prefork_service services[] = {
	{ .struct_size = sizeof services[0], .ready = return_invalid },
	{ .struct_size = sizeof services[0], .ready = read_one, .accepted = accepted_invalid },
	{ .struct_size = sizeof services[0], .ready = offload_invalid },
	{ .struct_size = sizeof services[0], .ready = suspend_and_resume },
};

/* Read while the worker may still write. */
static int count_lines(const char *words)
{
	static char text[16384];
	const int fd = open(log_path, O_RDONLY | O_CLOEXEC);
	const ssize_t n = read(fd, text, sizeof text - 1);
	int count = 0;

	(void)close(fd);
	ck_assert_int_ge((int)n, 0);
	text[n] = '\0';
	for (const char *at = text; (at = strstr(at, words)) != NULL; at++)
		count++;
	return count;
}

START_TEST(an_invalid_result_is_logged_and_closes_the_connection)
{
	const struct prefork_service *const service = &services[_i / 4];
	struct harness harness;
	char words[64];

	result = invalid_values[_i % 4];
	harness_open(&harness, service);
	const int log_fd = mkstemp(log_path);
	ck_assert_int_ge(log_fd, 0);
	(void)close(log_fd);
	ck_assert_int_eq(prefork_log_create(log_path, 2, &harness.context.log), 0);
	harness_spawn(&harness);
	for (int i = 0; i < 3; i++) {
		const int fd = harness_connect(&harness);

		if (!service->accepted) /* otherwise it would arrive after the close, and reset the connection */
			ck_assert_int_eq(send(fd, "hello", 5, MSG_NOSIGNAL), 5);
		harness_expect_end(fd);
		(void)close(fd);
	}
	harness_send(&harness, PFI_MESSAGE_DRAIN, 0);
	ck_assert_int_eq(harness_reap(&harness).code, 0);
	(void)snprintf(words, sizeof words, "Callback of the service returned %d, not", result);
	ck_assert_int_eq(count_lines(words), 3);
	ck_assert_int_eq(count_lines("[ERROR]"), 3);
	(void)unlink(log_path);
	prefork_log_destroy(harness.context.log);
	harness_close(&harness);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("closing");
	TCase *tc = new_case(suite, "closing");

	tcase_add_test(tc, unread_input_does_not_reset_the_response);
	tcase_add_test(tc, without_lingering_close_unread_input_resets_the_connection);
	tcase_add_test(tc, a_lingering_close_ends_after_its_time_limit);
	tcase_add_loop_test(tc, an_invalid_result_is_logged_and_closes_the_connection, 0, 16);
	return run_suite(suite);
}
