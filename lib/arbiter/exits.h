/*
 * arbiter/exits.h -- the exit of a worker: reap, explain, report, release.
 */
#ifndef ARBITER_EXITS_H
#define ARBITER_EXITS_H

#include "model/exit_record.h"

#include <stdint.h>
#include <sys/resource.h>

struct prefork_arbiter;
struct prefork_process;

/* Written by exits.c. */
struct pfi_process_exit {
	uint64_t at_ms; /* when it exited; 0: it runs               */
	int status;     /* as waitpid(2) returns it; -1: not known  */
	enum prefork_reason reason;
	struct rusage rusage;
	struct pfi_exit_record record; /* valid from the exit until the report */
	char message[1024];            /* of the log line, without its pairs    */
};

/* The pidfd of the worker is readable: reap the worker and update the model. */
void pfi_child_exited(struct prefork_arbiter *arbiter, struct prefork_process *process, uint64_t now_ms);

/* Log all exits of this turn, call the hooks, release the slots. */
void pfi_exits_report(struct prefork_arbiter *arbiter, uint64_t now_ms);

#endif
