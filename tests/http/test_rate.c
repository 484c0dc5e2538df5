/* The remaining time of a client, by the number of bytes that it has sent or received. */
#include "../support.h"

#include "http/rate.h"

#include <check.h>

static const struct {
	uint64_t timeout_ms, rate, bytes, waited_ms, patience_ms;
} rows[] = {
	{ 30000, 0, 0, 1000000000, 30000 },  /* no rate: the timeout since the last byte */
	{ 30000, 500, 0, 0, 30000 },
	{ 30000, 500, 0, 29999, 1 },
	{ 30000, 500, 0, 30000, 0 },         /* no byte                             */
	{ 30000, 500, 1000, 30000, 2000 },   /* 1000 bytes add 2 s                  */
	{ 30000, 500, 1000, 32000, 0 },
	{ 30000, 500, 100000, 100000, 30000 }, /* twice the minimum rate            */
	{ 30000, 500, 50000, 129999, 1 },    /* 385 bytes a second                  */
	{ 30000, 500, 50000, 130000, 0 },
	{ 30000, 500, 499, 30997, 1 },
	{ 100, 1 << 30, UINT64_MAX, 100, 100 }, /* bytes * 1000 would wrap       */
};
enum { ROWS = sizeof rows / sizeof rows[0] };

START_TEST(each_byte_extends_the_timeout_by_its_time_at_the_minimum_rate)
{
	const uint64_t patience_ms =
		pfi_rate_timeout_ms(rows[_i].timeout_ms, rows[_i].rate, rows[_i].bytes, rows[_i].waited_ms);

	ck_assert_uint_eq(patience_ms, rows[_i].patience_ms);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rate");
	TCase *tc = new_case(suite, "rate");
	tcase_add_loop_test(tc, each_byte_extends_the_timeout_by_its_time_at_the_minimum_rate, 0, ROWS);

	return run_suite(suite);
}
