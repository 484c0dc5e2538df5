/*
 * arbiter/reuseport_sets.h -- with reuse_port: how many sockets of a listener listen, and which worker accepts from
 * which.
 */
#ifndef ARBITER_REUSEPORT_SETS_H
#define ARBITER_REUSEPORT_SETS_H

#include <stdint.h>

struct pfi_listener_entry;
struct prefork_arbiter;

/* Assign the sockets of all listeners to workers, open and close sockets. Once per turn, after everything else.
 * Returns when to call again, 0: no need. */
uint64_t pfi_reuseport_turn(struct prefork_arbiter *arbiter, uint64_t now_ms);

/* Free the tables of one listener. */
void pfi_reuseport_tables_free(struct pfi_listener_entry *entry);

#endif
