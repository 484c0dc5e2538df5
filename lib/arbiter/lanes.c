/*
 * The lanes of an entrance with reuse_port: how many listen, and who accepts from which.
 *
 * Run once per turn, after everything else. Each worker has an epoll set for each such
 * entrance, which only the arbiter edits, so that a lane changes hands at once, whatever
 * the worker is doing. Lanes are given before they are taken away: no client waits in a
 * lane that nobody looks at, except when nobody serves at all.
 */
#include "arbiter/arbiter.h"

#include "base/times.h"
#include "listener/lanes.h"
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

int pfi_sets_open(struct prefork_process *process, const struct pfi_entrances *entrances)
{
	process->sets = calloc(entrances->count + 1, sizeof *process->sets);
	if (process->sets == NULL)
		return -ENOMEM;
	process->set_count = entrances->count;
	for (size_t i = 0; i < entrances->count; i++)
		process->sets[i] = -1;
	for (size_t i = 0; i < entrances->count; i++) {
		if (entrances->list[i]->listener->lanes == NULL)
			continue;
		process->sets[i] = pfi_lane_set_open();
		if (process->sets[i] < 0) {
			const int r = process->sets[i];

			process->sets[i] = -1;
			return r;
		}
	}
	return 0;
}

void pfi_sets_close(struct prefork_process *process)
{
	for (size_t i = 0; i < process->set_count; i++)
		pfi_close(&process->sets[i]);
	free(process->sets);
	process->sets = NULL;
	process->set_count = 0;
}

void pfi_entrance_forget_lanes(struct pfi_entrance *entrance)
{
	free(entrance->lanes.home);
	free(entrance->lanes.keeper);
	free(entrance->lanes.residents);
	free(entrance->lanes.burden);
	free(entrance->served);
	free(entrance->check_at_ms);
	entrance->lanes = (struct pfi_lanes){ 0 };
	entrance->served = NULL;
	entrance->check_at_ms = NULL;
}

static bool make_tables(const struct prefork_arbiter *arbiter, struct pfi_entrance *entrance)
{
	const size_t seats = arbiter->seat_count, lanes = entrance->listener->lane_count;
	struct pfi_lanes *const tables = &entrance->lanes;

	if (entrance->served != NULL)
		return true;
	tables->seats = (uint32_t)seats;
	tables->home = malloc(seats * sizeof *tables->home);
	tables->keeper = malloc(lanes * sizeof *tables->keeper);
	tables->residents = malloc(lanes * sizeof *tables->residents);
	tables->burden = malloc(seats * sizeof *tables->burden);
	entrance->served = calloc(seats, sizeof *entrance->served);
	entrance->check_at_ms = calloc(lanes, sizeof *entrance->check_at_ms);
	if (tables->home == NULL || tables->keeper == NULL || tables->residents == NULL ||
	    tables->burden == NULL || entrance->served == NULL || entrance->check_at_ms == NULL) {
		pfi_entrance_forget_lanes(entrance);
		return false;
	}
	memset(tables->home, 0xff, seats * sizeof *tables->home); /* PFI_NOBODY */
	memset(tables->keeper, 0xff, lanes * sizeof *tables->keeper);
	entrance->unsettled = true;
	return true;
}

/* The set in which this process looks for clients of this entrance, or -1. */
static int set_of(const struct prefork_arbiter *arbiter, unsigned seat, const struct pfi_entrance *entrance)
{
	const struct prefork_process *const process = &arbiter->processes[seat];
	const struct pfi_generation *const generation =
		process->pid != 0 ? pfi_generation_find(arbiter, process->generation) : NULL;

	for (size_t i = 0; generation != NULL && i < process->set_count; i++) {
		if (generation->entrances[process->pool].list[i] == entrance)
			return process->sets[i];
	}
	return -1;
}

/* Who was told to empty the queues goes on until it is gone. */
static bool is_serving(const struct prefork_arbiter *arbiter, unsigned seat,
		       const struct pfi_entrance *entrance)
{
	const struct prefork_process *const process = &arbiter->processes[seat];

	if (set_of(arbiter, seat, entrance) < 0)
		return false;
	return pfi_process_slot(process)->state == PFI_STATE_SERVING || process->leave_at_ms != 0 ||
	       process->empties;
}

