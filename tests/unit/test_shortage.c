#include "../support.h"

#include "model/shortage.h"

enum { WORKERS = 3, NOW_MS = 10000 };

/* Duration of the shortage of each of three workers; 0: none; -1: the worker does not serve. */
static const struct {
	int for_ms[WORKERS];
	enum pfi_shortage before, expected;
	uint64_t wake_ms;
	bool total;
} cases[] = {
	{ { 0, 0, 0 }, PFI_SHORTAGE_ALL, PFI_SHORTAGE_NONE, 0, false },
	{ { -1, -1, -1 }, PFI_SHORTAGE_NONE, PFI_SHORTAGE_NONE, 0, false },
	{ { 99, 0, 0 }, PFI_SHORTAGE_NONE, PFI_SHORTAGE_NONE, NOW_MS + 1, false },
	{ { 100, 0, 0 }, PFI_SHORTAGE_NONE, PFI_SHORTAGE_SOME, 0, false },
	{ { 5, 300, 0 }, PFI_SHORTAGE_NONE, PFI_SHORTAGE_SOME, 0, false },
	{ { 5, 1, 0 }, PFI_SHORTAGE_ALL, PFI_SHORTAGE_ALL, NOW_MS + 95, false },
	{ { 1, 1, 1 }, PFI_SHORTAGE_NONE, PFI_SHORTAGE_ALL, 0, false },
	{ { 1, -1, -1 }, PFI_SHORTAGE_NONE, PFI_SHORTAGE_ALL, 0, false },
	{ { 3000, 2000, 999 }, PFI_SHORTAGE_ALL, PFI_SHORTAGE_ALL, 0, false },
	{ { 3000, 2000, 1000 }, PFI_SHORTAGE_ALL, PFI_SHORTAGE_ALL, 0, true },
};

static struct pfi_slot slots[WORKERS];
static const struct pfi_worker_table worker_table = { slots, WORKERS };

static void set_slots(const int *for_ms)
{
	for (int i = 0; i < WORKERS; i++) {
		slots[i] = (struct pfi_slot){
			.state = for_ms[i] < 0 ? PFI_STATE_BOOTING : PFI_STATE_SERVING,
			.shortage_ms = for_ms[i] > 0 ? NOW_MS - (uint64_t)for_ms[i] : 0,
		};
	}
}

START_TEST(a_shortage_is_total_when_every_worker_has_it)
{
	uint64_t wake_ms = 1;

	set_slots(cases[_i].for_ms);
	ck_assert_int_eq(pfi_shortage_judge(&worker_table, cases[_i].before, NOW_MS, &wake_ms), cases[_i].expected);
	ck_assert_uint_eq(wake_ms, cases[_i].wake_ms);
	ck_assert_int_eq(pfi_shortage_is_total(&worker_table, NOW_MS), cases[_i].total);
}
END_TEST

/* Of the first of three workers. */
static const struct {
	int for_ms;
	bool others_short, own, by_load, wants_retire, replaced;
} replacements[] = {
	{ 999, false, true, false, false, false },   { 1000, false, true, false, false, true },
	{ 1000, false, false, false, false, true },  { 1000, true, false, false, false, false },
	{ 1000, true, true, false, false, true },    { 1000, false, true, true, false, false },
	{ 1000, false, true, false, true, false },   { 0, false, false, false, false, false },
	{ -1, false, false, false, false, false },
};

START_TEST(a_worker_is_replaced_if_its_shortage_lasts_and_others_serve)
{
	const int others = replacements[_i].others_short ? 5000 : 0;
	const int for_ms[WORKERS] = { replacements[_i].for_ms, others, others };
	uint64_t wake_ms;

	set_slots(for_ms);
	slots[0].shortage_is_own = replacements[_i].own;
	slots[0].shortage_by_load = replacements[_i].by_load;
	slots[0].wants_retire = replacements[_i].wants_retire;
	ck_assert_int_eq(pfi_shortage_replaces(&worker_table, 0, NOW_MS, &wake_ms), replacements[_i].replaced);
	ck_assert_uint_eq(wake_ms, for_ms[0] == 999 ? NOW_MS + 1 : 0);
}
END_TEST

int main(void)
{
	Suite *const suite = suite_create("shortage");
	TCase *const tc = new_case(suite, "shortage");

	tcase_add_loop_test(tc, a_shortage_is_total_when_every_worker_has_it, 0, sizeof cases / sizeof cases[0]);
	tcase_add_loop_test(tc, a_worker_is_replaced_if_its_shortage_lasts_and_others_serve, 0,
	                    sizeof replacements / sizeof replacements[0]);
	return run_suite(suite);
}
