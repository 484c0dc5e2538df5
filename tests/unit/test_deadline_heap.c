#include "../support.h"

#include "worker/deadline_heap.h"

#include <stdlib.h>

START_TEST(deadlines_expire_in_order_and_once)
{
	enum { COUNT = 500 };
	struct pfi_deadline_heap heap = { 0 };
	struct pfi_deadline entries[COUNT] = { 0 };
	uint64_t last_ms = 0;

	for (unsigned i = 0; i < COUNT; i++) {
		entries[i].at_ms = 1 + i * 7919u % 1000;
		ck_assert_int_eq(pfi_deadline_heap_add(&heap, &entries[i]), 0);
	}
	for (unsigned i = 0; i < COUNT; i++) {
		ck_assert_uint_gt(pfi_deadline_heap_next_ms(&heap), 0);
		const struct pfi_deadline *const first = pfi_deadline_heap_take(&heap, pfi_deadline_heap_next_ms(&heap));

		ck_assert_ptr_nonnull(first);
		ck_assert_uint_eq(first->index, 0);
		ck_assert_uint_ge(first->at_ms, last_ms);
		last_ms = first->at_ms;
	}
	ck_assert_uint_eq(pfi_deadline_heap_next_ms(&heap), 0);
	ck_assert_ptr_null(pfi_deadline_heap_take(&heap, UINT64_MAX));
	pfi_deadline_heap_finish(&heap);
}
END_TEST

START_TEST(a_postponed_deadline_does_not_expire_early)
{
	struct pfi_deadline_heap heap = { 0 };
	struct pfi_deadline entry = { .at_ms = 10 };

	ck_assert_int_eq(pfi_deadline_heap_add(&heap, &entry), 0);
	entry.at_ms = 30;
	ck_assert_int_eq(pfi_deadline_heap_add(&heap, &entry), 0);
	ck_assert_uint_eq(pfi_deadline_heap_next_ms(&heap), 10); /* an earlier time than needed */
	ck_assert_ptr_null(pfi_deadline_heap_take(&heap, 10));
	ck_assert_uint_eq(pfi_deadline_heap_next_ms(&heap), 30);
	ck_assert_ptr_eq(pfi_deadline_heap_take(&heap, 30), &entry);
	pfi_deadline_heap_finish(&heap);
}
END_TEST

START_TEST(an_advanced_deadline_does_not_expire_late)
{
	struct pfi_deadline_heap heap = { 0 };
	struct pfi_deadline entries[] = { { .at_ms = 10 }, { .at_ms = 20 }, { .at_ms = 30 } };

	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(pfi_deadline_heap_add(&heap, &entries[i]), 0);
	entries[2].at_ms = 5;
	ck_assert_int_eq(pfi_deadline_heap_add(&heap, &entries[2]), 0);
	ck_assert_uint_eq(pfi_deadline_heap_next_ms(&heap), 5);
	ck_assert_ptr_eq(pfi_deadline_heap_take(&heap, 5), &entries[2]);
	pfi_deadline_heap_finish(&heap);
	ck_assert_uint_eq(entries[0].index, 0);
}
END_TEST

START_TEST(a_removed_deadline_never_expires)
{
	struct pfi_deadline_heap heap = { 0 };
	struct pfi_deadline entry = { .at_ms = 10 };

	ck_assert_int_eq(pfi_deadline_heap_add(&heap, &entry), 0);
	entry.at_ms = 0;
	ck_assert_ptr_null(pfi_deadline_heap_take(&heap, 1000));
	ck_assert_uint_eq(entry.index, 0);
	pfi_deadline_heap_remove(&heap, &entry); /* no effect: not in the heap */
	pfi_deadline_heap_finish(&heap);
}
END_TEST

/* Compared with a search through all deadlines. */
START_TEST(after_random_changes_every_deadline_expires)
{
	enum { COUNT = 64, STEPS = 3000 };
	struct pfi_deadline_heap heap = { 0 };
	struct pfi_deadline entries[COUNT] = { 0 };
	uint64_t now_ms = 1;
	uint32_t seed = 12345 + (uint32_t)_i;

	for (int step = 0; step < STEPS; step++) {
		seed = seed * 1664525u + 1013904223u;
		struct pfi_deadline *const entry = &entries[seed >> 16 & (COUNT - 1)];
		struct pfi_deadline *late;

		switch (seed >> 28 & 3) {
		case 0:
			entry->at_ms = 0; /* without a call of the heap */
			break;
		case 1:
			pfi_deadline_heap_remove(&heap, entry);
			entry->at_ms = 0;
			break;
		default:
			entry->at_ms = now_ms + 1 + (seed >> 8 & 63);
			ck_assert_int_eq(pfi_deadline_heap_add(&heap, entry), 0);
			break;
		}
		now_ms += seed >> 24 & 3;
		while ((late = pfi_deadline_heap_take(&heap, now_ms)) != NULL) {
			ck_assert(late->at_ms > 0 && late->at_ms <= now_ms);
			late->at_ms = 0;
		}
		for (int i = 0; i < COUNT; i++)
			ck_assert(entries[i].at_ms == 0 || entries[i].at_ms > now_ms);
	}
	pfi_deadline_heap_finish(&heap);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("deadline heap");
	TCase *tc = new_case(suite, "deadline heap");

	tcase_add_test(tc, deadlines_expire_in_order_and_once);
	tcase_add_test(tc, a_postponed_deadline_does_not_expire_early);
	tcase_add_test(tc, an_advanced_deadline_does_not_expire_late);
	tcase_add_test(tc, a_removed_deadline_never_expires);
	tcase_add_loop_test(tc, after_random_changes_every_deadline_expires, 0, 8);

	return run_suite(suite);
}
