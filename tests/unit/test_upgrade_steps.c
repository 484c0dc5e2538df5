/* The steps of a binary upgrade, cell by cell, and the numbers beside them. */
#include "../support.h"

#include "model/upgrade_steps.h"

#include <string.h>

#define CELL(state, event, next, action) \
	{ PFI_UPGRADE_##state, PFI_UPGRADE_ON_##event, { PFI_UPGRADE_##next, PFI_UPGRADE_DO_##action } }

/* Every cell that is not refused. */
static const struct {
	enum pfi_upgrade_state state;
	enum pfi_upgrade_event event;
	struct pfi_upgrade_step step;
} cells[] = {
	CELL(IDLE, START, BOOTING, SPAWN),    CELL(BOOTING, SERVING, PROVING, PROVE), CELL(BOOTING, READY, READY, DONE),
	CELL(BOOTING, EXITED, IDLE, FAIL),    CELL(BOOTING, LATE, IDLE, KILL),        CELL(BOOTING, STOP, LEAVING, DESERT),
	CELL(PROVING, READY, READY, DONE),    CELL(PROVING, EXITED, IDLE, FAIL),      CELL(PROVING, LATE, IDLE, KILL),
	CELL(PROVING, STOP, LEAVING, DESERT), CELL(READY, EXITED, IDLE, LOST),        CELL(READY, STOP, LEAVING, PROMOTE),
	CELL(LEAVING, EXITED, LEAVING, LOST),
};

START_TEST(every_cell_is_as_listed_and_all_others_are_refused)
{
	for (int state = 0; state < PFI_UPGRADE_STATE_COUNT; state++) {
		for (int event = 0; event < PFI_UPGRADE_EVENT_COUNT; event++) {
			struct pfi_upgrade_step expected = { (enum pfi_upgrade_state)state, PFI_UPGRADE_DO_REFUSE };
			const struct pfi_upgrade_step step =
				pfi_upgrade_step((enum pfi_upgrade_state)state, (enum pfi_upgrade_event)event);

			for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++) {
				if ((int)cells[i].state == state && (int)cells[i].event == event)
					expected = cells[i].step;
			}
			ck_assert_int_eq(step.next, expected.next);
			ck_assert_int_eq(step.action, expected.action);
		}
	}
}
END_TEST

/* Random events: an upgrade that started has exactly one verdict, and a failure leads back to idle. */
START_TEST(each_upgrade_has_exactly_one_verdict)
{
	enum pfi_upgrade_state state = PFI_UPGRADE_IDLE;
	uint32_t random = 1;
	int started = 0, verdicts = 0;

	for (int i = 0; i < 100000; i++) {
		random = random * 1664525 + 1013904223;

		const struct pfi_upgrade_step step =
			pfi_upgrade_step(state, (enum pfi_upgrade_event)((random >> 16) % PFI_UPGRADE_EVENT_COUNT));

		state = step.next;
		started += step.action == PFI_UPGRADE_DO_SPAWN;
		verdicts += step.action == PFI_UPGRADE_DO_DONE || step.action == PFI_UPGRADE_DO_FAIL ||
			    step.action == PFI_UPGRADE_DO_KILL || step.action == PFI_UPGRADE_DO_DESERT;
		ck_assert_int_eq(started - verdicts, state == PFI_UPGRADE_BOOTING || state == PFI_UPGRADE_PROVING);
		if (state == PFI_UPGRADE_LEAVING)
			state = PFI_UPGRADE_IDLE; /* the next arbiter */
	}
	ck_assert_int_gt(started, 1000);
}
END_TEST

START_TEST(states_have_names)
{
	ck_assert_str_eq(pfi_upgrade_state_name(PFI_UPGRADE_IDLE), "idle");
	ck_assert_str_eq(pfi_upgrade_state_name(PFI_UPGRADE_LEAVING), "leaving");
}
END_TEST

static const struct {
	uint64_t since_ms, canary_ms, now_ms;
	bool is_proved;
	uint64_t wake_ms;
} proofs[] = {
	{ 0, 0, 100, false, 0 },      { 0, 1000, 100, false, 0 },    { 100, 0, 100, true, 0 },
	{ 100, 50, 100, false, 150 }, { 100, 50, 149, false, 150 },  { 100, 50, 150, true, 0 },
	{ 100, 50, 99, false, 150 },  { 100, 50, 10000, true, 0 },
};

START_TEST(workers_prove_themselves_for_the_canary_time)
{
	uint64_t wake_ms = 7;

	ck_assert_int_eq(pfi_upgrade_is_proved(proofs[_i].since_ms, proofs[_i].canary_ms, proofs[_i].now_ms, &wake_ms),
			 proofs[_i].is_proved);
	ck_assert_uint_eq(wake_ms, proofs[_i].wake_ms);
}
END_TEST

START_TEST(the_number_of_arbiters_is_bounded)
{
	ck_assert_uint_eq(pfi_upgrade_surplus(0, 4), 0);
	ck_assert_uint_eq(pfi_upgrade_surplus(2, 4), 0);
	ck_assert_uint_eq(pfi_upgrade_surplus(3, 4), 1);
	ck_assert_uint_eq(pfi_upgrade_surplus(9, 4), 7);
	ck_assert_uint_eq(pfi_upgrade_surplus(1, 2), 1);
	ck_assert_uint_eq(pfi_upgrade_surplus(1, 0), 1);
}
END_TEST

int main(void)
{
	Suite *const suite = suite_create("upgrade_steps");
	TCase *const tcase = new_case(suite, "all");

	tcase_add_test(tcase, every_cell_is_as_listed_and_all_others_are_refused);
	tcase_add_test(tcase, each_upgrade_has_exactly_one_verdict);
	tcase_add_test(tcase, states_have_names);
	tcase_add_loop_test(tcase, workers_prove_themselves_for_the_canary_time, 0, sizeof proofs / sizeof proofs[0]);
	tcase_add_test(tcase, the_number_of_arbiters_is_bounded);
	return run_suite(suite);
}
