#include "arbiter/arbiter.h"

#include "listener/listener.h"
#include "model/deadline.h"
#include "model/library_options.h"
#include "model/message.h"
#include "os/fd.h"
#include "os/fdtable.h"
#include "os/control_channel.h"
#include "os/reap.h"
#include "os/spawn.h"
#include "os/timer.h"

#include <prefork/error.h>

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	MESSAGES_A_TURN = 16,
	MESSAGES_MAX = 500, /* of a process, whose own needs are a handful, and        */
	MESSAGE_MS = 100,   /* one more for so much life: a shortage comes and goes    */
};

static int child_main(void *context)
{
	return pfi_worker_main(context);
}

static int ask_before_fork(struct prefork_arbiter *arbiter, struct prefork_process *process)
{
	for (unsigned h = 0; h < arbiter->hook_count; h++) {
		const struct pfi_hook_set *const set = &arbiter->hooks[h];
		const int r = set->hooks->before_fork
				      ? set->hooks->before_fork(arbiter, process, set->user)
				      : 0;

		if (r < 0)
			return r;
		process->prepared++;
	}
	return 0;
}

/* What a worker is given on its way. */
struct resources {
	struct prefork_listener **listeners;
	int ends[2]; /* of its control channel: ours and its */
};

/* What this process is given is its own in the table of descriptors: see os/fdtable.h. */
static void set_owner(const struct prefork_process *process, const int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		pfi_fdtable_set_owner(fds[i], process->arbiter->id, process->worker_index);
}

static int pack(struct prefork_process *process, const struct pfi_listener_list *listeners, struct resources *resources)
{
	int r = pfi_channel_open(resources->ends);

	if (r < 0)
		return r;
	process->watchdog = pfi_timer_open();
	if (process->watchdog < 0)
		return process->watchdog;
	r = pfi_reuseport_sets_open(process, listeners);
	if (r < 0)
		return r;
	resources->listeners = calloc(listeners->count + 1, sizeof *resources->listeners);
	if (resources->listeners == NULL)
		return -ENOMEM;
	set_owner(process, resources->ends, 2);
	set_owner(process, &process->watchdog, 1);
	set_owner(process, process->sets, process->set_count);
	for (size_t i = 0; i < listeners->count; i++)
		resources->listeners[i] = listeners->list[i]->listener;
	return 0;
}

/* The child has its copy, or there is no child. */
static void release_resources(struct resources *resources)
{
	pfi_close(&resources->ends[1]);
	free(resources->listeners);
}

static int spawn(struct prefork_arbiter *arbiter, struct prefork_process *process,
		 const struct pfi_generation *generation, const struct resources *resources)
{
	struct prefork_pool *const pool = &arbiter->pools[process->pool];
	struct pfi_child child = { 0, -1 };
	struct pfi_spawn_context context = {
		.program = arbiter->program,
		.pool = pool->name,
		.slot = process->slot,
		.worker_index = process->worker_index,
		.generation = generation->number,
		.settings = generation->of_pool[process->pool],
		.log = arbiter->log,
		.strategy = pfi_pool_strategy(arbiter, process->pool, generation->of_pool[process->pool]),
		.service = pool->service,
		.user = pool->user,
		.listeners = resources->listeners,
		.listener_count = generation->listeners[process->pool].count,
		.sets = process->sets,
		.hooks = arbiter->hooks,
		.hook_count = arbiter->hook_count,
		.scoreboard = &arbiter->scoreboard,
		.score = pfi_process_score(process),
		.thread_slots = pool->thread_slots,
		.channel = resources->ends[1],
		.arbiter_pidfd = arbiter->arbiter_pidfd,
		.directory = generation->directory_fd,
		.watchdog = process->watchdog,
		.arbiter = getpid(),
		.arbiter_id = arbiter->id,
	};

	memset(context.score, 0, pfi_worker_score_bytes(pool->thread_slots));
	for (size_t i = 0; i < context.listener_count; i++) {
		if (context.listeners[i]->is_refusing)
			atomic_store(&context.score->shut, 1);
	}

	const int r = pfi_spawn(child_main, &context, &child);

	process->pid = child.pid;
	process->pidfd = child.pidfd;
	set_owner(process, &process->pidfd, 1);
	return r;
}

