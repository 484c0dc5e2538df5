/*
 * take_rlimits -- the resource limits of a worker process, as the settings rlimit_* say.
 */
#ifndef WORKER_TAKE_RLIMITS_H
#define WORKER_TAKE_RLIMITS_H

struct prefork_settings;

/* Runs in the worker, before it drops privileges: to raise a hard limit needs CAP_SYS_RESOURCE. 0, or PREFORK_ECONFIG
 * with an error message. */
int pfi_rlimits_take(const struct prefork_settings *settings);

/* Whether the workers of this process could take them: each hard limit that must be raised is raised, and lowered again
 * at once. 0, or PREFORK_ECONFIG with an error message. */
int pfi_rlimits_try(const struct prefork_settings *settings);

#endif
