/*
 * preload -- names in the log what a worker does not get from an interpreter that runs in the arbiter (interpreter.h):
 * threads, and connections, which all workers would use at once.
 */
#ifndef WSGI_PRELOAD_H
#define WSGI_PRELOAD_H

struct prefork_process;

/** Before each fork, without the GIL: the first one of a generation is the occasion. Never fails. */
void wsgi_preload_check(const struct prefork_process *process);

#endif
