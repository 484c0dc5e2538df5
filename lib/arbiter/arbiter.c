/*
 * The constitution of the arbiter:
 *
 *  1. It never blocks, never sleeps, never waits for a worker; it waits in one
 *     place, the host's poll of one descriptor.
 *  2. Events only edit what is wanted. Once per turn the model says what
 *     follows, and only pfi_child_start() and pfi_child_send_event() carry it out.
 *  3. What comes from a worker, its page, its control channel and its watch, is input:
 *     numbers are compared, texts are cleaned, floods are cut off.
 *  4. It does not die of a worker, nor of a lack of memory or descriptors: what
 *     cannot be done now is tried again later.
 *  5. It gives back what it took.
 */
#include "arbiter/arbiter.h"

#include "base/required.h"
#include "base/table.h"
#include "listener/listener.h"
#include "model/deadline.h"
#include "model/library_options.h"
#include "model/settings.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/parent_death.h"
#include "os/signal_pipe.h"
#include "os/spawn.h"
#include "os/starter.h"
#include "os/title.h"
#include "os/timer.h"

#include <prefork/error.h>
#include <prefork/version.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static int open_log(struct prefork_arbiter *arbiter)
{
	const struct pfi_library_settings *const values = pfi_library_settings(arbiter->settings);
	int r = prefork_log_check(values->errorlog, STDERR_FILENO); /* while it can still be seen to be closed */

	if (r == 0 && (r = pfi_fd_fill_standard()) < 0)
		return prefork_fail(r, "cannot open /dev/null for a standard descriptor that is closed: %s", strerror(-r));
	if (r == 0)
		r = prefork_log_create(values->errorlog, STDERR_FILENO, &arbiter->log);
	if (r < 0)
		return prefork_fail(r, "errorlog: %s", prefork_error());
	prefork_log_set_level(arbiter->log, values->loglevel);
	return 0;
}

