/* Translates signals, and calls of prefork_arbiter_request_*(), to changes of the desired state. One table lists
 * the signals in order of severity. */
#include "arbiter/signals.h"

#include "arbiter/arbiter.h"
#include "arbiter/children.h"
#include "arbiter/error_log.h"
#include "arbiter/reload.h"
#include "arbiter/resource_limits.h"
#include "model/library_options.h"
#include "model/message.h"
#include "os/logfile.h"
#include "os/signal_pipe.h"

#include <prefork/error.h>

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static void stop(struct prefork_arbiter *arbiter, bool graceful, uint64_t now_ms)
{
	struct pfi_supervisor *const supervisor = &arbiter->supervisor;

	if (graceful && supervisor->phase == PFI_PHASE_RUNNING) {
		if (pfi_predecessor_defers_stop(arbiter, now_ms))
			return;
		supervisor->linger_ms = pfi_listener_table_refuse(arbiter);
		arbiter->refused = true;
	}
	pfi_reload_decided(arbiter, pfi_supervisor_stop(supervisor, graceful, 0, now_ms));
}

static void process_quick_stop(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	stop(arbiter, false, now_ms);
}

static void process_stop(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	stop(arbiter, true, now_ms);
}

static void process_upgrade(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	pfi_upgrade_begin(arbiter, pfi_library_settings(arbiter->settings)->upgrade == PFI_UPGRADE_AUTOMATIC, now_ms);
}

static void process_reload(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	(void)now_ms;
	pfi_arbiter_log(arbiter, PREFORK_LOG_INFO, "reload", PFI_NO_PAIRS, "Hang up: Master");
	pfi_reload(arbiter);
}

/* Why `workers` are too many: 0, or -ERANGE or -EMFILE with an error message that names the limit. */
static int check_limits(const struct prefork_arbiter *arbiter, unsigned pool, uint32_t workers)
{
	const struct pfi_pool *const model = &arbiter->models[pool];
	int r;

	if (workers <= model->target)
		return 0;
	if (workers > model->policy.workers_max)
		return prefork_fail(-ERANGE, "%u are more than workers_max, %u, which only a restart can raise", workers,
				    model->policy.workers_max);
	r = pfi_resource_limits_raise(arbiter, workers - model->target);
	return r == -EMFILE ? r : 0; /* if the limit cannot be read, the forks show it */
}

static void scale(struct prefork_arbiter *arbiter, unsigned pool, uint32_t workers)
{
	const uint32_t before = arbiter->models[pool].target;

	if (check_limits(arbiter, pool, workers) < 0 || pfi_supervisor_scale(&arbiter->supervisor, pool, workers) < 0)
		pfi_pool_log(arbiter, pool, PREFORK_LOG_WARNING, "pool_scale_refused",
			     PFI_PAIRS(PREFORK_NUMBER("workers", before), PREFORK_NUMBER("requested", workers)),
			     "Pool %s keeps %u workers: %s", arbiter->pools[pool].name, before, prefork_error());
	else
		pfi_pool_log(arbiter, pool, PREFORK_LOG_INFO, "pool_scale",
			     PFI_PAIRS(PREFORK_NUMBER("workers", workers), PREFORK_NUMBER("before", before)),
			     "Pool %s: workers wanted: %u, before: %u", arbiter->pools[pool].name, workers, before);
}

/* The application has set workers_max to 1 for this pool: TTIN, TTOU and WINCH are not about it. */
static bool is_single(const struct prefork_arbiter *arbiter, unsigned pool)
{
	const struct pfi_generation *const generation = pfi_generation_desired(arbiter);
	enum prefork_origin origin = PREFORK_FROM_ROW;

	if (arbiter->models[pool].policy.workers_max != 1 || generation == NULL)
		return false;

	const struct prefork_settings *const settings = generation->of_pool[pool];

	(void)prefork_settings_origin_of(settings, &pfi_library_settings(settings)->workers_max, &origin, NULL);
	return origin == PREFORK_FROM_POOL;
}

static void process_more(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	(void)now_ms;
	for (unsigned i = 0; i < arbiter->pool_count; i++) {
		if (!is_single(arbiter, i))
			scale(arbiter, i, arbiter->models[i].target + 1);
	}
}

static void process_fewer(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	(void)now_ms;
	for (unsigned i = 0; i < arbiter->pool_count; i++) {
		if (arbiter->models[i].target > 1)
			scale(arbiter, i, arbiter->models[i].target - 1);
		else if (!is_single(arbiter, i))
			pfi_pool_log(arbiter, i, PREFORK_LOG_INFO, "pool_scale_refused",
				     PFI_PAIRS(PREFORK_NUMBER("workers", arbiter->models[i].target)),
				     "Pool %s keeps its last worker", arbiter->pools[i].name);
	}
}

