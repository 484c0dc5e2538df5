/*
 * A strategy on libev that includes public headers only: it shows that they suffice
 * for an event loop, in which no callback may block.
 */
#include "ev_driver.h"

#include <prefork/error.h>
#include <prefork/listener.h>

#include <errno.h>
#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

/* The state of a connection that waits. */
struct client {
	struct prefork_connection *connection;
	ev_io io;
	ev_timer timer; /* for the deadline, or at once for PREFORK_AGAIN */
	bool again;
	struct client *next, **link; /* among those that wait */
};

struct driver {
	struct prefork_worker *worker;
	struct ev_loop *loop;
	ev_io control;
	ev_io *accept_set;
	ev_timer rest;
	struct client *waiting;
};

static void on_io(struct ev_loop *loop, ev_io *io, int events);
static void on_timer(struct ev_loop *loop, ev_timer *timer, int events);

static void stop_waiting(struct driver *driver, struct client *client)
{
	ev_io_stop(driver->loop, &client->io);
	ev_timer_stop(driver->loop, &client->timer);
	if (client->link) {
		*client->link = client->next;
		if (client->next)
			client->next->link = client->link;
		client->link = NULL;
	}
}

static void close_client(struct driver *driver, struct prefork_connection *connection)
{
	struct client *const client = prefork_connection_driver(connection);

	if (client)
		stop_waiting(driver, client);
	free(client);
	prefork_connection_close(connection);
}

static struct client *client_of(struct prefork_connection *connection)
{
	struct client *client = prefork_connection_driver(connection);

	if (client || !(client = calloc(1, sizeof *client)))
		return client;
	client->connection = connection;
	ev_init(&client->io, on_io);
	ev_init(&client->timer, on_timer);
	prefork_connection_set_driver(connection, client);
	return client;
}

static void start_timer(struct driver *driver, struct client *client)
{
	const uint64_t at_ms = prefork_connection_deadline_ms(client->connection);
	double after_s = 0.;

	if (!client->again) {
		struct timespec now;

		if (at_ms == 0)
			return;
		(void)clock_gettime(CLOCK_MONOTONIC, &now);
		after_s = (double)at_ms / 1e3 - ((double)now.tv_sec + (double)now.tv_nsec / 1e9);
	}
	ev_now_update(driver->loop);
	ev_timer_set(&client->timer, after_s > 0. ? after_s : 0., 0.);
	ev_timer_start(driver->loop, &client->timer);
}

static void apply_next(struct driver *driver, struct prefork_connection *connection, enum prefork_next next)
{
	struct client *client = prefork_connection_driver(connection);

	if (client)
		stop_waiting(driver, client);
	if (next == PREFORK_SUSPENDED)
		return;
	if (next == PREFORK_CLOSE || !(client = client_of(connection))) {
		close_client(driver, connection);
		return;
	}
	client->io.data = client->timer.data = driver;
	client->again = next == PREFORK_AGAIN;
	client->next = driver->waiting;
	client->link = &driver->waiting;
	if (client->next)
		client->next->link = &client->next;
	driver->waiting = client;
	if (!client->again) {
		ev_io_set(&client->io, prefork_connection_fd(connection),
		          next == PREFORK_WAIT_READABLE ? EV_READ : EV_WRITE);
		ev_io_start(driver->loop, &client->io);
	}
	start_timer(driver, client);
}

static void continue_with(struct driver *driver, struct prefork_connection *connection, enum prefork_next next)
{
	const bool waits = next == PREFORK_WAIT_READABLE || next == PREFORK_WAIT_WRITABLE;

	if (waits && prefork_worker_directive(driver->worker) != PREFORK_CONTINUE)
		next = prefork_connection_drain(connection);
	apply_next(driver, connection, next);
}

static void on_io(struct ev_loop *loop, ev_io *io, int events)
{
	struct client *const client = (struct client *)(void *)((char *)io - offsetof(struct client, io));

	(void)loop;
	(void)events;
	continue_with(io->data, client->connection, prefork_connection_proceed(client->connection));
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct client *const client = (struct client *)(void *)((char *)timer - offsetof(struct client, timer));
	struct prefork_connection *const connection = client->connection;

	(void)loop;
	(void)events;
	continue_with(timer->data, connection, client->again ? prefork_connection_proceed(connection)
	                                              : prefork_connection_expire(connection));
}

