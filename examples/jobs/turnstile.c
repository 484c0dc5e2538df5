/*
 * turnstile: an own accept loop instead of sync, threads and libev.
 *
 * Each worker serves one connection at a time until it is closed; further connections wait in the
 * backlog. That suffices for a few trusted clients: an idle connection delays the others, and a
 * drain, until IDLE_MS has passed. The service is an echo and does not depend on the strategy.
 *
 * It shows everything that a strategy for connections must do: poll the worker's descriptor and the
 * listeners, accept, call prefork_connection_proceed() and wait for what it returns, enforce the
 * deadline of the connection, and drain.
 */
#include <prefork/prefork.h>

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

enum { LISTENERS_MAX = 16, IDLE_MS = 10 * 1000 };

static enum prefork_next echo(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	char bytes[4096];
	const ptrdiff_t n = prefork_connection_read(connection, bytes, sizeof bytes);

	(void)worker;
	(void)user;
	if (n == -EAGAIN) {
		prefork_connection_set_deadline(connection, IDLE_MS); /* others wait in the backlog */
		return PREFORK_WAIT_READABLE;
	}
	return n > 0 ? prefork_connection_write(connection, bytes, (size_t)n) : PREFORK_CLOSE;
}

static const struct prefork_service service = { .struct_size = sizeof service, .ready = echo };

/* Timeout of poll(2) until `at_ms` of CLOCK_MONOTONIC; 0: infinite. */
static int timeout_until(uint64_t at_ms)
{
	struct timespec now;

	if (at_ms == 0)
		return -1;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	const uint64_t now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	if (at_ms <= now_ms)
		return 0;
	return at_ms - now_ms > INT_MAX ? INT_MAX : (int)(at_ms - now_ms);
}

/* Wait for the connection, its deadline or a directive of the arbiter. */
static enum prefork_next wait_for(struct prefork_worker *worker, struct prefork_connection *connection,
                                  enum prefork_next next)
{
	const bool was_continuing = prefork_worker_directive(worker) == PREFORK_CONTINUE;
	struct pollfd wait[] = {
		{ .fd = prefork_connection_fd(connection), .events = next == PREFORK_WAIT_WRITABLE ? POLLOUT : POLLIN },
		{ .fd = prefork_worker_fd(worker), .events = POLLIN },
	};

	if (next == PREFORK_AGAIN)
		return prefork_connection_proceed(connection);
	const int count = poll(wait, 2, timeout_until(prefork_connection_deadline_ms(connection)));
	if (count == 0)
		return prefork_connection_expire(connection);
	if (count > 0 && wait[1].revents) {
		const enum prefork_directive directive = prefork_worker_check(worker);

		if (directive == PREFORK_QUIT)
			return PREFORK_CLOSE;
		if (directive == PREFORK_DRAIN && was_continuing)
			return prefork_connection_drain(connection);
	}
	return count > 0 && wait[0].revents ? prefork_connection_proceed(connection) : next;
}

/* This service never returns PREFORK_SUSPENDED. */
static void serve(struct prefork_worker *worker, struct prefork_connection *connection)
{
	enum prefork_next next = prefork_connection_proceed(connection);

	while (next != PREFORK_CLOSE)
		next = wait_for(worker, connection, next);
	prefork_connection_close(connection);
}

static void accept_one(struct prefork_worker *worker, size_t index)
{
	struct prefork_connection *connection;

	if (prefork_worker_accept(worker, index, &connection) == 0)
		serve(worker, connection);
}

/* When the server stops, no other worker accepts the connections in the backlog. */
static void drain(struct prefork_worker *worker, size_t count)
{
	struct prefork_connection *connection;

	for (size_t i = 0; i < count && prefork_worker_empties_queues(worker); i++) {
		while (prefork_worker_accept(worker, i, &connection) == 0)
			serve(worker, connection);
	}
	prefork_worker_close_listeners(worker);
}

static int run(struct prefork_worker *worker, void *user)
{
	struct pollfd wait[1 + LISTENERS_MAX];
	const size_t count = prefork_worker_listeners(worker);

	(void)user;
	if (count > LISTENERS_MAX)
		return prefork_fail(-E2BIG, "turnstile supports at most %d listeners, not %zu", LISTENERS_MAX, count);
	prefork_worker_ready(worker);
	while (prefork_worker_check(worker) == PREFORK_CONTINUE) {
		/* Not 0: shortage of descriptors, do not poll the listeners. */
		const uint64_t retry_ms = prefork_worker_accept_retry_ms(worker);

		wait[0] = (struct pollfd){ .fd = prefork_worker_fd(worker), .events = POLLIN };
		for (size_t i = 0; i < count; i++)
			wait[i + 1] = (struct pollfd){ .fd = prefork_listener_fd(prefork_worker_listener(worker, i)),
				                       .events = POLLIN };
		(void)poll(wait, retry_ms > 0 ? 1 : (nfds_t)count + 1, timeout_until(retry_ms));
		for (size_t i = 0; i < count; i++) {
			if (retry_ms > 0 || wait[i + 1].revents)
				accept_one(worker, i);
		}
	}
	if (prefork_worker_directive(worker) == PREFORK_DRAIN)
		drain(worker, count);
	return PREFORK_EXIT_RECYCLE;
}

static const struct prefork_strategy turnstile = {
	.struct_size = sizeof turnstile,
	.name = "turnstile",
	.traits = PREFORK_STRATEGY_MAY_BLOCK | PREFORK_STRATEGY_REPORTS_READY,
	.run = run,
};

int main(int argc, char **argv)
{
	struct prefork_settings *settings = NULL;
	struct prefork_arbiter *arbiter = NULL;

	prefork_title_take(argc, argv);
	int r = prefork_settings_load(argc, argv, &settings); /* 1: done, for example --help */
	if (r == 0 && (r = prefork_arbiter_create(settings, &arbiter)) == 0 &&
	    (r = prefork_arbiter_add_pool(arbiter, "echo", &turnstile, &service, NULL, NULL)) == 0)
		r = prefork_arbiter_run(arbiter); /* ./turnstile --bind 127.0.0.1:7000 --workers 4 */
	if (r < 0)
		fprintf(stderr, "turnstile: %s\n", prefork_error());
	prefork_arbiter_destroy(arbiter);
	prefork_settings_destroy(settings);
	return prefork_exit_status(r);
}
