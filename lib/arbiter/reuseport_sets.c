/*
 * With reuse_port, a listener has several sockets, each with its own backlog. Each worker has an epoll set for each
 * such listener. Only the arbiter edits the sets: it moves a socket to another worker at once, even if both are busy.
 *
 * A socket is added to the new worker's set before it is removed from the old worker's. So every socket is in a set as
 * long as a worker serves, and no connection waits in a backlog from which no worker accepts.
 */
#include "arbiter/reuseport_sets.h"

#include "arbiter/arbiter.h"
#include "arbiter/queues.h"
#include "base/times.h"
#include "listener/listener.h"
#include "listener/reuseport.h"
#include "model/deadline.h"

#include <stdlib.h>
#include <string.h>

enum {
	BACKLOG_CHECK_MS = 10,
	RETRY_MS = 500,
};

void pfi_reuseport_tables_free(struct pfi_listener_entry *entry)
{
	free(entry->sockets.owned_socket);
	free(entry->sockets.fallback_owner);
	free(entry->sockets.owner_count);
	free(entry->sockets.fallback_count);
	free(entry->served);
	free(entry->check_at_ms);
	entry->sockets = (struct pfi_reuseport_assignment){ 0 };
	entry->served = NULL;
	entry->check_at_ms = NULL;
}

static bool allocate_tables(const struct prefork_arbiter *arbiter, struct pfi_listener_entry *entry)
{
	const size_t worker_count = arbiter->processes_max, sockets = entry->listener->socket_count;
	struct pfi_reuseport_assignment *const tables = &entry->sockets;

	if (entry->served != NULL)
		return true;
	tables->worker_count = (uint32_t)worker_count;
	tables->owned_socket = malloc(worker_count * sizeof *tables->owned_socket);
	tables->fallback_owner = malloc(sockets * sizeof *tables->fallback_owner);
	tables->owner_count = malloc(sockets * sizeof *tables->owner_count);
	tables->fallback_count = malloc(worker_count * sizeof *tables->fallback_count);
	entry->served = calloc(worker_count, sizeof *entry->served);
	entry->check_at_ms = calloc(sockets, sizeof *entry->check_at_ms);
	if (tables->owned_socket == NULL || tables->fallback_owner == NULL || tables->owner_count == NULL ||
	    tables->fallback_count == NULL || entry->served == NULL || entry->check_at_ms == NULL) {
		pfi_reuseport_tables_free(entry);
		return false;
	}
	memset(tables->owned_socket, 0xff, worker_count * sizeof *tables->owned_socket); /* PFI_UNASSIGNED */
	memset(tables->fallback_owner, 0xff, sockets * sizeof *tables->fallback_owner);
	entry->unsettled = true;
	return true;
}

/* The worker's epoll set for this listener, or -1. */
static int set_of(const struct prefork_arbiter *arbiter, unsigned worker_index, const struct pfi_listener_entry *entry)
{
	const struct prefork_process *const process = &arbiter->processes[worker_index];
	const struct pfi_generation *const generation =
		process->pid != 0 ? pfi_generation_find(arbiter, process->generation) : NULL;

	for (size_t i = 0; generation != NULL && i < process->reuseport.count; i++) {
		if (generation->listeners[process->pool].list[i] == entry)
			return process->reuseport.sets[i];
	}
	return -1;
}

/* A worker that drains its backlog serves until it exits. */
static bool is_serving(const struct prefork_arbiter *arbiter, unsigned worker_index,
		       const struct pfi_listener_entry *entry)
{
	const struct prefork_process *const process = &arbiter->processes[worker_index];

	if (set_of(arbiter, worker_index, entry) < 0)
		return false;
	return pfi_process_slot(process)->state == PFI_STATE_SERVING || process->stop.drain_at_ms != 0 ||
	       process->stop.drains_queue;
}

static void add(const struct prefork_arbiter *arbiter, struct pfi_listener_entry *entry,
		uint32_t worker_index, uint32_t socket_index)
{
	const int set = worker_index != PFI_UNASSIGNED ? set_of(arbiter, worker_index, entry) : -1;

	if (set >= 0 && socket_index != PFI_UNASSIGNED &&
	    pfi_reuseport_set_add(set, entry->listener, socket_index) < 0)
		entry->unsettled = true;
}

