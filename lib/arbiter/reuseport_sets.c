/*
 * The reuseport sockets of an listener with reuse_port: how many listen, and who accepts from which.
 *
 * Run once per turn, after everything else. Each worker has an epoll set for each such
 * listener, which only the arbiter edits, so that a reuseport socket changes hands at once, whatever
 * the worker is doing. Reuseport sockets are given before they are taken away: no client waits in a
 * reuseport socket that nobody looks at, except when nobody serves at all.
 */
#include "arbiter/arbiter.h"

#include "base/times.h"
#include "listener/reuseport.h"
#include "listener/listener.h"
#include "model/deadline.h"
#include "os/fd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	LOOK_MS = 10,
	RETRY_MS = 500,
};

void pfi_listener_entry_forget_reuseport(struct pfi_listener_entry *entry)
{
	free(entry->sockets.home);
	free(entry->sockets.fallback_owner);
	free(entry->sockets.owner_count);
	free(entry->sockets.burden);
	free(entry->served);
	free(entry->check_at_ms);
	entry->sockets = (struct pfi_reuseport_assignment){ 0 };
	entry->served = NULL;
	entry->check_at_ms = NULL;
}

static bool make_tables(const struct prefork_arbiter *arbiter, struct pfi_listener_entry *entry)
{
	const size_t worker_count = arbiter->processes_max, sockets = entry->listener->socket_count;
	struct pfi_reuseport_assignment *const tables = &entry->sockets;

	if (entry->served != NULL)
		return true;
	tables->worker_count = (uint32_t)worker_count;
	tables->home = malloc(worker_count * sizeof *tables->home);
	tables->fallback_owner = malloc(sockets * sizeof *tables->fallback_owner);
	tables->owner_count = malloc(sockets * sizeof *tables->owner_count);
	tables->burden = malloc(worker_count * sizeof *tables->burden);
	entry->served = calloc(worker_count, sizeof *entry->served);
	entry->check_at_ms = calloc(sockets, sizeof *entry->check_at_ms);
	if (tables->home == NULL || tables->fallback_owner == NULL || tables->owner_count == NULL ||
	    tables->burden == NULL || entry->served == NULL || entry->check_at_ms == NULL) {
		pfi_listener_entry_forget_reuseport(entry);
		return false;
	}
	memset(tables->home, 0xff, worker_count * sizeof *tables->home); /* PFI_NONE_ASSIGNED */
	memset(tables->fallback_owner, 0xff, sockets * sizeof *tables->fallback_owner);
	entry->unsettled = true;
	return true;
}

/* The set in which this process looks for clients of this listener, or -1. */
static int set_of(const struct prefork_arbiter *arbiter, unsigned worker_index, const struct pfi_listener_entry *entry)
{
	const struct prefork_process *const process = &arbiter->processes[worker_index];
	const struct pfi_generation *const generation =
		process->pid != 0 ? pfi_generation_find(arbiter, process->generation) : NULL;

	for (size_t i = 0; generation != NULL && i < process->set_count; i++) {
		if (generation->listeners[process->pool].list[i] == entry)
			return process->sets[i];
	}
	return -1;
}

/* Who was told to empty the queues goes on until it is gone. */
static bool is_serving(const struct prefork_arbiter *arbiter, unsigned worker_index,
		       const struct pfi_listener_entry *entry)
{
	const struct prefork_process *const process = &arbiter->processes[worker_index];

	if (set_of(arbiter, worker_index, entry) < 0)
		return false;
	return pfi_process_slot(process)->state == PFI_STATE_SERVING || process->drain_at_ms != 0 ||
	       process->drains_queue;
}

static void give(const struct prefork_arbiter *arbiter, struct pfi_listener_entry *entry,
		 uint32_t worker_index, uint32_t socket_index)
{
	const int set = worker_index != PFI_NONE_ASSIGNED ? set_of(arbiter, worker_index, entry) : -1;

	if (set >= 0 && socket_index != PFI_NONE_ASSIGNED && pfi_reuseport_set_add(set, entry->listener, socket_index) < 0)
		entry->unsettled = true;
}

