/*
 * surroundings -- what a worker changes of its process before anything of the application is loaded: directory, standard
 * streams, resource limits, user and groups.
 */
#ifndef WORKER_SURROUNDINGS_H
#define WORKER_SURROUNDINGS_H

struct pfi_spawn_context;

/* Run first in the worker, in this order, with one thread: everything but user and groups, then these. 0, or a negative
 * errno with an error message: the worker cannot run. */
int pfi_surroundings_enter(const struct pfi_spawn_context *context);
int pfi_surroundings_take_user(const struct pfi_spawn_context *context);

/* With capture_output: standard output and error go to the file of the log; again after it was reopened. */
void pfi_surroundings_capture(const struct pfi_spawn_context *context);

#endif