/* Remove the socket from the worker's epoll set, unless the worker still is its owner or its fallback owner. */
static void remove_from(const struct prefork_arbiter *arbiter, const struct pfi_listener_entry *entry,
			uint32_t worker_index, uint32_t socket_index)
{
	const int set = worker_index != PFI_UNASSIGNED ? set_of(arbiter, worker_index, entry) : -1;

	if (set >= 0 && socket_index != PFI_UNASSIGNED &&
	    !pfi_reuseport_accepts(&entry->sockets, worker_index, socket_index))
		pfi_reuseport_set_remove(set, entry->listener, socket_index);
}

/* Edit the epoll sets from the old assignment to the new one: add first, then remove. */
static void apply(const struct prefork_arbiter *arbiter, struct pfi_listener_entry *entry,
		  const uint32_t *old_socket, const uint32_t *old_fallback)
{
	const struct pfi_reuseport_assignment *const now = &entry->sockets;
	const bool all = entry->unsettled;

	entry->unsettled = false;
	for (uint32_t w = 0; w < now->worker_count; w++) {
		if (all || now->owned_socket[w] != old_socket[w])
			add(arbiter, entry, w, now->owned_socket[w]);
	}
	for (uint32_t s = 0; s < now->sockets; s++) {
		if (all || now->fallback_owner[s] != old_fallback[s])
			add(arbiter, entry, now->fallback_owner[s], s);
	}
	for (uint32_t w = 0; w < now->worker_count; w++)
		if (now->owned_socket[w] != old_socket[w])
			remove_from(arbiter, entry, w, old_socket[w]);
	for (uint32_t s = 0; s < entry->listener->socket_count; s++) {
		if (s >= now->sockets || now->fallback_owner[s] != old_fallback[s])
			remove_from(arbiter, entry, old_fallback[s], s);
		if (s >= now->sockets)
			entry->sockets.fallback_owner[s] = PFI_UNASSIGNED;
	}
}

/* A worker that cannot accept connections, or does not run, gets no socket while another worker can. */
static bool is_able(const struct prefork_arbiter *arbiter, unsigned worker_index,
		    const struct pfi_listener_entry *entry)
{
	const struct prefork_process *const process = &arbiter->processes[worker_index];

	return is_serving(arbiter, worker_index, entry) && pfi_process_slot(process)->shortage_ms == 0 &&
	       !process->queue.is_unresponsive;
}

static bool any_is_able(const struct prefork_arbiter *arbiter, const struct pfi_listener_entry *entry)
{
	for (unsigned w = 0; w < arbiter->processes_max; w++) {
		if (is_able(arbiter, w, entry))
			return true;
	}
	return false;
}

/* Update which workers serve. True if that, or the number of sockets, has changed since the last assignment. */
static bool update_served(const struct prefork_arbiter *arbiter, struct pfi_listener_entry *entry, uint32_t sockets)
{
	const bool any = any_is_able(arbiter, entry);
	bool changed = entry->unsettled || sockets != entry->sockets.sockets;

	for (unsigned w = 0; w < entry->sockets.worker_count; w++) {
		const bool serves = any ? is_able(arbiter, w, entry) : is_serving(arbiter, w, entry);

		changed |= serves != entry->served[w];
		entry->served[w] = serves;
	}
	return changed;
}

/* Assign the first `sockets` sockets to the workers that serve. False: repeat it later. */
static bool assign(const struct prefork_arbiter *arbiter, struct pfi_listener_entry *entry, uint32_t sockets)
{
	struct pfi_reuseport_assignment *const now = &entry->sockets;
	const size_t socket_count = entry->listener->socket_count;

	if (!update_served(arbiter, entry, sockets))
		return true;

	uint32_t *const old = malloc((now->worker_count + socket_count) * sizeof *old);

	if (old == NULL) {
		entry->unsettled = true;
		return false;
	}
	memcpy(old, now->owned_socket, now->worker_count * sizeof *old);
	memcpy(old + now->worker_count, now->fallback_owner, socket_count * sizeof *old);
	now->sockets = sockets;
	pfi_reuseport_assign(now, entry->served);
	apply(arbiter, entry, old, old + now->worker_count);
	free(old);
	return !entry->unsettled;
}

/* How many workers the pools of this listener want together, and how many serve. */
static uint32_t count_desired(const struct prefork_arbiter *arbiter, const struct pfi_listener_entry *entry,
			     uint32_t *ret_serving)
{
	const struct pfi_generation *const generation = pfi_generation_desired(arbiter);
	uint32_t workers = 0;

	*ret_serving = 0;
	for (unsigned w = 0; w < arbiter->processes_max; w++)
		*ret_serving += is_serving(arbiter, w, entry);
	for (unsigned p = 0; generation != NULL && p < arbiter->pool_count; p++) {
		for (size_t i = 0; i < generation->listeners[p].count; i++) {
			if (generation->listeners[p].list[i] == entry)
				workers += arbiter->models[p].target;
		}
	}
	/* A listener that only another generation uses keeps its sockets. */
	if (workers == 0 && (generation == NULL || !pfi_generation_uses(generation, entry)))
		return entry->listener->sockets_listening;
	return workers < entry->listener->socket_count ? workers : entry->listener->socket_count;
}

