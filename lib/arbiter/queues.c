/*
 * The kernel keeps queueing connections on the reuseport socket of a worker that does not run (SIGSTOP, a debugger, a
 * frozen cgroup), and no other worker accepts from it. Per socket:
 *
 *     armed --a connection--> wait 1 s --backlog empty--> armed
 *                                |
 *                        backlog not empty, worker idle: send PFI_MESSAGE_POLL
 *                                |
 *                             wait 1 s --response, or backlog empty--> armed
 *                                |
 *                        no response: another worker gets the socket until there is one
 *
 * The event is one-shot (EPOLLONESHOT) and re-armed after a check only, so that an idle arbiter stays idle, and a busy
 * server wakes it once a second for each socket. Workers that are busy have deadlines instead.
 */
#include "arbiter/queues.h"

#include "arbiter/arbiter.h"
#include "arbiter/score_reader.h"
#include "listener/listener.h"
#include "listener/reuseport.h"
#include "model/deadline.h"
#include "model/message.h"
#include "os/control_channel.h"

#include <poll.h>

enum { CHECK_MS = 1000 };

#define ARMED UINT64_MAX /* in check_at_ms; 0: to be armed */

static bool is_pending(const struct pfi_listener_entry *entry, unsigned socket_index)
{
	struct pollfd pfd = { .fd = entry->listener->sockets[socket_index], .events = POLLIN };

	return poll(&pfd, 1, 0) > 0 && (pfd.revents & POLLIN);
}

static void arm(struct prefork_arbiter *arbiter, struct pfi_listener_entry *entry, unsigned socket_index,
		uint64_t now_ms)
{
	const struct pfi_tag tag = { PFI_SOURCE_QUEUE, socket_index, entry->number };
	const int r = pfi_loop_add_once(arbiter, entry->listener->sockets[socket_index], tag);

	entry->check_at_ms[socket_index] = r < 0 ? now_ms + CHECK_MS : ARMED;
}

void pfi_queue_forget(struct prefork_arbiter *arbiter, const struct pfi_listener_entry *entry, unsigned socket_index)
{
	if (entry->check_at_ms == NULL)
		return;
	pfi_loop_remove(arbiter, entry->listener->sockets[socket_index]);
	entry->check_at_ms[socket_index] = 0;
}

void pfi_queue_fired(struct prefork_arbiter *arbiter, unsigned socket_index, uint32_t number, uint64_t now_ms)
{
	for (size_t i = 0; i < arbiter->listeners.count; i++) {
		struct pfi_listener_entry *const entry = arbiter->listeners.list[i];

		if (entry->number == number && entry->check_at_ms != NULL && socket_index < entry->sockets.sockets)
			entry->check_at_ms[socket_index] = now_ms + CHECK_MS;
	}
}

/* Connections have been pending on a socket of this worker for a second. */
static void check_worker(struct prefork_process *process, uint64_t now_ms)
{
	struct pfi_process_queue *const queue = &process->queue;

	if (queue->is_unresponsive || !pfi_score_is_idle(process))
		return;
	if (queue->requested_ms == 0) {
		queue->requested_ms = now_ms;
		(void)pfi_channel_send(process->channel, PFI_MESSAGE_POLL, 1, NULL);
	} else if (now_ms - queue->requested_ms >= CHECK_MS) {
		queue->is_unresponsive = true;
		pfi_process_log(process, PREFORK_LOG_WARNING, "worker_unresponsive", PFI_NO_PAIRS,
				"Worker (pid:%d) does not run, is it stopped? Its connections go to other workers",
				(int)process->pid);
	}
}

void pfi_queue_worker_responded(struct prefork_process *process)
{
	process->queue.requested_ms = 0;
	if (process->queue.is_unresponsive)
		pfi_process_log(process, PREFORK_LOG_INFO, "worker_responsive", PFI_NO_PAIRS,
				"Worker (pid:%d) runs again", (int)process->pid);
	process->queue.is_unresponsive = false;
}

static void check(struct prefork_arbiter *arbiter, struct pfi_listener_entry *entry, unsigned socket_index,
		  uint64_t now_ms)
{
	if (!is_pending(entry, socket_index)) {
		arm(arbiter, entry, socket_index, now_ms);
		return;
	}
	entry->check_at_ms[socket_index] = now_ms + CHECK_MS;
	for (uint32_t w = 0; w < entry->sockets.worker_count; w++) {
		if (entry->served[w] && pfi_reuseport_accepts(&entry->sockets, w, socket_index))
			check_worker(&arbiter->processes[w], now_ms);
	}
}

uint64_t pfi_queues_turn(struct prefork_arbiter *arbiter, struct pfi_listener_entry *entry, uint64_t now_ms)
{
	uint64_t wake_ms = 0;

	for (unsigned s = 0; s < entry->listener->sockets_listening && s < entry->sockets.sockets; s++) {
		const uint64_t at_ms = entry->check_at_ms[s];

		if (at_ms == 0)
			arm(arbiter, entry, s, now_ms);
		else if (at_ms != ARMED && pfi_deadline_is_past(at_ms, now_ms))
			check(arbiter, entry, s, now_ms);
		if (entry->check_at_ms[s] != ARMED)
			wake_ms = pfi_earlier_ms(wake_ms, entry->check_at_ms[s]);
	}
	return wake_ms;
}
