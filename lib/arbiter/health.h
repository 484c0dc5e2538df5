/*
 * arbiter/health.h -- compares the deadlines of a worker's threads with the clock, and finds out what the worker was
 * doing when it exited.
 */
#ifndef ARBITER_HEALTH_H
#define ARBITER_HEALTH_H

#include "model/worker_score.h"

#include <stdbool.h>
#include <stdint.h>

struct prefork_arbiter;
struct prefork_process;

/* Written by health.c. */
struct pfi_process_health {
	uint64_t soft_timeout_ms;   /* setting of the worker's generation                                         */
	uint64_t checked_ms;        /* when pfi_health_check() ran last                                           */
	uint64_t grace_deadline_ms; /* a deadline that is not enforced yet, since the arbiter itself did not run  */
	uint64_t requests;          /* served by all threads, at the last check                                   */
	bool is_busy;               /* `activity` is in progress; false: it is what the worker did last           */
	char activity[PFI_ACTIVITY_SIZE + 1];
};

/* Reset the record. Called before the fork. */
void pfi_health_init(struct prefork_process *process, uint64_t soft_timeout_ms);

/* Read the thread slots, log slow requests, and store in the model how many threads are overdue, busy and able to
 * serve, and when to check again. */
void pfi_health_check(struct prefork_arbiter *arbiter, struct prefork_process *process, uint64_t now_ms);

/* Read the worker's activity only, for a log line about it. */
void pfi_health_read_activity(struct prefork_process *process);

/* The worker has exited: find the activity that is most likely the cause. Returns how many threads were busy. */
unsigned pfi_health_post_mortem(struct prefork_process *process);

#endif
