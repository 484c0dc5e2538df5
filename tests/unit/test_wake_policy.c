#include "../support.h"

#include "worker/wake_policy.h"

#include <stdlib.h>

enum { QUICK_US = 10 };

static void call(struct pfi_wake_policy *wake_policy, unsigned times, uint64_t took_us, uint64_t now_ms)
{
	for (unsigned i = 0; i < times; i++)
		pfi_wake_policy_called(wake_policy, took_us, now_ms);
}

START_TEST(short_callbacks_run_in_one_thread)
{
	struct pfi_wake_policy wake_policy = { 0 };

	ck_assert(!wake_policy.single_runner);
	pfi_wake_policy_overlap(&wake_policy, 1000);
	ck_assert(wake_policy.single_runner);
	call(&wake_policy, 100000, QUICK_US, 1001);
	ck_assert(wake_policy.single_runner);
	pfi_wake_policy_idle(&wake_policy);
	ck_assert(!wake_policy.single_runner);
	pfi_wake_policy_overlap(&wake_policy, 1002); /* after short callbacks there is no delay */
	ck_assert(wake_policy.single_runner);
}
END_TEST

START_TEST(one_slow_call_in_ten_keeps_the_single_runner)
{
	struct pfi_wake_policy wake_policy = { 0 };

	pfi_wake_policy_overlap(&wake_policy, 1000);
	for (unsigned i = 0; i < 1000; i++) {
		call(&wake_policy, 1, 500, 1000);
		call(&wake_policy, 9, QUICK_US, 1000);
	}
	ck_assert(wake_policy.single_runner);
}
END_TEST

START_TEST(slow_calls_end_the_single_runner)
{
	struct pfi_wake_policy wake_policy = { 0 };

	pfi_wake_policy_overlap(&wake_policy, 1000);
	call(&wake_policy, 4, 500, 1000);
	ck_assert(!wake_policy.single_runner);
	pfi_wake_policy_overlap(&wake_policy, 1000);
	ck_assert_msg(!wake_policy.single_runner, "a single runner again, without delay");
}
END_TEST

START_TEST(a_stalled_call_ends_the_single_runner)
{
	struct pfi_wake_policy wake_policy = { 0 };

	pfi_wake_policy_overlap(&wake_policy, 1000);
	call(&wake_policy, 1000, QUICK_US, 1000);
	pfi_wake_policy_stalled(&wake_policy, 1000);
	ck_assert(!wake_policy.single_runner);
}
END_TEST

/* If callbacks sleep, every period with a single runner costs a stall: such periods become rare and remain possible. */
START_TEST(stalls_delay_the_next_single_runner_by_about_a_second)
{
	struct pfi_wake_policy wake_policy = { 0 };
	unsigned periods = 0;

	for (uint64_t now_ms = 1; now_ms <= 60 * 1000; now_ms++) {
		pfi_wake_policy_overlap(&wake_policy, now_ms);
		if (!wake_policy.single_runner)
			continue;
		periods++;
		pfi_wake_policy_stalled(&wake_policy, now_ms);
	}
	ck_assert_uint_ge(periods, 60);
	ck_assert_uint_le(periods, 70);
	call(&wake_policy, 1000, QUICK_US, 60000); /* calls without a single runner do not count */
	pfi_wake_policy_overlap(&wake_policy, 62000);
	ck_assert(wake_policy.single_runner);
	call(&wake_policy, 64, QUICK_US, 62000);
	pfi_wake_policy_stalled(&wake_policy, 62000);
	pfi_wake_policy_overlap(&wake_policy, 62010); /* after 64 short calls the delay is short */
	ck_assert(wake_policy.single_runner);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wake policy");
	TCase *tc = new_case(suite, "wake policy");

	tcase_add_test(tc, short_callbacks_run_in_one_thread);
	tcase_add_test(tc, one_slow_call_in_ten_keeps_the_single_runner);
	tcase_add_test(tc, slow_calls_end_the_single_runner);
	tcase_add_test(tc, a_stalled_call_ends_the_single_runner);
	tcase_add_test(tc, stalls_delay_the_next_single_runner_by_about_a_second);

	return run_suite(suite);
}
