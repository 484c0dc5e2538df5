/* What happens on a connection before its service is called. */
#include "../support.h"

#include "base/log_limit.h"
#include "base/times.h"
#include "model/worker_score.h"
#include "worker/connection.h"
#include "worker/worker.h"

#include <prefork/strategy.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>

static const struct pfi_spawn_context context = { .program = "test" };
static struct prefork_worker worker;
static struct prefork_connection *connection;
static int client, calls_one, calls_two, timeouts, closes;

/* Reads one byte. */
static enum prefork_next read_byte(void)
{
	char byte;
	const ptrdiff_t n = connection->transport->receive(connection, &byte, 1);

	return n == 1 ? PREFORK_AGAIN : n == -EAGAIN ? PREFORK_WAIT_READABLE : PREFORK_CLOSE;
}

static enum prefork_next proceed_one(struct prefork_connection *it)
{
	calls_one += it == connection;
	return read_byte();
}

static enum prefork_next proceed_two(struct prefork_connection *it)
{
	calls_two += it == connection;
	return read_byte();
}

static void time_out(struct prefork_connection *it)
{
	timeouts += it == connection;
}

static const struct pfi_connection_stage one = { .proceed = proceed_one, .timed_out = time_out }, two = { .proceed = proceed_two };

static void on_closed(struct prefork_worker *its_worker, struct prefork_connection *it, void *user)
{
	(void)its_worker;
	(void)user;
	closes += it == connection;
}

static void open_connection(void)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	client = fds[1];
	worker = (struct prefork_worker){ .context = &context, .service = { .closed = on_closed } };
	worker.liveness.score = aligned_alloc(128, pfi_worker_score_bytes(1));
	ck_assert_ptr_nonnull(worker.liveness.score);
	atomic_store(&worker.liveness.score->connections, 0);
	atomic_store(&worker.counts_requests, true); /* there is no thread slot to count in */
	atomic_store(&worker.drain_end_ms, UINT64_MAX);
	pfi_stage_add(&worker, &one);
	pfi_stage_add(&worker, &two);
	connection = pfi_connection_create(&worker, fds[0], 0);
	ck_assert_ptr_nonnull(connection);
	pfi_stage_begin(connection);
}

static void close_connection(void)
{
	prefork_connection_close(connection);
	pfi_connection_pool_finish(&worker);
	free(worker.liveness.score);
	ck_assert_int_eq(close(client), 0);
}

START_TEST(stages_are_called_one_after_another_before_the_service)
{
	open_connection();
	ck_assert_int_eq(prefork_connection_proceed(connection), PREFORK_WAIT_READABLE);
	ck_assert_int_eq(calls_one, 1);
	ck_assert_int_eq(write(client, "1", 1), 1);
	ck_assert_int_eq(prefork_connection_proceed(connection), PREFORK_WAIT_READABLE); /* of stage 2 */
	ck_assert_int_eq(calls_one, 2);
	ck_assert_int_eq(calls_two, 1);
	ck_assert(!connection->accepted);
	ck_assert_int_eq(write(client, "2", 1), 1);
	ck_assert_int_eq(pfi_stage_proceed(connection), PREFORK_AGAIN);
	ck_assert_int_eq(calls_one, 2);
	ck_assert_ptr_null(connection->stage);
	ck_assert_uint_eq(connection->deadline_ms, 0);
	close_connection();
	ck_assert_int_eq(closes, 1);
}
END_TEST

START_TEST(a_connection_that_ends_in_a_stage_is_unknown_to_the_service)
{
	open_connection();
	ck_assert_int_eq(write(client, "1", 1), 1);
	ck_assert_int_eq(prefork_connection_proceed(connection), PREFORK_WAIT_READABLE);
	ck_assert_int_eq(shutdown(client, SHUT_WR), 0);
	ck_assert_int_eq(prefork_connection_proceed(connection), PREFORK_CLOSE);
	close_connection();
	ck_assert_int_eq(closes, 0);
}
END_TEST

START_TEST(all_stages_together_have_one_time_limit)
{
	open_connection();
	const uint64_t deadline_ms = connection->deadline_ms;
	ck_assert_uint_gt(deadline_ms, pfi_now_ms());
	ck_assert_int_eq(prefork_connection_proceed(connection), PREFORK_WAIT_READABLE);
	connection->deadline_ms = pfi_now_ms();
	ck_assert_int_eq(write(client, "1", 1), 1); /* input does not extend it */
	ck_assert_int_eq(prefork_connection_expire(connection), PREFORK_CLOSE);
	ck_assert_int_eq(calls_two, 1);
	ck_assert_int_eq(timeouts, 0); /* the time of stage 2 is over, and it has no line for that */
	connection->stage = worker.stages;
	ck_assert_int_eq(prefork_connection_expire(connection), PREFORK_CLOSE);
	ck_assert_int_eq(timeouts, 1);
	close_connection();
	ck_assert_int_eq(closes, 0);
}
END_TEST

