/*
 * arbiter/stack_dumps.h -- request a stack dump of each thread that has missed its deadline, by SIGURG.
 */
#ifndef ARBITER_STACK_DUMPS_H
#define ARBITER_STACK_DUMPS_H

#include "arbiter/score_reader.h"

/* Written by stack_dumps.c. */
struct pfi_process_dumps {
	uint64_t pending[(PFI_THREAD_SLOTS_MAX + 63) / 64]; /* a bit per thread: overdue, stack not requested yet */
	unsigned requested;                                 /* number of dumps in the life of the process         */
};

/* Mark the threads whose deadline passed after `after_ms`. Returns how many are marked. */
uint32_t pfi_stack_dumps_mark(struct prefork_process *process, const struct pfi_thread_deadline *deadlines,
			      uint64_t after_ms, uint64_t now_ms);

/* Log each marked thread, and request its stack by signal. */
void pfi_stack_dumps_request(struct prefork_process *process);

#endif
