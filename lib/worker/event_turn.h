/*
 * event_turn -- one turn of an event loop that sleeps until an event or an alarm: what comes before and
 * after the wait.
 *
 * All connections of the loop share one alarm, which is set again only for an earlier time. An idle worker
 * is not woken until a deadline passes. With the setting threads, callbacks are offloaded to a pool.
 * First thread only.
 */
#ifndef WORKER_EVENT_TURN_H
#define WORKER_EVENT_TURN_H

#include "worker/event_core.h"

#include <stdint.h>

/* Start the offload pool, if the setting threads is not 0. 0, or a negative errno with its error message. */
int pfi_event_turn_open(struct pfi_event_core *core);

/* Stop the offload pool: no work function runs any more. */
void pfi_event_turn_close(struct pfi_event_core *core);

/* Before each wait: set the alarm, and add missing listeners. */
void pfi_event_turn_begin(struct pfi_event_core *core);

/* After the events of the wait. */
void pfi_event_turn_end(struct pfi_event_core *core);

/* Wake up at `at_ms` of CLOCK_MONOTONIC or earlier; 0: not needed. */
void pfi_event_turn_set_alarm(struct pfi_event_core *core, uint64_t at_ms);

/* The timer of the driver has expired. */
void pfi_event_turn_on_timer(struct pfi_event_core *core);

#endif
