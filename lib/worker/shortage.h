/*
 * shortage -- a worker that cannot accept connections, for want of descriptors or memory, or of permission.
 *
 *     worker                         arbiter                     siblings
 *     accept4: EMFILE
 *     leaves the accept set
 *     SHORT -----------------------> notes it
 *                                    LOOK ---------------------> accept what is pending
 *     tries again twice a second     short for 1 s, and a
 *                                    sibling is able: replaced
 *     ABLE ------------------------> (or) it is able again
 *
 * The order matters: once the worker is out of the accept set the kernel wakes siblings for all that
 * comes, and what it was woken for before is found by their look.
 */
#ifndef WORKER_SHORTAGE_H
#define WORKER_SHORTAGE_H

#include <stdbool.h>
#include <stdint.h>

struct prefork_worker;

/* accept(2) said `error`: accept nothing for a while. The thread that accepts. */
void pfi_shortage_begin(struct prefork_worker *worker, int error);

/* The worker has left the accept set since: the arbiter is to be told (again). The same thread. */
void pfi_shortage_publish(struct prefork_worker *worker);

/* Whether the worker is short. When the time has come this tries: it may be so no more. The thread that accepts. */
bool pfi_shortage_persists(struct prefork_worker *worker, uint64_t now_ms);

/* A connection was accepted. The thread that accepts. */
void pfi_shortage_end(struct prefork_worker *worker);

/* Send to the arbiter what it does not know yet. The first thread. */
void pfi_shortage_report(struct prefork_worker *worker);

#endif
