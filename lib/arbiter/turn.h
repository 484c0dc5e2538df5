/*
 * arbiter/turn.h -- one turn of the arbiter: events in, plan, orders out.
 */
#ifndef ARBITER_TURN_H
#define ARBITER_TURN_H

#include <stdbool.h>
#include <stdint.h>

struct prefork_arbiter;

/* Do everything that is due, without blocking, and arm the timer for what comes next. True: the arbiter is finished,
 * its result is in supervisor.result. */
bool pfi_turn_run(struct prefork_arbiter *arbiter, uint64_t now_ms);

#endif
