/* For builds without libev. Without `run`, pfi_strategy_by_name() does not find the strategy. */
#include "worker/strategies.h"
#include "base/required.h"
#include "worker/worker.h"

struct ev_loop *prefork_worker_loop(struct prefork_worker *worker)
{
	PFI_RETURN_IF_NULL(worker, NULL);
	(void)worker;
	return NULL;
}

void pfi_ev_loop_close(struct ev_loop *loop)
{
	(void)loop;
}

const struct prefork_strategy pfi_strategy_libev = {
	.struct_size = sizeof pfi_strategy_libev,
	.name = "libev",
};
