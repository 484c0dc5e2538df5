#include "../support.h"

#include "model/drain.h"

enum { START_MS = 100000 };

static const struct {
	uint64_t after_ms; /* from the start of the drain until the connection is idle */
	uint64_t wait_ms, graceful_ms;
	uint64_t expected_ms; /* from the start of the drain */
} cases[] = {
	{ 0, 2000, 30000, 2000 },
	{ 0, 2000, 0, 2000 },      /* no graceful_timeout                             */
	{ 0, 0, 30000, 0 },        /* closed at once                                  */
	{ 5000, 2000, 30000, 7000 }, /* idle after a request: the time starts then    */
	{ 0, 2000, 1000, 750 },    /* graceful_timeout is shorter                     */
	{ 0, 750, 1000, 750 },
	{ 0, 751, 1000, 750 },
	{ 0, 60000, 4000, 3000 },
	{ 2999, 2000, 4000, 3000 },
	{ 3000, 2000, 4000, 3000 }, /* no time is left                                */
	{ 3500, 2000, 4000, 3500 }, /* even less                                      */
	{ 0, 2000, 1, 1 },
	{ 9000000, 2000, 0, 9002000 },
};
enum { CASES = sizeof cases / sizeof cases[0] };

START_TEST(a_connection_waits_for_the_shorter_of_two_limits)
{
	const uint64_t now_ms = START_MS + cases[_i].after_ms;

	const uint64_t end_ms = pfi_drain_end_ms(START_MS, cases[_i].graceful_ms);

	ck_assert_uint_eq(pfi_drain_until_ms(now_ms, cases[_i].wait_ms, end_ms), START_MS + cases[_i].expected_ms);
}
END_TEST

START_TEST(large_values_do_not_overflow)
{
	ck_assert_uint_eq(pfi_drain_until_ms(START_MS, UINT64_MAX, UINT64_MAX), UINT64_MAX);
	ck_assert_uint_eq(pfi_drain_until_ms(START_MS, UINT64_MAX, START_MS + 3000), START_MS + 3000);
}
END_TEST

static const struct {
	uint64_t graceful_ms, expected_ms; /* from the start of the drain */
} cancels[] = { { 30000, 29000 }, { 8000, 7000 }, { 4000, 3500 }, { 800, 700 }, { 1, 1 } };
enum { CANCELS = sizeof cancels / sizeof cancels[0] };

START_TEST(tasks_are_asked_to_end_before_graceful_timeout_does)
{
	const uint64_t end_ms = pfi_drain_end_ms(START_MS, cancels[_i].graceful_ms);

	ck_assert_uint_eq(pfi_drain_cancel_ms(end_ms, cancels[_i].graceful_ms), START_MS + cancels[_i].expected_ms);
}
END_TEST

START_TEST(without_graceful_timeout_tasks_are_not_asked_to_end)
{
	ck_assert_uint_eq(pfi_drain_cancel_ms(pfi_drain_end_ms(START_MS, 0), 0), 0);
	ck_assert_uint_eq(pfi_drain_cancel_ms(UINT64_MAX, 1000), 0);
	ck_assert_uint_eq(pfi_drain_cancel_ms(0, 1000), 0); /* the worker does not drain */
}
END_TEST

int main(void)
{
	Suite *const suite = suite_create("drain");
	TCase *const tc = new_case(suite, "drain");

	tcase_add_loop_test(tc, a_connection_waits_for_the_shorter_of_two_limits, 0, CASES);
	tcase_add_test(tc, large_values_do_not_overflow);
	tcase_add_loop_test(tc, tasks_are_asked_to_end_before_graceful_timeout_does, 0, CANCELS);
	tcase_add_test(tc, without_graceful_timeout_tasks_are_not_asked_to_end);
	return run_suite(suite);
}
