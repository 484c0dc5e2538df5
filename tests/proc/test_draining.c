/* What a draining worker does with idle connections of a service without the callback `draining`. */
#include "../support.h"

#include "harness.h"

#include "model/message.h"
#include "os/clock.h"

#include <prefork/service.h>

#include <inttypes.h>
#include <stdio.h>
#include <sys/socket.h>

enum { SHORT_MS = 300 };

static const struct prefork_service echo = { .struct_size = sizeof echo, .ready = harness_echo };

static int open_kept(struct harness *harness, const char *drain_idle)
{
	harness_open(harness, &echo);
	harness_set(harness, "drain_idle", drain_idle);
	harness_spawn(harness);
	const int fd = harness_connect(harness);
	harness_expect_echo(fd, "hello");
	return fd;
}

/* The worker exits; `fd` is the client's end of a connection. */
static void expect_exit(struct harness *harness, int fd)
{
	ck_assert_int_eq(harness_reap(harness).code, 0);
	(void)close(fd);
	harness_close(harness);
}

/* The message says that idle connections close SHORT_MS from now. */
static void expect_end_in_time(struct harness *harness, int fd)
{
	const uint64_t end_ms = pfi_now_ms() + SHORT_MS;
	char text[24];

	(void)snprintf(text, sizeof text, "%" PRIu64, end_ms);
	ck_assert_int_eq(pfi_channel_send(harness->channel[0], PFI_MESSAGE_DRAIN, 0, text), 0);
	harness_expect_end(fd);
	ck_assert_uint_ge(pfi_now_ms(), end_ms);
	expect_exit(harness, fd);
}

START_TEST(one_more_request_is_served_and_closes_the_connection)
{
	struct harness harness;
	const int fd = open_kept(&harness, "60s");

	harness_send(&harness, PFI_MESSAGE_DRAIN, 0);
	harness_await_drain(&harness);
	harness_expect_echo(fd, "again");
	harness_expect_end(fd);
	expect_exit(&harness, fd);
}
END_TEST

START_TEST(an_idle_connection_is_closed_after_drain_idle)
{
	struct harness harness;
	const int fd = open_kept(&harness, "300ms");
	const uint64_t began_ms = pfi_now_ms();

	harness_send(&harness, PFI_MESSAGE_DRAIN, 0);
	harness_expect_end(fd);
	ck_assert_uint_ge(pfi_now_ms() - began_ms, SHORT_MS);
	expect_exit(&harness, fd);
}
END_TEST

/* The end of the wait is in the message: the arbiter enforces a shorter graceful_timeout than that of this worker. */
START_TEST(the_message_says_when_idle_connections_close)
{
	struct harness harness;
	const int fd = open_kept(&harness, "60s");

	expect_end_in_time(&harness, fd);
}
END_TEST

/* Runs in the worker: waits without a deadline. */
static enum prefork_next wait_on(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	(void)worker;
	(void)connection;
	(void)user;
	return PREFORK_WAIT_READABLE;
}

START_TEST(a_connection_without_a_request_does_not_wait_longer_than_the_message_says)
{
	const struct prefork_service service = { .struct_size = sizeof service, .ready = harness_echo, .draining = wait_on };
	struct harness harness;

	harness_open(&harness, &service);
	harness_spawn(&harness);
	const int fd = harness_connect(&harness);
	harness_await_connections(&harness, 1);
	expect_end_in_time(&harness, fd);
}
END_TEST

START_TEST(a_quick_stop_does_not_wait)
{
	struct harness harness;
	const int fd = open_kept(&harness, "60s");

	harness_send(&harness, PFI_MESSAGE_DRAIN, 0);
	harness_await_drain(&harness);
	harness_signal(&harness, SIGQUIT);
	harness_expect_end(fd);
	expect_exit(&harness, fd);
}
END_TEST

/* Runs in the worker: sends how much time prefork_connection_drain_ms() grants. */
static enum prefork_next send_drain_ms(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	const uint64_t left_ms = prefork_connection_drain_ms(connection);

	(void)worker;
	(void)user;
	(void)prefork_connection_write(connection, &left_ms, sizeof left_ms);
	return PREFORK_CLOSE;
}

static enum prefork_next greet(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	const uint64_t left_ms = prefork_connection_drain_ms(connection);

	(void)worker;
	(void)user;
	(void)prefork_connection_write(connection, &left_ms, sizeof left_ms);
	return PREFORK_WAIT_READABLE;
}

START_TEST(a_service_with_its_own_drain_callback_gets_the_time)
{
	const struct prefork_service service = { .struct_size = sizeof service, .accepted = greet, .ready = harness_echo,
		                                 .draining = send_drain_ms };
	struct harness harness;
	uint64_t left_ms;

	harness_open(&harness, &service);
	harness_set(&harness, "drain_idle", "60s");
	harness_set(&harness, "graceful_timeout", "40s");
	harness_spawn(&harness);
	const int fd = harness_connect(&harness);
	ck_assert_int_eq(recv(fd, &left_ms, sizeof left_ms, MSG_WAITALL), sizeof left_ms);
	ck_assert_uint_eq(left_ms, UINT64_MAX);
	harness_send(&harness, PFI_MESSAGE_DRAIN, 0);
	ck_assert_int_eq(recv(fd, &left_ms, sizeof left_ms, MSG_WAITALL), sizeof left_ms);
	ck_assert_uint_le(left_ms, 30000);
	ck_assert_uint_gt(left_ms, 15000);
	harness_expect_end(fd);
	expect_exit(&harness, fd);
}
END_TEST

int main(void)
{
	Suite *const suite = suite_create("draining");
	TCase *const tc = new_case(suite, "draining");

	tcase_add_test(tc, one_more_request_is_served_and_closes_the_connection);
	tcase_add_test(tc, an_idle_connection_is_closed_after_drain_idle);
	tcase_add_test(tc, the_message_says_when_idle_connections_close);
	tcase_add_test(tc, a_connection_without_a_request_does_not_wait_longer_than_the_message_says);
	tcase_add_test(tc, a_quick_stop_does_not_wait);
	tcase_add_test(tc, a_service_with_its_own_drain_callback_gets_the_time);
	return run_suite(suite);
}
