/*
 * arbiter/children.h -- spawn workers, and kill or notify all of them.
 */
#ifndef ARBITER_CHILDREN_H
#define ARBITER_CHILDREN_H

#include <stdbool.h>
#include <stdint.h>

struct pfi_order;
struct prefork_arbiter;

/* Fork a worker into the slot of `order`. False: that failed, was logged, and the model retries. */
bool pfi_child_spawn(struct prefork_arbiter *arbiter, unsigned pool, const struct pfi_order *order, uint64_t now_ms);

/* Kill and reap every worker, for prefork_arbiter_destroy(). */
void pfi_children_kill_all(struct prefork_arbiter *arbiter);

/* Have all workers go on in the log files that this process has opened again, see os/logfile.h. */
void pfi_children_reopen_logs(struct prefork_arbiter *arbiter);

#endif
