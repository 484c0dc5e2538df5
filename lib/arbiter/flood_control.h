/*
 * arbiter/flood_control.h -- bounds on how often one worker may wake the arbiter.
 */
#ifndef ARBITER_FLOOD_CONTROL_H
#define ARBITER_FLOOD_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

struct prefork_arbiter;
struct prefork_process;

/* Written by flood_control.c: of one worker. */
struct pfi_process_flood {
	unsigned timer_events;   /* of its watchdog timer, in the second that began at since_ms */
	uint64_t since_ms;
	uint64_t muted_until_ms; /* its watchdog timer is not polled until then; 0: it is polled */
	bool logged;
};

/* Written by flood_control.c: of the arbiter. */
struct pfi_flood {
	unsigned empty_turns; /* wake-ups without an event, in the second that began at since_ms */
	uint64_t since_ms;
};

/* Log, once per process, that it floods the arbiter. */
void pfi_flood_log(struct prefork_process *process, const char *what);

/* Count an event of the watchdog timer; beyond 100 in a second the timer is muted until the second is over. */
void pfi_flood_count_watchdog(struct prefork_arbiter *arbiter, struct prefork_process *process, uint64_t now_ms);

/* Count a wake-up without an event; beyond 100 in a second all watchdog timers are muted for 10 ms. */
void pfi_flood_count_empty_turn(struct prefork_arbiter *arbiter, uint64_t now_ms);

/* Poll a muted watchdog timer again once its time is over. Returns when to call again, 0: it is polled. */
uint64_t pfi_flood_unmute(struct prefork_arbiter *arbiter, struct prefork_process *process, uint64_t now_ms);

#endif
