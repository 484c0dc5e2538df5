/* Names the reason why an upgrade cannot start now. */
#include "arbiter/upgrade_refusal.h"

#include "arbiter/arbiter.h"
#include "arbiter/killed.h"
#include "arbiter/predecessor.h"
#include "os/fdtable.h"

#include <stdio.h>
#include <unistd.h>

const char *pfi_upgrade_refusal(const struct prefork_arbiter *arbiter, char *buffer, size_t size)
{
	if (arbiter->supervisor.phase != PFI_PHASE_RUNNING)
		return "this arbiter stops";
	if (getpid() == 1)
		return "process 1 cannot be replaced: its exit would end the container; replace the container";
	if (pfi_predecessor_pid(arbiter) != 0) {
		(void)snprintf(buffer, size, "parent exists: the old arbiter (pid:%d) has not stopped yet",
			       (int)pfi_predecessor_pid(arbiter));
		return buffer;
	}
	if (arbiter->upgrade.state != PFI_UPGRADE_IDLE) {
		(void)snprintf(buffer, size, "child exists: the new arbiter (pid:%d) is %s", (int)arbiter->upgrade.pid,
			       pfi_upgrade_state_name(arbiter->upgrade.state));
		return buffer;
	}
	if (pfi_fdtable_has_other_listener(arbiter->id))
		return "this process has another arbiter, whose sockets would be lost";
	if (!pfi_killed_has_space(arbiter))
		return "too many children that were killed have not exited yet";
	return NULL;
}
