/* The epoll set of a descriptor, found in /proc/self/fdinfo. */
#include "../support.h"

#include "os/epoll.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

static int one, other, fd;

static void open_all(void)
{
	one = epoll_create1(EPOLL_CLOEXEC);
	other = epoll_create1(EPOLL_CLOEXEC);
	fd = eventfd(0, EFD_CLOEXEC);
	ck_assert(one >= 0 && other >= 0 && fd >= 0);
}

static void close_all(void)
{
	(void)close(fd);
	(void)close(other);
	(void)close(one);
}

static void add(int set, int member, uint64_t data)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = data };

	ck_assert_int_eq(epoll_ctl(set, EPOLL_CTL_ADD, member, &event), 0);
}

START_TEST(a_member_is_found_with_its_set_and_data)
{
	int set = -1;
	uint64_t data = 0;

	add(one, other, 1); /* a set may be a member itself */
	add(other, fd, UINT64_C(0xfedcba9876543210));
	ck_assert_int_eq(pfi_epoll_find(fd, &set, &data), 0);
	ck_assert_int_eq(set, other);
	ck_assert_uint_eq(data, UINT64_C(0xfedcba9876543210));
	ck_assert_int_eq(pfi_epoll_find(other, &set, &data), 0);
	ck_assert_int_eq(set, one);
	ck_assert_uint_eq(data, 1);
}
END_TEST

START_TEST(a_descriptor_in_no_set_or_in_several_is_not_found)
{
	int set = -1;
	uint64_t data = 7;

	ck_assert_int_eq(pfi_epoll_find(fd, &set, &data), -ENOENT);
	add(one, fd, 1);
	add(other, fd, 2);
	ck_assert_int_eq(pfi_epoll_find(fd, &set, &data), -EEXIST);
	ck_assert_int_eq(set, -1);
	ck_assert_uint_eq(data, 7);
	ck_assert_int_eq(epoll_ctl(one, EPOLL_CTL_DEL, fd, NULL), 0);
	ck_assert_int_eq(pfi_epoll_find(fd, &set, &data), 0);
	ck_assert_int_eq(set, other);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("epoll");
	TCase *tc = new_case(suite, "epoll");

	tcase_add_checked_fixture(tc, open_all, close_all);
	tcase_add_test(tc, a_member_is_found_with_its_set_and_data);
	tcase_add_test(tc, a_descriptor_in_no_set_or_in_several_is_not_found);
	return run_suite(suite);
}
