/*
 * arbiter/orphans.h -- reap processes whose parent has exited, if this process adopts them: as process 1, or with
 * the setting child_subreaper (PR_SET_CHILD_SUBREAPER, prctl(2)).
 */
#ifndef ARBITER_ORPHANS_H
#define ARBITER_ORPHANS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct prefork_arbiter;

enum { PFI_ZOMBIES_MAX = 256 };

struct pfi_zombie {
	pid_t pid;
	uint64_t since_ms;
};

/* Written by orphans.c. */
struct pfi_orphans {
	bool active;           /* this process adopts orphans                                         */
	bool was_no_subreaper; /* pfi_orphans_finish() makes it one that is no sub-reaper again       */
	bool has_signal;       /* SIGCHLD is handled: scan only after it; otherwise scan in each turn */
	bool scan_due;         /* SIGCHLD was delivered since the last scan                           */
	uint64_t wake_ms;      /* when the next zombie is due; 0: none                                */
	unsigned count;
	struct pfi_zombie zombies[PFI_ZOMBIES_MAX];
};

/* A child that has been a zombie for this time, 10 s, is reaped as an orphan; until then the application may still reap
 * it. Tests set a shorter time. */
extern uint64_t pfi_orphans_after_ms;

/* Become a sub-reaper if the setting child_subreaper is on. 0, or a negative errno with an error message. */
int pfi_orphans_start(struct prefork_arbiter *arbiter);

/* Whether SIGCHLD is to be handled; sets has_signal. A handler of the application stays. */
bool pfi_orphans_take_signal(struct prefork_arbiter *arbiter);

/* SIGCHLD was delivered. */
void pfi_orphans_signalled(struct prefork_arbiter *arbiter);

/* Find new zombies, and reap those that are due. Returns when to call again; 0: no zombie is left. */
uint64_t pfi_orphans_turn(struct prefork_arbiter *arbiter, uint64_t now_ms);

/* End the adoption, if this arbiter has begun it. */
void pfi_orphans_finish(struct prefork_arbiter *arbiter);

#endif
