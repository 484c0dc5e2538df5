/*
 * sync -- one request at a time.
 *
 * The worker belongs to a connection only while the service works on it.
 * Connections that have nothing to say wait in the same epoll set as the
 * listeners, level-triggered, and stay in it from one request to the next; one
 * whose first read brings the whole request never gets there. At rest, and as
 * long as no deadline comes up, nothing wakes this worker.
 */
#include "os/clock.h"
#include "os/fd.h"
#include "worker/deadlines.h"
#include "worker/doors.h"
#include "worker/strategies.h"

#include <prefork/error.h>
#include <prefork/settings.h>

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

enum {
	EVENTS_MAX = 16, /* few: whoever stands behind a slow request waits for it */
	CONNECTIONS_MAX = 1000,
};

/* A connection that has had to wait, in one of two rings unless it is taken. */
struct client {
	struct prefork_connection *connection;
	struct pfi_deadline deadline;
	uint32_t events; /* what the epoll set watches for; 0: it is not in the set */
	struct client *next, *previous;
};

struct sync {
	struct prefork_worker *worker;
	int epoll;
	size_t connections_max;
	struct pfi_doors doors;
	struct pfi_deadlines deadlines;
	struct client waiting; /* the rings' heads */
	struct client again;
	struct client *spare; /* a list, by `next` */
};

/* What the data of an event stands for: a listener's number, this, or a pointer,
 * which may well lie below 4 GiB. */
static const uint64_t worker_key = PFI_DOORS_MAX;

static void unlink_client(struct client *client)
{
	client->next->previous = client->previous;
	client->previous->next = client->next;
	client->next = client->previous = client;
}

static void link_client(struct client *ring, struct client *client)
{
	unlink_client(client);
	client->next = ring;
	client->previous = ring->previous;
	ring->previous->next = client;
	ring->previous = client;
}

static void init_ring(struct client *ring)
{
	ring->next = ring->previous = ring;
}

static struct client *client_of(struct sync *sync, struct prefork_connection *connection)
{
	struct client *client = prefork_connection_driver(connection);

	if (client)
		return client;
	client = sync->spare;
	if (client)
		sync->spare = client->next;
	else if (!(client = malloc(sizeof *client)))
		return NULL;
	*client = (struct client){ .connection = connection };
	init_ring(client);
	prefork_connection_set_driver(connection, client);
	return client;
}

static int watch(struct sync *sync, struct client *client, uint32_t events)
{
	const int operation = events == 0           ? EPOLL_CTL_DEL
	                      : client->events == 0 ? EPOLL_CTL_ADD
	                                            : EPOLL_CTL_MOD;
	struct epoll_event event = { .events = events, .data.ptr = client };

	if (client->events == events)
		return 0;
	client->events = events;
	if (epoll_ctl(sync->epoll, operation, prefork_connection_fd(client->connection), &event) < 0)
		return -errno;
	return 0;
}

static void close_connection(struct sync *sync, struct prefork_connection *connection)
{
	struct client *const client = prefork_connection_driver(connection);

	if (client) {
		/* Out of the set by hand: a process that the application has forked may
		 * hold a copy of the descriptor, and would keep it there. */
		(void)watch(sync, client, 0);
		pfi_deadlines_remove(&sync->deadlines, &client->deadline);
		unlink_client(client);
		client->next = sync->spare;
		sync->spare = client;
	}
	prefork_connection_close(connection);
}

/* Nothing of the connection itself may be touched: another thread has it. */
static bool let_go(struct sync *sync, struct client *client)
{
	if (!client)
		return true;
	client->deadline.at_ms = 0;
	unlink_client(client);
	return watch(sync, client, 0) == 0;
}

