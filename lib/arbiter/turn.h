/*
 * arbiter/turn.h -- one turn of the arbiter: process events, plan, carry out the orders.
 */
#ifndef ARBITER_TURN_H
#define ARBITER_TURN_H

#include <stdbool.h>
#include <stdint.h>

struct prefork_arbiter;

/* Do everything that is due, without blocking, and arm the timer for the next deadline. True: the stop is complete, and
 * supervisor.result has the result of the arbiter. */
bool pfi_turn_run(struct prefork_arbiter *arbiter, uint64_t now_ms);

#endif
