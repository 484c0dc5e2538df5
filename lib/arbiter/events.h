/*
 * arbiter/events.h -- take the events of one turn, and call the function that handles each.
 */
#ifndef ARBITER_EVENTS_H
#define ARBITER_EVENTS_H

#include <stdint.h>

struct prefork_arbiter;

/* Take and handle all events that are ready, without blocking. */
void pfi_events_process(struct prefork_arbiter *arbiter, uint64_t now_ms);

#endif
