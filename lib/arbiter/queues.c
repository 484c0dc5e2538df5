/*
 * The queues of reuseport sockets. The kernel goes on handing connections to the socket of a worker that is stopped
 * (SIGSTOP, a debugger, a frozen cgroup), and no other worker looks there.
 *
 *     armed --a connection--> wait a second --empty--> armed
 *                                  |
 *                               pending, and the worker idle: ask it
 *                                  |
 *                             wait a second --answered, or empty--> armed
 *                                  |
 *                               no answer: its socket goes to another, until it answers
 *
 * The event is one-shot and armed again only after it was looked at, so that an idle arbiter stays idle, and a busy
 * server wakes it once a second for each socket. A worker at work is the business of its deadlines, not of this.
 */
#include "arbiter/arbiter.h"

#include "listener/lanes.h"
#include "model/deadline.h"
#include "model/message.h"
#include "os/lifeline.h"

#include <inttypes.h>
#include <poll.h>

enum { CHECK_MS = 1000 };

#define ARMED UINT64_MAX /* in check_at_ms; 0: to be armed */

static bool is_pending(const struct pfi_entrance *entrance, unsigned lane)
{
	struct pollfd pfd = { .fd = entrance->listener->lanes[lane], .events = POLLIN };

	return poll(&pfd, 1, 0) > 0 && (pfd.revents & POLLIN);
}

static void arm(struct prefork_arbiter *arbiter, struct pfi_entrance *entrance, unsigned lane, uint64_t now_ms)
{
	const struct pfi_tag tag = { PFI_SOURCE_QUEUE, lane, entrance->number };
	const int r = pfi_loop_add_once(arbiter, entrance->listener->lanes[lane], tag);

	entrance->check_at_ms[lane] = r < 0 ? now_ms + CHECK_MS : ARMED;
}

void pfi_queue_forget(struct prefork_arbiter *arbiter, const struct pfi_entrance *entrance, unsigned lane)
{
	if (entrance->check_at_ms == NULL)
		return;
	pfi_loop_remove(arbiter, entrance->listener->lanes[lane]);
	entrance->check_at_ms[lane] = 0;
}

void pfi_queue_fired(struct prefork_arbiter *arbiter, unsigned lane, uint32_t number, uint64_t now_ms)
{
	for (size_t i = 0; i < arbiter->entrances.count; i++) {
		struct pfi_entrance *const entrance = arbiter->entrances.list[i];

		if (entrance->number == number && entrance->check_at_ms != NULL && lane < entrance->lanes.lanes)
			entrance->check_at_ms[lane] = now_ms + CHECK_MS;
	}
}

/* No thread has a deadline: it waits for work. */
static bool is_idle(const struct prefork_process *process)
{
	const struct pfi_page *const page = pfi_process_page(process);
	const unsigned cells = process->arbiter->pools[process->pool].cells;

	for (unsigned i = 0; i < cells && i < PFI_CELLS_MAX; i++) {
		if (atomic_load_explicit(&page->cells[i].deadline_ms, memory_order_relaxed) != 0)
			return false;
	}
	return true;
}

/* Connections have been pending for a second at a socket of this worker. */
static void suspect(struct prefork_arbiter *arbiter, struct prefork_process *process, uint64_t now_ms)
{
	if (!is_idle(process) || process->is_silent) /* what it was asked is still to be answered */
		return;
	if (process->asked_ms == 0) {
		process->asked_ms = now_ms;
		(void)pfi_lifeline_send(process->lifeline, PFI_MESSAGE_LOOK, 1, NULL);
	} else if (now_ms - process->asked_ms >= CHECK_MS) {
		process->is_silent = true;
		prefork_log_say(arbiter->log, PREFORK_WARNING, "arbiter",
				"Worker (pid:%d) does not run, is it stopped? Its connections go to other workers",
				(int)process->pid);
	}
}

void pfi_queue_answered(struct prefork_arbiter *arbiter, struct prefork_process *process)
{
	process->asked_ms = 0;
	if (process->is_silent)
		prefork_log_say(arbiter->log, PREFORK_INFO, "arbiter", "Worker (pid:%d) runs again", (int)process->pid);
	process->is_silent = false;
}

static void check(struct prefork_arbiter *arbiter, struct pfi_entrance *entrance, unsigned lane, uint64_t now_ms)
{
	if (!is_pending(entrance, lane)) {
		arm(arbiter, entrance, lane, now_ms);
		return;
	}
	entrance->check_at_ms[lane] = now_ms + CHECK_MS;
	for (uint32_t seat = 0; seat < entrance->lanes.seats; seat++) {
		if (entrance->served[seat] && pfi_lanes_has(&entrance->lanes, seat, lane))
			suspect(arbiter, &arbiter->processes[seat], now_ms);
	}
}

/* After the sockets were given to workers. When to look again, 0: no need. */
uint64_t pfi_queues_turn(struct prefork_arbiter *arbiter, struct pfi_entrance *entrance, uint64_t now_ms)
{
	uint64_t wake_ms = 0;

	for (unsigned lane = 0; lane < entrance->listener->lanes_open && lane < entrance->lanes.lanes; lane++) {
		const uint64_t at_ms = entrance->check_at_ms[lane];

		if (at_ms == 0)
			arm(arbiter, entrance, lane, now_ms);
		else if (at_ms != ARMED && pfi_deadline_is_past(at_ms, now_ms))
			check(arbiter, entrance, lane, now_ms);
		if (entrance->check_at_ms[lane] != ARMED)
			wake_ms = pfi_earlier_ms(wake_ms, entrance->check_at_ms[lane]);
	}
	return wake_ms;
}
