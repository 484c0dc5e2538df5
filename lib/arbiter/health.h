/*
 * arbiter/health.h -- whether a worker is alive: the verdict on its deadlines, and what it worked on when it exited.
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
	uint64_t soft_timeout_ms;   /* of the generation's settings                                          */
	uint64_t checked_ms;        /* last check                                                            */
	uint64_t grace_deadline_ms; /* the deadline that was extended because the arbiter itself did not run */
	uint64_t requests;
	bool is_busy; /* `activity` is of work in progress, not of the last work                             */
	char activity[PFI_ACTIVITY_SIZE + 1];
};

/* Before the fork. */
void pfi_health_init(struct prefork_process *process, uint64_t soft_timeout_ms);

/* Read the thread slots, log slow requests, and give the model its numbers: threads overdue, busy, able; when to check
 * again. */
void pfi_health_check(struct prefork_arbiter *arbiter, struct prefork_process *process, uint64_t now_ms);

/* Read only what the worker works on, for a log line about it. */
void pfi_health_read_activity(struct prefork_process *process);

/* The worker has exited: find the activity that is most likely the cause. Returns how many threads were busy. */
unsigned pfi_health_post_mortem(struct prefork_process *process);

#endif
