/*
 * arbiter/shared_paths.h -- paths of unix sockets that this arbiter has closed while the other arbiter of an upgrade may
 * serve them.
 *
 * If both stop at the same time, each closes the socket while the other still has it. So the path is removed at the end,
 * by the arbiter that then has no other. The new arbiter confirms its promotion, and the old one waits for that or for
 * the exit of the new one (arbiter/upgrade.h): one of both is the last.
 */
#ifndef ARBITER_SHARED_PATHS_H
#define ARBITER_SHARED_PATHS_H

#include <stdbool.h>
#include <stddef.h>

struct prefork_arbiter;
struct prefork_listener;
struct pfi_shared_path;

struct pfi_shared_paths {
	struct pfi_shared_path *list;
	size_t count;
};

/* `listener` is about to be closed. If the other arbiter has it, take its path; without memory the path stays. */
void pfi_shared_paths_take(struct prefork_arbiter *arbiter, struct prefork_listener *listener);

/* The arbiter ends. `is_last`: no other one serves. */
void pfi_shared_paths_finish(struct prefork_arbiter *arbiter, bool is_last);

#endif
