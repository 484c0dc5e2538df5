/*
 * A worker's life, from just after the fork to just before _exit(2).
 */
#include "worker/worker.h"

#include "base/table.h"
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
#include "os/spawn.h"
#include "os/starter.h"
#include "os/title.h"
#include "worker/connection.h"
#include "worker/own_fds.h"

#include <prefork/error.h>
#include <prefork/listener.h>
#include <prefork/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	FDS_BESIDE = 64, /* open in a worker besides those of its clients */
	EXIT_CRASHED = 1,
	EXIT_LEAKED = 23,
};

/* There in builds with the leak sanitizer, which a process that leaves by
 * _exit() would otherwise get past. */
extern int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

/* What its arbiter has listed for this worker stays open; the rest of the library's descriptors does
 * not, those of other workers and other arbiters above all. The program's own are its business,
 * unless it asked for `close_fds`. */
static int close_what_is_not_ours(const struct prefork_worker *worker)
{
	const struct pfi_spawn_context *const context = worker->context;
	const int own[] = { context->channel, context->arbiter_pidfd, context->watchdog };

	for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
		pfi_fdtable_keep(own[i]);
	for (size_t i = 0; i < context->listener_count; i++) {
		pfi_listener_keep(context->listeners[i]);
		if (context->sets)
			pfi_fdtable_keep(context->sets[i]);
	}
	pfi_fdtable_close_rest(context->arbiter_id);
	return pfi_worker_settings(worker)->close_fds ? pfi_fdtable_close_strangers() : 0;
}

/* Before there are threads, the host's included, for their sake. Without it all goes as well,
 * but for a pause here and there. */
static void make_room_for_clients(const struct prefork_worker *worker)
{
	const uint64_t clients = pfi_worker_settings(worker)->worker_connections;

	if (clients > 0 && worker->context->listener_count > 0)
		(void)pfi_fd_make_room(worker->wake_fd, FDS_BESIDE + clients);
}

/* Signals are blocked until the end of this. */
static int set_up(struct prefork_worker *worker)
{
	const struct pfi_spawn_context *const context = worker->context;
	int r;

	if (context->scoreboard) {
		struct pfi_scoreboard own = *context->scoreboard; /* the arbiter's record stays true for hooks */

		(void)pfi_scoreboard_keep(&own, context->worker_index);
	}
	if ((r = pfi_thread_status_open(worker)) < 0 || (r = pfi_worker_listeners_open(worker)) < 0 ||
	    (r = pfi_check_open(worker)) < 0 || (r = pfi_own_fds_open(worker)) < 0)
		return r;
	make_room_for_clients(worker);
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
	pfi_ev_loop_close(worker->loop);
	pfi_abort_disarm();
	pfi_check_close(worker);
	pfi_worker_listeners_close(worker);
	pfi_thread_status_close(worker);
	pfi_connection_pool_finish(worker);
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

	if (worker->service.worker_stop)
		worker->service.worker_stop(worker, context->user);
	for (size_t i = context->hook_count; i-- > 0;) {
		const struct prefork_hooks *const hooks = context->hooks[i].hooks;

		if (hooks->worker_stop)
			hooks->worker_stop(worker, context->hooks[i].user);
	}
}

/* Tell the arbiter why this worker never got ready. Returns its exit status. */
static int fail_to_boot(struct prefork_worker *worker, int error)
{
	const char *message = prefork_error();
	const int status = error == PREFORK_EAPP     ? PREFORK_EXIT_APP
	                   : error == PREFORK_EFATAL ? PREFORK_EXIT_FATAL
	                                             : PREFORK_EXIT_BOOT;

	if (!message[0])
		message = error > PREFORK_ECONFIG ? strerror(-error) : "it did not say why";
	if (pfi_channel_send(worker->context->channel, PFI_MESSAGE_FAILED, (uint32_t)status, message) < 0)
		pfi_exit_note(worker, message); /* the application may have closed it while it was loaded */
	return status;
}

static int serve(struct prefork_worker *worker)
{
	const struct pfi_spawn_context *const context = worker->context;

	if (!(worker->strategy.traits & PREFORK_STRATEGY_REPORTS_READY))
		prefork_worker_ready(worker);
	const int r = worker->strategy.run(worker, context->user);
	if (r >= 0)
		return r;
	if (!worker->is_ready)
		return fail_to_boot(worker, r);
	prefork_log_printf(context->log, PREFORK_LOG_ERROR, "worker", "its loop failed: %s",
	               prefork_error()[0] ? prefork_error() : strerror(-r));
	return EXIT_CRASHED;
}

static int live(struct prefork_worker *worker)
{
	const struct pfi_spawn_context *const context = worker->context;
	int r;

	pfi_title_set("%s: worker %u [%s] booting", context->program, context->slot, context->pool);
	r = start(worker);
	/* What the application prints from now on must not get to a client: no descriptor of ours has
	 * a standard number, wherever the application has closed its own. */
	(void)pfi_fd_fill_standard();
	if (r >= 0)
		r = pfi_own_fds_verify(worker);
	if (r < 0)
		return fail_to_boot(worker, r);
	r = serve(worker);
	stop(worker);
	return r;
}

int pfi_worker_main(const struct pfi_spawn_context *context)
{
	struct prefork_worker *const worker = calloc(1, sizeof *worker);
	int r;

	prefork_error_clear(); /* the arbiter's last failure is not this worker's */
	pfi_signal_pipe_forget_in_child();
	pfi_starter_forget_in_child();
	if (context->directory > 0)
		(void)!fchdir(context->directory); /* at worst it stays where its arbiter is */
	if (!worker)
		return PREFORK_EXIT_SICK;
	worker->context = context;
	worker->fd = worker->wake_fd = worker->quit_fd = -1;
	pfi_table_copy(&worker->strategy, sizeof worker->strategy, context->strategy, context->strategy->struct_size);
	pfi_table_copy(&worker->service, sizeof worker->service, context->service,
	               context->service ? context->service->struct_size : 0);

	for (size_t i = 0; i < context->hook_count; i++) {
		if (context->hooks[i].hooks->child_after_fork)
			context->hooks[i].hooks->child_after_fork(worker, context->hooks[i].user);
	}
	r = close_what_is_not_ours(worker);
	if (r == 0)
		r = set_up(worker);
	r = r < 0 ? fail_to_boot(worker, r) : live(worker);
	finish(worker);
	free(worker);
	(void)fflush(NULL);
	if (__lsan_do_recoverable_leak_check && __lsan_do_recoverable_leak_check() != 0 && r == 0)
		r = EXIT_LEAKED;
	return r;
}
