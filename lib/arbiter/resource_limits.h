/*
 * arbiter/resource_limits.h -- checks at the start: RLIMIT_NOFILE, and threads running when the arbiter forks.
 */
#ifndef ARBITER_RESOURCE_LIMITS_H
#define ARBITER_RESOURCE_LIMITS_H

#include <stdint.h>

struct prefork_arbiter;

/* Written by resource_limits.c. */
struct pfi_resource_limits {
	unsigned fds_at_start; /* descriptors that were open before the first worker */
};

/* Raise RLIMIT_NOFILE to what the arbiter and the workers of the start need. 0; -EMFILE if the arbiter cannot have
 * enough, or the error of getrlimit(2), with an error message. Too low a limit for worker_connections is a warning. */
int pfi_resource_limits_reserve(struct prefork_arbiter *arbiter);

/* The same for `more` workers than are wanted now. */
int pfi_resource_limits_raise(const struct prefork_arbiter *arbiter, uint64_t more);

/* Warn if this process has several threads. */
void pfi_resource_limits_check_threads(const struct prefork_arbiter *arbiter);

#endif
