/* Handles the exit of a worker in two steps: reap it when its pidfd is readable; at the end of the turn's events,
 * log the explanation, call the hooks and release the slot. */
#include "arbiter/exits.h"

#include "arbiter/arbiter.h"
#include "arbiter/child_messages.h"
#include "arbiter/health.h"
#include "arbiter/score_reader.h"
#include "os/reap.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void record(struct pfi_process_exit *exited, const struct pfi_exit_status *status)
{
	struct pfi_exit_record *const record = &exited->record;

	record->known = status->known;
	record->code = status->code;
	record->signal = status->signo;
	record->core = status->core;
	record->rss_max_kib = status->rss_max_kib;
	record->cpu_ms = (status->user_us + status->system_us) / 1000;
	exited->status = !status->known ? -1 : status->signo != 0 ? status->signo | (status->core ? 0x80 : 0) :
								    status->code << 8;
	exited->rusage = (struct rusage){ 0 };
	exited->rusage.ru_utime.tv_sec = (time_t)(status->user_us / 1000000);
	exited->rusage.ru_utime.tv_usec = (suseconds_t)(status->user_us % 1000000);
	exited->rusage.ru_stime.tv_sec = (time_t)(status->system_us / 1000000);
	exited->rusage.ru_stime.tv_usec = (suseconds_t)(status->system_us % 1000000);
	exited->rusage.ru_maxrss = (long)status->rss_max_kib;
}

void pfi_child_exited(struct prefork_arbiter *arbiter, struct prefork_process *process, uint64_t now_ms)
{
	struct pfi_exit_status status = { 0 };
	char note[PFI_EXIT_NOTE_SIZE + 1];

	if (pfi_reap(process->pidfd, &status) == -EAGAIN)
		return;
	pfi_child_receive(arbiter, process, now_ms); /* why it exits may still be in the control channel */
	pfi_score_read_exit_note(process, note);
	if (note[0] != '\0')
		pfi_process_set_exit_note(process, note);

	const unsigned busy = pfi_health_post_mortem(process);
	const struct pfi_slot slot = *pfi_process_slot(process);

	process->exit.record = (struct pfi_exit_record){
		.pid = (int)process->pid,
		.state = slot.state,
		.cause = process->stop.cause,
		.was_ready = slot.ready_ms != 0,
		.age_ms = now_ms - process->spawned_ms,
		.requests = process->health.requests,
		.activity = process->health.activity,
		.busy = busy,
		.note = process->exit_note,
	};
	record(&process->exit, &status);
	process->exit.at_ms = now_ms;
	process->exit.reason = pfi_exit_reason(&process->exit.record);
	pfi_supervisor_exited(&arbiter->supervisor, process->pool, process->slot, process->exit.reason,
			      process->health.requests, now_ms);
	if (pfi_pool_serving(arbiter, process->pool) < pfi_pool_desired_workers(&arbiter->models[process->pool]))
		arbiter->pools[process->pool].ready_logged = 0;
}

/* The end of the explanation of an exit while the server stops. */
static const char *what_follows_a_stop(const struct prefork_arbiter *arbiter, const struct prefork_process *process,
				       uint32_t *replaced)
{
	if (process->stop.cause == PFI_CAUSE_STOP)
		return ""; /* the cause is in the explanation */
	if (pfi_supervisor_starts_max(&arbiter->supervisor, process->pool) > *replaced) {
		++*replaced;
		return "replaced: connections are pending";
	}
	return "not replaced: the server stops";
}

/* The end of the explanation of an exit. *replaced counts the exits of this pool and turn whose line promises a
 * replacement. */
static const char *what_follows(const struct prefork_arbiter *arbiter, const struct prefork_process *process,
				uint64_t now_ms, uint32_t *replaced, char buffer[48])
{
	const struct pfi_pool *const model = &arbiter->models[process->pool];
	const struct pfi_next_start start = pfi_pool_next_start(model);
	const uint64_t at_ms = start.earliest_ms;

	if (arbiter->supervisor.phase != PFI_PHASE_RUNNING)
		return what_follows_a_stop(arbiter, process, replaced);
	if (process->exit.reason == PREFORK_REASON_FATAL && process->stop.cause == PFI_CAUSE_NONE)
		return "not replaced: its exit status reports a permanent failure";
	const struct pfi_worker_counts counts =
		pfi_worker_table_count(&model->worker_table, arbiter->supervisor.rollout.desired, UINT32_MAX);
	const uint32_t booting = counts.current_booting + *replaced;
	if (counts.current_ready + counts.outdated_ready + booting >= pfi_pool_desired_workers(model))
		return "not replaced: the pool has enough workers";
	if (booting > 0 && start.one_by_one)
		return "replaced when the booting worker is ready";
	++*replaced;
	if (at_ms <= now_ms)
		return "replaced now";
	(void)snprintf(buffer, 48, "replaced in %.1f s: too many failures", (double)(at_ms - now_ms) / 1000);
	return buffer;
}

/* `next` is part of the log line only: it is of no use in the error message of a start or a reload. */
static void report(struct prefork_arbiter *arbiter, struct prefork_process *process, const char *next)
{
	const bool failed = pfi_exit_is_failure(process->exit.reason);
	struct prefork_log_pair pairs[PFI_EXIT_PAIRS_MAX];
	char why[PFI_EXIT_TEXT_SIZE];

	pfi_exit_explain(&process->exit.record, why, sizeof why);
	(void)snprintf(process->exit.message, sizeof process->exit.message, "%s%s%s", why, next[0] != '\0' ? "; " : "",
		       next);
	pfi_process_log(process, failed ? PREFORK_LOG_ERROR : PREFORK_LOG_INFO, "worker_exit", pairs,
			pfi_exit_pairs(&process->exit.record, pairs), "%s", process->exit.message);
	if (failed)
		memcpy(arbiter->last_failure, why, sizeof why);
	if (failed && process->generation == arbiter->supervisor.rollout.candidate)
		memcpy(arbiter->reload_why, why, sizeof why);
	PFI_HOOKS(arbiter, worker_exited, arbiter, process);
	pfi_process_release(arbiter, process);
}

/* At the end of the turn's events: what follows an exit depends on all exits of the turn. */
void pfi_exits_report(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	uint32_t replaced[PFI_POOLS_MAX] = { 0 };
	char buffer[48];

	if (arbiter->supervisor.phase == PFI_PHASE_REFUSING)
		pfi_listener_table_count_pending(arbiter); /* a worker is replaced if connections are pending */
	for (unsigned i = 0; i < arbiter->processes_max; i++) {
		struct prefork_process *const process = &arbiter->processes[i];

		if (process->pid != 0 && process->exit.at_ms != 0)
			report(arbiter, process,
			       what_follows(arbiter, process, now_ms, &replaced[process->pool], buffer));
	}
}
