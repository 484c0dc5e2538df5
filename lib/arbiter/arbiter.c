/*
 * The public functions of an arbiter. prefork_arbiter_run() is start, then dispatch in a loop; dispatch is one turn
 * (turn.c), which plans (model/plan.c) and spawns (children.c).
 *
 * Invariants of the arbiter:
 *
 *  1. It never blocks, sleeps, or waits for a worker. The application waits for it, in a poll of one descriptor.
 *  2. Events change the desired state only. Once per turn the model compares desired and actual state, and only
 *     pfi_child_spawn() and pfi_child_apply() carry out what follows.
 *  3. A worker's part of the scoreboard, its control channel and its watchdog timer are input: numbers are compared,
 *     texts are cleaned, floods are bounded.
 *  4. No worker, and no lack of memory or descriptors, ends it: what fails now is retried later.
 *  5. It restores what it took: signal dispositions, titles, sub-reaper.
 */
#include "arbiter/arbiter.h"

#include "arbiter/children.h"
#include "arbiter/error_log.h"
#include "arbiter/generations.h"
#include "arbiter/hook_calls.h"
#include "arbiter/listener_options.h"
#include "arbiter/override.h"
#include "arbiter/pid.h"
#include "arbiter/resource_limits.h"
#include "arbiter/signals.h"
#include "arbiter/start_lines.h"
#include "arbiter/turn.h"
#include "base/required.h"
#include "base/struct_size.h"
#include "model/library_options.h"
#include "model/settings.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/log.h"
#include "os/parent_death.h"
#include "os/standard_fds.h"
#include "os/start_record.h"
#include "os/starter.h"
#include "os/title.h"

#include <prefork/error.h>
#include <prefork/version.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Before anything is opened: descriptors and timers belong to the process that opens them, and files get the umask. */
static int change_process(struct prefork_arbiter *arbiter)
{
	const struct pfi_library_settings *const values = pfi_library_settings(arbiter->settings);
	/* An upgrade of a daemon is one already, and what it takes over was handed to this very process. */
	const bool is_new_daemon = values->daemon && !pfi_starter_is_upgrade();
	const int r = is_new_daemon ? pfi_daemon_start(values->enable_stdio_inheritance, &arbiter->daemon) : 0;

	if (r == 0 && values->umask >= 0)
		arbiter->umask_before = (int)umask((mode_t)values->umask);
	return r;
}

int prefork_arbiter_create(const struct prefork_settings *settings, struct prefork_arbiter **ret)
{
	PFI_RETURN_UNLESS(settings != NULL, -EINVAL,
			  "%s(): settings is NULL (if prefork_settings_load() returns 1, as for --help, there is nothing "
			  "to run)", __func__);
	PFI_RETURN_IF_NULL(ret, -EINVAL);

	struct prefork_arbiter *const arbiter = calloc(1, sizeof *arbiter);
	int r;

	if (arbiter == NULL)
		return prefork_fail(-ENOMEM, "no memory for an arbiter");
	arbiter->loop.epoll = arbiter->loop.timer = arbiter->loop.request_fd = arbiter->arbiter_pidfd = -1;
	arbiter->lookup.child = arbiter->trial.child = PFI_NO_LIMITED_CHILD;
	arbiter->pidfile = PFI_NO_PIDFILE;
	arbiter->notify.socket = PFI_NO_NOTIFY_SOCKET;
	arbiter->upgrade.pidfd = arbiter->upgrade.channel = arbiter->predecessor.channel = -1;
	pfi_queries_init(&arbiter->queries);
	arbiter->daemon = PFI_NO_DAEMON;
	arbiter->umask_before = -1;
	/* Frozen settings never change again, so a reference is as good as a copy. */
	arbiter->initial = arbiter->settings =
		pfi_settings_ref((struct prefork_settings *)(uintptr_t)settings);
	pfi_settings_freeze(arbiter->settings);
	pfi_override_name(arbiter);
	r = pfi_start_record_take();
	if (r == 0)
		r = change_process(arbiter);
	if (r == 0)
		r = pfi_error_log_open(arbiter);
	if (r < 0)
		goto fail;
	r = pfi_loop_open(arbiter);
	if (r < 0)
		goto fail;
	*ret = arbiter;
	return 0;
fail:
	prefork_arbiter_destroy(arbiter);
	return r;
}

