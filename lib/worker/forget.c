/*
 * prefork_forget_in_child(): a process that the application has forked from a worker releases what it has
 * inherited. Everything here is async-signal-safe: a lock that another thread held at the fork stays locked.
 */
#include "os/fdtable.h"
#include "os/parent_death.h"
#include "os/signal_pipe.h"
#include "worker/worker.h"

#include <prefork/worker.h>

bool prefork_forget_in_child(void)
{
	if (pfi_fdtable_is_spawning())
		return false;
	/* The handlers first: they write to descriptors that are closed next, and whose numbers may be reused. */
	pfi_signal_pipe_restore_in_child();
	pfi_check_forget();
	pfi_abort_forget();
	pfi_parent_death_forget();
	pfi_fdtable_forget();
	return true;
}
