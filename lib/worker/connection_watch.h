/*
 * connection watch -- events of connections that no strategy polls: those that are suspended, and
 * those whose callback runs in another thread.
 *
 *     watch --> young, for PFI_WATCH_AFTER_MS: costs no system call
 *                 |
 *                 v
 *               old: in the epoll set `epoll`, for the end of file and the reset of the client, and
 *                 |  in the heap, for its time limit
 *                 v
 *               due: an event has happened; the first thread calls the service, then it is old again
 *
 * `epoll` also holds a timer, and is itself in the epoll set of prefork_worker_fd(): so every strategy
 * polls it, and no strategy knows of it. It is opened when the first connection is watched.
 *
 * Threads: any thread watches and ends a watch; the first thread calls the service, without `lock`.
 * A thread that ends the watch of a connection waits until a call for that connection has returned,
 * so that the connection is not used afterwards.
 */
#ifndef WORKER_CONNECTION_WATCH_H
#define WORKER_CONNECTION_WATCH_H

#include "worker/deadline_heap.h"
#include "worker/ring.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct prefork_connection;
struct prefork_worker;

/* Short work costs nothing. The rest of the second is for the delay of the timer. */
enum { PFI_WATCH_AFTER_MS = 800 };

/* Data of the event of `epoll` in the epoll set of prefork_worker_fd(). */
enum { PFI_WATCH_KEY = 1000 };

/* The part of a connection. Valid only while `is_watched`. */
struct pfi_watch_entry {
	struct pfi_ring link; /* in `young`, `old` or `due` */
	struct pfi_deadline deadline;
	uint64_t since_ms;
	uint64_t timeout_ms; /* 0: none */
	uint8_t deadline_event; /* enum prefork_watch_event: what the deadline stands for */
	uint8_t events;    /* bits of enum prefork_watch_event, not delivered yet */
	bool is_polled;    /* in `epoll` */
	bool is_called;    /* the first thread calls the service for it */
	bool has_ended;    /* has had the event that the drain or the worker ends */
};

struct pfi_connection_watch {
	pthread_mutex_t lock;
	pthread_cond_t returned; /* a call of the service has returned */
	int epoll;               /* -1: nothing was watched so far */
	int timer;
	uint64_t timer_ms;    /* when it expires; 0: not armed */
	struct pfi_ring young; /* in the order of since_ms */
	struct pfi_ring old;
	struct pfi_ring due;
	struct pfi_deadline_heap deadlines;
};

void pfi_connection_watch_init(struct prefork_worker *worker);
void pfi_connection_watch_close(struct prefork_worker *worker);

/* The epoll set has an event. First thread. */
void pfi_connection_watch_dispatch(struct prefork_worker *worker);

/* The worker drains: its end is an event. First thread. */
void pfi_connection_watch_drain(struct prefork_worker *worker);

/* The worker ends: the last event of each connection that is still watched. First thread, and the other threads
 * of the library have ended. */
void pfi_connection_watch_end(struct prefork_worker *worker);

/* As prefork_connection_unwatch(), for a connection that is watched. */
void pfi_connection_watch_remove(struct prefork_connection *connection);

#endif
