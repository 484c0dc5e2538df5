/*
 * arbiter/queries.h -- commands that ask the arbiter over a socket and wait for its answer.
 *
 *      command                                  arbiter
 *        | connect, "reload" ------------------> reload begins
 *        |                                       ...
 *        | <------ "0", or "1" and the reason -- verdict
 *
 * Each message is one packet. There is a socket if there is a pid file, by which commands find it.
 */
#ifndef ARBITER_QUERIES_H
#define ARBITER_QUERIES_H

#include "arbiter/loop.h"

#include <stdbool.h>
#include <stdint.h>

struct prefork_arbiter;

enum { PFI_QUERIES_MAX = 8 };

/* Written by queries.c. */
struct pfi_queries {
	int listener; /* -1: there is none */
	struct pfi_query {
		int fd; /* -1: the slot is free */
		uint32_t incarnation;
		bool waits; /* for the verdict of a reload */
	} list[PFI_QUERIES_MAX];
};

void pfi_queries_init(struct pfi_queries *queries);

/* Listen. A failure is logged: the server runs without the socket. */
void pfi_queries_open(struct prefork_arbiter *arbiter);
void pfi_queries_close(struct prefork_arbiter *arbiter);

/* A connection, or a message on one. True: a reload was requested, and its verdict is awaited. */
bool pfi_queries_process(struct prefork_arbiter *arbiter, struct pfi_tag tag);

/* A reload has a verdict; `why` is empty unless it failed. */
void pfi_queries_answer(struct prefork_arbiter *arbiter, bool is_done, const char *why);

#endif
