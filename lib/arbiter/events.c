/* Takes the events of one turn from the epoll instance, and calls the function for the source of each. */
#include "arbiter/events.h"

#include "arbiter/arbiter.h"
#include "arbiter/child_messages.h"
#include "arbiter/exits.h"
#include "arbiter/flood_control.h"
#include "arbiter/health.h"
#include "arbiter/queries.h"
#include "arbiter/queues.h"
#include "arbiter/reload.h"
#include "arbiter/signals.h"

static void process_child_event(struct prefork_arbiter *arbiter, struct pfi_tag tag, uint64_t now_ms)
{
	if (tag.worker_index >= arbiter->processes_max)
		return;

	struct prefork_process *const process = &arbiter->processes[tag.worker_index];

	if (process->pid == 0 || process->exit.at_ms != 0 ||
	    pfi_process_slot(process)->incarnation != tag.incarnation)
		return; /* the event of a process that has exited */
	if (tag.source == PFI_SOURCE_PIDFD) {
		pfi_child_exited(arbiter, process, now_ms);
	} else if (tag.source == PFI_SOURCE_CHANNEL) {
		pfi_child_receive(arbiter, process, now_ms);
	} else {
		pfi_flood_count_watchdog(arbiter, process, now_ms);
		pfi_health_check(arbiter, process, now_ms);
	}
}

static void process_query(struct prefork_arbiter *arbiter, struct pfi_tag tag, uint64_t now_ms)
{
	const enum pfi_query_topic topic = pfi_queries_process(arbiter, tag, now_ms);

	if (topic == PFI_QUERY_RELOAD)
		pfi_reload_requested(arbiter);
	else if (topic == PFI_QUERY_UPGRADE)
		pfi_upgrade_requested(arbiter, now_ms);
}

static void process_event(struct prefork_arbiter *arbiter, struct pfi_tag tag, uint64_t now_ms)
{
	switch (tag.source) {
	case PFI_SOURCE_TIMER:
		pfi_loop_clear_timer(arbiter);
		break;
	case PFI_SOURCE_REQUESTS:
		pfi_loop_clear_request(arbiter);
		break;
	case PFI_SOURCE_SIGNALS:
		pfi_signals_process(arbiter, now_ms);
		break;
	case PFI_SOURCE_LOOKUP:
		pfi_lookup_child_event(arbiter, tag.incarnation);
		break;
	case PFI_SOURCE_TRIAL:
		pfi_trial_child_event(arbiter, tag.incarnation);
		break;
	case PFI_SOURCE_QUERY:
		process_query(arbiter, tag, now_ms);
		break;
	case PFI_SOURCE_QUEUE:
		pfi_queue_fired(arbiter, tag.worker_index, tag.incarnation, now_ms);
		break;
	case PFI_SOURCE_UPGRADE:
	case PFI_SOURCE_UPGRADE_EXIT:
		pfi_upgrade_process(arbiter, tag, now_ms);
		break;
	case PFI_SOURCE_WATCH:
		pfi_watches_process(arbiter, tag);
		break;
	case PFI_SOURCE_PREDECESSOR:
		pfi_predecessor_event(arbiter, tag);
		break;
	default:
		process_child_event(arbiter, tag, now_ms);
	}
}

void pfi_events_process(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	struct pfi_tag tags[PFI_EVENTS_MAX];
	const size_t count = pfi_loop_take(arbiter, tags);

	if (count == 0)
		pfi_flood_count_empty_turn(arbiter, now_ms);
	/* Signals before exits: a TERM to the process group reaches the arbiter and its workers, and a worker that has
	 * exited because of it must not be replaced. */
	if (arbiter->has_signals)
		pfi_signals_process(arbiter, now_ms);
	for (size_t i = 0; i < count; i++)
		process_event(arbiter, tags[i], now_ms);
	pfi_exits_report(arbiter, now_ms);
}
