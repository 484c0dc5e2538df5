/*
 * model/drain.h -- how long a connection of a draining worker may wait for a request.
 *
 * The limit must end before graceful_timeout does: at its end the arbiter aborts the worker, which would be for
 * nothing if only idle connections are left. Three quarters of graceful_timeout are for waiting; the last quarter is
 * left for a request that arrives at the end of the wait, and for the exit of the worker. Pure.
 */
#ifndef PFI_MODEL_DRAIN_H
#define PFI_MODEL_DRAIN_H

#include <stdint.h>

/* The drain began at `start_ms`, and graceful_timeout is `graceful_ms` (0: no limit). Returns until when a connection
 * may wait that becomes idle at `now_ms` and has `wait_ms`; `now_ms`: it must be closed. */
uint64_t pfi_drain_until_ms(uint64_t now_ms, uint64_t wait_ms, uint64_t start_ms, uint64_t graceful_ms);

#endif