/* Unless it is to have it after all, for another reason. */
static void take(const struct prefork_arbiter *arbiter, const struct pfi_listener_entry *entry,
		 uint32_t worker_index, uint32_t socket_index)
{
	const int set = worker_index != PFI_NONE_ASSIGNED ? set_of(arbiter, worker_index, entry) : -1;

	if (set >= 0 && socket_index != PFI_NONE_ASSIGNED && !pfi_reuseport_accepts(&entry->sockets, worker_index, socket_index))
		pfi_reuseport_set_remove(set, entry->listener, socket_index);
}

/* From how things were to how they are: first give, then take. */
static void carry_over(const struct prefork_arbiter *arbiter, struct pfi_listener_entry *entry,
		       const uint32_t *old_home, const uint32_t *old_fallback_owner)
{
	const struct pfi_reuseport_assignment *const now = &entry->sockets;
	const bool all = entry->unsettled;

	entry->unsettled = false;
	for (uint32_t worker_index = 0; worker_index < now->worker_count; worker_index++) {
		if (all || now->home[worker_index] != old_home[worker_index])
			give(arbiter, entry, worker_index, now->home[worker_index]);
	}
	for (uint32_t socket_index = 0; socket_index < now->sockets; socket_index++) {
		if (all || now->fallback_owner[socket_index] != old_fallback_owner[socket_index])
			give(arbiter, entry, now->fallback_owner[socket_index], socket_index);
	}
	for (uint32_t worker_index = 0; worker_index < now->worker_count; worker_index++)
		if (now->home[worker_index] != old_home[worker_index])
			take(arbiter, entry, worker_index, old_home[worker_index]);
	for (uint32_t socket_index = 0; socket_index < entry->listener->socket_count; socket_index++) {
		if (socket_index >= now->sockets || now->fallback_owner[socket_index] != old_fallback_owner[socket_index])
			take(arbiter, entry, old_fallback_owner[socket_index], socket_index);
		if (socket_index >= now->sockets)
			entry->sockets.fallback_owner[socket_index] = PFI_NONE_ASSIGNED;
	}
}

/* One that cannot accept connections, or does not run, serves none of these sockets, as long as another can. */
static bool is_able(const struct prefork_arbiter *arbiter, unsigned worker_index, const struct pfi_listener_entry *entry)
{
	const struct prefork_process *const process = &arbiter->processes[worker_index];

	return is_serving(arbiter, worker_index, entry) && pfi_process_slot(process)->short_ms == 0 && !process->is_silent;
}

static bool any_is_able(const struct prefork_arbiter *arbiter, const struct pfi_listener_entry *entry)
{
	for (unsigned worker_index = 0; worker_index < arbiter->processes_max; worker_index++) {
		if (is_able(arbiter, worker_index, entry))
			return true;
	}
	return false;
}

/* Settle, if anything has changed since the last time. False: no memory for that now. */
static bool settle(const struct prefork_arbiter *arbiter, struct pfi_listener_entry *entry, uint32_t sockets)
{
	struct pfi_reuseport_assignment *const now = &entry->sockets;
	const size_t fallback_owners = entry->listener->socket_count;
	const bool any = any_is_able(arbiter, entry);
	bool changed = entry->unsettled || sockets != now->sockets;

	for (unsigned worker_index = 0; worker_index < now->worker_count; worker_index++) {
		const bool serves = any ? is_able(arbiter, worker_index, entry) : is_serving(arbiter, worker_index, entry);

		changed |= serves != entry->served[worker_index];
		entry->served[worker_index] = serves;
	}
	if (!changed)
		return true;

	uint32_t *const old = malloc((now->worker_count + fallback_owners) * sizeof *old);

	if (old == NULL) {
		entry->unsettled = true;
		return false;
	}
	memcpy(old, now->home, now->worker_count * sizeof *old);
	memcpy(old + now->worker_count, now->fallback_owner, fallback_owners * sizeof *old);
	now->sockets = sockets;
	pfi_reuseport_assign(now, entry->served);
	carry_over(arbiter, entry, old, old + now->worker_count);
	free(old);
	return !entry->unsettled;
}

