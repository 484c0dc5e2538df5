/* Every kind of event, and who deals with it. */
#include "arbiter/arbiter.h"

#include "os/watch.h"

#include <unistd.h>

static void child_event(struct prefork_arbiter *arbiter, struct pfi_tag tag, uint64_t now_ms)
{
	if (tag.seat >= arbiter->seat_count)
		return;

	struct prefork_process *const process = &arbiter->processes[tag.seat];

	if (process->pid == 0 || process->died_ms != 0 ||
	    pfi_process_slot(process)->incarnation != tag.incarnation)
		return; /* of a process that is gone */
	if (tag.source == PFI_SOURCE_PIDFD)
		pfi_child_died(arbiter, process, now_ms);
	else if (tag.source == PFI_SOURCE_LIFELINE)
		pfi_child_hear(arbiter, process, now_ms);
	else
		pfi_child_watch_fired(arbiter, process, now_ms);
}

static void take_event(struct prefork_arbiter *arbiter, struct pfi_tag tag, uint64_t now_ms)
{
	uint64_t sink;

	switch (tag.source) {
	case PFI_SOURCE_TIMER:
		(void)pfi_watch_clear(arbiter->timer);
		arbiter->timer_at_ms = 0;
		break;
	case PFI_SOURCE_ASKED:
		(void)!read(arbiter->asked_fd, &sink, sizeof sink);
		break;
	case PFI_SOURCE_SIGNALS:
		pfi_signals_process(arbiter, now_ms);
		break;
	case PFI_SOURCE_LOOKUP:
		pfi_lookup_child_event(arbiter, tag.incarnation);
		break;
	case PFI_SOURCE_QUEUE:
		pfi_queue_fired(arbiter, tag.seat, tag.incarnation, now_ms);
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
		pfi_turn_was_empty(arbiter, now_ms);
	/* Before the events of the workers: a TERM to the whole process group reaches us and them, and
	 * a worker that leaves for it must not be taken for one that is to be replaced. */
	if (arbiter->has_signals)
		pfi_signals_process(arbiter, now_ms);
	for (size_t i = 0; i < count; i++)
		take_event(arbiter, tags[i], now_ms);
	pfi_deaths_tell(arbiter, now_ms);
}