static int fork_into(struct prefork_arbiter *arbiter, struct prefork_process *process,
		     const struct pfi_generation *generation)
{
	struct resources resources = { .ends = { -1, -1 } };
	int r;

	process->pidfd = process->channel = process->watchdog = -1;
	process->slow_ms = pfi_library_settings(generation->of_pool[process->pool])->soft_timeout_ms;
	prefork_error_clear(); /* what a hook says is its own */
	r = ask_before_fork(arbiter, process);
	if (r == 0)
		r = pack(process, &generation->listeners[process->pool], &resources);
	if (r == 0)
		r = spawn(arbiter, process, generation, &resources);
	release_resources(&resources);
	if (r < 0) {
		pfi_close(&resources.ends[0]);
		pfi_timer_close(&process->watchdog);
		pfi_reuseport_sets_close(process);
		return r;
	}
	process->channel = resources.ends[0];
	return 0;
}

/* Hear of it from now on. One that cannot be heard of is not there: it is ended before
 * anybody counts on it, for its death would not be heard of either. */
static int watch_over(struct prefork_arbiter *arbiter, struct prefork_process *process)
{
	const uint32_t incarnation = pfi_process_slot(process)->incarnation + 1; /* which it will be */
	const unsigned worker_index = process->worker_index;
	int r = pfi_loop_add(arbiter, process->pidfd, (struct pfi_tag){ PFI_SOURCE_PIDFD, worker_index, incarnation });

	if (r == 0)
		r = pfi_loop_add(arbiter, process->channel,
				 (struct pfi_tag){ PFI_SOURCE_CHANNEL, worker_index, incarnation });
	if (r == 0)
		r = pfi_loop_add(arbiter, process->watchdog,
				 (struct pfi_tag){ PFI_SOURCE_WATCHDOG, worker_index, incarnation });
	if (r < 0) {
		pfi_loop_remove(arbiter, process->pidfd);
		pfi_dying_add(arbiter, &process->pidfd);
		pfi_child_release(arbiter, process);
	}
	return r;
}

static const char *why_not(int error, bool refused)
{
	if (refused)
		return prefork_error()[0] != '\0' ? prefork_error() : "a hook refused it";
	switch (error) {
	case -EAGAIN:
		return "no more processes are allowed (ulimit -u, TasksMax= of systemd)";
	case -EMFILE:
		return "no more descriptors are allowed (ulimit -n, LimitNOFILE= of systemd)";
	default:
		return strerror(error < -4095 ? EINVAL : -error);
	}
}

/* Who was asked before is told; the model, the verdict on a reload and the end of a first start
 * have their reason. */
static void start_failed(struct prefork_arbiter *arbiter, struct prefork_process *process, int error,
			 bool refused, uint64_t now_ms)
{
	char why[512];

	(void)snprintf(why, sizeof why, "Cannot start a worker in pool %s: %s", arbiter->pools[process->pool].name,
		       why_not(error, refused));
	prefork_log_printf(arbiter->log, PREFORK_LOG_ERROR, "arbiter", "%s; trying again later", why);
	memcpy(arbiter->last_failure, why, sizeof why);
	if (process->generation == arbiter->supervisor.rollout.candidate)
		memcpy(arbiter->reload_why, why, sizeof why);
	for (unsigned h = process->prepared; h-- > 0;) {
		const struct pfi_hook_set *const set = &arbiter->hooks[h];

		if (set->hooks->fork_failed != NULL)
			set->hooks->fork_failed(arbiter, process, error, set->user);
	}
	pfi_supervisor_fork_failed(&arbiter->supervisor, process->pool, process->generation, now_ms);
}

/* False: it could not be, and the model knows. */
bool pfi_child_start(struct prefork_arbiter *arbiter, unsigned pool, const struct pfi_order *order,
		     uint64_t now_ms)
{
	const unsigned worker_index = arbiter->pools[pool].first_worker_index + order->slot;
	struct prefork_process *const process = &arbiter->processes[worker_index];
	struct pfi_generation *const generation = pfi_generation_find(arbiter, order->generation);
	int r = generation == NULL ? -ENOENT : pfi_dying_has_room(arbiter) ? 0 : -EAGAIN;

	*process = (struct prefork_process){ .arbiter = arbiter, .pool = pool, .slot = order->slot, .worker_index = worker_index,
					     .generation = order->generation, .spawned_ms = now_ms, .status = -1 };
	if (r == 0) {
		pfi_directory_check(arbiter, generation);
		r = fork_into(arbiter, process, generation);
	}
	if (r == 0)
		r = watch_over(arbiter, process);
	if (r < 0) {
		start_failed(arbiter, process, r, generation != NULL && process->prepared < arbiter->hook_count, now_ms);
		return false;
	}
	pfi_supervisor_forked(&arbiter->supervisor, pool, order->slot, order->generation, now_ms);
	prefork_log_printf(arbiter->log, PREFORK_LOG_INFO, "arbiter",
			"Booting worker with pid: %d (pool %s, slot %u, generation %u)",
			(int)process->pid, arbiter->pools[pool].name, (unsigned)order->slot,
			(unsigned)order->generation);
	PFI_HOOKS(arbiter, after_fork, process);
	return true;
}

