/*
 * The main function of a worker: from just after the fork to just before _exit(2).
 */
#include "worker/worker.h"

#include "base/struct_size.h"
#include "base/times.h"
#include "listener/listener.h"
#include "model/library_options.h"
#include "model/message.h"
#include "model/worker_score.h"
#include "os/fd.h"
#include "os/fdtable.h"
#include "os/parent_death.h"
#include "os/control_channel.h"
#include "os/log.h"
#include "os/signal_pipe.h"
#include "os/scoreboard.h"
#include "os/slot_variable.h"
#include "os/spawn.h"
#include "os/standard_fds.h"
#include "os/starter.h"
#include "os/title.h"
#include "worker/connection.h"
#include "worker/own_fds.h"
#include "worker/proxy_stage.h"
#include "worker/surroundings.h"

#include <prefork/error.h>
#include <prefork/listener.h>
#include <prefork/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	FDS_OTHER = 64, /* estimate of the descriptors of a worker that are no connections */
	EXIT_CRASHED = 1,
	EXIT_LEAKED = 23,
};

/* Defined in builds with the leak sanitizer, whose atexit handler _exit(2) skips. */
extern int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

/* Closes every descriptor of the library that the arbiter has not listed for this worker, those of other
 * workers and arbiters included. Descriptors of the application stay open unless `close_fds` is set. */
static int close_other_fds(const struct prefork_worker *worker)
{
	const struct pfi_spawn_context *const context = worker->context;
	const int own[] = { context->channel, context->arbiter_pidfd, context->watchdog };

	for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
		pfi_fdtable_keep(own[i]);
	for (size_t i = 0; i < context->listener_count; i++) {
		pfi_listener_keep(context->listeners[i]);
		if (context->reuseport_sets)
			pfi_fdtable_keep(context->reuseport_sets[i]);
	}
	pfi_fdtable_close_rest(context->arbiter_id);
	return pfi_worker_settings(worker)->close_fds ? pfi_fdtable_close_unlisted() : 0;
}

/* While the process has one thread: with several, growing the table waits for an RCU grace period, which
 * stalls the thread that opens a descriptor. Failure is harmless. */
static void grow_fd_table(const struct prefork_worker *worker)
{
	const uint64_t connections = pfi_worker_settings(worker)->worker_connections;

	if (connections > 0 && worker->context->listener_count > 0)
		(void)pfi_fd_expand_table(worker->wake_fd, FDS_OTHER + connections);
}

/* Signals are blocked until the end of this function. */
static int set_up(struct prefork_worker *worker)
{
	const struct pfi_spawn_context *const context = worker->context;
	int r;

	if (context->scoreboard) {
		struct pfi_scoreboard own = *context->scoreboard; /* hooks may still read the arbiter's record */

		(void)pfi_scoreboard_keep(&own, context->worker_index);
	}
	if ((r = pfi_thread_status_open(worker)) < 0 || (r = pfi_worker_listeners_open(worker)) < 0 ||
	    (r = pfi_check_open(worker)) < 0 || (r = pfi_own_fds_open(worker)) < 0 ||
	    (r = pfi_proxy_stage_open(worker)) < 0)
		return r;
	grow_fd_table(worker);
	pfi_abort_arm(worker);
	r = pfi_parent_death_arm(context->arbiter, pfi_worker_settings(worker)->orphan_timeout_ms);
	if (r < 0)
		return r;
	pfi_spawn_unblock();
	return 0;
}

static void finish(struct prefork_worker *worker)
{
	pfi_own_fds_close(worker);
	pfi_connection_await_resumers(worker);
	pfi_connection_watch_close(worker);
	pfi_ev_loop_close(worker->loop);
	pfi_poll_finish(worker);
	pfi_abort_disarm();
	pfi_check_close(worker);
	pfi_worker_listeners_close(worker);
	pfi_thread_status_close(worker);
	pfi_connection_pool_finish(worker);
	pfi_proxy_stage_close(worker);
}

static int start(struct prefork_worker *worker)
{
	const struct pfi_spawn_context *const context = worker->context;
	int r = 0;

	for (size_t i = 0; i < context->hook_count && r >= 0; i++) {
		const struct prefork_hooks *const hooks = context->hooks[i].hooks;

		if (hooks->worker_start)
			r = hooks->worker_start(worker, context->hooks[i].user);
	}
	if (r >= 0 && worker->service.worker_start)
		r = worker->service.worker_start(worker, context->user);
	return r;
}

