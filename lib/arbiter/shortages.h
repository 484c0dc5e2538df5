/*
 * arbiter/shortages.h -- workers that cannot accept connections, for lack of descriptors or memory or by a sandbox.
 */
#ifndef ARBITER_SHORTAGES_H
#define ARBITER_SHORTAGES_H

#include <stdbool.h>
#include <stdint.h>

struct prefork_arbiter;
struct prefork_process;

/* Written by shortages.c. */
struct pfi_process_shortage {
	int error;         /* errno of the worker's accept4(2); 0: it can accept  */
	uint64_t since_ms; /* when the shortage began, across short recoveries    */
	uint64_t ended_ms; /* when the last one ended                             */
	bool logged;       /* the shortage has a line in the log                  */
};

/* The worker reports a shortage; `value` as in PFI_MESSAGE_SHORTAGE. Other workers accept what is pending. */
void pfi_shortage_reported(struct prefork_arbiter *arbiter, struct prefork_process *process, uint32_t value,
			   uint64_t now_ms);

/* The worker accepts again. */
void pfi_shortage_ended(struct prefork_process *process, uint64_t now_ms);

/* Decide for each pool whether some or all of its workers are short, log changes, and mark workers for replacement.
 * Returns when to call again; 0: no worker is short. */
uint64_t pfi_shortages_turn(struct prefork_arbiter *arbiter, uint64_t now_ms);

#endif
