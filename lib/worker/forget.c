/*
 * What a process that is no worker does with what it has of one: see prefork_forget_in_child(). All
 * of it is async-signal-safe, for the threads that could hold a lock do not exist here.
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
	/* The handlers first: what they write to is closed next, and its number may become a file's. */
	pfi_signal_pipe_give_back_in_child();
	pfi_check_forget();
	pfi_abort_forget();
	pfi_parent_death_forget();
	pfi_fdtable_forget();
	return true;
}
