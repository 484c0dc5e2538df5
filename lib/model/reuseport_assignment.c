/* Assigns reuseport sockets to workers: an owner, or a fallback owner, for each socket. */
#include "model/reuseport_assignment.h"

/* Workers that have exited, and those whose socket is closed, own nothing. Counts the owners that remain. */
static void remove_gone(struct pfi_reuseport_assignment *sockets, const bool *serves)
{
	for (uint32_t socket_index = 0; socket_index < sockets->sockets; socket_index++)
		sockets->owner_count[socket_index] = 0;
	for (uint32_t worker_index = 0; worker_index < sockets->worker_count; worker_index++) {
		sockets->fallback_count[worker_index] = 0;
		if (!serves[worker_index] || sockets->owned_socket[worker_index] >= sockets->sockets)
			sockets->owned_socket[worker_index] = PFI_UNASSIGNED;
		else
			sockets->owner_count[sockets->owned_socket[worker_index]]++;
	}
}

/* The next worker, from *from, that serves and owns no socket. */
static uint32_t next_unassigned(const struct pfi_reuseport_assignment *sockets, const bool *serves, uint32_t *from)
{
	for (; *from < sockets->worker_count; ++*from) {
		if (serves[*from] && sockets->owned_socket[*from] == PFI_UNASSIGNED)
			return *from;
	}
	return PFI_UNASSIGNED;
}

/* A worker of a socket, from *from, that has several owners: the one with the highest index. */
static uint32_t surplus_owner(const struct pfi_reuseport_assignment *sockets, uint32_t *from)
{
	for (; *from < sockets->sockets; ++*from) {
		for (uint32_t worker_index = sockets->worker_count; sockets->owner_count[*from] > 1 && worker_index-- > 0;) {
			if (sockets->owned_socket[worker_index] == *from)
				return worker_index;
		}
	}
	return PFI_UNASSIGNED;
}

static uint32_t least_owned(const struct pfi_reuseport_assignment *sockets)
{
	uint32_t best = 0;

	for (uint32_t socket_index = 1; socket_index < sockets->sockets; socket_index++) {
		if (sockets->owner_count[socket_index] < sockets->owner_count[best])
			best = socket_index;
	}
	return best;
}

static void move(struct pfi_reuseport_assignment *sockets, uint32_t worker_index, uint32_t socket_index)
{
	if (sockets->owned_socket[worker_index] != PFI_UNASSIGNED)
		sockets->owner_count[sockets->owned_socket[worker_index]]--;
	sockets->owned_socket[worker_index] = socket_index;
	sockets->owner_count[socket_index]++;
}

/* Each socket gets one owner, if there are enough workers; further workers become additional owners. */
static void assign_owners(struct pfi_reuseport_assignment *sockets, const bool *serves)
{
	uint32_t worker_index, at_worker = 0, at_socket = 0;

	for (uint32_t socket_index = 0; socket_index < sockets->sockets; socket_index++) {
		if (sockets->owner_count[socket_index] > 0)
			continue;
		worker_index = next_unassigned(sockets, serves, &at_worker);
		if (worker_index == PFI_UNASSIGNED)
			worker_index = surplus_owner(sockets, &at_socket);
		if (worker_index == PFI_UNASSIGNED)
			return; /* there are fewer workers than sockets */
		move(sockets, worker_index, socket_index);
	}
	while ((worker_index = next_unassigned(sockets, serves, &at_worker)) != PFI_UNASSIGNED)
		move(sockets, worker_index, least_owned(sockets));
}

static uint32_t least_loaded(const struct pfi_reuseport_assignment *sockets, const bool *serves)
{
	uint32_t best = PFI_UNASSIGNED;

	for (uint32_t worker_index = 0; worker_index < sockets->worker_count; worker_index++) {
		if (serves[worker_index] && (best == PFI_UNASSIGNED ||
					     sockets->fallback_count[worker_index] < sockets->fallback_count[best]))
			best = worker_index;
	}
	return best;
}

void pfi_reuseport_assign(struct pfi_reuseport_assignment *sockets, const bool *serves)
{
	if (sockets->sockets == 0)
		return;
	remove_gone(sockets, serves);
	assign_owners(sockets, serves);
	for (uint32_t socket_index = 0; socket_index < sockets->sockets; socket_index++) {
		uint32_t *const fallback_owner = &sockets->fallback_owner[socket_index];

		if (*fallback_owner != PFI_UNASSIGNED &&
		    (!serves[*fallback_owner] || sockets->owner_count[socket_index] > 0))
			*fallback_owner = PFI_UNASSIGNED;
		if (*fallback_owner != PFI_UNASSIGNED)
			sockets->fallback_count[*fallback_owner]++;
	}
	for (uint32_t socket_index = 0; socket_index < sockets->sockets; socket_index++) {
		if (sockets->fallback_owner[socket_index] != PFI_UNASSIGNED || sockets->owner_count[socket_index] > 0)
			continue;
		sockets->fallback_owner[socket_index] = least_loaded(sockets, serves);
		if (sockets->fallback_owner[socket_index] == PFI_UNASSIGNED)
			return; /* no worker serves */
		sockets->fallback_count[sockets->fallback_owner[socket_index]]++;
	}
}

bool pfi_reuseport_accepts(const struct pfi_reuseport_assignment *sockets, uint32_t worker_index, uint32_t socket_index)
{
	return socket_index < sockets->sockets && (sockets->owned_socket[worker_index] == socket_index ||
						   sockets->fallback_owner[socket_index] == worker_index);
}

uint32_t pfi_reuseport_target(uint32_t open, uint32_t desired, uint32_t serving)
{
	if (desired == 0)
		desired = 1;
	if (desired <= open)
		return desired;
	if (serving <= open)
		return open;
	return serving < desired ? serving : desired;
}
