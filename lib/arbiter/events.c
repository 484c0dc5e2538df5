/* Every kind of event, and who deals with it. */
#include "arbiter/arbiter.h"

#include "os/timer.h"

#include <unistd.h>

static void child_event(struct prefork_arbiter *arbiter, struct pfi_tag tag, uint64_t now_ms)
{
	if (tag.worker_index >= arbiter->processes_max)
		return;

	struct prefork_process *const process = &arbiter->processes[tag.worker_index];

	if (process->pid == 0 || process->exited_ms != 0 ||
	    pfi_process_slot(process)->incarnation != tag.incarnation)
		return; /* of a process that is gone */
	if (tag.source == PFI_SOURCE_PIDFD)
		pfi_child_exited(arbiter, process, now_ms);
	else if (tag.source == PFI_SOURCE_CHANNEL)
		pfi_child_receive(arbiter, process, now_ms);
	else
		pfi_child_watchdog_fired(arbiter, process, now_ms);
}

static void take_event(struct prefork_arbiter *arbiter, struct pfi_tag tag, uint64_t now_ms)
{
	uint64_t sink;

	switch (tag.source) {
	case PFI_SOURCE_TIMER:
		(void)pfi_timer_clear(arbiter->timer);
		arbiter->timer_at_ms = 0;
		break;
	case PFI_SOURCE_REQUESTS:
		(void)!read(arbiter->request_fd, &sink, sizeof sink);
		break;
	case PFI_SOURCE_SIGNALS:
		pfi_signals_process(arbiter, now_ms);
		break;
	case PFI_SOURCE_LOOKUP:
		pfi_lookup_child_event(arbiter, tag.incarnation);
		break;
	case PFI_SOURCE_QUEUE:
		pfi_queue_fired(arbiter, tag.worker_index, tag.incarnation, now_ms);
		break;
	default:
		child_event(arbiter, tag, now_ms);
	}
}

void pfi_events_process(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	struct pfi_tag tags[PFI_EVENTS_MAX];
	const size_t count = pfi_loop_take(arbiter, tags);

	if (count == 0)
		pfi_turn_without_events(arbiter, now_ms);
	/* Before the events of the workers: a TERM to the whole process group reaches us and them, and
	 * a worker that leaves for it must not be taken for one that is to be replaced. */
	if (arbiter->has_signals)
		pfi_signals_process(arbiter, now_ms);
	for (size_t i = 0; i < count; i++)
		take_event(arbiter, tags[i], now_ms);
	pfi_exits_report(arbiter, now_ms);
}