int prefork_arbiter_create(const struct prefork_settings *settings, struct prefork_arbiter **ret)
{
	PFI_RETURN_UNLESS(settings != NULL, -EINVAL,
			  "%s(): settings is NULL (when prefork_settings_load() answers 1, as to --help, there is nothing "
			  "to run)", __func__);
	PFI_RETURN_IF_NULL(ret, -EINVAL);

	struct prefork_arbiter *const arbiter = calloc(1, sizeof *arbiter);
	int r;

	if (arbiter == NULL)
		return prefork_fail(-ENOMEM, "no memory for an arbiter");
	arbiter->epoll = arbiter->timer = arbiter->request_fd = arbiter->arbiter_pidfd = -1;
	/* Frozen settings never change again: holding them is a copy. */
	arbiter->initial = arbiter->settings =
		pfi_settings_ref((struct prefork_settings *)(uintptr_t)settings);
	pfi_settings_freeze(arbiter->settings);
	arbiter->program = pfi_library_settings(settings)->proc_name;
	if (arbiter->program == NULL || *arbiter->program == '\0')
		arbiter->program = program_invocation_short_name;
	r = open_log(arbiter);
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

static void finish_run(struct prefork_arbiter *arbiter)
{
	if (arbiter->processes != NULL)
		pfi_children_kill_all(arbiter);
	pfi_lookup_end(arbiter);
	pfi_dying_finish(arbiter);
	pfi_orphans_finish(arbiter);
	while (arbiter->generation_count > 0)
		pfi_generation_drop(arbiter, &arbiter->generations[arbiter->generation_count - 1]);
	free(arbiter->listeners.list);
	arbiter->listeners = (struct pfi_listener_list){ 0 };
	pfi_inherit_finish(&arbiter->inherited);
	if (arbiter->has_signals) {
		pfi_loop_remove(arbiter, pfi_signal_pipe_fd());
		pfi_signal_pipe_close();
	}
	arbiter->has_signals = false;
	pfi_close(&arbiter->arbiter_pidfd);
	pfi_scoreboard_close(&arbiter->scoreboard);
	free(arbiter->processes);
	arbiter->processes = NULL;
	arbiter->processes_max = 0;
	for (unsigned i = 0; i < arbiter->pool_count; i++) {
		free(arbiter->pools[i].slots);
		arbiter->pools[i].slots = NULL;
	}
}

void prefork_arbiter_destroy(struct prefork_arbiter *arbiter)
{
	if (arbiter == NULL)
		return;
	if (arbiter->detach != NULL)
		arbiter->detach(arbiter);
	finish_run(arbiter);
	for (unsigned i = arbiter->hook_count; i-- > 0;) {
		if (arbiter->hooks[i].hooks->destroyed != NULL)
			arbiter->hooks[i].hooks->destroyed(arbiter->hooks[i].user);
	}
	free(arbiter->generations);
	for (unsigned i = 0; i < arbiter->pool_count; i++) {
		for (size_t n = 0; n < arbiter->pools[i].override_count; n++)
			free(arbiter->pools[i].overrides[n]);
		free(arbiter->pools[i].overrides);
		free(arbiter->pools[i].name);
	}
	pfi_close(&arbiter->timer);
	pfi_close(&arbiter->request_fd);
	pfi_close(&arbiter->epoll);
	prefork_log_destroy(arbiter->log);
	prefork_settings_destroy(arbiter->initial);
	free(arbiter->directory.name);
	free(arbiter);
}

int prefork_arbiter_add_hooks(struct prefork_arbiter *arbiter, const struct prefork_hooks *hooks, void *user)
{
	PFI_RETURN_IF_NULL(arbiter, -EINVAL);
	if (arbiter->started)
		return prefork_fail(-EBUSY, "hooks are added before the arbiter starts");
	PFI_RETURN_IF_NULL(hooks, -EINVAL);

	const int r = pfi_table_check(hooks, hooks->struct_size, PFI_SIZE_WITH(struct prefork_hooks, before_fork),
				      sizeof *hooks, "struct prefork_hooks");

	if (r < 0)
		return r;
	if (arbiter->hook_count == PFI_HOOKS_MAX)
		return prefork_fail(-ENOMEM, "an arbiter has at most %d sets of hooks", PFI_HOOKS_MAX);
	struct prefork_hooks *const copy = &arbiter->hook_tables[arbiter->hook_count];

	pfi_table_copy(copy, sizeof *copy, hooks, hooks->struct_size);
	arbiter->hooks[arbiter->hook_count++] = (struct pfi_hook_set){ copy, user };
	return 0;
}

void prefork_arbiter_take_signals(struct prefork_arbiter *arbiter, bool take)
{
	PFI_RETURN_IF_NULL(arbiter, );
	arbiter->logged_signals = true;
	arbiter->wants_signals = take;
}

int prefork_arbiter_take_environment(struct prefork_arbiter *arbiter)
{
	PFI_RETURN_IF_NULL(arbiter, -EINVAL);
	if (arbiter->started)
		return prefork_fail(-EBUSY, "the environment is taken before the arbiter starts");
	pfi_starter_forget_notify();
	return pfi_listener_table_inherit(arbiter);
}

/* Slots, pages and the record of every pool, from the first generation. */
static int lay_tables(struct prefork_arbiter *arbiter, const struct pfi_generation *generation)
{
	unsigned cells_max = 1;

	arbiter->processes_max = 0;
	for (unsigned i = 0; i < arbiter->pool_count; i++) {
		struct prefork_pool *const pool = &arbiter->pools[i];
		struct pfi_pool *const model = &arbiter->models[i];
		const struct pfi_library_settings *const values = pfi_library_settings(generation->of_pool[i]);

		*model = (struct pfi_pool){ 0 };
		pfi_policy_read(values, &model->policy);
		model->target = values->workers;
		pool->thread_slots = pfi_settings_threads(values) + 1;
		if (pool->thread_slots > cells_max)
			cells_max = pool->thread_slots;

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

	const int r = pfi_scoreboard_open(arbiter->processes_max, pfi_worker_score_bytes(cells_max), &arbiter->scoreboard);

	return r < 0 ? prefork_fail(r, "no shared memory for %u workers: %s", arbiter->processes_max,
				    strerror(-r))
		     : 0;
}

/* Workers inherit the limit. One that falls short of it accepts nobody for a while, so
 * this is no error, but nothing to find out at night either. */
static void reserve_for_clients(const struct prefork_arbiter *arbiter, uint64_t base)
{
	uint64_t limit = 0, most = 0;

	for (unsigned i = 0; i < arbiter->pool_count; i++) {
		const uint32_t connections = pfi_library_settings(arbiter->generations[0].of_pool[i])->worker_connections;

		if (pfi_pool_has_listeners(&arbiter->pools[i]) && connections > most)
			most = connections;
	}
	if (most == 0)
		return;
	/* A client that is slow may have a file, too: where it cannot, a thread waits for it. */
	(void)pfi_fd_reserve(base + 2 * most, &limit);
	if (limit < base + most)
		prefork_log_printf(arbiter->log, PREFORK_LOG_WARNING, "arbiter",
				"RLIMIT_NOFILE is %llu: a worker cannot hold the %llu connections of worker_connections; raise "
				"the limit (ulimit -n, LimitNOFILE= of systemd) or lower that",
				(unsigned long long)limit, (unsigned long long)most);
}

static int reserve_fds(const struct prefork_arbiter *arbiter)
{
	uint64_t limit = 0;
	uint64_t wanted = 64 + 4 * (uint64_t)arbiter->processes_max;

	for (size_t i = 0; i < arbiter->listeners.count; i++) {
		const struct prefork_listener *const listener = arbiter->listeners.list[i]->listener;

		if (listener->sockets != NULL) /* a set of them for everybody, and themselves */
			wanted += arbiter->processes_max + listener->socket_count;
	}

	const int r = pfi_fd_reserve(wanted, &limit);

	if (r < 0 && r != -EMFILE) /* a filter of system calls, most likely: the number is not known */
		return prefork_fail(r, "the limit of open files (RLIMIT_NOFILE) cannot be read, getrlimit is refused: %s",
				    strerror(-r));
	if (r < 0)
		return prefork_fail(r,
				    "RLIMIT_NOFILE is %llu, but %llu descriptors are needed for as "
				    "many workers as there may be: raise the limit (ulimit -n, LimitNOFILE= of "
				    "systemd) or lower workers_max",
				    (unsigned long long)limit, (unsigned long long)wanted);
	reserve_for_clients(arbiter, wanted);
	return 0;
}

static int begin(struct prefork_arbiter *arbiter, bool signals)
{
	int r = pfi_fd_fill_standard(); /* what has happened to them since create */

	if (r == 0)
		r = pfi_loop_verify(arbiter);
	if (r == 0)
		r = pfi_orphans_start(arbiter);
	if (r < 0)
		return r;
	/* Before there is anything to connect to: who can connect may send HUP at once, and must not kill us by it. */
	r = signals ? pfi_signals_take(arbiter) : 0;
	if (r < 0)
		return prefork_fail(r,
				    r == -EBUSY ? "another arbiter of this process has the signals"
						: "no signals: %s",
				    strerror(-r));
	r = pfi_listener_table_inherit(arbiter);
	if (r == 0)
		r = pfi_generation_create(arbiter, pfi_settings_ref(arbiter->initial), 1);
	if (r == 0)
		r = pfi_listening_owners(arbiter, &arbiter->generations[0]);
	if (r == 0)
		r = pfi_generation_open(arbiter, &arbiter->generations[0]);
	if (r < 0)
		return r;
	pfi_listener_table_drop_rest(arbiter);
	arbiter->last_generation = 1;
	arbiter->settings = arbiter->generations[0].settings;
	if ((r = lay_tables(arbiter, &arbiter->generations[0])) < 0 || (r = reserve_fds(arbiter)) < 0)
		return r;
	arbiter->arbiter_pidfd = pfi_arbiter_pidfd_open();
	if (arbiter->arbiter_pidfd < 0)
		return arbiter->arbiter_pidfd;
	pfi_supervisor_init(&arbiter->supervisor, arbiter->models, arbiter->pool_count, pfi_now_ns());
	pfi_policies_follow(arbiter);
	return 0;
}

/* What really runs: a pool may have a strategy of the host's. */
static void say_strategies(const struct prefork_arbiter *arbiter)
{
	for (unsigned i = 0; i < arbiter->pool_count; i++) {
		const struct prefork_strategy *const strategy =
			pfi_pool_strategy(arbiter, i, arbiter->generations[0].of_pool[i]);
		const bool several = arbiter->pool_count > 1;

		prefork_log_printf(arbiter->log, PREFORK_LOG_INFO, "arbiter", "Using worker: %s%s%s",
				strategy != NULL && strategy->name != NULL ? strategy->name : "the program's own",
				several ? ", in pool " : "", several ? arbiter->pools[i].name : "");
	}
}

static int start(struct prefork_arbiter *arbiter, bool signals)
{
	int r;

	if (arbiter->started)
		return prefork_fail(-EBUSY, "this arbiter was started before");
	if (arbiter->pool_count == 0)
		return prefork_fail(-EINVAL, "an arbiter without pools has nothing to do");
	arbiter->started = true;
	pfi_directory_remember(arbiter);
	prefork_log_printf(arbiter->log, PREFORK_LOG_INFO, "arbiter", "Starting %s (prefork %s)",
			arbiter->program, prefork_version());
	r = begin(arbiter, signals);
	if (r < 0) {
		finish_run(arbiter);
		arbiter->settings = arbiter->initial;
		arbiter->started = false;
		return r;
	}
	say_strategies(arbiter);
	if (pfi_thread_count() > 1)
		prefork_log_printf(arbiter->log, PREFORK_LOG_WARNING, "arbiter",
				"This process has %d threads: workers may inherit locks that nobody will open", pfi_thread_count());
	pfi_title_set("%s: arbiter", arbiter->program);
	r = prefork_arbiter_dispatch(arbiter);
	return r < 0 ? r : 0;
}

int prefork_arbiter_start(struct prefork_arbiter *arbiter)
{
	PFI_RETURN_IF_NULL(arbiter, -EINVAL);
	return start(arbiter, arbiter->logged_signals && arbiter->wants_signals);
}

int prefork_arbiter_fd(const struct prefork_arbiter *arbiter)
{
	PFI_RETURN_IF_NULL(arbiter, -EINVAL);
	return arbiter->epoll;
}

/* Deadlines that were pending when last looked at may have passed. */
static void look_at_pages(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	for (unsigned i = 0; i < arbiter->processes_max; i++) {
		struct prefork_process *const process = &arbiter->processes[i];

		if (process->pid == 0)
			continue;

		const struct pfi_slot *const slot = pfi_process_slot(process);

		if (slot->late != 0 || pfi_deadline_is_past(slot->next_ms, now_ms))
			pfi_child_health_check(arbiter, process, now_ms);
	}
}

static void follow_phase(struct prefork_arbiter *arbiter, enum pfi_phase phase)
{
	if (phase == PFI_PHASE_RUNNING)
		return;
	if (!arbiter->logged_stopping) {
		arbiter->logged_stopping = true;
		prefork_log_printf(arbiter->log, PREFORK_LOG_INFO, "arbiter", "Shutting down: Master");
		for (unsigned h = 0; h < arbiter->hook_count; h++) {
			if (arbiter->hooks[h].hooks->stopping != NULL)
				arbiter->hooks[h].hooks->stopping(arbiter, arbiter->hooks[h].user);
		}
	}
	if (phase >= PFI_PHASE_LEAVING)
		pfi_listener_table_close(arbiter);
}

/* When one start fails the others of this plan would, too: what the model makes of the
 * first is waited for. And when what a worker is told ends the server, nobody else is started. */
static void carry_out(struct prefork_arbiter *arbiter, unsigned pool,
		      const struct pfi_orders *orders, uint64_t now_ms)
{
	const enum pfi_phase phase = arbiter->supervisor.phase;
	bool can_start = true;

	for (uint32_t i = 0; i < orders->count; i++) {
		const struct pfi_order *const order = &orders->list[i];

		if (order->event != PFI_EVENT_FORKED)
			pfi_child_send_event(arbiter, pool, order, now_ms);
		else if (can_start && arbiter->supervisor.phase == phase)
			can_start = pfi_child_start(arbiter, pool, order, now_ms);
	}
}

/* Plan and act until nothing more follows; a bound, lest a mistake of ours spin. */
static struct pfi_turn take_turn(struct prefork_arbiter *arbiter, uint64_t now_ms, uint64_t *wake_ms)
{
	struct pfi_turn turn = { 0 };
	struct pfi_orders orders;
	bool more = true;

	for (int round = 0; more && round < 64; round++) {
		if (arbiter->supervisor.phase == PFI_PHASE_REFUSING) {
			if (!arbiter->refused) { /* the model gave up by itself */
				arbiter->supervisor.linger_ms = pfi_listener_table_refuse(arbiter);
				arbiter->refused = true;
			}
			pfi_listeners_count_queued(arbiter);
		}
		turn = pfi_supervisor_turn(&arbiter->supervisor, now_ms);
		pfi_reload_decided(arbiter, turn.decision);
		follow_phase(arbiter, turn.phase);
		*wake_ms = turn.wake_ms;
		more = false;
		for (unsigned p = 0; p < arbiter->pool_count; p++) {
			pfi_supervisor_plan(&arbiter->supervisor, p, now_ms, &orders);
			*wake_ms = pfi_earlier_ms(*wake_ms, orders.wake_ms);
			more |= orders.more || orders.count > 0;
			carry_out(arbiter, p, &orders, now_ms);
		}
	}
	if (more)
		*wake_ms = now_ms + 1;
	return turn;
}

int prefork_arbiter_dispatch(struct prefork_arbiter *arbiter)
{
	PFI_RETURN_IF_NULL(arbiter, -EINVAL);

	const uint64_t now_ms = pfi_now_ms();
	uint64_t wake_ms = 0;

	if (!arbiter->started)
		return prefork_fail(-EINVAL, "this arbiter was not started");
	if (arbiter->finished)
		return arbiter->supervisor.result;
	pfi_events_process(arbiter, now_ms);
	pfi_requests_process(arbiter, now_ms);
	look_at_pages(arbiter, now_ms);
	(void)pfi_reload_turn(arbiter, now_ms);

	const uint64_t shortage_ms = pfi_shortages_turn(arbiter, now_ms);
	const struct pfi_turn turn = take_turn(arbiter, now_ms, &wake_ms);

	wake_ms = pfi_earlier_ms(wake_ms, shortage_ms);
	wake_ms = pfi_earlier_ms(wake_ms, pfi_reload_turn(arbiter, now_ms)); /* the turn may have begun a stop */
	wake_ms = pfi_earlier_ms(wake_ms, pfi_dying_turn(arbiter, now_ms));
	wake_ms = pfi_earlier_ms(wake_ms, pfi_orphans_turn(arbiter, now_ms));
	wake_ms = pfi_earlier_ms(wake_ms, pfi_children_drain_due(arbiter, now_ms));
	if (!turn.finished)
		wake_ms = pfi_earlier_ms(wake_ms, pfi_reuseport_turn(arbiter, now_ms));
	if (!turn.finished) {
		pfi_generations_sweep(arbiter);
		pfi_supervisor_rest(&arbiter->supervisor, wake_ms);
		pfi_loop_arm(arbiter, wake_ms);
		return 1;
	}
	pfi_loop_arm(arbiter, 0);
	arbiter->finished = true;
	arbiter->settings = arbiter->initial;
	finish_run(arbiter);
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

int prefork_arbiter_run(struct prefork_arbiter *arbiter)
{
	PFI_RETURN_IF_NULL(arbiter, -EINVAL);

	int r = start(arbiter, arbiter->logged_signals ? arbiter->wants_signals : true);

	if (r < 0)
		return r;
	while ((r = prefork_arbiter_dispatch(arbiter)) == 1) {
		struct pollfd wait = { .fd = arbiter->epoll, .events = POLLIN };

		(void)poll(&wait, 1, -1); /* EINTR is a reason to look, too */
		if ((wait.revents & POLLNVAL) && (r = pfi_loop_verify(arbiter)) < 0)
			return r;
	}
	return r;
}

static void poke(struct prefork_arbiter *arbiter)
{
	const int saved_errno = errno;
	const uint64_t one = 1;

	(void)!write(arbiter->request_fd, &one, sizeof one);
	errno = saved_errno;
}

void prefork_arbiter_request_stop(struct prefork_arbiter *arbiter, bool graceful)
{
	unsigned none = 0;

	if (arbiter == NULL)
		return; /* no error message: this may be a signal handler */
	if (graceful) /* a quick stop that was asked for before stays one */
		(void)atomic_compare_exchange_strong(&arbiter->asked.stop, &none, 1);
	else
		atomic_store(&arbiter->asked.stop, 2);
	poke(arbiter);
}

void prefork_arbiter_request_reload(struct prefork_arbiter *arbiter)
{
	if (arbiter == NULL)
		return;
	atomic_store(&arbiter->asked.reload, 1);
	poke(arbiter);
}

int prefork_arbiter_request_scale(struct prefork_arbiter *arbiter, size_t pool, unsigned workers)
{
	if (arbiter == NULL || pool >= arbiter->pool_count)
		return -EINVAL; /* no error message: this may be a signal handler */
	atomic_store(&arbiter->asked.scale[pool], workers < UINT32_MAX ? workers + 1 : workers);
	poke(arbiter);
	return 0;
}

struct prefork_listener *prefork_arbiter_listener(const struct prefork_arbiter *arbiter, size_t index)
{
	PFI_RETURN_IF_NULL(arbiter, NULL);

	const struct pfi_generation *const generation =
		pfi_generation_find(arbiter, arbiter->supervisor.rollout.wanted);

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
