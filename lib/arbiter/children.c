/* Spawns workers: opens what a new worker needs, calls the hooks, forks, and polls its descriptors; or undoes all
 * of it. */
#include "arbiter/children.h"

#include "arbiter/arbiter.h"
#include "arbiter/error_log.h"
#include "arbiter/health.h"
#include "arbiter/hook_calls.h"
#include "base/text.h"
#include "listener/listener.h"
#include "model/message.h"
#include "os/control_channel.h"
#include "os/fd.h"
#include "os/fdtable.h"
#include "os/logfile.h"
#include "os/reap.h"
#include "os/spawn.h"
#include "os/timer.h"

#include <prefork/error.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int child_main(void *context)
{
	return pfi_worker_main(context);
}

/* What is opened for the fork and not kept in the process record. */
struct resources {
	struct prefork_listener **listeners;
	int channel[2]; /* the arbiter's end and the worker's end */
};

/* Enter the worker as owner in the table of descriptors: other workers close these (os/fdtable.h). */
static void set_owner(const struct prefork_process *process, const int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		pfi_fdtable_set_owner(fds[i], process->arbiter->id, process->worker_index);
}

static int open_resources(struct prefork_process *process, const struct pfi_listener_list *listeners,
			  struct resources *resources)
{
	int r = pfi_channel_open(resources->channel);

	if (r < 0)
		return r;
	process->watchdog = pfi_timer_open();
	if (process->watchdog < 0)
		return process->watchdog;
	r = pfi_process_open_sets(process, listeners);
	if (r < 0)
		return r;
	resources->listeners = calloc(listeners->count + 1, sizeof *resources->listeners);
	if (resources->listeners == NULL)
		return -ENOMEM;
	set_owner(process, resources->channel, 2);
	set_owner(process, &process->watchdog, 1);
	set_owner(process, process->reuseport.sets, process->reuseport.count);
	for (size_t i = 0; i < listeners->count; i++)
		resources->listeners[i] = listeners->list[i]->listener;
	return 0;
}

/* Close the arbiter's copies: after a fork the child has its own, after a failed fork they are not needed. */
static void release_resources(struct resources *resources)
{
	pfi_close(&resources->channel[1]);
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
		.reuseport_sets = process->reuseport.sets,
		.hooks = arbiter->hooks,
		.hook_count = arbiter->hook_count,
		.scoreboard = &arbiter->scoreboard,
		.score = pfi_process_score(process),
		.thread_slots = pool->thread_slots,
		.channel = resources->channel[1],
		.arbiter_pidfd = arbiter->arbiter_pidfd,
		.directory = generation->directory_fd,
		.watchdog = process->watchdog,
		.arbiter = getpid(),
		.credentials = &pool->credentials,
		.daemon = &arbiter->daemon,
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

static int fork_worker(struct prefork_arbiter *arbiter, struct prefork_process *process,
		       const struct pfi_generation *generation)
{
	struct resources resources = { .channel = { -1, -1 } };
	int r;

	process->pidfd = process->channel = process->watchdog = -1;
	pfi_health_init(process, pfi_library_settings(generation->of_pool[process->pool])->soft_timeout_ms);
	prefork_error_clear(); /* an error message after the hooks is one of theirs */
	r = pfi_hooks_before_fork(arbiter, process);
	pfi_logs_give(arbiter); /* also those that the hooks of the start and of a reload have opened */
	if (r == 0)
		r = open_resources(process, &generation->listeners[process->pool], &resources);
	if (r == 0)
		r = spawn(arbiter, process, generation, &resources);
	release_resources(&resources);
	if (r < 0) {
		pfi_close(&resources.channel[0]);
		pfi_timer_close(&process->watchdog);
		pfi_process_close_sets(process);
		return r;
	}
	process->channel = resources.channel[0];
	return 0;
}

/* Poll the pidfd, the control channel and the watchdog timer of the new worker. If that fails, the worker is killed
 * before anything depends on it: its exit would not be seen either. */
static int add_to_loop(struct prefork_arbiter *arbiter, struct prefork_process *process)
{
	const uint32_t incarnation = pfi_process_slot(process)->incarnation + 1; /* after pfi_supervisor_forked() */
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
		pfi_killed_add(arbiter, &process->pidfd);
		pfi_process_release(arbiter, process);
	}
	return r;
}