/* Return to the state before the start: after a stop, after a failed start, and in destroy. */
static void finish_run(struct prefork_arbiter *arbiter)
{
	const bool is_last = pfi_predecessor_pid(arbiter) == 0 && !pfi_upgrade_new_serves(arbiter);

	if (arbiter->processes != NULL)
		pfi_children_kill_all(arbiter);
	pfi_lookup_end(arbiter);
	pfi_trial_end(arbiter);
	pfi_upgrade_finish(arbiter);
	pfi_predecessor_finish(arbiter);
	pfi_killed_finish(arbiter);
	pfi_orphans_finish(arbiter);
	while (arbiter->generation_count > 0)
		pfi_generation_drop(arbiter, &arbiter->generations[arbiter->generation_count - 1]);
	free(arbiter->listeners.list);
	arbiter->listeners = (struct pfi_listener_list){ 0 };
	pfi_shared_paths_finish(arbiter, is_last);
	pfi_inherit_finish(&arbiter->inherited);
	pfi_signals_release(arbiter);
	pfi_close(&arbiter->arbiter_pidfd);
	pfi_scoreboard_close(&arbiter->scoreboard);
	free(arbiter->processes);
	arbiter->processes = NULL;
	arbiter->processes_max = 0;
	for (unsigned i = 0; i < arbiter->pool_count; i++) {
		free(arbiter->pools[i].slots);
		arbiter->pools[i].slots = NULL;
	}
	pfi_queries_close(arbiter);
	pfi_pid_close(arbiter);
	pfi_notify_close(arbiter);
}

void prefork_arbiter_destroy(struct prefork_arbiter *arbiter)
{
	if (arbiter == NULL)
		return;
	if (arbiter->detach != NULL)
		arbiter->detach(arbiter);
	/* The program gives up before the start: it could not load the application, say. */
	if (!arbiter->started && prefork_error()[0] != '\0')
		pfi_predecessor_report_failure(arbiter, prefork_error());
	finish_run(arbiter);
	for (unsigned i = arbiter->hook_count; i-- > 0;) {
		if (arbiter->hooks[i].hooks->destroyed != NULL)
			arbiter->hooks[i].hooks->destroyed(arbiter->hooks[i].user);
	}
	pfi_watches_close(arbiter);
	pfi_kept_fds_close(arbiter);
	free(arbiter->generations);
	pfi_pools_free(arbiter);
	pfi_loop_close(arbiter);
	prefork_log_destroy(arbiter->log);
	if (arbiter->umask_before >= 0)
		(void)umask((mode_t)arbiter->umask_before);
	pfi_close(&arbiter->daemon.ready_fd);
	prefork_settings_destroy(arbiter->initial);
	pfi_directory_free(arbiter);
	free(arbiter);
}

int prefork_arbiter_add_hooks(struct prefork_arbiter *arbiter, const struct prefork_hooks *hooks, void *user)
{
	PFI_RETURN_IF_NULL(arbiter, -EINVAL);
	if (arbiter->started)
		return prefork_fail(-EBUSY, "hooks are added before the arbiter starts");
	PFI_RETURN_IF_NULL(hooks, -EINVAL);

	const int r = pfi_struct_check(hooks, hooks->struct_size, PFI_SIZE_WITH(struct prefork_hooks, before_fork),
				      sizeof *hooks, "struct prefork_hooks");

	if (r < 0)
		return r;
	if (arbiter->hook_count == PFI_HOOKS_MAX)
		return prefork_fail(-ENOMEM, "an arbiter has at most %d sets of hooks", PFI_HOOKS_MAX);
	struct prefork_hooks *const copy = &arbiter->hook_tables[arbiter->hook_count];

	pfi_struct_copy(copy, sizeof *copy, hooks, hooks->struct_size);
	arbiter->hooks[arbiter->hook_count++] = (struct pfi_hook_set){ copy, user };
	return 0;
}