/* Have `connection` wait for `next`. False: it cannot, for want of memory. */
static bool wait_for(struct sync *sync, struct prefork_connection *connection, enum prefork_next next)
{
	const uint32_t events = next == PREFORK_WAIT_READABLE ? EPOLLIN : EPOLLOUT;
	struct client *const client = client_of(sync, connection);

	if (!client)
		return false;
	link_client(next == PREFORK_AGAIN ? &sync->again : &sync->waiting, client);
	client->deadline.at_ms = prefork_connection_deadline_ms(connection);
	if (pfi_deadlines_file(&sync->deadlines, &client->deadline) < 0)
		return false;
	/* One that is called again soon keeps what it has in the set. */
	return next == PREFORK_AGAIN || watch(sync, client, events) == 0;
}

/* Do what the service has said. */
static void obey(struct sync *sync, struct prefork_connection *connection, enum prefork_next next)
{
	bool kept = false;

	if (next == PREFORK_TAKEN)
		kept = let_go(sync, prefork_connection_driver(connection));
	else if (next != PREFORK_CLOSE)
		kept = wait_for(sync, connection, next);
	if (!kept)
		close_connection(sync, connection);
}

/* The same, unless it would wait and the worker leaves. */
static void follow(struct sync *sync, struct prefork_connection *connection, enum prefork_next next)
{
	const bool waits = next == PREFORK_WAIT_READABLE || next == PREFORK_WAIT_WRITABLE;

	if (waits && prefork_worker_stay(sync->worker) != PREFORK_STAY)
		next = prefork_connection_leave(connection);
	obey(sync, connection, next);
}

static void proceed(struct sync *sync, struct prefork_connection *connection)
{
	follow(sync, connection, prefork_connection_proceed(connection));
}

/* Take over all of `from`, and leave it empty. */
static void move_ring(struct client *to, struct client *from)
{
	init_ring(to);
	if (from->next == from)
		return;
	*to = *from;
	to->next->previous = to;
	to->previous->next = to;
	init_ring(from);
}

/* Those that asked to be called again have let the others go first. */
static void call_again(struct sync *sync)
{
	struct client ring;

	move_ring(&ring, &sync->again);
	while (ring.next != &ring) {
		struct client *const client = ring.next;

		unlink_client(client);
		proceed(sync, client->connection);
	}
}

static void expire(struct sync *sync)
{
	struct pfi_deadline *late;

	if (pfi_deadlines_next_ms(&sync->deadlines) == 0)
		return;
	const uint64_t now_ms = pfi_now_ms();
	while ((late = pfi_deadlines_take(&sync->deadlines, now_ms)) != NULL) {
		struct client *const client =
			(struct client *)(void *)((char *)late - offsetof(struct client, deadline));

		follow(sync, client->connection, prefork_connection_expire(client->connection));
	}
}

static void take_back(struct sync *sync)
{
	struct prefork_connection *connection;
	enum prefork_next next;

	while ((connection = prefork_worker_given_back(sync->worker, &next)) != NULL)
		follow(sync, connection, next);
}

/* The worker has just been asked to leave. */
static void begin_to_leave(struct sync *sync)
{
	struct prefork_connection *connection;
	struct client ring;

	if (prefork_worker_empties_queues(sync->worker)) {
		for (size_t i = 0; i < prefork_worker_listeners(sync->worker); i++) {
			while (prefork_worker_stay(sync->worker) != PREFORK_QUIT &&
			       prefork_worker_accept(sync->worker, i, &connection) == 0)
				proceed(sync, connection);
		}
	}
	pfi_doors_close(&sync->doors);
	move_ring(&ring, &sync->waiting);
	while (ring.next != &ring) {
		struct client *const client = ring.next;

		unlink_client(client);
		obey(sync, client->connection, prefork_connection_leave(client->connection));
	}
}

static int timeout_ms(struct sync *sync)
{
	uint64_t next_ms = pfi_deadlines_next_ms(&sync->deadlines);
	const uint64_t doors_ms = pfi_doors_refresh(&sync->doors);

	if (sync->again.next != &sync->again)
		return 0;
	if (doors_ms > 0 && (next_ms == 0 || doors_ms < next_ms))
		next_ms = doors_ms;
	if (next_ms == 0)
		return -1;
	const uint64_t now_ms = pfi_now_ms();
	if (next_ms <= now_ms)
		return 0;
	return next_ms - now_ms > INT_MAX ? INT_MAX : (int)(next_ms - now_ms);
}