static const char *reason_of(int error, bool refused)
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

/* Log the failure, undo the before_fork hooks in reverse order, and keep the reason for the verdict of a reload, or for
 * the result of the start. */
static void spawn_failed(struct prefork_arbiter *arbiter, struct prefork_process *process, int error,
			 bool refused, uint64_t now_ms)
{
	char why[512];

	(void)snprintf(why, sizeof why, "Cannot start a worker in pool %s: %s", arbiter->pools[process->pool].name,
		       reason_of(error, refused));
	pfi_pool_log(arbiter, process->pool, PREFORK_LOG_ERROR, "worker_spawn_failed",
		     PFI_PAIRS(PREFORK_NUMBER("slot", process->slot)), "%s; retrying later", why);
	memcpy(arbiter->last_failure, why, sizeof why);
	if (process->generation == arbiter->supervisor.rollout.candidate)
		memcpy(arbiter->reload_why, why, sizeof why);
	for (unsigned h = process->hooks_called; h-- > 0;) {
		const struct pfi_hook_set *const set = &arbiter->hooks[h];

		if (set->hooks->fork_failed != NULL)
			set->hooks->fork_failed(arbiter, process, error, set->user);
	}
	pfi_supervisor_fork_failed(&arbiter->supervisor, process->pool, process->generation, now_ms);
}

bool pfi_child_spawn(struct prefork_arbiter *arbiter, unsigned pool, const struct pfi_order *order, uint64_t now_ms)
{
	const unsigned worker_index = arbiter->pools[pool].first_worker_index + order->slot;
	struct prefork_process *const process = &arbiter->processes[worker_index];
	struct pfi_generation *const generation = pfi_generation_find(arbiter, order->generation);
	int r = generation == NULL ? -ENOENT : pfi_killed_has_space(arbiter) ? 0 : -EAGAIN;

	*process = (struct prefork_process){ .arbiter = arbiter, .pool = pool, .slot = order->slot,
					     .worker_index = worker_index, .generation = order->generation,
					     .spawned_ms = now_ms, .exit.status = -1 };
	if (r == 0) {
		pfi_directory_check(arbiter, generation);
		r = fork_worker(arbiter, process, generation);
	}
	if (r == 0)
		r = add_to_loop(arbiter, process);
	if (r < 0) {
		spawn_failed(arbiter, process, r, generation != NULL && process->hooks_called < arbiter->hook_count,
			     now_ms);
		return false;
	}
	pfi_supervisor_forked(&arbiter->supervisor, pool, order->slot, order->generation, now_ms);
	pfi_process_log(process, PREFORK_LOG_INFO, "worker_spawn", PFI_PAIRS(PREFORK_NUMBER("generation", order->generation)),
			"Booting worker with pid: %d", (int)process->pid);
	PFI_HOOKS(arbiter, after_fork, arbiter, process);
	return true;
}

void pfi_children_kill_all(struct prefork_arbiter *arbiter)
{
	for (unsigned i = 0; i < arbiter->processes_max; i++) {
		if (arbiter->processes[i].pid != 0)
			(void)pfi_pidfd_signal(arbiter->processes[i].pidfd, SIGKILL, 0);
	}
	for (unsigned i = 0; i < arbiter->processes_max; i++) {
		if (arbiter->processes[i].pid != 0)
			pfi_process_reap(arbiter, &arbiter->processes[i]);
	}
}

void pfi_children_reopen_logs(struct prefork_arbiter *arbiter)
{
	char numbers[PFI_LOGFILE_REOPENED_MAX * 12] = "";
	struct pfi_text text;
	size_t count;
	const int *const fds = pfi_logfile_reopened(&count);

	pfi_text_init(&text, numbers, sizeof numbers);
	for (size_t i = 0; i < count; i++)
		pfi_text_format(&text, "%s%d", i > 0 ? "," : "", fds[i]);
	for (unsigned i = 0; i < arbiter->processes_max; i++) {
		const struct prefork_process *const process = &arbiter->processes[i];

		if (process->pid != 0 &&
		    pfi_channel_send_fds(process->channel, PFI_MESSAGE_REOPEN, 0, numbers, fds, count) < 0)
			(void)pfi_channel_send(process->channel, PFI_MESSAGE_REOPEN, 0, NULL); /* it opens them itself */
	}
}
