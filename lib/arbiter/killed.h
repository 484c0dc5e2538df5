/*
 * arbiter/killed.h -- kill helper processes, and reap them once they have exited.
 *
 * A process that gets SIGKILL in an uninterruptible system call exits only when that returns, so the arbiter does not
 * wait: it checks again after growing pauses. Workers are killed elsewhere (child_actions.h).
 */
#ifndef ARBITER_KILLED_H
#define ARBITER_KILLED_H

#include <stdbool.h>
#include <stdint.h>

struct prefork_arbiter;

enum { PFI_KILLED_MAX = 32 };

/* Written by killed.c. */
struct pfi_killed {
	int pidfds[PFI_KILLED_MAX];
	unsigned count;
	uint64_t pause_ms;    /* between two checks; doubles up to about 1 s */
	uint64_t check_at_ms; /* when to check next                          */
};

/* False: PFI_KILLED_MAX children have not exited yet. Call it before forking a child that may have to be killed. */
bool pfi_killed_has_space(const struct prefork_arbiter *arbiter);

/* Send SIGKILL. Takes *pidfd, which is -1 afterwards. */
void pfi_killed_add(struct prefork_arbiter *arbiter, int *pidfd);

/* Reap the children that have exited. Returns when to call again; 0: none is left. */
uint64_t pfi_killed_turn(struct prefork_arbiter *arbiter, uint64_t now_ms);

/* For prefork_arbiter_destroy(): wait up to 2 s for all children together, and reap them. A child that has not exited by
 * then becomes a zombie of this process when it does. */
void pfi_killed_finish(struct prefork_arbiter *arbiter);

#endif
