/*
 * arbiter/trial.h -- the program of the application that tries new settings before a reload reads them.
 */
#ifndef ARBITER_TRIAL_H
#define ARBITER_TRIAL_H

#include "arbiter/limited_child.h"

#include <prefork/arbiter.h>

#include <stdint.h>

/* Written by trial.c. */
struct pfi_trial {
	struct prefork_reload_trial program; /* path NULL: none */
	struct pfi_limited_child child;
	uint32_t number; /* of the trial, for its events */
};

/* Start it, if this application has one and needs it. 1: it runs; 0; or a negative errno with an error message. */
int pfi_trial_start(struct prefork_arbiter *arbiter, uint64_t now_ms);

/* Its pidfd is readable. */
void pfi_trial_child_event(struct prefork_arbiter *arbiter, uint32_t number);

/* It is over: end it. 0: the settings are fine; or PREFORK_ECONFIG with an error message. What the program has written is
 * in the log then. */
int pfi_trial_result(struct prefork_arbiter *arbiter);

/* Kill it if it runs. */
void pfi_trial_end(struct prefork_arbiter *arbiter);

#endif
