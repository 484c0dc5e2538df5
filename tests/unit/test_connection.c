/* Pending output of connections with slow clients, and the number of connections. */
#include "../support.h"

#include "model/worker_score.h"
#include "os/clock.h"
#include "os/scoreboard.h"
#include "worker/connection.h"
#include "worker/worker.h"

#include <prefork/strategy.h>
#include <prefork/transport.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OUTPUT = 8 * 1024 * 1024, ROUNDS = 20000 };

static char bytes[OUTPUT];
static struct prefork_worker worker;
static struct prefork_connection connection;
static int client;

/* A connection with pending output whose service will not be called again. */
static void open_connection(void)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	client = fds[1];
	connection = (struct prefork_connection){
		.worker = &worker, .transport = &pfi_transport_plain, .fd = fds[0], .accepted = true,
	};
	(void)prefork_connection_write(&connection, bytes, sizeof bytes);
	ck_assert_uint_gt(prefork_connection_pending(&connection), 0);
}

static void close_connection(void)
{
	free(connection.output.bytes);
	ck_assert_int_eq(close(connection.fd), 0);
	ck_assert_int_eq(close(client), 0);
}

static enum prefork_next end_connection(void)
{
	enum prefork_next next = PREFORK_SUSPENDED;

	worker.wake_fd = -1;
	prefork_connection_resume(&connection, PREFORK_CLOSE);
	ck_assert_ptr_eq(prefork_worker_take_resumed(&worker, &next), &connection);
	return next;
}

static void receive_some(void)
{
	static char sink[256 * 1024];

	ck_assert_int_gt(recv(client, sink, sizeof sink, 0), 0);
	ck_assert_int_eq(prefork_connection_proceed(&connection), PREFORK_WAIT_WRITABLE);
}

START_TEST(pending_output_reaches_slow_readers_before_the_close)
{
	open_connection();
	ck_assert_int_eq(end_connection(), PREFORK_WAIT_WRITABLE);
	ck_assert_uint_gt(prefork_connection_deadline_ms(&connection), pfi_now_ms());
	for (int i = 0; i < 3; i++) {
		receive_some();
		ck_assert_int_eq(prefork_connection_expire(&connection), PREFORK_WAIT_WRITABLE);
		ck_assert_uint_gt(prefork_connection_deadline_ms(&connection), pfi_now_ms());
	}
	ck_assert_int_eq(prefork_connection_expire(&connection), PREFORK_CLOSE); /* the client has read nothing since */
	close_connection();
}
END_TEST

START_TEST(pending_output_does_not_extend_the_deadline_of_the_service)
{
	open_connection();
	prefork_connection_set_deadline(&connection, 60 * 1000);
	const uint64_t deadline_ms = prefork_connection_deadline_ms(&connection);
	ck_assert_int_eq(end_connection(), PREFORK_WAIT_WRITABLE);
	receive_some();
	ck_assert_uint_eq(prefork_connection_deadline_ms(&connection), deadline_ms);
	ck_assert_int_eq(prefork_connection_expire(&connection), PREFORK_CLOSE);
	close_connection();
}
END_TEST

/* A transport whose end of output, one byte, finds space in the socket only on the second attempt. */
static ptrdiff_t send_plain(struct prefork_connection *it, const struct iovec *pieces, int count)
{
	return prefork_socket_send(it, pieces, count);
}

static int end_later(struct prefork_connection *it)
{
	prefork_transport_set_output(it, 1);
	return 0;
}

static int flush_end(struct prefork_connection *it)
{
	char end = 'e';
	const struct iovec piece = { &end, 1 };

	ck_assert_int_eq(prefork_socket_send(it, &piece, 1), 1);
	prefork_transport_set_output(it, 0);
	return prefork_socket_end_output(it);
}

START_TEST(a_lingering_close_sends_the_end_of_output_that_did_not_fit_before)
{
	static const struct prefork_transport transport = { .struct_size = sizeof transport, .receive = prefork_socket_receive,
		.send = send_plain, .end_output = end_later, .flush = flush_end };
	int fds[2];
	char got[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	client = fds[1];
	connection = (struct prefork_connection){
		.worker = &worker, .transport = &transport, .fd = fds[0], .accepted = true, .requested = PREFORK_CLOSE,
	};
	ck_assert_int_eq(write(client, "unread", 6), 6);
	ck_assert_int_eq(prefork_connection_proceed(&connection), PREFORK_WAIT_READABLE);
	ck_assert(connection.lingering);
	ck_assert_int_eq(write(client, "more", 4), 4);
	ck_assert_int_eq(prefork_connection_proceed(&connection), PREFORK_WAIT_READABLE);
	ck_assert_int_eq(read(client, got, sizeof got), 1);
	ck_assert_int_eq(read(client, got, sizeof got), 0);
	close_connection();
}
END_TEST

static pthread_barrier_t barrier;
static struct prefork_connection *closing;

static void *close_each_time(void *argument)
{
	(void)argument;
	for (int i = 0; i < ROUNDS; i++) {
		(void)pthread_barrier_wait(&barrier);
		prefork_connection_close(closing);
		(void)pthread_barrier_wait(&barrier);
	}
	return NULL;
}

static struct prefork_connection *new_connection(void)
{
	struct prefork_connection *const created = pfi_connection_create(&worker, dup(STDERR_FILENO), 0);

	ck_assert_ptr_nonnull(created);
	return created;
}

/* The arbiter waits for the other connections of a stuck worker, so that this number must be exact. */
START_TEST(the_scoreboard_counts_connections_that_two_threads_open_and_close)
{
	static const struct pfi_spawn_context context = { .program = "test" };
	pthread_t thread;

	worker.context = &context;
	worker.liveness.score = aligned_alloc(128, pfi_worker_score_bytes(1));
	ck_assert_ptr_nonnull(worker.liveness.score);
	atomic_store(&worker.liveness.score->connections, 0);
	ck_assert_int_eq(pthread_barrier_init(&barrier, NULL, 2), 0);
	struct prefork_connection *next = new_connection();
	ck_assert_int_eq(pthread_create(&thread, NULL, close_each_time, NULL), 0);
	for (int i = 0; i < ROUNDS; i++) {
		closing = next;
		(void)pthread_barrier_wait(&barrier);
		next = new_connection();
		(void)pthread_barrier_wait(&barrier);
		ck_assert_uint_eq(atomic_load(&worker.liveness.score->connections), 1);
	}
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	prefork_connection_close(next);
	ck_assert_uint_eq(prefork_worker_connections(&worker), 0);
	(void)pthread_barrier_destroy(&barrier);
	pfi_connection_pool_finish(&worker);
	free(worker.liveness.score);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("connection");
	TCase *tc = new_case(suite, "connection");

	tcase_add_test(tc, pending_output_reaches_slow_readers_before_the_close);
	tcase_add_test(tc, pending_output_does_not_extend_the_deadline_of_the_service);
	tcase_add_test(tc, a_lingering_close_sends_the_end_of_output_that_did_not_fit_before);
	tcase_add_test(tc, the_scoreboard_counts_connections_that_two_threads_open_and_close);
	return run_suite(suite);
}
