/*
 * Assignment of reuseport sockets to workers: workers start and exit at random. After each step every
 * socket must have a worker that accepts from it, and the sockets are shared evenly.
 */
#include "model/backoff.h"
#include "model/reuseport_assignment.h"

#include "../support.h"

enum { WORKERS = 12, SOCKETS = 6, STEPS = 20000 };

static uint32_t owned_socket[WORKERS], fallback_owner[SOCKETS], owner_count[SOCKETS], fallback_count[WORKERS];
static bool serves[WORKERS];

static void init(struct pfi_reuseport_assignment *sockets, uint32_t count)
{
	*sockets = (struct pfi_reuseport_assignment){
		count, WORKERS, owned_socket, fallback_owner, owner_count, fallback_count,
	};
	for (uint32_t i = 0; i < WORKERS; i++) {
		owned_socket[i] = PFI_UNASSIGNED;
		serves[i] = false;
	}
	for (uint32_t i = 0; i < SOCKETS; i++)
		fallback_owner[i] = PFI_UNASSIGNED;
}

static void check(const struct pfi_reuseport_assignment *sockets)
{
	uint32_t serving = 0, owners[SOCKETS] = { 0 };

	for (uint32_t s = 0; s < WORKERS; s++) {
		serving += serves[s];
		if (!serves[s]) {
			for (uint32_t socket_index = 0; socket_index < SOCKETS; socket_index++)
				ck_assert(!pfi_reuseport_accepts(sockets, s, socket_index));
			continue;
		}
		ck_assert_uint_lt(owned_socket[s], sockets->sockets);
		owners[owned_socket[s]]++;
	}
	for (uint32_t socket_index = 0; socket_index < sockets->sockets; socket_index++) {
		bool is_accepted = false;

		for (uint32_t s = 0; s < WORKERS; s++)
			is_accepted |= pfi_reuseport_accepts(sockets, s, socket_index);
		ck_assert_msg(is_accepted == (serving > 0), "no worker accepts from reuseport socket %u", socket_index);
		/* A socket has a fallback owner only without an owner, and no owner only if workers are too few. */
		ck_assert(owners[socket_index] == 0 || fallback_owner[socket_index] == PFI_UNASSIGNED);
		ck_assert(owners[socket_index] > 0 || serving < sockets->sockets);
		ck_assert(serving <= sockets->sockets ? owners[socket_index] <= 1 : owners[socket_index] >= 1);
	}
}

START_TEST(every_reuseport_socket_is_accepted_from)
{
	struct pfi_reuseport_assignment sockets;
	uint64_t seed = 4711 + (uint64_t)_i;

	init(&sockets, 1 + (uint32_t)_i % SOCKETS);
	for (int step = 0; step < STEPS / 10; step++) {
		const uint32_t worker_index = (uint32_t)(pfi_random(&seed) % WORKERS);

		if (pfi_random(&seed) % 8 == 0)
			sockets.sockets = 1 + (uint32_t)(pfi_random(&seed) % SOCKETS);
		else
			serves[worker_index] = !serves[worker_index];
		for (uint32_t socket_index = sockets.sockets; socket_index < SOCKETS; socket_index++)
			fallback_owner[socket_index] = PFI_UNASSIGNED; /* as the caller does for sockets that are closed */
		pfi_reuseport_assign(&sockets, serves);
		check(&sockets);
	}
}
END_TEST

/* The replacement runs beside the old worker, then without it; no other worker changes its socket. */
START_TEST(a_replacement_takes_over_the_socket_and_others_keep_theirs)
{
	struct pfi_reuseport_assignment sockets;

	init(&sockets, 3);
	serves[0] = serves[1] = serves[2] = true;
	pfi_reuseport_assign(&sockets, serves);
	const uint32_t socket_index = owned_socket[1], others[] = { owned_socket[0], owned_socket[2] };
	serves[7] = true;
	pfi_reuseport_assign(&sockets, serves);
	serves[1] = false;
	pfi_reuseport_assign(&sockets, serves);
	ck_assert_uint_eq(owned_socket[7], socket_index);
	ck_assert_uint_eq(owned_socket[0], others[0]);
	ck_assert_uint_eq(owned_socket[2], others[1]);
}
END_TEST

START_TEST(a_second_assignment_changes_nothing)
{
	struct pfi_reuseport_assignment sockets;
	uint32_t owned_before[WORKERS], fallback_before[SOCKETS];

	init(&sockets, SOCKETS);
	serves[3] = serves[5] = true;
	pfi_reuseport_assign(&sockets, serves);
	memcpy(owned_before, owned_socket, sizeof owned_before);
	memcpy(fallback_before, fallback_owner, sizeof fallback_before);
	pfi_reuseport_assign(&sockets, serves);
	ck_assert_mem_eq(owned_before, owned_socket, sizeof owned_before);
	ck_assert_mem_eq(fallback_before, fallback_owner, sizeof fallback_before);
	/* The four reuseport sockets without an owner are shared evenly. */
	ck_assert_uint_eq(fallback_count[3], 2);
	ck_assert_uint_eq(fallback_count[5], 2);
}
END_TEST

static const struct {
	uint32_t open, wanted, serving, sockets;
} counts[] = {
	{ 4, 4, 4, 4 },
	{ 4, 4, 0, 4 }, /* every worker has exited: the sockets stay    */
	{ 4, 2, 4, 2 },
	{ 4, 0, 4, 1 }, /* one stays for new connections                */
	{ 1, 4, 1, 1 }, /* a socket is opened once a worker can accept */
	{ 1, 4, 2, 2 },
	{ 1, 4, 9, 4 },
	{ 2, 4, 1, 2 },
};

START_TEST(a_socket_is_opened_when_a_worker_serves_for_it)
{
	ck_assert_uint_eq(pfi_reuseport_target(counts[_i].open, counts[_i].wanted, counts[_i].serving), counts[_i].sockets);
}
END_TEST

int main(void)
{
	Suite *const suite = suite_create("reuseport sockets");
	TCase *const tc = new_case(suite, "reuseport sockets");

	tcase_add_loop_test(tc, every_reuseport_socket_is_accepted_from, 0, 10);
	tcase_add_test(tc, a_replacement_takes_over_the_socket_and_others_keep_theirs);
	tcase_add_test(tc, a_second_assignment_changes_nothing);
	tcase_add_loop_test(tc, a_socket_is_opened_when_a_worker_serves_for_it, 0, sizeof counts / sizeof counts[0]);
	return run_suite(suite);
}