static void process_no_workers(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	(void)now_ms;
	/* A terminal sends WINCH when its window changes size. gunicorn ignores it then, too. */
	if (tcgetpgrp(STDIN_FILENO) >= 0 || tcgetpgrp(STDERR_FILENO) >= 0) {
		pfi_arbiter_log(arbiter, PREFORK_LOG_DEBUG, "signal_ignored", PFI_PAIRS(PREFORK_TEXT("signal", "winch")),
				"WINCH ignored: there is a terminal");
		return;
	}
	pfi_upgrade_note_workers(arbiter);
	for (unsigned i = 0; i < arbiter->pool_count; i++)
		scale(arbiter, i, 0);
}

static void process_reopen(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	(void)now_ms;
	pfi_logfile_begin_reopen();
	if (prefork_log_reopen(arbiter->log) < 0)
		pfi_arbiter_log(arbiter, PREFORK_LOG_ERROR, "log_reopen_failed", PFI_NO_PAIRS,
				"The log cannot be opened again, the old file stays in use: %s", prefork_error());
	PFI_HOOKS(arbiter, reopen, arbiter);
	pfi_logs_give(arbiter);
	pfi_children_reopen_logs(arbiter);
	pfi_logfile_end_reopen();
}

/* In the order of severity: if a stop and a reload are delivered together, the stop is processed first. */
static const struct {
	int signo;
	const char *name;
	void (*process)(struct prefork_arbiter *arbiter, uint64_t now_ms);
} table[] = {
	{ SIGINT, "int", process_quick_stop }, { SIGQUIT, "quit", process_quick_stop },
	{ SIGTERM, "term", process_stop },     { SIGUSR2, "usr2", process_upgrade },
	{ SIGHUP, "hup", process_reload },     { SIGTTIN, "ttin", process_more },
	{ SIGTTOU, "ttou", process_fewer },    { SIGWINCH, "winch", process_no_workers },
	{ SIGUSR1, "usr1", process_reopen },
};

enum { TABLE_SIZE = sizeof table / sizeof table[0] };

int pfi_signals_take(struct prefork_arbiter *arbiter)
{
	int signals[TABLE_SIZE + 1];
	size_t count = TABLE_SIZE;

	for (size_t i = 0; i < TABLE_SIZE; i++)
		signals[i] = table[i].signo;
	if (pfi_orphans_take_signal(arbiter))
		signals[count++] = SIGCHLD;

	const int r = pfi_signal_pipe_open(signals, count, SA_RESTART);

	if (r < 0)
		return r;
	arbiter->has_signals = true;
	pfi_signal_pipe_unblock();
	return pfi_loop_add(arbiter, pfi_signal_pipe_fd(), (struct pfi_tag){ PFI_SOURCE_SIGNALS, 0, 0 });
}

void pfi_signals_release(struct prefork_arbiter *arbiter)
{
	if (arbiter->has_signals) {
		pfi_loop_remove(arbiter, pfi_signal_pipe_fd());
		pfi_signal_pipe_close();
	}
	arbiter->has_signals = false;
}

void pfi_signals_process(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	const uint64_t arrived = pfi_signal_pipe_take();

	if (arrived & PFI_SIGNAL_BIT(SIGCHLD))
		pfi_orphans_signalled(arbiter);
	for (size_t i = 0; i < TABLE_SIZE; i++) {
		if ((arrived & PFI_SIGNAL_BIT(table[i].signo)) == 0)
			continue;
		pfi_arbiter_log(arbiter, PREFORK_LOG_INFO, "signal", PFI_PAIRS(PREFORK_TEXT("signal", table[i].name)),
				"Handling signal: %s", table[i].name);
		table[i].process(arbiter, now_ms);
	}
}

void pfi_requests_process(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	const unsigned how = atomic_exchange(&arbiter->requested.stop, 0);

	if (how != 0 || pfi_upgrade_wants_stop(arbiter) || pfi_predecessor_wants_stop(arbiter, now_ms))
		stop(arbiter, how != 2, now_ms);
	if (atomic_exchange(&arbiter->requested.reload, 0) != 0)
		pfi_reload(arbiter);
	if (atomic_exchange(&arbiter->requested.upgrade, 0) != 0)
		pfi_upgrade_begin(arbiter, true, now_ms);
	for (unsigned i = 0; i < arbiter->pool_count; i++) {
		const unsigned workers = atomic_exchange(&arbiter->requested.scale[i], 0);

		if (workers != 0)
			scale(arbiter, i, workers - 1);
	}
}
