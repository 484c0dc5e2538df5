/*
 * arbiter/resource_limits.h -- checks at the start: RLIMIT_NOFILE, and threads running when the arbiter forks.
 */
#ifndef ARBITER_RESOURCE_LIMITS_H
#define ARBITER_RESOURCE_LIMITS_H

struct prefork_arbiter;

/* Raise RLIMIT_NOFILE to what the arbiter and its workers need. 0; -EMFILE if the arbiter cannot have enough, or the
 * error of getrlimit(2), with an error message. Too low a limit for worker_connections is a warning. */
int pfi_resource_limits_reserve(const struct prefork_arbiter *arbiter);

/* Warn if this process has several threads. */
void pfi_resource_limits_check_threads(const struct prefork_arbiter *arbiter);

#endif
