/*
 * accept_shortage -- the worker cannot accept connections: descriptors or memory are exhausted, or accept(2) is not permitted.
 *
 *     worker                            arbiter                          siblings
 *     accept4: EMFILE
 *     removes its listeners from
 *     the accept set
 *     PFI_MESSAGE_SHORTAGE -----------> records the shortage
 *                                       PFI_MESSAGE_POLL --------------> accept pending connections
 *     retries every 500 ms              if it lasts 1 s and a sibling
 *                                       accepts: replaces the worker
 *     PFI_MESSAGE_SHORTAGE_OVER ------> the shortage is over
 *
 * Invariant: PFI_MESSAGE_SHORTAGE is sent (again) after the worker has left the accept set. From then on the kernel
 * wakes siblings for new connections, and those that this worker was woken for are found by the siblings' check.
 */
#ifndef WORKER_ACCEPT_SHORTAGE_H
#define WORKER_ACCEPT_SHORTAGE_H

#include <stdbool.h>
#include <stdint.h>

struct prefork_worker;

/* accept4(2) has failed with `error`: pause accepting. The thread that accepts. */
void pfi_shortage_begin(struct prefork_worker *worker, int error);

/* The worker has left the accept set: report the shortage (again). The thread that accepts. */
void pfi_shortage_publish(struct prefork_worker *worker);

/* Whether accepting is paused. If the pause has expired, tries to open a descriptor first and may end the shortage. The
 * thread that accepts. */
bool pfi_shortage_persists(struct prefork_worker *worker, uint64_t now_ms);

/* A connection was accepted. The thread that accepts. */
void pfi_shortage_end(struct prefork_worker *worker);

/* Send the current state to the arbiter if it has changed. The first thread. */
void pfi_shortage_report(struct prefork_worker *worker);

#endif