void prefork_arbiter_take_signals(struct prefork_arbiter *arbiter, bool take)
{
	PFI_RETURN_IF_NULL(arbiter, );
	arbiter->chose_signals = true;
	arbiter->wants_signals = take;
}

int prefork_arbiter_take_environment(struct prefork_arbiter *arbiter)
{
	PFI_RETURN_IF_NULL(arbiter, -EINVAL);
	if (arbiter->started)
		return prefork_fail(-EBUSY, "the environment is taken before the arbiter starts");
	(void)pfi_predecessor_take(arbiter);
	pfi_notify_open(arbiter);
	return pfi_listener_table_inherit(arbiter);
}

/* The slots of each pool, the process records and the scoreboard, sized by the first generation. */
static int allocate_tables(struct prefork_arbiter *arbiter, const struct pfi_generation *generation)
{
	unsigned threads_max = 1;

	arbiter->processes_max = 0;
	for (unsigned i = 0; i < arbiter->pool_count; i++) {
		struct prefork_pool *const pool = &arbiter->pools[i];
		struct pfi_pool *const model = &arbiter->models[i];
		const struct pfi_library_settings *const values = pfi_library_settings(generation->of_pool[i]);

		*model = (struct pfi_pool){ 0 };
		pfi_policy_read(values, &model->policy);
		model->target = pool->reported_target = values->workers;
		pool->thread_slots = pfi_settings_threads(values) + 1;
		if (pool->thread_slots > threads_max)
			threads_max = pool->thread_slots;

		const uint32_t worker_count = pfi_worker_table_size(model->policy.workers_max, model->policy.surge);

		pool->first_worker_index = arbiter->processes_max;
		pool->slots = calloc(worker_count, sizeof *pool->slots);
		if (pool->slots == NULL)
			return prefork_fail(-ENOMEM, "no memory for %u workers", worker_count);
		model->worker_table = (struct pfi_worker_table){ pool->slots, worker_count };
		arbiter->processes_max += worker_count;
	}
	arbiter->processes = calloc(arbiter->processes_max, sizeof *arbiter->processes);
	if (arbiter->processes == NULL)
		return prefork_fail(-ENOMEM, "no memory for %u workers", arbiter->processes_max);

	const int r = pfi_scoreboard_open(arbiter->processes_max, pfi_worker_score_bytes(threads_max), &arbiter->scoreboard);

	return r < 0 ? prefork_fail(r, "no shared memory for %u workers: %s", arbiter->processes_max,
				    strerror(-r))
		     : 0;
}

/* The first generation, its listeners, and the tables that it sizes. */
static int open_first_generation(struct prefork_arbiter *arbiter)
{
	int r = pfi_listener_table_inherit(arbiter);

	if (r == 0)
		r = pfi_generation_create(arbiter, pfi_settings_ref(arbiter->initial), 1);
	if (r == 0)
		r = pfi_pools_read_credentials(arbiter, &arbiter->generations[0]);
	if (r == 0)
		r = pfi_listener_owners_read(arbiter, &arbiter->generations[0]);
	if (r == 0)
		pfi_lookup_peers(arbiter, &arbiter->generations[0]);
	if (r == 0)
		r = pfi_generation_open(arbiter, &arbiter->generations[0]);
	if (r < 0)
		return r;
	pfi_listener_table_close_unused(arbiter);
	arbiter->last_generation = 1;
	arbiter->settings = arbiter->generations[0].settings;
	r = allocate_tables(arbiter, &arbiter->generations[0]);
	return r == 0 ? pfi_resource_limits_reserve(arbiter) : r;
}

