/*
 * Who accepts from which reuseport socket: a random walk of workers that come and go, after each
 * step of which every reuseport socket must have somebody, and nobody more than need be.
 */
#include "model/backoff.h"
#include "model/reuseport_assignment.h"

#include "../support.h"

enum { SEATS = 12, LANES = 6, STEPS = 20000 };

static uint32_t home[SEATS], fallback_owner[LANES], owner_count[LANES], burden[SEATS];
static bool serves[SEATS];

static void init(struct pfi_reuseport_assignment *sockets, uint32_t count)
{
	*sockets = (struct pfi_reuseport_assignment){ count, SEATS, home, fallback_owner, owner_count, burden };
	for (uint32_t i = 0; i < SEATS; i++) {
		home[i] = PFI_NONE_ASSIGNED;
		serves[i] = false;
	}
	for (uint32_t i = 0; i < LANES; i++)
		fallback_owner[i] = PFI_NONE_ASSIGNED;
}

static void check(const struct pfi_reuseport_assignment *sockets)
{
	uint32_t serving = 0, at_home[LANES] = { 0 };

	for (uint32_t s = 0; s < SEATS; s++) {
		serving += serves[s];
		if (!serves[s]) {
			for (uint32_t socket_index = 0; socket_index < LANES; socket_index++)
				ck_assert(!pfi_reuseport_accepts(sockets, s, socket_index));
			continue;
		}
		ck_assert_uint_lt(home[s], sockets->sockets);
		at_home[home[s]]++;
	}
	for (uint32_t socket_index = 0; socket_index < sockets->sockets; socket_index++) {
		bool somebody = false;

		for (uint32_t s = 0; s < SEATS; s++)
			somebody |= pfi_reuseport_accepts(sockets, s, socket_index);
		ck_assert_msg(somebody == (serving > 0), "reuseport socket %u has nobody", socket_index);
		/* A fallback owner only where nobody lives, and nobody lives there only in want of workers. */
		ck_assert(at_home[socket_index] == 0 || fallback_owner[socket_index] == PFI_NONE_ASSIGNED);
		ck_assert(at_home[socket_index] > 0 || serving < sockets->sockets);
		ck_assert(serving <= sockets->sockets ? at_home[socket_index] <= 1 : at_home[socket_index] >= 1);
	}
}

START_TEST(every_reuseport_socket_has_an_owner)
{
	struct pfi_reuseport_assignment sockets;
	uint64_t seed = 4711 + (uint64_t)_i;

	init(&sockets, 1 + (uint32_t)_i % LANES);
	for (int step = 0; step < STEPS / 10; step++) {
		const uint32_t worker_index = (uint32_t)(pfi_random(&seed) % SEATS);

		if (pfi_random(&seed) % 8 == 0)
			sockets.sockets = 1 + (uint32_t)(pfi_random(&seed) % LANES);
		else
			serves[worker_index] = !serves[worker_index];
		for (uint32_t socket_index = sockets.sockets; socket_index < LANES; socket_index++)
			fallback_owner[socket_index] = PFI_NONE_ASSIGNED; /* as the caller does for those that are closed */
		pfi_reuseport_assign(&sockets, serves);
		check(&sockets);
	}
}
END_TEST

/* A replacement beside the old one, then alone: nobody else moves. */
START_TEST(a_replacement_takes_over_the_socket_and_others_keep_theirs)
{
	struct pfi_reuseport_assignment sockets;

	init(&sockets, 3);
	serves[0] = serves[1] = serves[2] = true;
	pfi_reuseport_assign(&sockets, serves);
	const uint32_t socket_index = home[1], others[] = { home[0], home[2] };
	serves[7] = true;
	pfi_reuseport_assign(&sockets, serves);
	serves[1] = false;
	pfi_reuseport_assign(&sockets, serves);
	ck_assert_uint_eq(home[7], socket_index);
	ck_assert_uint_eq(home[0], others[0]);
	ck_assert_uint_eq(home[2], others[1]);
}
END_TEST

START_TEST(settling_twice_changes_nothing)
{
	struct pfi_reuseport_assignment sockets;
	uint32_t homes[SEATS], keepers[LANES];

	init(&sockets, LANES);
	serves[3] = serves[5] = true;
	pfi_reuseport_assign(&sockets, serves);
	memcpy(homes, home, sizeof homes);
	memcpy(keepers, fallback_owner, sizeof keepers);
	pfi_reuseport_assign(&sockets, serves);
	ck_assert_mem_eq(homes, home, sizeof homes);
	ck_assert_mem_eq(keepers, fallback_owner, sizeof keepers);
	/* The four reuseport sockets without a worker of their own are shared evenly. */
	ck_assert_uint_eq(burden[3], 2);
	ck_assert_uint_eq(burden[5], 2);
}
END_TEST

static const struct {
	uint32_t open, wanted, serving, sockets;
} counts[] = {
	{ 4, 4, 4, 4 },
	{ 4, 4, 0, 4 }, /* everybody is dead: their reuseport sockets stay */
	{ 4, 2, 4, 2 },
	{ 4, 0, 4, 1 }, /* one stays for those who come        */
	{ 1, 4, 1, 1 }, /* not before somebody is there for it */
	{ 1, 4, 2, 2 },
	{ 1, 4, 9, 4 },
	{ 2, 4, 1, 2 },
};

START_TEST(sockets_open_for_workers_that_are_there)
{
	ck_assert_uint_eq(pfi_reuseport_target(counts[_i].open, counts[_i].wanted, counts[_i].serving), counts[_i].sockets);
}
END_TEST

int main(void)
{
	Suite *const suite = suite_create("reuseport sockets");
	TCase *const tc = new_case(suite, "reuseport sockets");

	tcase_add_loop_test(tc, every_reuseport_socket_has_an_owner, 0, 10);
	tcase_add_test(tc, a_replacement_takes_over_the_socket_and_others_keep_theirs);
	tcase_add_test(tc, settling_twice_changes_nothing);
	tcase_add_loop_test(tc, sockets_open_for_workers_that_are_there, 0, sizeof counts / sizeof counts[0]);
	return run_suite(suite);
}
