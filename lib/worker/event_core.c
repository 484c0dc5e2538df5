#include "worker/event_core.h"

#include "os/clock.h"
#include "worker/connection.h"
#include "worker/worker.h"

#include <stdlib.h>
#include <string.h>

static struct pfi_event_connection *client_at(struct pfi_ring *link)
{
	return PFI_RING_OWNER(link, struct pfi_event_connection, link);
}

static void unlink_client(struct pfi_event_connection *client)
{
	pfi_ring_remove(&client->link);
	client->waits = false;
}

void pfi_event_core_init(struct pfi_event_core *clients, struct prefork_worker *worker,
                      const struct pfi_event_driver *loop)
{
	*clients = (struct pfi_event_core){ .worker = worker, .loop = loop };
	pfi_ring_init(&clients->waiting);
	pfi_ring_init(&clients->again);
	pfi_ring_init(&clients->spare);
}

static struct pfi_event_connection *client_of(struct pfi_event_core *clients, struct prefork_connection *connection)
{
	struct pfi_event_connection *client = prefork_connection_driver(connection);

	if (client)
		return client;
	struct pfi_ring *const spare = pfi_ring_take(&clients->spare);

	client = spare ? client_at(spare) : malloc(clients->loop->client_size);
	if (!client)
		return NULL;
	memset(client, 0, clients->loop->client_size);
	client->connection = connection;
	client->watched = PREFORK_CLOSE;
	pfi_ring_init(&client->link);
	prefork_connection_set_driver(connection, client);
	return client;
}

static int watch(struct pfi_event_core *clients, struct pfi_event_connection *client, enum prefork_next event)
{
	if (client->watched == event)
		return 0;
	const int r = clients->loop->watch(clients, client, event);
	client->watched = event;
	if (!client->taken)
		client->connection->watched = event == PREFORK_WAIT_READABLE;
	return r;
}

static void close_connection(struct pfi_event_core *clients, struct prefork_connection *connection)
{
	struct pfi_event_connection *const client = prefork_connection_driver(connection);

	if (client) {
		(void)watch(clients, client, PREFORK_CLOSE);
		pfi_deadline_heap_remove(&clients->deadlines, &client->deadline);
		unlink_client(client);
		pfi_ring_add(&clients->spare, &client->link);
	}
	prefork_connection_close(connection);
}

/* Nothing of the connection itself may be touched: another thread has it. It stays
 * watched as it was, since most come back soon and with nothing new to say. */
static void let_go(struct pfi_event_connection *client)
{
	if (!client)
		return;
	client->taken = true;
	client->deadline.at_ms = 0;
	unlink_client(client);
}

/* Have `connection` wait for `next`. False: it cannot, for want of memory. */
static bool wait_for(struct pfi_event_core *clients, struct prefork_connection *connection, enum prefork_next next)
{
	struct pfi_event_connection *const client = client_of(clients, connection);

	if (!client)
		return false;
	if (next == PREFORK_AGAIN)
		pfi_ring_add(&clients->again, &client->link);
	else if (!client->waits)
		pfi_ring_add(&clients->waiting, &client->link);
	client->waits = next != PREFORK_AGAIN;
	client->deadline.at_ms = prefork_connection_deadline_ms(connection);
	if (pfi_deadline_heap_add(&clients->deadlines, &client->deadline) < 0)
		return false;
	/* One that is called again soon stays watched as it was. */
	return next == PREFORK_AGAIN || watch(clients, client, next) == 0;
}

/* Do what the service has said. */
static void obey(struct pfi_event_core *clients, struct prefork_connection *connection, struct pfi_event_connection *client,
                 enum prefork_next next)
{
	if (next == PREFORK_SUSPENDED)
		let_go(client);
	else if (next == PREFORK_CLOSE || !wait_for(clients, connection, next))
		close_connection(clients, connection);
}

/* The same, unless it would wait and the worker leaves. `client` was asked for before
 * the callback, since after PREFORK_SUSPENDED the connection is somebody else's. */
static void follow(struct pfi_event_core *clients, struct prefork_connection *connection, struct pfi_event_connection *client,
                   enum prefork_next next)
{
	const bool waits = next == PREFORK_WAIT_READABLE || next == PREFORK_WAIT_WRITABLE;

	if (waits && prefork_worker_directive(clients->worker) != PREFORK_CONTINUE)
		next = prefork_connection_drain(connection);
	obey(clients, connection, client, next);
}

void pfi_event_core_proceed(struct pfi_event_core *clients, struct prefork_connection *connection)
{
	struct pfi_event_connection *const client = prefork_connection_driver(connection);

	follow(clients, connection, client, prefork_connection_proceed(connection));
}

static void proceed(struct pfi_event_core *clients, struct pfi_event_connection *client)
{
	follow(clients, client->connection, client, prefork_connection_proceed(client->connection));
}