static void stop_listeners(struct driver *driver)
{
	for (size_t i = 0; i < prefork_worker_listeners(driver->worker); i++)
		ev_io_stop(driver->loop, &driver->accept_set[i]);
}

static void on_rest_over(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct driver *const driver = timer->data;

	(void)events;
	if (prefork_worker_directive(driver->worker) != PREFORK_CONTINUE)
		return;
	for (size_t i = 0; i < prefork_worker_listeners(driver->worker); i++)
		ev_io_start(loop, &driver->accept_set[i]);
}

static void on_readable(struct ev_loop *loop, ev_io *io, int events)
{
	struct driver *const driver = io->data;
	struct prefork_connection *connection;
	const int r = prefork_worker_accept(driver->worker, (size_t)(io - driver->accept_set), &connection);

	(void)events;
	if (r == 0) {
		continue_with(driver, connection, prefork_connection_proceed(connection));
	} else if (r == -EBUSY) {
		stop_listeners(driver);
		ev_timer_set(&driver->rest, 0.5, 0.);
		ev_timer_start(loop, &driver->rest);
	} else if (r != -EAGAIN) {
		ev_io_stop(loop, io);
	}
}

static void begin_drain(struct driver *driver)
{
	struct prefork_connection *connection;
	struct client *client = driver->waiting;

	ev_timer_stop(driver->loop, &driver->rest);
	for (size_t i = 0; prefork_worker_empties_queues(driver->worker) &&
	                   i < prefork_worker_listeners(driver->worker); i++) {
		while (prefork_worker_accept(driver->worker, i, &connection) == 0)
			continue_with(driver, connection, prefork_connection_proceed(connection));
	}
	stop_listeners(driver);
	prefork_worker_close_listeners(driver->worker);
	while (client) { /* new connections are added before it */
		struct client *const next = client->next;

		apply_next(driver, client->connection, prefork_connection_drain(client->connection));
		client = next;
	}
}

static void on_control(struct ev_loop *loop, ev_io *io, int events)
{
	struct driver *const driver = io->data;
	const enum prefork_directive before = prefork_worker_directive(driver->worker);
	const enum prefork_directive directive = prefork_worker_check(driver->worker);
	struct prefork_connection *connection;
	enum prefork_next next;

	(void)loop;
	(void)events;
	while ((connection = prefork_worker_take_resumed(driver->worker, &next)) != NULL)
		continue_with(driver, connection, next);
	if (before == PREFORK_CONTINUE && directive == PREFORK_DRAIN)
		begin_drain(driver);
}

static int run(struct prefork_worker *worker, void *user)
{
	const size_t count = prefork_worker_listeners(worker);
	struct driver driver = { .worker = worker, .loop = ev_loop_new(EVFLAG_NOENV | EVFLAG_NOSIGMASK) };

	(void)user;
	driver.accept_set = calloc(count + 1, sizeof *driver.accept_set);
	if (!driver.loop || !driver.accept_set)
		return prefork_fail(-ENOMEM, "no memory for an event loop");
	ev_timer_init(&driver.rest, on_rest_over, 0., 0.);
	driver.rest.data = &driver;
	ev_io_init(&driver.control, on_control, prefork_worker_fd(worker), EV_READ);
	driver.control.data = &driver;
	ev_io_start(driver.loop, &driver.control);
	for (size_t i = 0; i < count; i++) {
		ev_io_init(&driver.accept_set[i], on_readable, prefork_listener_fd(prefork_worker_listener(worker, i)),
		           EV_READ);
		driver.accept_set[i].data = &driver;
		ev_io_start(driver.loop, &driver.accept_set[i]);
	}
	while (prefork_worker_directive(worker) != PREFORK_QUIT &&
	       (prefork_worker_directive(worker) == PREFORK_CONTINUE || prefork_worker_connections(worker) > 0))
		(void)ev_run(driver.loop, EVRUN_ONCE);
	while (driver.waiting)
		close_client(&driver, driver.waiting->connection);
	ev_io_stop(driver.loop, &driver.control);
	free(driver.accept_set);
	ev_loop_destroy(driver.loop);
	return 0;
}

const struct prefork_strategy ev_driver = {
	.struct_size = sizeof ev_driver,
	.name = "ev-driver",
	.run = run,
};
