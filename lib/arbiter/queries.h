/*
 * arbiter/queries.h -- commands that send the arbiter a request over a socket and wait for its answer.
 *
 *      command                                  arbiter
 *        | connect, "reload" or "upgrade" -----> reload or upgrade begins
 *        |                                       ...
 *        | <------ code, and the reason -------- verdict
 *
 * Each message is one packet. The codes are in model/query.h. There is a socket if there is a pid file, by which commands
 * find it.
 *
 * Any user of the machine can connect. The arbiter accepts PFI_QUERIES_MAX connections per 100 ms, and does not poll the
 * listener for the rest of that time. The same applies for 100 ms after accept4(2) has failed, as it does without a free
 * descriptor: the event is level-triggered, and would keep the arbiter busy. A connection has 100 ms to send its request.
 * After that, the oldest one without a request is closed if another connection needs its slot.
 */
#ifndef ARBITER_QUERIES_H
#define ARBITER_QUERIES_H

#include "arbiter/loop.h"
#include "model/query.h"

#include <stdbool.h>
#include <stdint.h>

struct prefork_arbiter;

enum { PFI_QUERIES_MAX = 16 };

/* The verdict that a command waits for. */
enum pfi_query_topic {
	PFI_QUERY_NONE,
	PFI_QUERY_RELOAD,        /* requested; it has no worker yet                               */
	PFI_QUERY_UPGRADE,       /* requested; it may be refused because another one is under way */
	PFI_QUERY_UPGRADE_BEGUN, /* the one that is under way                                      */
	PFI_QUERY_RELOAD_BEGUN,  /* its workers are started                                        */
};

/* Written by queries.c. */
struct pfi_queries {
	int listener;            /* -1: there is none                                           */
	uint64_t since_ms;       /* the period in which `accepted` connections were accepted    */
	unsigned accepted;
	uint64_t muted_until_ms; /* the listener is not polled until then; 0: it is             */
	struct pfi_query {
		int fd; /* -1: the slot is free */
		uint32_t incarnation;
		enum pfi_query_topic topic;
		uint64_t accepted_ms;
	} list[PFI_QUERIES_MAX];
};

void pfi_queries_init(struct pfi_queries *queries);

/* Listen. A failure is logged: the server runs without the socket. */
void pfi_queries_open(struct prefork_arbiter *arbiter);
void pfi_queries_close(struct prefork_arbiter *arbiter);

/* Connections, or a message on one. Returns what was requested, whose verdict is awaited: PFI_QUERY_RELOAD,
 * PFI_QUERY_UPGRADE, or PFI_QUERY_NONE. */
enum pfi_query_topic pfi_queries_process(struct prefork_arbiter *arbiter, struct pfi_tag tag, uint64_t now_ms);

/* Poll the listener again once its time is over. Returns when to call again, 0: no need. */
uint64_t pfi_queries_turn(struct prefork_arbiter *arbiter, uint64_t now_ms);

/* The upgrade, or the reload, that was requested has begun: the verdict of another one does not answer its commands, and
 * its own verdict does not answer those of a later request. */
void pfi_queries_upgrade_begun(struct prefork_arbiter *arbiter);
void pfi_queries_reload_begun(struct prefork_arbiter *arbiter);

/* Send the verdict to the commands that wait for this topic. */
void pfi_queries_answer(struct prefork_arbiter *arbiter, enum pfi_query_topic topic, enum pfi_query_code code,
			const char *why);

#endif
