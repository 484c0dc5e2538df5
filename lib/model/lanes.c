#include "model/lanes.h"

/* Who serves no more, or whose lane is closed, has no home and keeps nothing. */
static void clear(struct pfi_lanes *lanes, const bool *serves)
{
	for (uint32_t lane = 0; lane < lanes->lanes; lane++)
		lanes->residents[lane] = 0;
	for (uint32_t seat = 0; seat < lanes->seats; seat++) {
		lanes->burden[seat] = 0;
		if (!serves[seat] || lanes->home[seat] >= lanes->lanes)
			lanes->home[seat] = PFI_NOBODY;
		else
			lanes->residents[lanes->home[seat]]++;
	}
}

/* The next one from *from on who serves and is nowhere at home. */
static uint32_t newcomer(const struct pfi_lanes *lanes, const bool *serves, uint32_t *from)
{
	for (; *from < lanes->seats; ++*from) {
		if (serves[*from] && lanes->home[*from] == PFI_NOBODY)
			return *from;
	}
	return PFI_NOBODY;
}

/* Somebody from a lane, *from or later, that has others. The younger seat number stays. */
static uint32_t spare(const struct pfi_lanes *lanes, uint32_t *from)
{
	for (; *from < lanes->lanes; ++*from) {
		for (uint32_t seat = lanes->seats; lanes->residents[*from] > 1 && seat-- > 0;) {
			if (lanes->home[seat] == *from)
				return seat;
		}
	}
	return PFI_NOBODY;
}

static uint32_t emptiest(const struct pfi_lanes *lanes)
{
	uint32_t best = 0;

	for (uint32_t lane = 1; lane < lanes->lanes; lane++) {
		if (lanes->residents[lane] < lanes->residents[best])
			best = lane;
	}
	return best;
}

static void move(struct pfi_lanes *lanes, uint32_t seat, uint32_t lane)
{
	if (lanes->home[seat] != PFI_NOBODY)
		lanes->residents[lanes->home[seat]]--;
	lanes->home[seat] = lane;
	lanes->residents[lane]++;
}

/* Every lane gets somebody, as long as there is anybody for it; then the rest find room. */
static void send_home(struct pfi_lanes *lanes, const bool *serves)
{
	uint32_t seat, at_seat = 0, at_lane = 0;

	for (uint32_t lane = 0; lane < lanes->lanes; lane++) {
		if (lanes->residents[lane] > 0)
			continue;
		seat = newcomer(lanes, serves, &at_seat);
		if (seat == PFI_NOBODY)
			seat = spare(lanes, &at_lane);
		if (seat == PFI_NOBODY)
			return; /* fewer workers than lanes */
		move(lanes, seat, lane);
	}
	while ((seat = newcomer(lanes, serves, &at_seat)) != PFI_NOBODY)
		move(lanes, seat, emptiest(lanes));
}

static uint32_t least_burdened(const struct pfi_lanes *lanes, const bool *serves)
{
	uint32_t best = PFI_NOBODY;

	for (uint32_t seat = 0; seat < lanes->seats; seat++) {
		if (serves[seat] && (best == PFI_NOBODY || lanes->burden[seat] < lanes->burden[best]))
			best = seat;
	}
	return best;
}

void pfi_lanes_settle(struct pfi_lanes *lanes, const bool *serves)
{
	if (lanes->lanes == 0)
		return;
	clear(lanes, serves);
	send_home(lanes, serves);
	for (uint32_t lane = 0; lane < lanes->lanes; lane++) {
		uint32_t *const keeper = &lanes->keeper[lane];

		if (*keeper != PFI_NOBODY && (!serves[*keeper] || lanes->residents[lane] > 0))
			*keeper = PFI_NOBODY;
		if (*keeper != PFI_NOBODY)
			lanes->burden[*keeper]++;
	}
	for (uint32_t lane = 0; lane < lanes->lanes; lane++) {
		if (lanes->keeper[lane] != PFI_NOBODY || lanes->residents[lane] > 0)
			continue;
		lanes->keeper[lane] = least_burdened(lanes, serves);
		if (lanes->keeper[lane] == PFI_NOBODY)
			return; /* nobody serves */
		lanes->burden[lanes->keeper[lane]]++;
	}
}

bool pfi_lanes_has(const struct pfi_lanes *lanes, uint32_t seat, uint32_t lane)
{
	return lane < lanes->lanes && (lanes->home[seat] == lane || lanes->keeper[lane] == seat);
}

uint32_t pfi_lanes_wanted(uint32_t open, uint32_t wanted, uint32_t serving)
{
	if (wanted == 0)
		wanted = 1;
	if (wanted <= open)
		return wanted;
	if (serving <= open)
		return open;
	return serving < wanted ? serving : wanted;
}
