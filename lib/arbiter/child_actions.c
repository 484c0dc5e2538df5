/* Applies the events of the plan to one worker, and carries out the action of each transition: a drain message, a
 * stack dump, or a signal. */
#include "arbiter/child_actions.h"

#include "arbiter/arbiter.h"
#include "arbiter/health.h"
#include "arbiter/stack_dumps.h"
#include "base/text.h"
#include "model/deadline.h"
#include "model/drain.h"
#include "model/message.h"
#include "os/control_channel.h"
#include "os/reap.h"

#include <inttypes.h>
#include <signal.h>

static void log_abort(struct prefork_process *process)
{
	const bool timed_out = process->stop.cause == PFI_CAUSE_REQUEST_TIMEOUT ||
			       process->stop.cause == PFI_CAUSE_BOOT_TIMEOUT ||
			       process->stop.cause == PFI_CAUSE_DRAIN_TIMEOUT;

	if (process->dumps.requested > 0) { /* the timeout itself was logged with the stack */
		pfi_process_log(process, PREFORK_LOG_ERROR, "worker_abort", PFI_NO_PAIRS,
				"Worker (pid:%d) is still stuck: sending SIGABRT", (int)process->pid);
	} else if (timed_out) {
		pfi_health_read_activity(process);
		pfi_process_log(process, PREFORK_LOG_CRITICAL, "worker_timeout", PFI_NO_PAIRS,
				"WORKER TIMEOUT (pid:%d): %s%s%s", (int)process->pid,
				pfi_cause_text(process->stop.cause),
				process->health.activity[0] == '\0' ? "" :
				process->health.is_busy ? "; it works on: " : "; it last worked on: ",
				process->health.activity);
	}
}

/* When idle connections close at the latest, as text. Empty: no limit. */
static void describe_drain_end(const struct prefork_process *process, struct pfi_text *text)
{
	const uint64_t graceful_ms = process->arbiter->models[process->pool].policy.graceful_timeout_ms;

	if (graceful_ms > 0)
		pfi_text_format(text, "%" PRIu64,
				pfi_drain_end_ms(pfi_process_slot(process)->since_ms, graceful_ms));
}

/* `value` 1: accept what is in the backlog first, since no other worker will. */
static void send_drain(struct prefork_process *process, uint32_t value)
{
	char bytes[24];
	struct pfi_text text;

	pfi_text_init(&text, bytes, sizeof bytes);
	describe_drain_end(process, &text);
	process->stop.drain_at_ms = 0;
	process->stop.drains_queue = value == 1;
	/* The control channel of a worker that does not read it is full; a signal always gets through. */
	if (pfi_channel_send(process->channel, PFI_MESSAGE_DRAIN, value, bytes) < 0)
		(void)pfi_pidfd_signal(process->pidfd, SIGTERM, 0);
}

/* If a new arbiter accepts what is pending, workers drain for a stop as for a reload. */
static bool empties_queues(const struct prefork_arbiter *arbiter)
{
	return arbiter->supervisor.phase >= PFI_PHASE_DRAINING && !pfi_upgrade_takes_all(arbiter);
}

/* If a reload has removed a listener, its last worker keeps accepting until handshakes in progress are complete. */
static void drain(struct prefork_arbiter *arbiter, struct prefork_process *process, uint64_t now_ms)
{
	const bool stops = arbiter->supervisor.phase >= PFI_PHASE_DRAINING;
	uint64_t linger_ms = 0;

	if (stops || !pfi_listener_table_retire(arbiter, process, &linger_ms))
		send_drain(process, empties_queues(arbiter));
	else if (linger_ms == 0)
		send_drain(process, 1);
	else
		process->stop.drain_at_ms = now_ms + linger_ms;
}

uint64_t pfi_children_drain_due(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	uint64_t wake_ms = 0;

	for (unsigned i = 0; i < arbiter->processes_max; i++) {
		struct prefork_process *const process = &arbiter->processes[i];

		if (process->pid == 0 || process->stop.drain_at_ms == 0)
			continue;
		if (process->stop.drain_at_ms <= now_ms)
			send_drain(process, 1);
		else
			wake_ms = pfi_earlier_ms(wake_ms, process->stop.drain_at_ms);
	}
	return wake_ms;
}

static void act(struct prefork_arbiter *arbiter, struct prefork_process *process, enum pfi_step_action action,
		uint64_t now_ms)
{
	switch (action) {
	case PFI_ACTION_DRAIN:
		drain(arbiter, process, now_ms);
		break;
	case PFI_ACTION_DUMP:
		pfi_stack_dumps_request(process);
		break;
	case PFI_ACTION_QUIT:
		(void)pfi_pidfd_signal(process->pidfd, SIGQUIT, 0);
		break;
	case PFI_ACTION_ABORT:
		log_abort(process);
		(void)pfi_pidfd_signal(process->pidfd, SIGABRT, 0);
		break;
	case PFI_ACTION_KILL:
		pfi_process_log(process, PREFORK_LOG_ERROR, "worker_kill", PFI_NO_PAIRS,
				"Worker (pid:%d) does not exit: sending SIGKILL", (int)process->pid);
		(void)pfi_pidfd_signal(process->pidfd, SIGKILL, 0);
		break;
	default:
		break;
	}
}

void pfi_child_apply(struct prefork_arbiter *arbiter, unsigned pool, const struct pfi_order *order, uint64_t now_ms)
{
	struct prefork_process *const process =
		&arbiter->processes[arbiter->pools[pool].first_worker_index + order->slot];
	const enum pfi_step_action action =
		pfi_supervisor_send_event(&arbiter->supervisor, pool, order->slot, order->event, now_ms);

	if (action != PFI_ACTION_REFUSE && order->cause != PFI_CAUSE_NONE)
		process->stop.cause = order->cause;
	act(arbiter, process, action, now_ms);
}

void pfi_child_drains(struct prefork_arbiter *arbiter, struct prefork_process *process, uint64_t now_ms)
{
	if (pfi_process_slot(process)->state == PFI_STATE_SERVING)
		process->stop.cause = PFI_CAUSE_SELF;
	(void)pfi_supervisor_send_event(&arbiter->supervisor, process->pool, process->slot, PFI_EVENT_RETIRE, now_ms);
}