static void give(const struct prefork_arbiter *arbiter, struct pfi_entrance *entrance,
		 uint32_t seat, uint32_t lane)
{
	const int set = seat != PFI_NOBODY ? set_of(arbiter, seat, entrance) : -1;

	if (set >= 0 && lane != PFI_NOBODY && pfi_lane_watch(set, entrance->listener, lane) < 0)
		entrance->unsettled = true;
}

/* Unless it is to have it after all, for another reason. */
static void take(const struct prefork_arbiter *arbiter, const struct pfi_entrance *entrance,
		 uint32_t seat, uint32_t lane)
{
	const int set = seat != PFI_NOBODY ? set_of(arbiter, seat, entrance) : -1;

	if (set >= 0 && lane != PFI_NOBODY && !pfi_lanes_has(&entrance->lanes, seat, lane))
		pfi_lane_unwatch(set, entrance->listener, lane);
}

/* From how things were to how they are: first give, then take. */
static void carry_over(const struct prefork_arbiter *arbiter, struct pfi_entrance *entrance,
		       const uint32_t *old_home, const uint32_t *old_keeper)
{
	const struct pfi_lanes *const now = &entrance->lanes;
	const bool all = entrance->unsettled;

	entrance->unsettled = false;
	for (uint32_t seat = 0; seat < now->seats; seat++) {
		if (all || now->home[seat] != old_home[seat])
			give(arbiter, entrance, seat, now->home[seat]);
	}
	for (uint32_t lane = 0; lane < now->lanes; lane++) {
		if (all || now->keeper[lane] != old_keeper[lane])
			give(arbiter, entrance, now->keeper[lane], lane);
	}
	for (uint32_t seat = 0; seat < now->seats; seat++)
		if (now->home[seat] != old_home[seat])
			take(arbiter, entrance, seat, old_home[seat]);
	for (uint32_t lane = 0; lane < entrance->listener->lane_count; lane++) {
		if (lane >= now->lanes || now->keeper[lane] != old_keeper[lane])
			take(arbiter, entrance, old_keeper[lane], lane);
		if (lane >= now->lanes)
			entrance->lanes.keeper[lane] = PFI_NOBODY;
	}
}

/* One that cannot accept connections, or does not run, serves none of these sockets, as long as another can. */
static bool is_able(const struct prefork_arbiter *arbiter, unsigned seat, const struct pfi_entrance *entrance)
{
	const struct prefork_process *const process = &arbiter->processes[seat];

	return is_serving(arbiter, seat, entrance) && pfi_process_slot(process)->short_ms == 0 && !process->is_silent;
}

static bool any_is_able(const struct prefork_arbiter *arbiter, const struct pfi_entrance *entrance)
{
	for (unsigned seat = 0; seat < arbiter->seat_count; seat++) {
		if (is_able(arbiter, seat, entrance))
			return true;
	}
	return false;
}

/* Settle, if anything has changed since the last time. False: no memory for that now. */
static bool settle(const struct prefork_arbiter *arbiter, struct pfi_entrance *entrance, uint32_t lanes)
{
	struct pfi_lanes *const now = &entrance->lanes;
	const size_t keepers = entrance->listener->lane_count;
	const bool any = any_is_able(arbiter, entrance);
	bool changed = entrance->unsettled || lanes != now->lanes;

	for (unsigned seat = 0; seat < now->seats; seat++) {
		const bool serves = any ? is_able(arbiter, seat, entrance) : is_serving(arbiter, seat, entrance);

		changed |= serves != entrance->served[seat];
		entrance->served[seat] = serves;
	}
	if (!changed)
		return true;

	uint32_t *const old = malloc((now->seats + keepers) * sizeof *old);

	if (old == NULL) {
		entrance->unsettled = true;
		return false;
	}
	memcpy(old, now->home, now->seats * sizeof *old);
	memcpy(old + now->seats, now->keeper, keepers * sizeof *old);
	now->lanes = lanes;
	pfi_lanes_settle(now, entrance->served);
	carry_over(arbiter, entrance, old, old + now->seats);
	free(old);
	return !entrance->unsettled;
}

