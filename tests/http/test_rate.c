/* How long a client is waited for, by what it has sent or taken so far. */
#include "../support.h"

#include "http/rate.h"

#include <check.h>

static const struct {
	uint64_t timeout_ms, rate, bytes, waited_ms, patience_ms;
} rows[] = {
	{ 30000, 0, 0, 1000000000, 30000 },  /* no rate: only silence counts        */
	{ 30000, 500, 0, 0, 30000 },
	{ 30000, 500, 0, 29999, 1 },
	{ 30000, 500, 0, 30000, 0 },         /* nothing at all                      */
	{ 30000, 500, 1000, 30000, 2000 },   /* 1000 bytes have earned two seconds  */
	{ 30000, 500, 1000, 32000, 0 },
	{ 30000, 500, 100000, 100000, 30000 }, /* twice as fast as it must be       */
	{ 30000, 500, 50000, 129999, 1 },    /* 385 bytes a second                  */
	{ 30000, 500, 50000, 130000, 0 },
	{ 30000, 500, 499, 30997, 1 },
	{ 100, 1 << 30, UINT64_MAX, 100, 100 }, /* bytes * 1000 would wrap       */
};
enum { ROWS = sizeof rows / sizeof rows[0] };

START_TEST(a_client_has_the_timeout_and_the_time_that_its_bytes_earned)
{
	const uint64_t patience_ms =
		pfi_rate_timeout_ms(rows[_i].timeout_ms, rows[_i].rate, rows[_i].bytes, rows[_i].waited_ms);

	ck_assert_uint_eq(patience_ms, rows[_i].patience_ms);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rate");
	TCase *tc = tcase_create("rate");
	tcase_add_loop_test(tc, a_client_has_the_timeout_and_the_time_that_its_bytes_earned, 0, ROWS);
	suite_add_tcase(suite, tc);

	return run_suite(suite);
}
