/*
 * model/shortage.h -- workers of one pool that cannot accept connections: who is replaced.
 *
 * A shortage is private until all workers have it. A worker that is short beside one that accepts is replaced
 * when that lasts. Where none accepts the machine is short, and a replacement would be, too: all retry. Two
 * things are known better: a limit of the process itself (RLIMIT_NOFILE) is private even if all are at it, for
 * an application that leaks leaks in all; and a worker that its own connections have brought there is full, not
 * broken. Pure.
 */
#ifndef PFI_MODEL_SHORTAGE_H
#define PFI_MODEL_SHORTAGE_H

#include "model/worker_table.h"

enum { PFI_SHORTAGE_LASTS_MS = 1000 };

enum pfi_shortage { PFI_SHORTAGE_NONE, PFI_SHORTAGE_SOME, PFI_SHORTAGE_ALL };

/** How many of those that serve are short. Between the first and the second of two workers that find the same
 *  lies a moment in which it looks private: SOME is said only when that has passed; before, `*ret_wake_ms` is when
 *  to look again, and the answer is `before`. 0: no need. */
enum pfi_shortage pfi_shortage_judge(const struct pfi_worker_table *worker_table, enum pfi_shortage before, uint64_t now_ms,
				     uint64_t *ret_wake_ms);

/** Whether slot `i` is to be replaced now. `*ret_wake_ms`: when to ask again, 0: no need. */
bool pfi_shortage_replaces(const struct pfi_worker_table *worker_table, uint32_t i, uint64_t now_ms, uint64_t *ret_wake_ms);

/** Whether no worker of this pool will accept what waits: some serve, and all have been short for that
 *  long. */
bool pfi_shortage_is_total(const struct pfi_worker_table *worker_table, uint64_t now_ms);

#endif