static void stop(struct prefork_worker *worker)
{
	const struct pfi_spawn_context *const context = worker->context;

	pfi_connection_watch_end(worker);
	if (worker->service.worker_stop)
		worker->service.worker_stop(worker, context->user);
	for (size_t i = context->hook_count; i-- > 0;) {
		const struct prefork_hooks *const hooks = context->hooks[i].hooks;

		if (hooks->worker_stop)
			hooks->worker_stop(worker, context->hooks[i].user);
	}
}

/* Report to the arbiter why this worker did not become ready. Returns the exit status. */
static int fail_to_boot(struct prefork_worker *worker, int error)
{
	const char *message = prefork_error();
	const int status = error == PREFORK_EAPP     ? PREFORK_EXIT_APP
	                   : error == PREFORK_EFATAL ? PREFORK_EXIT_FATAL
	                                             : PREFORK_EXIT_BOOT;

	if (!message[0])
		message = error > PREFORK_ECONFIG ? strerror(-error) : "no error message";
	if (pfi_channel_send(worker->context->channel, PFI_MESSAGE_FAILED, (uint32_t)status, message) < 0)
		pfi_exit_note(worker, message); /* the application may have closed the channel while it loaded */
	return status;
}

static int serve(struct prefork_worker *worker)
{
	const struct pfi_spawn_context *const context = worker->context;
	const unsigned forks = pfi_fdtable_count_forks();

	if (!(worker->strategy.traits & PREFORK_STRATEGY_REPORTS_READY))
		prefork_worker_ready(worker);
	const int r = worker->strategy.run(worker, context->user);
	/* A process that the application has forked in `run` is no worker: what follows belongs to its parent. */
	if (pfi_fdtable_count_forks() != forks)
		_exit(r < 0 ? EXIT_CRASHED : r);
	if (r >= 0)
		return r;
	if (!worker->is_ready)
		return fail_to_boot(worker, r);
	pfi_worker_log(worker, PREFORK_LOG_ERROR, "worker_loop_failed", "Event loop of the worker failed: %s",
		       prefork_error()[0] ? prefork_error() : strerror(-r));
	return EXIT_CRASHED;
}

static int run_worker(struct prefork_worker *worker)
{
	const struct pfi_spawn_context *const context = worker->context;
	int r;

	pfi_title_set("%s: worker %u [%s] booting", context->program, context->slot, context->pool);
	r = start(worker);
	/* If the application has closed descriptor 0, 1 or 2, the next connection would get that number and
	 * receive what the application prints. */
	(void)pfi_standard_fds_fill();
	if (r >= 0)
		r = pfi_own_fds_verify(worker);
	if (r < 0)
		return fail_to_boot(worker, r);
	r = serve(worker);
	stop(worker);
	return r;
}

static int enter_surroundings(struct prefork_worker *worker)
{
	const struct pfi_spawn_context *const context = worker->context;
	int r = pfi_surroundings_enter(context);

	PFI_WORKER_HOOKS(worker, child_privileged);
	if (r == 0)
		r = pfi_surroundings_take_user(context);
	PFI_WORKER_HOOKS(worker, child_after_fork);
	return r;
}

int pfi_worker_main(const struct pfi_spawn_context *context)
{
	struct prefork_worker *const worker = calloc(1, sizeof *worker);
	int r;

	prefork_error_clear(); /* inherited from the arbiter */
	pfi_signal_pipe_forget_in_child();
	pfi_starter_forget_in_child();
	if (!worker || pfi_slot_variable_set(context->slot) < 0) {
		free(worker);
		return PREFORK_EXIT_SICK;
	}
	worker->context = context;
	pfi_connection_watch_init(worker);
	worker->fd = worker->wake_fd = worker->quit_fd = -1;
	pfi_struct_copy(&worker->strategy, sizeof worker->strategy, context->strategy, context->strategy->struct_size);
	pfi_struct_copy(&worker->service, sizeof worker->service, context->service,
	               context->service ? context->service->struct_size : 0);

	r = enter_surroundings(worker);
	if (r == 0)
		r = close_other_fds(worker);
	if (r == 0)
		r = set_up(worker);
	r = r < 0 ? fail_to_boot(worker, r) : run_worker(worker);
	if (!atomic_load(&worker->has_abandoned)) {
		finish(worker);
		free(worker);
	}
	(void)fflush(NULL);
	if (__lsan_do_recoverable_leak_check && __lsan_do_recoverable_leak_check() != 0 && r == 0)
		r = EXIT_LEAKED;
	return r;
}
