/* A library that was built without libev: it knows the strategy's name, and says so. */
#include "worker/strategies.h"
#include "worker/worker.h"

#include <prefork/error.h>

static int check(const struct prefork_settings *settings)
{
	(void)settings;
	return prefork_fail(PREFORK_ECONFIG, "worker class libev: this build of the library is without libev");
}

static int run(struct prefork_worker *worker, void *user)
{
	(void)worker;
	(void)user;
	return check(NULL);
}

struct ev_loop *prefork_worker_loop(struct prefork_worker *worker)
{
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
	.check = check,
	.run = run,
};