/* Something for a client that somebody else has. It must not be told again and again, and
 * whoever gives it back must be heard. The order matters: first say so, then look whether that
 * came too late. */
static void miss(struct pfi_event_core *clients, struct pfi_event_connection *client)
{
	client->missed = true;
	clients->missed++;
	atomic_store(&clients->worker->wake_for_all, true);
	(void)watch(clients, client, PREFORK_CLOSE);
	pfi_event_core_resume(clients);
}

static void find(struct pfi_event_core *clients, struct pfi_event_connection *client)
{
	client->missed = false;
	if (--clients->missed == 0)
		atomic_store(&clients->worker->wake_for_all, false);
}

void pfi_event_core_ready(struct pfi_event_core *clients, struct pfi_event_connection *client)
{
	if (client->taken)
		pfi_event_core_resume(clients); /* most of the time it was given back just now */
	if (client->taken)
		miss(clients, client);
	else if (client->waits) /* else it is called anyhow, or was closed since the loop heard of it */
		proceed(clients, client);
}

void pfi_event_core_call_again(struct pfi_event_core *clients)
{
	struct pfi_ring ring, *link;

	if (!pfi_event_core_has_work(clients))
		return;
	pfi_ring_move(&ring, &clients->again); /* whoever asks anew waits for the next turn */
	while ((link = pfi_ring_take(&ring)) != NULL)
		pfi_event_core_proceed(clients, client_at(link)->connection);
}

void pfi_event_core_resume(struct pfi_event_core *clients)
{
	struct prefork_connection *connection;
	enum prefork_next next;

	while ((connection = prefork_worker_resumed(clients->worker, &next)) != NULL) {
		struct pfi_event_connection *const client = prefork_connection_driver(connection);

		if (client)
			client->taken = false;
		if (client && client->missed) {
			find(clients, client);
			connection->watched = false;
		}
		follow(clients, connection, client, next);
	}
}

void pfi_event_core_expire(struct pfi_event_core *clients)
{
	struct pfi_deadline *late;

	if (pfi_deadline_heap_next_ms(&clients->deadlines) == 0)
		return;
	const uint64_t now_ms = pfi_now_ms();
	while ((late = pfi_deadline_heap_take(&clients->deadlines, now_ms)) != NULL) {
		struct pfi_event_connection *const client = PFI_RING_OWNER(late, struct pfi_event_connection, deadline);

		follow(clients, client->connection, client, prefork_connection_expire(client->connection));
	}
}

static void empty_queues(struct pfi_event_core *clients)
{
	struct prefork_connection *connection;

	for (size_t i = 0; i < prefork_worker_listeners(clients->worker); i++) {
		while (prefork_worker_directive(clients->worker) != PREFORK_QUIT &&
		       prefork_worker_accept(clients->worker, i, &connection) == 0)
			pfi_event_core_proceed(clients, connection);
	}
}

static void ask_to_leave(struct pfi_event_core *clients)
{
	struct pfi_ring ring;

	clients->missed++; /* all are, from now on: the worker ends with the last one */
	atomic_store(&clients->worker->wake_for_all, true);
	pfi_event_core_resume(clients);
	pfi_ring_move(&ring, &clients->waiting);
	while (!pfi_ring_is_empty(&ring)) {
		struct pfi_event_connection *const client = client_at(ring.next);

		unlink_client(client);
		obey(clients, client->connection, client, prefork_connection_drain(client->connection));
	}
}

bool pfi_event_core_continue(struct pfi_event_core *clients)
{
	struct prefork_worker *const worker = clients->worker;
	const enum prefork_directive directive = prefork_worker_directive(worker);

	if (directive == PREFORK_DRAIN && !clients->leaves) {
		clients->leaves = true;
		if (prefork_worker_empties_queues(worker))
			empty_queues(clients);
		clients->loop->close_listeners(clients);
		ask_to_leave(clients);
	}
	return directive != PREFORK_QUIT && (!clients->leaves || prefork_worker_connections(worker) > 0);
}

static void close_ring(struct pfi_event_core *clients, struct pfi_ring *ring)
{
	while (!pfi_ring_is_empty(ring))
		close_connection(clients, client_at(ring->next)->connection);
}

void pfi_event_core_finish(struct pfi_event_core *clients)
{
	struct prefork_connection *connection;
	enum prefork_next next;

	while ((connection = prefork_worker_resumed(clients->worker, &next)) != NULL)
		close_connection(clients, connection);
	close_ring(clients, &clients->waiting);
	close_ring(clients, &clients->again);
	struct pfi_ring *link;
	while ((link = pfi_ring_take(&clients->spare)) != NULL)
		free(client_at(link));
	pfi_deadline_heap_finish(&clients->deadlines);
}