static void say_why(struct prefork_arbiter *arbiter, struct prefork_process *process,
		    enum pfi_step_action action)
{
	const bool timed_out = process->cause == PFI_CAUSE_REQUEST_TIMEOUT ||
			       process->cause == PFI_CAUSE_BOOT_TIMEOUT ||
			       process->cause == PFI_CAUSE_DRAIN_TIMEOUT;

	if (action == PFI_ACTION_ABORT && process->dumps > 0) { /* the rest was said when it was late */
		prefork_log_printf(arbiter->log, PREFORK_LOG_ERROR, "arbiter",
				"Worker (pid:%d) is still stuck: sending SIGABRT",
				(int)process->pid);
	} else if (action == PFI_ACTION_ABORT && timed_out) {
		pfi_child_health_check(arbiter, process, 0);
		prefork_log_printf(arbiter->log, PREFORK_LOG_CRITICAL, "arbiter",
				"WORKER TIMEOUT (pid:%d): %s%s%s", (int)process->pid,
				pfi_cause_text(process->cause),
				process->activity[0] == '\0' ? "" :
				process->is_at_work ? "; it is at: " : "; it was last at: ", process->activity);
	} else if (action == PFI_ACTION_KILL) {
		prefork_log_printf(arbiter->log, PREFORK_LOG_ERROR, "arbiter",
				"Worker (pid:%d) does not leave: sending SIGKILL",
				(int)process->pid);
	}
}

/* `value` 1: it drains_queue the queues first, since nobody else will. */
static void send_leave(struct prefork_process *process, uint32_t value)
{
	process->drain_at_ms = 0;
	process->drains_queue = value == 1;
	/* One that does not read is asked by signal, which cannot fill up. */
	if (pfi_channel_send(process->channel, PFI_MESSAGE_DRAIN, value, NULL) < 0)
		(void)pfi_pidfd_signal(process->pidfd, SIGTERM, 0);
}

/* The last one at an listener that is given up serves on until nobody can come any more. */
static void ask_leave(struct prefork_arbiter *arbiter, struct prefork_process *process, uint64_t now_ms)
{
	const bool stops = arbiter->supervisor.phase >= PFI_PHASE_LEAVING;
	uint64_t linger_ms = 0;

	if (stops || !pfi_listener_table_abandon(arbiter, process, &linger_ms))
		send_leave(process, stops);
	else if (linger_ms == 0)
		send_leave(process, 1);
	else
		process->drain_at_ms = now_ms + linger_ms;
}

/* When the next is due, 0: none is. */
uint64_t pfi_children_drain_due(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	uint64_t wake_ms = 0;

	for (unsigned i = 0; i < arbiter->processes_max; i++) {
		struct prefork_process *const process = &arbiter->processes[i];

		if (process->pid == 0 || process->drain_at_ms == 0)
			continue;
		if (process->drain_at_ms <= now_ms)
			send_leave(process, 1);
		else
			wake_ms = pfi_earlier_ms(wake_ms, process->drain_at_ms);
	}
	return wake_ms;
}

void pfi_child_send_event(struct prefork_arbiter *arbiter, unsigned pool, const struct pfi_order *order,
		    uint64_t now_ms)
{
	struct prefork_process *const process =
		&arbiter->processes[arbiter->pools[pool].first_worker_index + order->slot];
	const enum pfi_step_action action =
		pfi_supervisor_send_event(&arbiter->supervisor, pool, order->slot, order->event, now_ms);

	if (action != PFI_ACTION_REFUSE && order->cause != PFI_CAUSE_NONE)
		process->cause = order->cause;
	say_why(arbiter, process, action);
	switch (action) {
	case PFI_ACTION_DRAIN:
		ask_leave(arbiter, process, now_ms);
		break;
	case PFI_ACTION_DUMP:
		pfi_child_dump(arbiter, process);
		break;
	case PFI_ACTION_QUIT:
		(void)pfi_pidfd_signal(process->pidfd, SIGQUIT, 0);
		break;
	case PFI_ACTION_ABORT:
		(void)pfi_pidfd_signal(process->pidfd, SIGABRT, 0);
		break;
	case PFI_ACTION_KILL:
		(void)pfi_pidfd_signal(process->pidfd, SIGKILL, 0);
		break;
	default:
		break;
	}
}

