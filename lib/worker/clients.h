/*
 * clients -- what an event loop does with its connections, whatever it waits
 * with: it does what the service says, and keeps those that wait and those
 * that are to be called again in rings, their deadlines in one heap.
 *
 * A connection gets a client when it first has to wait; one whose first read
 * brings the whole request never has one. The loop embeds struct pfi_client at
 * the beginning of its own object, and does the watching.
 */
#ifndef WORKER_CLIENTS_H
#define WORKER_CLIENTS_H

#include "worker/deadlines.h"
#include "worker/ring.h"

#include <prefork/strategy.h>

#include <stdbool.h>
#include <stddef.h>

struct pfi_clients;

struct pfi_client {
	struct prefork_connection *connection;
	struct pfi_deadline deadline;
	struct pfi_ring link;      /* in `waiting`, `again` or `spare`                */
	bool waits;                /* in the ring `waiting`                           */
	bool taken;                /* in somebody else's hands                        */
	bool missed;               /* and not watched any more, though something came */
	enum prefork_next watched; /* READABLE, WRITABLE, or PREFORK_CLOSE: it is not */
};

/* Have `client`, whose `watched` still says what was before, watched for `event` from
 * now on. 0, or a negative errno, upon which its connection is closed. */
typedef int pfi_watch_client(struct pfi_clients *clients, struct pfi_client *client, enum prefork_next event);

/* What a loop does in its own way. */
struct pfi_clients_loop {
	size_t client_size; /* of its object */
	pfi_watch_client *watch;
	void (*close_doors)(struct pfi_clients *clients); /* the worker leaves */
};

struct pfi_clients {
	struct prefork_worker *worker;       /* borrowed */
	const struct pfi_clients_loop *loop; /* borrowed */
	bool leaves;
	struct pfi_deadlines deadlines;
	size_t missed; /* clients that are */
	struct pfi_ring waiting;
	struct pfi_ring again;
	struct pfi_ring spare;
};

void pfi_clients_init(struct pfi_clients *clients, struct prefork_worker *worker,
                      const struct pfi_clients_loop *loop);

/* Close all that are not taken, and free what is held. */
void pfi_clients_finish(struct pfi_clients *clients);

/* A connection is new. */
void pfi_clients_proceed(struct pfi_clients *clients, struct prefork_connection *connection);

/* What `client` is watched for has come. */
void pfi_clients_ready(struct pfi_clients *clients, struct pfi_client *client);

/* Once per turn: those that asked for it are called again... */
void pfi_clients_call_again(struct pfi_clients *clients);

/* ...those that were given back are taken... */
void pfi_clients_take_back(struct pfi_clients *clients);

/* ...and those that are late are told. */
void pfi_clients_expire(struct pfi_clients *clients);

/* Whether the next turn must not wait. */
static inline bool pfi_clients_hurry(const struct pfi_clients *clients)
{
	return !pfi_ring_is_empty(&clients->again);
}

/* Whether there is to be one more turn. The first time that the worker is asked to leave it
 * accepts who must be, closes the doors, and asks those that wait. */
bool pfi_clients_go_on(struct pfi_clients *clients);

#endif