static int begin(struct prefork_arbiter *arbiter, bool signals)
{
	int r = pfi_standard_fds_fill(); /* the program may have closed them since create */

	if (r == 0)
		r = pfi_loop_verify(arbiter);
	if (r == 0)
		r = pfi_orphans_start(arbiter);
	if (r < 0)
		return r;
	/* Before the listeners: a supervisor that can connect may send HUP at once, whose default action kills. */
	r = signals ? pfi_signals_take(arbiter) : 0;
	if (r < 0)
		return prefork_fail(r,
				    r == -EBUSY ? "another arbiter of this process handles the signals"
						: "cannot handle signals: %s",
				    strerror(-r));
	/* Before the listeners: "the server with process id N is running" says more than "address in use". */
	r = pfi_pid_open(arbiter, pfi_predecessor_pid(arbiter) != 0 ? PFI_PID_NEXT : "");
	if (r == 0)
		r = open_first_generation(arbiter);
	if (r < 0)
		return r;
	pfi_queries_open(arbiter);
	arbiter->arbiter_pidfd = pfi_arbiter_pidfd_open();
	if (arbiter->arbiter_pidfd < 0)
		return arbiter->arbiter_pidfd;
	pfi_supervisor_init(&arbiter->supervisor, arbiter->models, arbiter->pool_count, pfi_now_ns());
	pfi_policies_follow(arbiter);
	return 0;
}

static void fail_to_start(struct prefork_arbiter *arbiter, int error)
{
	pfi_notify_failed(arbiter, error);
	pfi_predecessor_report_failure(arbiter, prefork_error());
	finish_run(arbiter);
	arbiter->settings = arbiter->initial;
	arbiter->started = false;
}

static int start(struct prefork_arbiter *arbiter, bool signals)
{
	int r;

	if (arbiter->started)
		return prefork_fail(-EBUSY, "this arbiter was started before");
	if (arbiter->pool_count == 0)
		return prefork_fail(-EINVAL, "an arbiter needs a pool before it starts");
	r = pfi_directory_record(arbiter);
	if (r < 0)
		return r;
	arbiter->started = true;
	(void)pfi_predecessor_take(arbiter);
	pfi_arbiter_log(arbiter, PREFORK_LOG_INFO, "start", PFI_PAIRS(PREFORK_TEXT("version", prefork_version())),
			"Starting %s (prefork %s)", arbiter->program, prefork_version());
	r = begin(arbiter, signals);
	if (r == 0) {
		pfi_start_lines_log(arbiter);
		pfi_title_set("%s: arbiter", arbiter->program);
		r = pfi_hooks_listening(arbiter);
	}
	if (r < 0) {
		fail_to_start(arbiter, r);
		return r;
	}
	r = prefork_arbiter_dispatch(arbiter);
	return r < 0 ? r : 0;
}

int prefork_arbiter_start(struct prefork_arbiter *arbiter)
{
	PFI_RETURN_IF_NULL(arbiter, -EINVAL);
	return start(arbiter, arbiter->chose_signals && arbiter->wants_signals);
}

int prefork_arbiter_fd(const struct prefork_arbiter *arbiter)
{
	PFI_RETURN_IF_NULL(arbiter, -EINVAL);
	return arbiter->loop.epoll;
}

/* The value that prefork_arbiter_run() returns, with its error message. */
static int result(const struct prefork_arbiter *arbiter)
{
	switch (arbiter->supervisor.result) {
	case PREFORK_EBOOT:
		return prefork_fail(PREFORK_EBOOT, "Worker failed to boot: %s", arbiter->last_failure);
	case PREFORK_EAPP:
		return prefork_fail(PREFORK_EAPP, "App failed to load: %s", arbiter->last_failure);
	case 0:
		return 0;
	default:
		return prefork_fail(arbiter->supervisor.result, "the workers gave up: %s",
				    arbiter->last_failure);
	}
}