uint32_t pfi_pool_serving(const struct prefork_arbiter *arbiter, unsigned pool)
{
	const struct pfi_worker_counts counts = pfi_worker_table_count(&arbiter->models[pool].worker_table,
							   arbiter->supervisor.rollout.wanted, UINT32_MAX);

	return counts.current_ready + counts.outdated_ready;
}

/* After the start, and whenever somebody was missing. */
static void say_complete(struct prefork_arbiter *arbiter, unsigned pool)
{
	const uint32_t wanted = pfi_pool_wanted(&arbiter->models[pool]);

	if (arbiter->pools[pool].ready_logged >= wanted || pfi_pool_serving(arbiter, pool) < wanted)
		return;
	arbiter->pools[pool].ready_logged = wanted;
	prefork_log_printf(arbiter->log, PREFORK_LOG_INFO, "arbiter", "Pool %s is complete: %u worker%s serve%s",
			arbiter->pools[pool].name, wanted, wanted == 1 ? "" : "s", wanted == 1 ? "s" : "");
}

static void became_ready(struct prefork_arbiter *arbiter, struct prefork_process *process, uint64_t now_ms)
{
	const struct pfi_order order = { .event = PFI_EVENT_READY, .slot = process->slot };
	const enum pfi_state before = pfi_process_slot(process)->state;

	pfi_child_send_event(arbiter, process->pool, &order, now_ms);
	if (before != PFI_STATE_BOOTING || pfi_process_slot(process)->state != PFI_STATE_SERVING)
		return;
	say_complete(arbiter, process->pool);
	PFI_HOOKS(arbiter, worker_ready, process);
}

/* One that serves until it is asked stays with those that serve: the plan replaces
 * it, then asks it. One that takes nothing new from here on does not. */
static void said_leaving(struct prefork_arbiter *arbiter, struct prefork_process *process,
			 bool serves, uint64_t now_ms)
{
	struct pfi_slot *const slot = pfi_process_slot(process);

	if (slot->state != PFI_STATE_SERVING && slot->state != PFI_STATE_DUMPING)
		return;
	slot->wants_retire = true;
	if (serves)
		return;
	if (slot->state == PFI_STATE_SERVING)
		process->cause = PFI_CAUSE_LEFT;
	(void)pfi_supervisor_send_event(&arbiter->supervisor, process->pool, process->slot, PFI_EVENT_RETIRE, now_ms);
}

static void heard(struct prefork_arbiter *arbiter, struct prefork_process *process,
		  const struct pfi_message *message, uint64_t now_ms)
{
	switch (message->type) {
	case PFI_MESSAGE_READY:
		became_ready(arbiter, process, now_ms);
		break;
	case PFI_MESSAGE_FAILED:
		pfi_exit_clean_text(message->text, process->exit_message, sizeof process->exit_message);
		break;
	case PFI_MESSAGE_RETIRING:
		if (pfi_process_slot(process)->state == PFI_STATE_QUITTING)
			break; /* the worker names our SIGQUIT as its cause */
		pfi_exit_clean_text(message->text, process->exit_message, sizeof process->exit_message);
		said_leaving(arbiter, process, message->value == 1, now_ms);
		break;
	case PFI_MESSAGE_SHORT:
		pfi_shortage_heard(arbiter, process, message->value, now_ms);
		break;
	case PFI_MESSAGE_ABLE:
		pfi_shortage_over(arbiter, process, now_ms);
		break;
	case PFI_MESSAGE_ALIVE:
		pfi_queue_answered(arbiter, process);
		break;
	default: /* newer than we are, or hostile */
		break;
	}
}

/* Bounded per turn, and for the life of a process: a flood is not our business. */
void pfi_child_receive(struct prefork_arbiter *arbiter, struct prefork_process *process, uint64_t now_ms)
{
	struct pfi_message message;

	for (int i = 0; i < MESSAGES_A_TURN; i++) {
		const int r = pfi_channel_receive(process->channel, &message);

		if (r == -EAGAIN)
			return;
		if (r == -EPIPE ||
		    ++process->messages > MESSAGES_MAX + (now_ms - process->spawned_ms) / MESSAGE_MS) {
			if (r != -EPIPE)
				pfi_child_log_misbehaving(arbiter, process,
						   "it sends messages without end, which are not "
						   "read any more");
			pfi_loop_remove(arbiter, process->channel);
			return;
		}
		if (r == 0)
			heard(arbiter, process, &message, now_ms);
	}
}

void pfi_children_notify_all(struct prefork_arbiter *arbiter, uint32_t message)
{
	for (unsigned i = 0; i < arbiter->processes_max; i++) {
		if (arbiter->processes[i].pid != 0)
			(void)pfi_channel_send(arbiter->processes[i].channel, message, 0, NULL);
	}
}
