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
	pfi_wake_policy_overlap(&wake_policy, 1002); /* it was good: no need to wait */
	ck_assert(wake_policy.single_runner);
}
END_TEST

START_TEST(a_slow_call_now_and_then_changes_nothing)
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

START_TEST(slow_calls_are_shared)
{
	struct pfi_wake_policy wake_policy = { 0 };

	pfi_wake_policy_overlap(&wake_policy, 1000);
	call(&wake_policy, 4, 500, 1000);
	ck_assert(!wake_policy.single_runner);
	pfi_wake_policy_overlap(&wake_policy, 1000);
	ck_assert_msg(!wake_policy.single_runner, "tried again at once");
}
END_TEST

START_TEST(a_thread_that_does_not_return_is_not_waited_for)
{
	struct pfi_wake_policy wake_policy = { 0 };

	pfi_wake_policy_overlap(&wake_policy, 1000);
	call(&wake_policy, 1000, QUICK_US, 1000);
	pfi_wake_policy_stalled(&wake_policy, 1000);
	ck_assert(!wake_policy.single_runner);
}
END_TEST

/* Where callbacks sleep, every try costs a stall: they become rare, and stay possible. */
START_TEST(tries_that_fail_become_rare_and_never_end)
{
	struct pfi_wake_policy wake_policy = { 0 };
	unsigned tries = 0;

	for (uint64_t now_ms = 1; now_ms <= 60 * 1000; now_ms++) {
		pfi_wake_policy_overlap(&wake_policy, now_ms);
		if (!wake_policy.single_runner)
			continue;
		tries++;
		pfi_wake_policy_stalled(&wake_policy, now_ms);
	}
	ck_assert_uint_ge(tries, 60);
	ck_assert_uint_le(tries, 70);
	call(&wake_policy, 1000, QUICK_US, 60000); /* those of a thread that is not alone do not count */
	pfi_wake_policy_overlap(&wake_policy, 62000);
	ck_assert(wake_policy.single_runner);
	call(&wake_policy, 64, QUICK_US, 62000);
	pfi_wake_policy_stalled(&wake_policy, 62000);
	pfi_wake_policy_overlap(&wake_policy, 62010); /* it was good for a while: soon again */
	ck_assert(wake_policy.single_runner);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("pace");
	TCase *tc = new_case(suite, "pace");

	tcase_add_test(tc, short_callbacks_run_in_one_thread);
	tcase_add_test(tc, a_slow_call_now_and_then_changes_nothing);
	tcase_add_test(tc, slow_calls_are_shared);
	tcase_add_test(tc, a_thread_that_does_not_return_is_not_waited_for);
	tcase_add_test(tc, tries_that_fail_become_rare_and_never_end);

	return run_suite(suite);
}
