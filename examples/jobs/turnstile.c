/*
 * turnstile: a server with an accept loop of its own, in place of sync, threads and libev.
 *
 * Each worker lets one client in at a time and stays with it until it leaves; the next one waits
 * in the kernel's queue. That is how the simplest of all servers work, and for a few trusted clients
 * it is enough: one that says nothing keeps the others waiting, and a stop of the server that wants to
 * answer them, until its patience is over. The service is an echo and knows nothing of it.
 *
 * What it shows: all that a strategy for clients must do. It waits for the worker's descriptor
 * and for the listeners, accepts, hands each connection to prefork_connection_proceed() and does what
 * the answer says, minds the connection's deadline, and leaves when it is asked to.
 */
#include <prefork/prefork.h>

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

enum { LISTENERS_MAX = 16, PATIENCE_MS = 10 * 1000 };

static enum prefork_next echo(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	char bytes[4096];
	const ptrdiff_t n = prefork_connection_read(connection, bytes, sizeof bytes);

	(void)worker;
	(void)user;
	if (n == -EAGAIN) {
		prefork_connection_set_deadline(connection, PATIENCE_MS); /* others wait outside */
		return PREFORK_WAIT_READABLE;
	}
	return n > 0 ? prefork_connection_write(connection, bytes, (size_t)n) : PREFORK_CLOSE;
}

static const struct prefork_service service = { .struct_size = sizeof service, .ready = echo };

/* For poll(2), until `at_ms` of CLOCK_MONOTONIC; 0: for ever. */
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

/* What this client waits for has come, or its time is up, or the worker is asked to leave. */
static enum prefork_next wait_for(struct prefork_worker *worker, struct prefork_connection *connection,
                                  enum prefork_next next)
{
	const bool stays = prefork_worker_directive(worker) == PREFORK_CONTINUE;
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
		if (directive == PREFORK_DRAIN && stays)
			return prefork_connection_drain(connection);
	}
	return count > 0 && wait[0].revents ? prefork_connection_proceed(connection) : next;
}

/* PREFORK_SUSPENDED is nothing that this service says. */
static void attend(struct prefork_worker *worker, struct prefork_connection *connection)
{
	enum prefork_next next = prefork_connection_proceed(connection);

	while (next != PREFORK_CLOSE)
		next = wait_for(worker, connection, next);
	prefork_connection_close(connection);
}

static void let_in(struct prefork_worker *worker, size_t index)
{
	struct prefork_connection *connection;

	if (prefork_worker_accept(worker, index, &connection) == 0)
		attend(worker, connection);
}

/* At a stop of the server nobody else will answer those who are in the queue. */
static void leave(struct prefork_worker *worker, size_t count)
{
	struct prefork_connection *connection;

	for (size_t i = 0; i < count && prefork_worker_empties_queues(worker); i++) {
		while (prefork_worker_accept(worker, i, &connection) == 0)
			attend(worker, connection);
	}
	prefork_worker_close_listeners(worker);
}

static int run(struct prefork_worker *worker, void *user)
{
	struct pollfd wait[1 + LISTENERS_MAX];
	const size_t count = prefork_worker_listeners(worker);

	(void)user;
	if (count > LISTENERS_MAX)
		return prefork_fail(-E2BIG, "a turnstile has at most %d listeners, not %zu", LISTENERS_MAX, count);
	prefork_worker_ready(worker);
	while (prefork_worker_check(worker) == PREFORK_CONTINUE) {
		const uint64_t rest_ms = prefork_worker_accept_retry_ms(worker); /* no descriptors: not to be polled now */

		wait[0] = (struct pollfd){ .fd = prefork_worker_fd(worker), .events = POLLIN };
		for (size_t i = 0; i < count; i++)
			wait[i + 1] = (struct pollfd){ .fd = prefork_listener_fd(prefork_worker_listener(worker, i)),
				                       .events = POLLIN };
		(void)poll(wait, rest_ms > 0 ? 1 : (nfds_t)count + 1, timeout_until(rest_ms));
		for (size_t i = 0; i < count; i++) {
			if (rest_ms > 0 || wait[i + 1].revents)
				let_in(worker, i);
		}
	}
	if (prefork_worker_directive(worker) == PREFORK_DRAIN)
		leave(worker, count);
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
	int r = prefork_settings_load(argc, argv, &settings); /* 1: --help and the like were answered */
	if (r == 0 && (r = prefork_arbiter_create(settings, &arbiter)) == 0 &&
	    (r = prefork_arbiter_add_pool(arbiter, "echo", &turnstile, &service, NULL, NULL)) == 0)
		r = prefork_arbiter_run(arbiter); /* ./turnstile --bind 127.0.0.1:7000 --workers 4 */
	if (r < 0)
		fprintf(stderr, "turnstile: %s\n", prefork_error());
	prefork_arbiter_destroy(arbiter);
	prefork_settings_destroy(settings);
	return prefork_exit_status(r);
}
