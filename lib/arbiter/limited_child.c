/* Polls a helper process until it exits or its time limit expires. */
#include "arbiter/limited_child.h"

#include "arbiter/arbiter.h"

#include <prefork/error.h>

#include <errno.h>

bool pfi_limited_child_allowed(const struct prefork_arbiter *arbiter)
{
	if (pfi_killed_has_space(arbiter))
		return true;
	(void)prefork_fail(-EAGAIN, "too many children that were killed have not exited yet");
	return false;
}

int pfi_limited_child_watch(struct prefork_arbiter *arbiter, struct pfi_limited_child *child, struct pfi_tag tag,
			    uint64_t limit_ms, uint64_t now_ms)
{
	child->limit_ms = limit_ms;
	child->until_ms = now_ms + limit_ms;
	child->has_exited = false;
	return pfi_loop_add(arbiter, child->helper.pidfd, tag);
}

void pfi_limited_child_event(struct pfi_limited_child *child)
{
	if (pfi_limited_child_runs(child) && !child->has_exited)
		child->has_exited = pfi_reap(child->helper.pidfd, &child->status) != -EAGAIN;
}

bool pfi_limited_child_is_over(const struct pfi_limited_child *child, uint64_t now_ms)
{
	return child->has_exited || now_ms >= child->until_ms;
}

void pfi_limited_child_end(struct prefork_arbiter *arbiter, struct pfi_limited_child *child)
{
	if (pfi_limited_child_runs(child)) {
		pfi_loop_remove(arbiter, child->helper.pidfd);
		if (child->helper.pidfd >= 0 && !child->has_exited)
			pfi_killed_add(arbiter, &child->helper.pidfd);
		pfi_helper_close(&child->helper);
	}
	*child = PFI_NO_LIMITED_CHILD;
}