/* One client of the queue: the next one wakes a sibling that has nothing to do. */
static void welcome(struct sync *sync, size_t index)
{
	struct prefork_connection *connection;

	if (pfi_doors_accept(&sync->doors, index, &connection) == 0)
		proceed(sync, connection);
}

/* Listeners before connections, since nobody else was woken for their clients;
 * and everything that can close a connection whose event is still to come
 * after both. Returns 0 or a negative errno. */
static int turn(struct sync *sync)
{
	struct epoll_event events[EVENTS_MAX];
	const int count = epoll_wait(sync->epoll, events, EVENTS_MAX, timeout_ms(sync));
	bool is_told = false;

	if (count < 0)
		return errno == EINTR ? 0 : prefork_fail(-errno, "epoll_wait: %s", strerror(errno));
	for (int i = 0; i < count; i++) {
		if (events[i].data.u64 == worker_key)
			is_told = true;
		else if (events[i].data.u64 < sync->doors.count)
			welcome(sync, (size_t)events[i].data.u64);
	}
	for (int i = 0; i < count; i++) {
		if (events[i].data.u64 > worker_key)
			proceed(sync, ((struct client *)events[i].data.ptr)->connection);
	}
	if (count < EVENTS_MAX)
		call_again(sync);
	if (is_told)
		(void)prefork_worker_check(sync->worker);
	take_back(sync);
	expire(sync);
	pfi_doors_hold(&sync->doors, prefork_worker_connections(sync->worker) >= sync->connections_max);
	return 0;
}

static int open_all(struct sync *sync, struct prefork_worker *worker)
{
	const struct prefork_settings *const settings = prefork_worker_settings(worker);
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = worker_key };
	const int64_t limit = settings ? prefork_settings_int(settings, "worker_connections") : 0;

	*sync = (struct sync){ .worker = worker, .epoll = epoll_create1(EPOLL_CLOEXEC) };
	sync->connections_max = limit > 0 ? (size_t)limit : CONNECTIONS_MAX;
	init_ring(&sync->waiting);
	init_ring(&sync->again);
	if (sync->epoll < 0)
		return prefork_fail(-errno, "cannot open an epoll set: %s", strerror(errno));
	if (epoll_ctl(sync->epoll, EPOLL_CTL_ADD, prefork_worker_fd(worker), &event) < 0)
		return prefork_fail(-errno, "cannot watch the arbiter: %s", strerror(errno));
	return pfi_doors_open(&sync->doors, worker, sync->epoll, 0);
}

static void close_ring(struct sync *sync, struct client *ring)
{
	while (ring->next != ring)
		close_connection(sync, ring->next->connection);
}

static void close_all(struct sync *sync)
{
	close_ring(sync, &sync->waiting);
	close_ring(sync, &sync->again);
	while (sync->spare) {
		struct client *const client = sync->spare;

		sync->spare = client->next;
		free(client);
	}
	pfi_doors_finish(&sync->doors);
	pfi_deadlines_finish(&sync->deadlines);
	pfi_close(&sync->epoll);
}

static int run(struct prefork_worker *worker, void *user)
{
	struct sync sync;
	bool leaves = false;
	int r = open_all(&sync, worker);

	(void)user;
	while (r == 0) {
		const enum prefork_stay stay = prefork_worker_stay(worker);

		if (stay == PREFORK_QUIT)
			break;
		if (stay == PREFORK_LEAVE && !leaves) {
			leaves = true;
			begin_to_leave(&sync);
		}
		if (leaves && prefork_worker_connections(worker) == 0)
			break;
		r = turn(&sync);
	}
	close_all(&sync);
	return r;
}

const struct prefork_strategy pfi_strategy_sync = {
	.struct_size = sizeof pfi_strategy_sync,
	.name = "sync",
	.traits = PREFORK_STRATEGY_MAY_BLOCK,
	.run = run,
};
