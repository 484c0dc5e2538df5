#include "os/fd.h"
#include "os/standard_fds.h"

#include "../support.h"

#include <prefork/error.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>

START_TEST(close_sets_the_descriptor_to_minus_1_and_keeps_errno)
{
	int fd = dup(STDIN_FILENO);

	errno = ENOTTY;
	pfi_close(&fd);
	ck_assert_int_eq(fd, -1);
	pfi_close(&fd);
	ck_assert_int_eq(errno, ENOTTY);
}
END_TEST

START_TEST(flags_are_set_and_cleared)
{
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(pfi_fd_set_cloexec(fds[0], true), 0);
	ck_assert_int_eq(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(pfi_fd_set_cloexec(fds[0], false), 0);
	ck_assert_int_eq(fcntl(fds[0], F_GETFD), 0);
	ck_assert_int_eq(pfi_fd_set_nonblock(fds[0], true), 0);
	ck_assert(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
	ck_assert_int_eq(pfi_fd_set_nonblock(fds[0], false), 0);
	ck_assert(!(fcntl(fds[0], F_GETFL) & O_NONBLOCK));
	close(fds[0]);
	close(fds[1]);
	ck_assert_int_eq(pfi_fd_set_nonblock(fds[0], true), -EBADF);
}
END_TEST

/* Runs in a child; `closed` has a bit for each of 0 to 2. */
static int fill_standard(int closed)
{
	const struct rlimit none = { 0, 0 };
	struct stat null, now;

	if (stat("/dev/null", &null) < 0)
		return 10;
	for (int i = 0; i < 3; i++) {
		if (closed & 1 << i)
			(void)close(i);
	}
	if (closed == 0 && setrlimit(RLIMIT_NOFILE, &none) < 0) /* all are open: no call of open() may be needed */
		return 11;
	if (pfi_standard_fds_fill() < 0)
		return 12;
	for (int i = 0; i < 3; i++) {
		if (fstat(i, &now) < 0 || ((closed & 1 << i) && now.st_rdev != null.st_rdev))
			return 20 + i;
	}
	return 0;
}

START_TEST(closed_standard_descriptors_are_opened_on_dev_null)
{
	int status = 0;
	const pid_t child = fork();

	if (child == 0)
		_exit(fill_standard(_i));
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(descriptors_are_counted)
{
	const int before = pfi_fd_count();
	const int fd = dup(STDIN_FILENO);

	ck_assert_int_gt(before, 0);
	ck_assert_int_eq(pfi_fd_count(), before + 1);
	close(fd);
}
END_TEST

START_TEST(the_limit_is_raised_up_to_the_hard_limit)
{
	struct rlimit limit;
	uint64_t now = 0;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = 64;
	limit.rlim_max = 256;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_int_eq(pfi_fd_reserve(10, &now), 0);
	ck_assert_uint_eq(now, 64);
	ck_assert_int_eq(pfi_fd_reserve(100, &now), 0);
	ck_assert_uint_eq(now, 100);
	ck_assert_int_eq(pfi_fd_reserve(5000, &now), -EMFILE);
	ck_assert_uint_eq(now, 256);
	ck_assert_ptr_nonnull(strstr(prefork_error(), "256"));
}
END_TEST

/* Capacity of the descriptor table of the process. */
static int table_size(void)
{
	FILE *const file = fopen("/proc/self/status", "re");
	char line[128];
	int size = -1;

	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof line, file))
		(void)sscanf(line, "FDSize: %d", &size);
	(void)fclose(file);
	return size;
}

START_TEST(the_table_of_descriptors_grows_up_to_the_limit)
{
	const struct rlimit limit = { 600, 600 };
	const int before = pfi_fd_count();

	ck_assert_int_lt(table_size(), 500);
	ck_assert_int_eq(pfi_fd_expand_table(STDIN_FILENO, 500), 0);
	ck_assert_int_ge(table_size(), 500);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_int_eq(pfi_fd_expand_table(STDIN_FILENO, 1000 * 1000), 0);
	ck_assert_int_ge(table_size(), 600);
	ck_assert_int_lt(pfi_fd_expand_table(-1, 10), 0);
	ck_assert_int_eq(pfi_fd_count(), before);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fd");
	TCase *tc = new_case(suite, "fd");

	tcase_add_test(tc, close_sets_the_descriptor_to_minus_1_and_keeps_errno);
	tcase_add_test(tc, flags_are_set_and_cleared);
	tcase_add_loop_test(tc, closed_standard_descriptors_are_opened_on_dev_null, 0, 8);
	tcase_add_test(tc, descriptors_are_counted);
	tcase_add_test(tc, the_table_of_descriptors_grows_up_to_the_limit);
	tcase_add_test(tc, the_limit_is_raised_up_to_the_hard_limit);
	return run_suite(suite);
}
