/*
 * arbiter/signals.h -- signals, and the requests of prefork_arbiter_request_*(): both change the desired state only.
 */
#ifndef ARBITER_SIGNALS_H
#define ARBITER_SIGNALS_H

#include <stdint.h>

struct prefork_arbiter;

/* Install the handlers. 0, -EBUSY if another arbiter of this process has them, or a negative errno. */
int pfi_signals_take(struct prefork_arbiter *arbiter);

/* Restore the dispositions. */
void pfi_signals_release(struct prefork_arbiter *arbiter);

/* Process all signals that have been delivered, in the order of severity. */
void pfi_signals_process(struct prefork_arbiter *arbiter, uint64_t now_ms);

/* Process what other threads and signal handlers requested. */
void pfi_requests_process(struct prefork_arbiter *arbiter, uint64_t now_ms);

#endif