/* What the pools that come in here want together, and how many serve. */
static uint32_t wanted(const struct prefork_arbiter *arbiter, const struct pfi_listener_entry *entry,
		       uint32_t *ret_serving)
{
	const struct pfi_generation *const generation =
		pfi_generation_find(arbiter, arbiter->supervisor.rollout.wanted);
	uint32_t workers = 0;

	*ret_serving = 0;
	for (unsigned worker_index = 0; worker_index < arbiter->processes_max; worker_index++)
		*ret_serving += is_serving(arbiter, worker_index, entry);
	for (unsigned p = 0; generation != NULL && p < arbiter->pool_count; p++) {
		for (size_t i = 0; i < generation->listeners[p].count; i++) {
			if (generation->listeners[p].list[i] == entry)
				workers += arbiter->models[p].target;
		}
	}
	/* One that is given up, or not yet taken up, stays as it is. */
	if (workers == 0 && (generation == NULL || !pfi_generation_uses(generation, entry)))
		return entry->listener->sockets_listening;
	return workers < entry->listener->socket_count ? workers : entry->listener->socket_count;
}

static void steer(struct prefork_arbiter *arbiter, struct pfi_listener_entry *entry, unsigned count,
		  uint64_t now_ms)
{
	const int r = count != entry->steered_to ? pfi_reuseport_steer(entry->listener, count) : 0;

	if (r < 0) {
		prefork_log_printf(arbiter->log, PREFORK_LOG_WARNING, "arbiter", "Cannot steer the clients of %s: %s",
				prefork_listener_address(entry->listener), strerror(-r));
		return; /* then no reuseport socket is closed, and somebody keeps it */
	}
	if (count != 0 && (entry->steered_to == 0 || count != entry->steered_to))
		entry->shrink_at_ms =
			now_ms + PFI_DRAIN_SOCKET_MS + entry->listener->defer_accept_s * (uint64_t)PFI_DRAIN_DEFER_MS;
	entry->steered_to = count;
}

/* Clients on the way have come out of the kernel, and the queues are empty: close. When
 * to look again, 0: no need. */
static uint64_t shrink(struct prefork_arbiter *arbiter, struct pfi_listener_entry *entry, uint64_t now_ms)
{
	const unsigned left = entry->steered_to;

	if (left == 0)
		return 0;
	if (now_ms < entry->shrink_at_ms)
		return entry->shrink_at_ms;
	if (pfi_reuseport_has_pending(entry->listener, left))
		return now_ms + LOOK_MS;
	if (!settle(arbiter, entry, left))
		return now_ms + RETRY_MS;
	while (entry->listener->sockets_listening > left) {
		pfi_queue_forget(arbiter, entry, entry->listener->sockets_listening - 1);
		pfi_reuseport_close_last(entry->listener);
	}
	steer(arbiter, entry, 0, now_ms);
	return 0;
}

static uint64_t tend(struct prefork_arbiter *arbiter, struct pfi_listener_entry *entry, uint64_t now_ms)
{
	struct prefork_listener *const listener = entry->listener;
	uint32_t serving;

	if (listener->sockets == NULL)
		return 0;
	if (!make_tables(arbiter, entry))
		return now_ms + RETRY_MS;
	if (listener->is_refusing) /* no reuseport socket opens or closes, but each has somebody to the end */
		return settle(arbiter, entry, listener->sockets_listening) ? 0 : now_ms + RETRY_MS;

	const uint32_t workers = wanted(arbiter, entry, &serving);
	const uint32_t sockets = pfi_reuseport_target(listener->sockets_listening, workers, serving);

	steer(arbiter, entry, sockets < listener->sockets_listening ? sockets : 0, now_ms);
	while (listener->sockets_listening < sockets && pfi_reuseport_listen_next(listener) == 0)
		continue;

	const uint64_t retry_ms = settle(arbiter, entry, listener->sockets_listening) ? 0 : now_ms + RETRY_MS;

	const uint64_t shrink_ms = shrink(arbiter, entry, now_ms);

	return pfi_earlier_ms(pfi_earlier_ms(retry_ms, shrink_ms), pfi_queues_turn(arbiter, entry, now_ms));
}

/* When something is due again, 0: never. While the server stops nothing changes: each
 * worker drains_queue what it has. */
uint64_t pfi_reuseport_turn(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	uint64_t wake_ms = 0;

	if (arbiter->supervisor.phase >= PFI_PHASE_LEAVING)
		return 0;
	for (size_t i = 0; i < arbiter->listeners.count; i++)
		wake_ms = pfi_earlier_ms(wake_ms, tend(arbiter, arbiter->listeners.list[i], now_ms));
	return wake_ms;
}