int prefork_arbiter_dispatch(struct prefork_arbiter *arbiter)
{
	PFI_RETURN_IF_NULL(arbiter, -EINVAL);
	if (!arbiter->started)
		return prefork_fail(-EINVAL, "this arbiter was not started");
	if (arbiter->finished)
		return arbiter->supervisor.result;
	if (!pfi_turn_run(arbiter, pfi_now_ms()))
		return 1;
	arbiter->finished = true;
	arbiter->settings = arbiter->initial;
	if (result(arbiter) < 0)
		pfi_predecessor_report_failure(arbiter, prefork_error());
	finish_run(arbiter);
	PFI_HOOKS(arbiter, stopped, arbiter, arbiter->supervisor.result);
	return result(arbiter);
}

int prefork_arbiter_run(struct prefork_arbiter *arbiter)
{
	PFI_RETURN_IF_NULL(arbiter, -EINVAL);

	int r;

	if (!arbiter->started)
		pfi_notify_open(arbiter);
	r = start(arbiter, !arbiter->chose_signals || arbiter->wants_signals);
	if (r < 0)
		return r;
	while ((r = prefork_arbiter_dispatch(arbiter)) == 1) {
		struct pollfd wait = { .fd = arbiter->loop.epoll, .events = POLLIN };

		(void)poll(&wait, 1, -1); /* after EINTR a turn without events is harmless */
		if ((wait.revents & POLLNVAL) && (r = pfi_loop_verify(arbiter)) < 0)
			return r;
	}
	return r;
}

void prefork_arbiter_request_stop(struct prefork_arbiter *arbiter, bool graceful)
{
	unsigned none = 0;

	if (arbiter == NULL)
		return; /* no error message: this may be a signal handler */
	if (graceful) /* does not replace a quick stop that was requested before */
		(void)atomic_compare_exchange_strong(&arbiter->requested.stop, &none, 1);
	else
		atomic_store(&arbiter->requested.stop, 2);
	pfi_loop_wake(arbiter);
}

void prefork_arbiter_request_reload(struct prefork_arbiter *arbiter)
{
	if (arbiter == NULL)
		return;
	atomic_store(&arbiter->requested.reload, 1);
	pfi_loop_wake(arbiter);
}

void prefork_arbiter_request_upgrade(struct prefork_arbiter *arbiter)
{
	if (arbiter == NULL)
		return;
	atomic_store(&arbiter->requested.upgrade, 1);
	pfi_loop_wake(arbiter);
}

int prefork_arbiter_request_scale(struct prefork_arbiter *arbiter, size_t pool, unsigned workers)
{
	if (arbiter == NULL || pool >= arbiter->pool_count)
		return -EINVAL; /* no error message: this may be a signal handler */
	atomic_store(&arbiter->requested.scale[pool], workers < UINT32_MAX ? workers + 1 : workers);
	pfi_loop_wake(arbiter);
	return 0;
}

struct prefork_listener *prefork_arbiter_listener(const struct prefork_arbiter *arbiter, size_t index)
{
	PFI_RETURN_IF_NULL(arbiter, NULL);

	const struct pfi_generation *const generation = pfi_generation_desired(arbiter);

	for (size_t i = 0; generation != NULL && i < arbiter->listeners.count; i++) {
		struct pfi_listener_entry *const entry = arbiter->listeners.list[i];

		if (pfi_generation_uses(generation, entry) && index-- == 0)
			return entry->listener;
	}
	return NULL;
}

struct prefork_log *prefork_arbiter_log(const struct prefork_arbiter *arbiter)
{
	PFI_RETURN_IF_NULL(arbiter, NULL);
	return arbiter->log;
}

const struct prefork_settings *prefork_arbiter_settings(const struct prefork_arbiter *arbiter)
{
	PFI_RETURN_IF_NULL(arbiter, NULL);
	return arbiter->settings;
}
