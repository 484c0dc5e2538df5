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

#include "listener/reuseport.h"
#include "model/deadline.h"
#include "model/message.h"
#include "os/control_channel.h"

#include <inttypes.h>
#include <poll.h>

enum { CHECK_MS = 1000 };

#define ARMED UINT64_MAX /* in check_at_ms; 0: to be armed */

static bool is_pending(const struct pfi_listener_entry *entry, unsigned socket_index)
{
	struct pollfd pfd = { .fd = entry->listener->sockets[socket_index], .events = POLLIN };

	return poll(&pfd, 1, 0) > 0 && (pfd.revents & POLLIN);
}

static void arm(struct prefork_arbiter *arbiter, struct pfi_listener_entry *entry, unsigned socket_index, uint64_t now_ms)
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

/* No thread has a deadline: it waits for work. */
static bool is_idle(const struct prefork_process *process)
{
	const struct pfi_worker_score *const score = pfi_process_score(process);
	const unsigned thread_slots = process->arbiter->pools[process->pool].thread_slots;

	for (unsigned i = 0; i < thread_slots && i < PFI_THREAD_SLOTS_MAX; i++) {
		if (atomic_load_explicit(&score->thread_slots[i].deadline_ms, memory_order_relaxed) != 0)
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
		(void)pfi_channel_send(process->channel, PFI_MESSAGE_LOOK, 1, NULL);
	} else if (now_ms - process->asked_ms >= CHECK_MS) {
		process->is_silent = true;
		prefork_log_printf(arbiter->log, PREFORK_LOG_WARNING, "arbiter",
				"Worker (pid:%d) does not run, is it stopped? Its connections go to other workers",
				(int)process->pid);
	}
}

void pfi_queue_answered(struct prefork_arbiter *arbiter, struct prefork_process *process)
{
	process->asked_ms = 0;
	if (process->is_silent)
		prefork_log_printf(arbiter->log, PREFORK_LOG_INFO, "arbiter", "Worker (pid:%d) runs again", (int)process->pid);
	process->is_silent = false;
}

static void check(struct prefork_arbiter *arbiter, struct pfi_listener_entry *entry, unsigned socket_index, uint64_t now_ms)
{
	if (!is_pending(entry, socket_index)) {
		arm(arbiter, entry, socket_index, now_ms);
		return;
	}
	entry->check_at_ms[socket_index] = now_ms + CHECK_MS;
	for (uint32_t worker_index = 0; worker_index < entry->sockets.worker_count; worker_index++) {
		if (entry->served[worker_index] && pfi_reuseport_accepts(&entry->sockets, worker_index, socket_index))
			suspect(arbiter, &arbiter->processes[worker_index], now_ms);
	}
}

/* After the sockets were given to workers. When to look again, 0: no need. */
uint64_t pfi_queues_turn(struct prefork_arbiter *arbiter, struct pfi_listener_entry *entry, uint64_t now_ms)
{
	uint64_t wake_ms = 0;

	for (unsigned socket_index = 0; socket_index < entry->listener->sockets_listening && socket_index < entry->sockets.sockets; socket_index++) {
		const uint64_t at_ms = entry->check_at_ms[socket_index];

		if (at_ms == 0)
			arm(arbiter, entry, socket_index, now_ms);
		else if (at_ms != ARMED && pfi_deadline_is_past(at_ms, now_ms))
			check(arbiter, entry, socket_index, now_ms);
		if (entry->check_at_ms[socket_index] != ARMED)
			wake_ms = pfi_earlier_ms(wake_ms, entry->check_at_ms[socket_index]);
	}
	return wake_ms;
}
