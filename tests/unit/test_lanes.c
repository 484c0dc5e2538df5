/*
 * Who accepts from which lane: a random walk of workers that come and go, after each
 * step of which every lane must have somebody, and nobody more than need be.
 */
#include "model/backoff.h"
#include "model/lanes.h"

#include "../support.h"

enum { SEATS = 12, LANES = 6, STEPS = 20000 };

static uint32_t home[SEATS], keeper[LANES], residents[LANES], burden[SEATS];
static bool serves[SEATS];

static void init(struct pfi_lanes *lanes, uint32_t count)
{
	*lanes = (struct pfi_lanes){ count, SEATS, home, keeper, residents, burden };
	for (uint32_t i = 0; i < SEATS; i++) {
		home[i] = PFI_NOBODY;
		serves[i] = false;
	}
	for (uint32_t i = 0; i < LANES; i++)
		keeper[i] = PFI_NOBODY;
}

static void check(const struct pfi_lanes *lanes)
{
	uint32_t serving = 0, at_home[LANES] = { 0 };

	for (uint32_t s = 0; s < SEATS; s++) {
		serving += serves[s];
		if (!serves[s]) {
			for (uint32_t lane = 0; lane < LANES; lane++)
				ck_assert(!pfi_lanes_has(lanes, s, lane));
			continue;
		}
		ck_assert_uint_lt(home[s], lanes->lanes);
		at_home[home[s]]++;
	}
	for (uint32_t lane = 0; lane < lanes->lanes; lane++) {
		bool somebody = false;

		for (uint32_t s = 0; s < SEATS; s++)
			somebody |= pfi_lanes_has(lanes, s, lane);
		ck_assert_msg(somebody == (serving > 0), "lane %u has nobody", lane);
		/* A keeper only where nobody lives, and nobody lives there only in want of workers. */
		ck_assert(at_home[lane] == 0 || keeper[lane] == PFI_NOBODY);
		ck_assert(at_home[lane] > 0 || serving < lanes->lanes);
		ck_assert(serving <= lanes->lanes ? at_home[lane] <= 1 : at_home[lane] >= 1);
	}
}

START_TEST(every_lane_has_somebody_whoever_comes_and_goes)
{
	struct pfi_lanes lanes;
	uint64_t seed = 4711 + (uint64_t)_i;

	init(&lanes, 1 + (uint32_t)_i % LANES);
	for (int step = 0; step < STEPS / 10; step++) {
		const uint32_t seat = (uint32_t)(pfi_chance(&seed) % SEATS);

		if (pfi_chance(&seed) % 8 == 0)
			lanes.lanes = 1 + (uint32_t)(pfi_chance(&seed) % LANES);
		else
			serves[seat] = !serves[seat];
		for (uint32_t lane = lanes.lanes; lane < LANES; lane++)
			keeper[lane] = PFI_NOBODY; /* as the caller does for those that are closed */
		pfi_lanes_settle(&lanes, serves);
		check(&lanes);
	}
}
END_TEST

/* A replacement beside the old one, then alone: nobody else moves. */
START_TEST(a_replacement_takes_over_the_lane_and_nobody_else_moves)
{
	struct pfi_lanes lanes;

	init(&lanes, 3);
	serves[0] = serves[1] = serves[2] = true;
	pfi_lanes_settle(&lanes, serves);
	const uint32_t lane = home[1], others[] = { home[0], home[2] };
	serves[7] = true;
	pfi_lanes_settle(&lanes, serves);
	serves[1] = false;
	pfi_lanes_settle(&lanes, serves);
	ck_assert_uint_eq(home[7], lane);
	ck_assert_uint_eq(home[0], others[0]);
	ck_assert_uint_eq(home[2], others[1]);
}
END_TEST

START_TEST(settling_twice_changes_nothing)
{
	struct pfi_lanes lanes;
	uint32_t homes[SEATS], keepers[LANES];

	init(&lanes, LANES);
	serves[3] = serves[5] = true;
	pfi_lanes_settle(&lanes, serves);
	memcpy(homes, home, sizeof homes);
	memcpy(keepers, keeper, sizeof keepers);
	pfi_lanes_settle(&lanes, serves);
	ck_assert_mem_eq(homes, home, sizeof homes);
	ck_assert_mem_eq(keepers, keeper, sizeof keepers);
	/* The four lanes without a worker of their own are shared evenly. */
	ck_assert_uint_eq(burden[3], 2);
	ck_assert_uint_eq(burden[5], 2);
}
END_TEST

static const struct {
	uint32_t open, wanted, serving, lanes;
} counts[] = {
	{ 4, 4, 4, 4 },
	{ 4, 4, 0, 4 }, /* everybody is dead: their lanes stay */
	{ 4, 2, 4, 2 },
	{ 4, 0, 4, 1 }, /* one stays for those who come        */
	{ 1, 4, 1, 1 }, /* not before somebody is there for it */
	{ 1, 4, 2, 2 },
	{ 1, 4, 9, 4 },
	{ 2, 4, 1, 2 },
};

START_TEST(lanes_open_for_workers_that_are_there)
{
	ck_assert_uint_eq(pfi_lanes_wanted(counts[_i].open, counts[_i].wanted, counts[_i].serving), counts[_i].lanes);
}
END_TEST

int main(void)
{
	Suite *const suite = suite_create("lanes");
	TCase *const tc = new_case(suite, "lanes");

	tcase_add_loop_test(tc, every_lane_has_somebody_whoever_comes_and_goes, 0, 10);
	tcase_add_test(tc, a_replacement_takes_over_the_lane_and_nobody_else_moves);
	tcase_add_test(tc, settling_twice_changes_nothing);
	tcase_add_loop_test(tc, lanes_open_for_workers_that_are_there, 0, sizeof counts / sizeof counts[0]);
	return run_suite(suite);
}
