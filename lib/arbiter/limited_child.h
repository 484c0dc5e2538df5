/*
 * arbiter/limited_child.h -- a helper process (os/helper.h) with a time limit, for an operation that may block. Its exit is
 * an event; only the start of the arbiter waits for it. A helper that is not needed any more is killed and reaped later
 * (killed.h).
 */
#ifndef ARBITER_LIMITED_CHILD_H
#define ARBITER_LIMITED_CHILD_H

#include "arbiter/loop.h"
#include "os/helper.h"
#include "os/reap.h"

#include <stdbool.h>
#include <stdint.h>

struct pfi_limited_child {
	struct pfi_helper helper;
	bool has_exited;          /* and was reaped: */
	struct pfi_exit_status status;
	uint64_t limit_ms, until_ms; /* the limit, and when it expires */
};

#define PFI_NO_LIMITED_CHILD ((struct pfi_limited_child){ .helper = { .pidfd = -1, .fd = -1 } })

/* Whether another helper may be started: false, with an error message, if too many that were killed have not exited. */
bool pfi_limited_child_allowed(const struct prefork_arbiter *arbiter);

/* The helper was started: poll it, and set the limit. 0, or a negative errno with an error message, after which
 * pfi_limited_child_end() is still necessary. */
int pfi_limited_child_watch(struct prefork_arbiter *arbiter, struct pfi_limited_child *child, struct pfi_tag tag,
			    uint64_t limit_ms, uint64_t now_ms);

/* Whether it was started, and has not been ended. */
static inline bool pfi_limited_child_runs(const struct pfi_limited_child *child)
{
	return child->helper.pid != 0;
}

/* Its pidfd is readable: reap it. */
void pfi_limited_child_event(struct pfi_limited_child *child);

/* Whether it has exited, or its limit has expired. */
bool pfi_limited_child_is_over(const struct pfi_limited_child *child, uint64_t now_ms);

/* Kill it if it runs, and close its descriptors. */
void pfi_limited_child_end(struct prefork_arbiter *arbiter, struct pfi_limited_child *child);

#endif
