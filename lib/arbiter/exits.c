#include "arbiter/arbiter.h"

#include "os/fd.h"
#include "os/reap.h"
#include "os/timer.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static void record(struct prefork_process *process, const struct pfi_exit_status *death)
{
	struct pfi_exit_record *const dead = &process->dead;

	dead->known = death->known;
	dead->code = death->code;
	dead->signal = death->signo;
	dead->core = death->core;
	dead->rss_max_kib = death->rss_max_kib;
	dead->cpu_ms = (death->user_us + death->system_us) / 1000;
	process->status = !death->known ? -1 : death->signo != 0 ? death->signo | (death->core ? 0x80 : 0) :
								   death->code << 8;
	process->rusage = (struct rusage){ 0 };
	process->rusage.ru_utime.tv_sec = (time_t)(death->user_us / 1000000);
	process->rusage.ru_utime.tv_usec = (suseconds_t)(death->user_us % 1000000);
	process->rusage.ru_stime.tv_sec = (time_t)(death->system_us / 1000000);
	process->rusage.ru_stime.tv_usec = (suseconds_t)(death->system_us % 1000000);
	process->rusage.ru_maxrss = (long)death->rss_max_kib;
}

/* `*replaced` of this pool are, or will be, as was said of them in this turn. */
static const char *what_next(const struct prefork_arbiter *arbiter, const struct prefork_process *process,
			     uint64_t now_ms, uint32_t *replaced, char buffer[48])
{
	const struct pfi_pool *const model = &arbiter->models[process->pool];
	const struct pfi_next_start start = pfi_pool_next_start(model);
	const uint64_t at_ms = start.not_before_ms;

	if (arbiter->supervisor.phase != PFI_PHASE_RUNNING) {
		if (process->cause == PFI_CAUSE_STOP)
			return ""; /* that says it */
		if (pfi_supervisor_starts_max(&arbiter->supervisor, process->pool) > *replaced) {
			++*replaced;
			return "replaced: connections are pending";
		}
		return "not replaced: the server stops";
	}
	if (process->reason == PREFORK_REASON_FATAL && process->cause == PFI_CAUSE_NONE)
		return "not replaced: it asked for that";
	const struct pfi_worker_counts counts =
		pfi_worker_table_count(&model->worker_table, arbiter->supervisor.rollout.wanted, UINT32_MAX);
	const uint32_t coming = counts.current_booting + *replaced;
	if (counts.current_ready + counts.outdated_ready + coming >= pfi_pool_wanted(model))
		return "enough others are there";
	if (coming > 0 && start.one_by_one)
		return "replaced when another has started";
	++*replaced;
	if (at_ms <= now_ms)
		return "replaced now";
	(void)snprintf(buffer, 48, "replaced in %.1f s: too many fail", (double)(at_ms - now_ms) / 1000);
	return buffer;
}

/* To how it ended, and by whose hand: what else there is to say is in the log already. */
static void shorten(char *why)
{
	char *const rest = strstr(why, "; pool ");

	if (rest != NULL)
		*rest = '\0';
}

/* The model hears of it at once; it is told to everybody else at the end of the turn's events. */
void pfi_child_exited(struct prefork_arbiter *arbiter, struct prefork_process *process, uint64_t now_ms)
{
	struct pfi_exit_status death = { 0 };

	if (pfi_reap(process->pidfd, &death) == -EAGAIN)
		return;
	pfi_child_receive(arbiter, process, now_ms); /* its exit message may still lie there */
	pfi_child_read_exit_note(process);

	const unsigned busy = pfi_child_post_mortem(process);
	const struct pfi_slot slot = *pfi_process_slot(process);

	process->dead = (struct pfi_exit_record){
		.pid = (int)process->pid,
		.pool = arbiter->pools[process->pool].name,
		.state = slot.state,
		.cause = process->cause,
		.was_ready = slot.ready_ms != 0,
		.age_ms = now_ms - process->spawned_ms,
		.requests = process->requests,
		.activity = process->activity,
		.busy = busy,
		.exit_message = process->exit_message,
	};
	record(process, &death);
	process->exited_ms = now_ms;
	process->reason = pfi_exit_reason(&process->dead);
	pfi_supervisor_exited(&arbiter->supervisor, process->pool, process->slot, process->reason,
			    process->requests, now_ms);
	if (pfi_pool_serving(arbiter, process->pool) < pfi_pool_wanted(&arbiter->models[process->pool]))
		arbiter->pools[process->pool].ready_logged = 0;
}

static void tell(struct prefork_arbiter *arbiter, struct prefork_process *process, const char *next)
{
	const bool failed = pfi_exit_is_failure(process->reason);
	char why[sizeof process->message];

	pfi_exit_explain(&process->dead, next, why, sizeof why);
	memcpy(process->message, why, sizeof why);
	prefork_log_printf(arbiter->log, failed ? PREFORK_LOG_ERROR : PREFORK_LOG_INFO, "arbiter", "%s", why);
	shorten(why);
	if (failed)
		memcpy(arbiter->last_failure, why, sizeof why);
	if (failed && process->generation == arbiter->supervisor.rollout.candidate)
		memcpy(arbiter->reload_why, why, sizeof why);
	PFI_HOOKS(arbiter, worker_exited, process);
	pfi_child_release(arbiter, process);
}

/* What happens next is only known when all deaths of a turn are. */
void pfi_exits_report(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	uint32_t replaced[PFI_POOLS_MAX] = { 0 };
	char buffer[48];

	if (arbiter->supervisor.phase == PFI_PHASE_REFUSING)
		pfi_listeners_count_queued(arbiter); /* on which it depends */
	for (unsigned i = 0; i < arbiter->processes_max; i++) {
		struct prefork_process *const process = &arbiter->processes[i];

		if (process->pid != 0 && process->exited_ms != 0)
			tell(arbiter, process,
			     what_next(arbiter, process, now_ms, &replaced[process->pool], buffer));
	}
}

/* For destroy: nobody is asked, and nobody stays. */
void pfi_children_kill_all(struct prefork_arbiter *arbiter)
{
	for (unsigned i = 0; i < arbiter->processes_max; i++) {
		if (arbiter->processes[i].pid != 0)
			(void)pfi_pidfd_signal(arbiter->processes[i].pidfd, SIGKILL, 0);
	}
	for (unsigned i = 0; i < arbiter->processes_max; i++) {
		if (arbiter->processes[i].pid != 0)
			pfi_child_reap(arbiter, &arbiter->processes[i]);
	}
}
