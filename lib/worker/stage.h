/*
 * stage -- what happens on a connection before its service is called: a PROXY header is read, then a TLS handshake is
 * made.
 *
 * A worker has a list of stages, empty by default. A new connection begins with the first one. While it is in a stage,
 * drive.c calls the stage and not the service, under every strategy: the connection is polled, and occupies no thread
 * and no sync worker. Once the output of the last stage is sent, the service's `accepted` and `ready` follow at once. If
 * the connection ends in a stage, the service has never been called for it: `closed` is not called, either, and it counts as no request.
 *
 *     accept --> stage 1 --> stage 2 --> service: accepted, ready, ...
 *                   |           |
 *                   +-----------+--> close: PREFORK_CLOSE, handshake_timeout, or the end of a drain
 *
 * All stages of a connection together have the time of the setting handshake_timeout. Without stages, a connection
 * costs one comparison per call of the service.
 */
#ifndef WORKER_STAGE_H
#define WORKER_STAGE_H

#include <prefork/service.h>

struct prefork_connection;
struct prefork_worker;

struct pfi_connection_stage {
	/* Continue, without blocking. Returns
	 *
	 * PREFORK_AGAIN          done: the next stage, or the service, is called at once
	 * PREFORK_WAIT_READABLE  \ call again then; spurious calls are possible, as for `ready`. The stage has received
	 * PREFORK_WAIT_WRITABLE  / or sent through connection->transport, so that `read_drained` is right
	 * PREFORK_CLOSE          close at once, with RST if input is unread. The stage has logged why */
	enum prefork_next (*proceed)(struct prefork_connection *connection);

	/* handshake_timeout is over: log it. The connection is closed after it. NULL: nothing. Not called in a drain. */
	void (*timed_out)(struct prefork_connection *connection);
};

enum { PFI_STAGES_MAX = 2 };

/* Append a stage to the list of the worker, before its first connection. `stage` is borrowed. */
void pfi_stage_add(struct prefork_worker *worker, const struct pfi_connection_stage *stage);

/* A new connection of a worker that has stages: enter the first one. */
void pfi_stage_begin(struct prefork_connection *connection);

/* Call the stages of a connection until one waits. PREFORK_AGAIN: all are done, their output is sent, connection->stage
 * is NULL, and the connection has no deadline. Otherwise what it waits for, or PREFORK_CLOSE. */
enum prefork_next pfi_stage_proceed(struct prefork_connection *connection);

/* The deadline has passed. Returns PREFORK_CLOSE. */
enum prefork_next pfi_stage_expire(struct prefork_connection *connection);

/* The worker drains. A request may be in flight behind the header or the handshake, so the connection keeps its time,
 * but at a stop of the server no more than that of a request in transit, and never beyond the end of the drain. */
enum prefork_next pfi_stage_drain(struct prefork_connection *connection);

#endif
