/*
 * statsd_worker -- the metrics of the requests of one worker.
 *
 * A thread that ends a request stores a record, behind a lock of its own, and goes on. A thread of this module sends
 * what was stored, at most a second later, earlier if it is much, and at the end of the worker:
 *
 *     request threads --records--> one list per thread --+--> sending thread: sleeps until the first record,
 *     error log --counts---------------------------------'    then up to 1 s; totals and durations as datagrams
 *
 * Without requests it sleeps. A receiver that is gone, or too slow, costs a system call per datagram.
 */
#ifndef HTTP_STATSD_WORKER_H
#define HTTP_STATSD_WORKER_H

#include <stdint.h>

struct pfi_statsd_target;
struct pfi_statsd_worker;
struct prefork_worker;

/** Start the thread, and count the lines of the error log. Borrows `target`. Returns *new*; NULL: no metrics, which is
 *  logged if the reason is an error. */
struct pfi_statsd_worker *pfi_statsd_worker_open(struct prefork_worker *worker, const struct pfi_statsd_target *target);

/** Send the rest, and end the thread. The memory stays in use by the log until the process ends: other threads may log
 *  now. NULL is a no-op. */
void pfi_statsd_worker_close(struct pfi_statsd_worker *statsd);

/** A response was sent. Any thread. */
void pfi_statsd_worker_record(struct pfi_statsd_worker *statsd, int status, uint64_t took_us);

#endif
