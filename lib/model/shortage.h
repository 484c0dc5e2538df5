/*
 * model/shortage.h -- workers of one pool that cannot accept connections, and which of them are replaced.
 *
 * If some workers of a pool accept and others cannot, the shortage is private, and a worker that has it for
 * PFI_SHORTAGE_LASTS_MS is replaced. If none accepts, the machine is short; replacements would be, too, and all workers
 * retry. Two exceptions: RLIMIT_NOFILE is a limit of the process, and private even if all workers have reached it, as
 * those of an application that leaks descriptors have; and a worker that has reached a limit by its number of
 * connections is loaded, not broken, and is kept. Pure.
 */
#ifndef PFI_MODEL_SHORTAGE_H
#define PFI_MODEL_SHORTAGE_H

#include "model/worker_table.h"

enum { PFI_SHORTAGE_LASTS_MS = 1000 };

enum pfi_shortage { PFI_SHORTAGE_NONE, PFI_SHORTAGE_SOME, PFI_SHORTAGE_ALL };

/** How many of the serving workers have a shortage. Two workers detect the same shortage at slightly different times,
 *  and meanwhile it appears to be private: for 100 ms the result is `before`, and *ret_wake_ms when to call again (0: not
 *  needed). */
enum pfi_shortage pfi_shortage_judge(const struct pfi_worker_table *worker_table, enum pfi_shortage before, uint64_t now_ms,
				     uint64_t *ret_wake_ms);

/** True if slot `i` must be replaced now. *ret_wake_ms is when to call again, 0: not needed. */
bool pfi_shortage_replaces(const struct pfi_worker_table *worker_table, uint32_t i, uint64_t now_ms, uint64_t *ret_wake_ms);

/** True if no worker of this pool will accept pending connections: some serve, and each of them has had a shortage for
 *  PFI_SHORTAGE_LASTS_MS. */
bool pfi_shortage_is_total(const struct pfi_worker_table *worker_table, uint64_t now_ms);

#endif
