/*
 * model/drain.h -- how long a connection of a draining worker may wait for a request.
 *
 * The wait must end before graceful_timeout does: at its end the arbiter aborts the worker, which would be for nothing
 * if only idle connections are left. Three quarters of graceful_timeout are for waiting; the last quarter is left for a
 * request that arrives at the end of the wait, and for the exit of the worker.
 *
 * The arbiter sends the end of the wait with PFI_MESSAGE_DRAIN, since it knows when the drain began and which
 * graceful_timeout it enforces. A worker that reads the message after a long request would compute a later end, and a
 * reload may have changed the setting. Pure.
 */
#ifndef PFI_MODEL_DRAIN_H
#define PFI_MODEL_DRAIN_H

#include <stdint.h>

/* When no connection may wait any more in a drain that began at `start_ms`. UINT64_MAX if `graceful_ms` is 0: no
 * limit. */
uint64_t pfi_drain_end_ms(uint64_t start_ms, uint64_t graceful_ms);

/* Until when a connection may wait that is idle since `now_ms` and has `wait_ms`, but not beyond `end_ms`. `now_ms`: it
 * must be closed. */
uint64_t pfi_drain_until_ms(uint64_t now_ms, uint64_t wait_ms, uint64_t end_ms);

/* When the tasks of a draining worker are asked to end, so that their cleanup runs before graceful_timeout is over:
 * the last second of it, or an eighth if that is less. `end_ms` is that of pfi_drain_end_ms(). 0: never. */
uint64_t pfi_drain_cancel_ms(uint64_t end_ms, uint64_t graceful_ms);

#endif
