#include "model/reuseport_assignment.h"

/* Who serves no more, or whose reuseport socket is closed, has no home and keeps nothing. */
static void clear(struct pfi_reuseport_assignment *sockets, const bool *serves)
{
	for (uint32_t socket_index = 0; socket_index < sockets->sockets; socket_index++)
		sockets->owner_count[socket_index] = 0;
	for (uint32_t worker_index = 0; worker_index < sockets->worker_count; worker_index++) {
		sockets->burden[worker_index] = 0;
		if (!serves[worker_index] || sockets->home[worker_index] >= sockets->sockets)
			sockets->home[worker_index] = PFI_NONE_ASSIGNED;
		else
			sockets->owner_count[sockets->home[worker_index]]++;
	}
}

/* The next one from *from on who serves and is nowhere at home. */
static uint32_t newcomer(const struct pfi_reuseport_assignment *sockets, const bool *serves, uint32_t *from)
{
	for (; *from < sockets->worker_count; ++*from) {
		if (serves[*from] && sockets->home[*from] == PFI_NONE_ASSIGNED)
			return *from;
	}
	return PFI_NONE_ASSIGNED;
}

/* Somebody from a reuseport socket, *from or later, that has others. The younger slot number stays. */
static uint32_t spare(const struct pfi_reuseport_assignment *sockets, uint32_t *from)
{
	for (; *from < sockets->sockets; ++*from) {
		for (uint32_t worker_index = sockets->worker_count; sockets->owner_count[*from] > 1 && worker_index-- > 0;) {
			if (sockets->home[worker_index] == *from)
				return worker_index;
		}
	}
	return PFI_NONE_ASSIGNED;
}

static uint32_t emptiest(const struct pfi_reuseport_assignment *sockets)
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
	if (sockets->home[worker_index] != PFI_NONE_ASSIGNED)
		sockets->owner_count[sockets->home[worker_index]]--;
	sockets->home[worker_index] = socket_index;
	sockets->owner_count[socket_index]++;
}

/* Every reuseport socket gets somebody, as long as there is anybody for it; then the rest find room. */
static void send_home(struct pfi_reuseport_assignment *sockets, const bool *serves)
{
	uint32_t worker_index, at_worker = 0, at_socket = 0;

	for (uint32_t socket_index = 0; socket_index < sockets->sockets; socket_index++) {
		if (sockets->owner_count[socket_index] > 0)
			continue;
		worker_index = newcomer(sockets, serves, &at_worker);
		if (worker_index == PFI_NONE_ASSIGNED)
			worker_index = spare(sockets, &at_socket);
		if (worker_index == PFI_NONE_ASSIGNED)
			return; /* fewer workers than reuseport sockets */
		move(sockets, worker_index, socket_index);
	}
	while ((worker_index = newcomer(sockets, serves, &at_worker)) != PFI_NONE_ASSIGNED)
		move(sockets, worker_index, emptiest(sockets));
}

static uint32_t least_burdened(const struct pfi_reuseport_assignment *sockets, const bool *serves)
{
	uint32_t best = PFI_NONE_ASSIGNED;

	for (uint32_t worker_index = 0; worker_index < sockets->worker_count; worker_index++) {
		if (serves[worker_index] && (best == PFI_NONE_ASSIGNED || sockets->burden[worker_index] < sockets->burden[best]))
			best = worker_index;
	}
	return best;
}

void pfi_reuseport_assign(struct pfi_reuseport_assignment *sockets, const bool *serves)
{
	if (sockets->sockets == 0)
		return;
	clear(sockets, serves);
	send_home(sockets, serves);
	for (uint32_t socket_index = 0; socket_index < sockets->sockets; socket_index++) {
		uint32_t *const fallback_owner = &sockets->fallback_owner[socket_index];

		if (*fallback_owner != PFI_NONE_ASSIGNED && (!serves[*fallback_owner] || sockets->owner_count[socket_index] > 0))
			*fallback_owner = PFI_NONE_ASSIGNED;
		if (*fallback_owner != PFI_NONE_ASSIGNED)
			sockets->burden[*fallback_owner]++;
	}
	for (uint32_t socket_index = 0; socket_index < sockets->sockets; socket_index++) {
		if (sockets->fallback_owner[socket_index] != PFI_NONE_ASSIGNED || sockets->owner_count[socket_index] > 0)
			continue;
		sockets->fallback_owner[socket_index] = least_burdened(sockets, serves);
		if (sockets->fallback_owner[socket_index] == PFI_NONE_ASSIGNED)
			return; /* nobody serves */
		sockets->burden[sockets->fallback_owner[socket_index]]++;
	}
}

bool pfi_reuseport_accepts(const struct pfi_reuseport_assignment *sockets, uint32_t worker_index, uint32_t socket_index)
{
	return socket_index < sockets->sockets && (sockets->home[worker_index] == socket_index || sockets->fallback_owner[socket_index] == worker_index);
}

uint32_t pfi_reuseport_target(uint32_t open, uint32_t wanted, uint32_t serving)
{
	if (wanted == 0)
		wanted = 1;
	if (wanted <= open)
		return wanted;
	if (serving <= open)
		return open;
	return serving < wanted ? serving : wanted;
}