/* Make the kernel assign new connections to the first `count` sockets; 0: to all. Handshakes in progress stay with their
 * socket. */
static void steer(struct prefork_arbiter *arbiter, struct pfi_listener_entry *entry, unsigned count,
		  uint64_t now_ms)
{
	const int r = count != entry->steered_to ? pfi_reuseport_steer(entry->listener, count) : 0;

	if (r < 0) {
		pfi_arbiter_log(arbiter, PREFORK_LOG_WARNING, "steer_failed",
				PFI_PAIRS(PREFORK_TEXT("listener", prefork_listener_address(entry->listener))),
				"Cannot steer connections of %s between sockets: %s",
				prefork_listener_address(entry->listener), strerror(-r));
		return; /* no socket is closed then, and each keeps a worker */
	}
	if (count != 0 && count != entry->steered_to)
		entry->shrink_at_ms =
			now_ms + PFI_DRAIN_SOCKET_MS + entry->listener->defer_accept_s * (uint64_t)PFI_DRAIN_DEFER_MS;
	entry->steered_to = count;
}

/* Close the sockets that new connections are steered away from, once handshakes in progress have had their time and the
 * backlogs are empty. Returns when to call again, 0: no need. */
static uint64_t shrink(struct prefork_arbiter *arbiter, struct pfi_listener_entry *entry, uint64_t now_ms)
{
	const unsigned target = entry->steered_to;

	if (target == 0)
		return 0;
	if (now_ms < entry->shrink_at_ms)
		return entry->shrink_at_ms;
	if (pfi_reuseport_has_pending(entry->listener, target))
		return now_ms + BACKLOG_CHECK_MS;
	if (!assign(arbiter, entry, target))
		return now_ms + RETRY_MS;
	while (entry->listener->sockets_listening > target) {
		pfi_queue_forget(arbiter, entry, entry->listener->sockets_listening - 1);
		pfi_reuseport_close_last(entry->listener);
	}
	steer(arbiter, entry, 0, now_ms);
	return 0;
}

static uint64_t update(struct prefork_arbiter *arbiter, struct pfi_listener_entry *entry, uint64_t now_ms)
{
	struct prefork_listener *const listener = entry->listener;
	uint32_t serving;

	if (listener->sockets == NULL)
		return 0;
	if (!allocate_tables(arbiter, entry))
		return now_ms + RETRY_MS;
	/* While two arbiters share the sockets, none of both changes which of them listen. */
	if (listener->held_by & (PFI_HELD_BY_PARENT | PFI_HELD_BY_CHILD))
		steer(arbiter, entry, 0, now_ms);
	/* Then, and when it refuses, no socket opens or closes, but each keeps a worker. */
	if (listener->is_refusing || (listener->held_by & (PFI_HELD_BY_PARENT | PFI_HELD_BY_CHILD)))
		return assign(arbiter, entry, listener->sockets_listening) ? 0 : now_ms + RETRY_MS;

	const uint32_t workers = count_desired(arbiter, entry, &serving);
	const uint32_t sockets = pfi_reuseport_target(listener->sockets_listening, workers, serving);

	steer(arbiter, entry, sockets < listener->sockets_listening ? sockets : 0, now_ms);
	while (listener->sockets_listening < sockets && pfi_reuseport_listen_next(listener) == 0)
		continue;

	const uint64_t retry_ms = assign(arbiter, entry, listener->sockets_listening) ? 0 : now_ms + RETRY_MS;

	const uint64_t shrink_ms = shrink(arbiter, entry, now_ms);

	return pfi_earlier_ms(pfi_earlier_ms(retry_ms, shrink_ms), pfi_queues_turn(arbiter, entry, now_ms));
}

/* Once the workers drain for a stop, the assignment stays: each worker accepts what is in its backlogs. */
uint64_t pfi_reuseport_turn(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	uint64_t wake_ms = 0;

	if (arbiter->supervisor.phase >= PFI_PHASE_DRAINING)
		return 0;
	for (size_t i = 0; i < arbiter->listeners.count; i++)
		wake_ms = pfi_earlier_ms(wake_ms, update(arbiter, arbiter->listeners.list[i], now_ms));
	return wake_ms;
}
