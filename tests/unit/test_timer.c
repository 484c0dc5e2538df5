#include "os/timer.h"

#include "os/clock.h"

#include "../support.h"

#include <errno.h>
#include <fcntl.h>

START_TEST(a_timer_expires_once_and_never_early)
{
	int fd = pfi_timer_open();
	const uint64_t at_ms = pfi_now_ms() + 30;

	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(pfi_timer_clear(fd), -EAGAIN);
	ck_assert_int_eq(pfi_timer_set(fd, at_ms), 0);
	ck_assert(wait_for(fd, POLLIN, 10000));
	ck_assert_uint_ge(pfi_now_ms(), at_ms);
	ck_assert_int_eq(pfi_timer_clear(fd), 0);
	ck_assert_int_eq(pfi_timer_clear(fd), -EAGAIN);
	pfi_timer_close(&fd);
	ck_assert_int_eq(fd, -1);
}
END_TEST

START_TEST(a_deadline_in_the_past_expires_at_once)
{
	int fd = pfi_timer_open();

	ck_assert_int_eq(pfi_timer_set(fd, 1), 0);
	ck_assert(wait_for(fd, POLLIN, 1000));
	pfi_timer_close(&fd);
}
END_TEST

START_TEST(zero_clears_an_expired_timer)
{
	int fd = pfi_timer_open();

	ck_assert_int_eq(pfi_timer_set(fd, 1), 0);
	ck_assert(wait_for(fd, POLLIN, 1000));
	ck_assert_int_eq(pfi_timer_set(fd, 0), 0);
	ck_assert(!wait_for(fd, POLLIN, 0));
	pfi_timer_close(&fd);
}
END_TEST

/* A deadline of "never" plus a timeout. */
START_TEST(the_maximum_deadline_never_expires)
{
	int fd = pfi_timer_open();

	ck_assert_int_eq(pfi_timer_set(fd, UINT64_MAX), 0);
	ck_assert(!wait_for(fd, POLLIN, 0));
	pfi_timer_close(&fd);
}
END_TEST

START_TEST(a_closed_timer_is_refused)
{
	ck_assert_int_eq(pfi_timer_set(-1, 5), -EBADF);
	ck_assert_int_eq(pfi_timer_clear(-1), -EBADF);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("timer");
	TCase *tc = new_case(suite, "timer");

	tcase_add_test(tc, a_timer_expires_once_and_never_early);
	tcase_add_test(tc, a_deadline_in_the_past_expires_at_once);
	tcase_add_test(tc, zero_clears_an_expired_timer);
	tcase_add_test(tc, the_maximum_deadline_never_expires);
	tcase_add_test(tc, a_closed_timer_is_refused);
	return run_suite(suite);
}
