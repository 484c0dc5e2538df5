/*
 * statsd_arbiter -- the metrics that the arbiter sends: the number of workers of a pool, lines of the error log, and the
 * length of the accept queues.
 *
 * The gauge is sent when it has changed, and every 10 s for receivers that forget it; with enable_backlog_metric all are
 * sent every second. Without statsd_host nothing is opened. One per HTTP service; in the thread of the arbiter.
 */
#ifndef HTTP_STATSD_ARBITER_H
#define HTTP_STATSD_ARBITER_H

#include "http/statsd_target.h"

#include <stdatomic.h>
#include <stdbool.h>

struct prefork_arbiter;
struct prefork_process;

struct pfi_statsd_arbiter {
	struct pfi_statsd_target target; /* workers inherit it at the fork */
	char *pool;
	struct prefork_arbiter *arbiter; /* once `timer` is open */
	_Atomic int timer;               /* a timerfd that the arbiter watches; 0: none */
	int pid;
	int replaced_by; /* an upgrade: this arbiter has the workers; 0: none */
	bool counts_lines;
	bool sends_backlog;
	bool logged_error; /* since the settings have changed */
	unsigned workers;
	atomic_uint lines[PFI_STATSD_LINES];
};

/** The pool whose workers are counted. 0 or -ENOMEM. */
int pfi_statsd_arbiter_init(struct pfi_statsd_arbiter *statsd, const char *pool);

/** A worker of any pool is about to be forked: use the settings of the process. */
void pfi_statsd_arbiter_follow(struct pfi_statsd_arbiter *statsd, struct prefork_arbiter *arbiter,
                               const struct prefork_process *process);

/** A worker of any pool was forked (1), or has exited (-1). */
void pfi_statsd_arbiter_count(struct pfi_statsd_arbiter *statsd, const struct prefork_process *process, int change);

/** The arbiter `pid`, a child of this one, has the workers until it exits. */
void pfi_statsd_arbiter_replaced(struct pfi_statsd_arbiter *statsd, int pid);

/** Send the rest, and free. */
void pfi_statsd_arbiter_close(struct pfi_statsd_arbiter *statsd);

#endif
