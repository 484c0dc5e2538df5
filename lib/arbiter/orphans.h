/*
 * arbiter/orphans.h -- reap adopted children, as process 1 or as a sub-reaper.
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
	bool active;           /* this process adopts orphans                          */
	bool was_no_subreaper; /* restore that at the end                              */
	bool has_signal;       /* SIGCHLD is handled: without it no scan is needed     */
	bool scan_due;
	uint64_t wake_ms;
	unsigned count;
	struct pfi_zombie zombies[PFI_ZOMBIES_MAX];
};

/* How long a child may be a zombie before it is reaped as an orphan; tests shorten it. */
extern uint64_t pfi_orphans_after_ms;

/* Become a sub-reaper if the setting child_subreaper is on. 0, or a negative errno with an error message. */
int pfi_orphans_start(struct prefork_arbiter *arbiter);

/* Whether SIGCHLD is to be handled; sets has_signal. A handler of the application stays. */
bool pfi_orphans_take_signal(struct prefork_arbiter *arbiter);

/* SIGCHLD was delivered. */
void pfi_orphans_signalled(struct prefork_arbiter *arbiter);

/* Scan and reap what is due. Returns when to call again, 0: no need. */
uint64_t pfi_orphans_turn(struct prefork_arbiter *arbiter, uint64_t now_ms);

void pfi_orphans_finish(struct prefork_arbiter *arbiter);

#endif
