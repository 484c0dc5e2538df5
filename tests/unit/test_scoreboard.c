#include "os/scoreboard.h"

#include "../support.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>

static struct pfi_scoreboard scoreboard;

static bool is_mapped(const void *address)
{
	unsigned char in_core;

	return mincore((void *)(uintptr_t)address, 1, &in_core) == 0;
}

START_TEST(each_entry_begins_a_page_and_is_zero)
{
	ck_assert_int_eq(pfi_scoreboard_open(3, 5000, &scoreboard), 0);
	for (size_t slot = 0; slot < 3; slot++) {
		unsigned char *score = pfi_scoreboard_at(&scoreboard, slot);

		ck_assert_uint_eq((uintptr_t)score % (uintptr_t)sysconf(_SC_PAGESIZE), 0);
		for (size_t i = 0; i < 5000; i++)
			ck_assert_uint_eq(score[i], 0);
		memset(score, 0xff, scoreboard.stride);
	}
	ck_assert_ptr_null(pfi_scoreboard_at(&scoreboard, 3));
	ck_assert_ptr_null(pfi_scoreboard_at(&scoreboard, SIZE_MAX));
	pfi_scoreboard_close(&scoreboard);
	ck_assert_ptr_null(pfi_scoreboard_at(&scoreboard, 0));
	pfi_scoreboard_close(&scoreboard);
}
END_TEST

/* Runs in a child. Its own entry is shared with the parent, the others are unmapped. */
static int keep_own_entry(size_t own)
{
	const unsigned char *const base = scoreboard.base;
	const size_t stride = scoreboard.stride;

	if (pfi_scoreboard_keep(&scoreboard, own) < 0)
		return 1;
	for (size_t slot = 0; slot < 3; slot++) {
		if (is_mapped(base + slot * stride) != (slot == own))
			return 2;
		if ((pfi_scoreboard_at(&scoreboard, slot) != NULL) != (slot == own))
			return 3;
	}
	memcpy(pfi_scoreboard_at(&scoreboard, own), "here", 5);
	if (pfi_scoreboard_keep(&scoreboard, own == 0) != -EINVAL)
		return 4;
	pfi_scoreboard_close(&scoreboard);
	return is_mapped(base + own * stride) ? 5 : 0;
}

START_TEST(a_child_unmaps_the_entries_of_others)
{
	int status = 0;
	const size_t own = (size_t)_i;

	ck_assert_int_eq(pfi_scoreboard_open(3, 100, &scoreboard), 0);
	const pid_t child = fork();
	if (child == 0)
		_exit(keep_own_entry(own));
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert_str_eq(pfi_scoreboard_at(&scoreboard, own), "here");
	ck_assert_int_eq(*(char *)pfi_scoreboard_at(&scoreboard, (own + 1) % 3), 0);
	pfi_scoreboard_close(&scoreboard);
}
END_TEST

static const struct {
	size_t slots, bytes;
	int error;
} sizes[] = {
	{ 0, 100, -EINVAL },
	{ 100, 0, -EINVAL },
	{ SIZE_MAX, 1, -ENOMEM },
	{ 1, SIZE_MAX, -ENOMEM },
	{ SIZE_MAX / 4096, 4096, -ENOMEM },
};

START_TEST(impossible_sizes_are_refused)
{
	ck_assert_int_eq(pfi_scoreboard_open(sizes[_i].slots, sizes[_i].bytes, &scoreboard), sizes[_i].error);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("scoreboard");
	TCase *tc = new_case(suite, "scoreboard");

	tcase_add_test(tc, each_entry_begins_a_page_and_is_zero);
	tcase_add_loop_test(tc, a_child_unmaps_the_entries_of_others, 0, 3);
	tcase_add_loop_test(tc, impossible_sizes_are_refused, 0, (int)(sizeof sizes / sizeof sizes[0]));
	return run_suite(suite);
}
