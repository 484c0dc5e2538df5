/*
 * The strategy sync: one request at a time.
 *
 * Idle connections and listeners are in one epoll set (epoll_loop.h). A connection whose first read yields the whole
 * request never enters it. An idle worker is not woken until a deadline passes.
 */
#include "os/clock.h"
#include "worker/epoll_loop.h"
#include "worker/own_fds.h"
#include "worker/strategies.h"

#include <limits.h>

enum { EVENTS_MAX = 16 }; /* per turn; new connections and messages of the arbiter wait for the end of the turn */

static int timeout_ms(struct pfi_event_core *core)
{
	uint64_t next_ms = pfi_deadline_heap_next_ms(&core->deadlines);
	const uint64_t listeners_ms = pfi_accept_set_refresh(&core->accept_set);

	if (pfi_event_core_has_work(core))
		return 0;
	if (listeners_ms > 0 && (next_ms == 0 || listeners_ms < next_ms))
		next_ms = listeners_ms;
	const int max = pfi_own_fds_check_is_deferred(core->worker) ? PFI_OWN_FDS_MS : INT_MAX;
	if (next_ms == 0)
		return max < INT_MAX ? max : -1;
	const uint64_t now_ms = pfi_now_ms();
	if (next_ms <= now_ms)
		return 0;
	return next_ms - now_ms > (uint64_t)max ? max : (int)(next_ms - now_ms);
}

static void turn(struct pfi_epoll_loop *loop)
{
	struct pfi_event_core *const core = &loop->core;
	const unsigned found = pfi_epoll_loop_poll(loop, EVENTS_MAX, timeout_ms(core));

	if ((found & PFI_EPOLL_EMPTY) && pfi_own_fds_check_is_deferred(core->worker))
		pfi_own_fds_check_now(core->worker);
	pfi_event_core_call_again(core);
	if (found & PFI_EPOLL_HAS_CONTROL)
		(void)prefork_worker_check(core->worker);
	pfi_event_core_resume(core);
	pfi_event_core_expire(core);
	pfi_accept_set_pause(&core->accept_set, pfi_accept_set_full(&core->accept_set));
}

static const struct pfi_event_driver driver = {
	.state_size = sizeof(struct pfi_event_state),
	.watch = pfi_epoll_loop_watch,
};

static int run(struct prefork_worker *worker, void *user)
{
	struct pfi_epoll_loop loop;

	(void)user;
	pfi_event_core_init(&loop.core, worker, &driver);
	prefork_worker_set_queued(worker, true, 0); /* a callback that reads this is the only one */
	const int r = pfi_epoll_loop_open(&loop);
	if (r == 0)
		pfi_event_core_start(&loop.core);
	while (r == 0 && pfi_event_core_continue(&loop.core))
		turn(&loop);
	pfi_epoll_loop_close(&loop);
	return r;
}

const struct prefork_strategy pfi_strategy_sync = {
	.struct_size = sizeof pfi_strategy_sync,
	.name = "sync",
	.traits = PREFORK_STRATEGY_MAY_BLOCK | PREFORK_STRATEGY_REPORTS_READY,
	.run = run,
};