/* What the pools that come in here want together, and how many serve. */
static uint32_t wanted(const struct prefork_arbiter *arbiter, const struct pfi_entrance *entrance,
		       uint32_t *ret_serving)
{
	const struct pfi_generation *const generation =
		pfi_generation_find(arbiter, arbiter->supervisor.rollout.wanted);
	uint32_t workers = 0;

	*ret_serving = 0;
	for (unsigned seat = 0; seat < arbiter->seat_count; seat++)
		*ret_serving += is_serving(arbiter, seat, entrance);
	for (unsigned p = 0; generation != NULL && p < arbiter->pool_count; p++) {
		for (size_t i = 0; i < generation->entrances[p].count; i++) {
			if (generation->entrances[p].list[i] == entrance)
				workers += arbiter->models[p].target;
		}
	}
	/* One that is given up, or not yet taken up, stays as it is. */
	if (workers == 0 && (generation == NULL || !pfi_generation_uses(generation, entrance)))
		return entrance->listener->lanes_open;
	return workers < entrance->listener->lane_count ? workers : entrance->listener->lane_count;
}

static void steer(struct prefork_arbiter *arbiter, struct pfi_entrance *entrance, unsigned count,
		  uint64_t now_ms)
{
	const int r = count != entrance->steered_to ? pfi_lanes_steer(entrance->listener, count) : 0;

	if (r < 0) {
		prefork_log_say(arbiter->log, PREFORK_WARNING, "arbiter", "Cannot steer the clients of %s: %s",
				prefork_listener_address(entrance->listener), strerror(-r));
		return; /* then no lane is closed, and somebody keeps it */
	}
	if (count != 0 && (entrance->steered_to == 0 || count != entrance->steered_to))
		entrance->shrink_at_ms =
			now_ms + PFI_DRAIN_SOCKET_MS + entrance->listener->defer_accept_s * (uint64_t)PFI_DRAIN_DEFER_MS;
	entrance->steered_to = count;
}

/* Clients on the way have come out of the kernel, and the queues are empty: close. When
 * to look again, 0: no need. */
static uint64_t shrink(struct prefork_arbiter *arbiter, struct pfi_entrance *entrance, uint64_t now_ms)
{
	const unsigned left = entrance->steered_to;

	if (left == 0)
		return 0;
	if (now_ms < entrance->shrink_at_ms)
		return entrance->shrink_at_ms;
	if (pfi_lanes_have_clients(entrance->listener, left))
		return now_ms + LOOK_MS;
	if (!settle(arbiter, entrance, left))
		return now_ms + RETRY_MS;
	while (entrance->listener->lanes_open > left) {
		pfi_queue_forget(arbiter, entrance, entrance->listener->lanes_open - 1);
		pfi_lanes_shrink(entrance->listener);
	}
	steer(arbiter, entrance, 0, now_ms);
	return 0;
}

static uint64_t tend(struct prefork_arbiter *arbiter, struct pfi_entrance *entrance, uint64_t now_ms)
{
	struct prefork_listener *const listener = entrance->listener;
	uint32_t serving;

	if (listener->lanes == NULL)
		return 0;
	if (!make_tables(arbiter, entrance))
		return now_ms + RETRY_MS;
	if (listener->is_refusing) /* no lane opens or closes, but each has somebody to the end */
		return settle(arbiter, entrance, listener->lanes_open) ? 0 : now_ms + RETRY_MS;

	const uint32_t workers = wanted(arbiter, entrance, &serving);
	const uint32_t lanes = pfi_lanes_wanted(listener->lanes_open, workers, serving);

	steer(arbiter, entrance, lanes < listener->lanes_open ? lanes : 0, now_ms);
	while (listener->lanes_open < lanes && pfi_lanes_grow(listener) == 0)
		continue;

	const uint64_t retry_ms = settle(arbiter, entrance, listener->lanes_open) ? 0 : now_ms + RETRY_MS;

	const uint64_t shrink_ms = shrink(arbiter, entrance, now_ms);

	return pfi_earlier_ms(pfi_earlier_ms(retry_ms, shrink_ms), pfi_queues_turn(arbiter, entrance, now_ms));
}

/* When something is due again, 0: never. While the server stops nothing changes: each
 * worker empties what it has. */
uint64_t pfi_lanes_turn(struct prefork_arbiter *arbiter, uint64_t now_ms)
{
	uint64_t wake_ms = 0;

	if (arbiter->supervisor.phase >= PFI_PHASE_LEAVING)
		return 0;
	for (size_t i = 0; i < arbiter->entrances.count; i++)
		wake_ms = pfi_earlier_ms(wake_ms, tend(arbiter, arbiter->entrances.list[i], now_ms));
	return wake_ms;
}
