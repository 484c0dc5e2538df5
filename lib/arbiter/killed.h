/*
 * arbiter/killed.h -- children that were sent SIGKILL and are not needed any more, until they can be reaped.
 *
 * A process in an uninterruptible system call exits when that returns, so the arbiter does not wait: it polls.
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
	uint64_t pause_ms, check_at_ms;
};

/* Call it before forking a child that may have to be killed. */
bool pfi_killed_has_space(const struct prefork_arbiter *arbiter);

/* Send SIGKILL. Takes *pidfd, which is -1 afterwards. */
void pfi_killed_add(struct prefork_arbiter *arbiter, int *pidfd);

/* Reap those that have exited. Returns when to call again, 0: none is left. */
uint64_t pfi_killed_turn(struct prefork_arbiter *arbiter, uint64_t now_ms);

/* Wait up to 100 ms for each, then close. */
void pfi_killed_finish(struct prefork_arbiter *arbiter);

#endif