START_TEST(a_drain_bounds_the_time_of_the_stages)
{
	open_connection();
	ck_assert_int_eq(prefork_connection_proceed(connection), PREFORK_WAIT_READABLE);
	const uint64_t deadline_ms = connection->deadline_ms;
	atomic_store(&worker.directive, PREFORK_DRAIN);
	ck_assert_int_eq(prefork_connection_drain(connection), PREFORK_WAIT_READABLE);
	ck_assert_uint_eq(connection->deadline_ms, deadline_ms);
	atomic_store(&worker.empties_queues, true); /* the server stops */
	ck_assert_int_eq(prefork_connection_drain(connection), PREFORK_WAIT_READABLE);
	ck_assert_uint_lt(connection->deadline_ms, deadline_ms);
	ck_assert_uint_le(connection->deadline_ms, pfi_now_ms() + PFI_LAST_REQUEST_MS);
	atomic_store(&worker.drain_end_ms, 1);
	ck_assert_int_eq(prefork_connection_drain(connection), PREFORK_WAIT_READABLE);
	ck_assert_uint_eq(connection->deadline_ms, 1);
	ck_assert_int_eq(prefork_connection_expire(connection), PREFORK_CLOSE);
	ck_assert_int_eq(timeouts, 0);
	close_connection();
}
END_TEST

/* For example the end of a handshake whose client reads nothing. */
START_TEST(the_output_of_the_last_stage_is_sent_before_the_service_is_called)
{
	static char bytes[4 << 20], got[sizeof bytes];
	size_t size = 0;

	open_connection();
	const uint64_t deadline_ms = connection->deadline_ms;
	ck_assert_int_eq(write(client, "12", 2), 2);
	ck_assert_int_eq(prefork_connection_write(connection, bytes, sizeof bytes), PREFORK_WAIT_READABLE);
	ck_assert_int_eq(prefork_connection_proceed(connection), PREFORK_WAIT_WRITABLE);
	ck_assert_int_eq(calls_two, 1);
	ck_assert(!connection->accepted);
	atomic_store(&worker.directive, PREFORK_DRAIN);
	ck_assert_int_eq(prefork_connection_drain(connection), PREFORK_WAIT_WRITABLE);
	ck_assert_uint_eq(connection->deadline_ms, deadline_ms);
	if (_i == 0) {
		connection->deadline_ms = pfi_now_ms();
		ck_assert_int_eq(prefork_connection_expire(connection), PREFORK_CLOSE);
		close_connection();
		ck_assert_int_eq(closes, 0);
		return;
	}
	while (size < sizeof bytes) { /* the client reads what is there, and the server sends more */
		const ssize_t n = read(client, got, sizeof got);

		ck_assert_int_gt(n, 0);
		size += (size_t)n;
		(void)pfi_connection_flush(connection);
	}
	ck_assert_int_eq(pfi_stage_proceed(connection), PREFORK_AGAIN);
	ck_assert_int_eq(calls_two, 1);
	ck_assert_ptr_null(connection->stage);
	close_connection();
	ck_assert_int_eq(closes, 1);
}
END_TEST

START_TEST(one_line_a_second_passes_and_says_how_many_did_not)
{
	struct pfi_log_limit limit = { 0 };
	uint32_t left_out = 9;

	ck_assert(pfi_log_limit_pass(&limit, 5000, &left_out));
	ck_assert_uint_eq(left_out, 0);
	ck_assert(!pfi_log_limit_pass(&limit, 5000, &left_out));
	ck_assert(!pfi_log_limit_pass(&limit, 5999, &left_out));
	ck_assert(pfi_log_limit_pass(&limit, 6000, &left_out));
	ck_assert_uint_eq(left_out, 2);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stage");
	TCase *tc = new_case(suite, "stage");

	tcase_add_test(tc, stages_are_called_one_after_another_before_the_service);
	tcase_add_test(tc, a_connection_that_ends_in_a_stage_is_unknown_to_the_service);
	tcase_add_test(tc, all_stages_together_have_one_time_limit);
	tcase_add_test(tc, a_drain_bounds_the_time_of_the_stages);
	tcase_add_loop_test(tc, the_output_of_the_last_stage_is_sent_before_the_service_is_called, 0, 2);
	tcase_add_test(tc, one_line_a_second_passes_and_says_how_many_did_not);
	return run_suite(suite);
}
