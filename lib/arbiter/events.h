/*
 * arbiter/events.h -- take the events of one turn and call what each is for.
 */
#ifndef ARBITER_EVENTS_H
#define ARBITER_EVENTS_H

#include <stdint.h>

struct prefork_arbiter;

void pfi_events_process(struct prefork_arbiter *arbiter, uint64_t now_ms);

#endif
