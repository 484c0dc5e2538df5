/*
 * The pid file: a stale one is recognised by its lock, of several starters one wins, and only the owner removes it.
 */
#include "os/pidfile.h"

#include "../support.h"

#include <prefork/error.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>

enum {
	RACERS = 6,
	ROUNDS = 30,
	STARTER_MS = 190, /* a starter waits so long for another one that replaces a stale file */
};

static char directory[] = "/tmp/prefork-pidfile-XXXXXX";
static char path[64], other[64];

/* Linked with --wrap=link. */
int __real_link(const char *from, const char *to);
int __wrap_link(const char *from, const char *to);

static bool has_links = true;

/* As vfat, which has no hard links: EPERM, also if the name is taken. */
int __wrap_link(const char *from, const char *to)
{
	if (has_links)
		return __real_link(from, to);
	errno = EPERM;
	return -1;
}

static void remove_links(void)
{
	has_links = false;
}

static void make_directory(void)
{
	set_up();
	(void)strcpy(strrchr(directory, '-'), "-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	(void)snprintf(path, sizeof path, "%s/pid", directory);
	(void)snprintf(other, sizeof other, "%s/pid.2", directory);
}

/* A file that is left over, or a temporary one, fails the test. */
static void remove_directory(void)
{
	(void)unlink(path);
	(void)unlink(other);
	ck_assert_int_eq(rmdir(directory), 0);
	tear_down();
}

static void write_file(const char *name, const char *text)
{
	FILE *const file = fopen(name, "w");

	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs(text, file), 0);
	ck_assert_int_eq(fclose(file), 0);
}

static void expect_file(const char *name, const char *text)
{
	char bytes[64] = "";
	FILE *const file = fopen(name, "r");

	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fread(bytes, 1, sizeof bytes - 1, file), strlen(text));
	(void)fclose(file);
	ck_assert_str_eq(bytes, text);
}

static void expect_pid(const char *name, pid_t expected)
{
	pid_t pid = 0;

	ck_assert_int_eq(pfi_pidfile_read(name, &pid), 0);
	ck_assert_int_eq(pid, expected);
}

static void expect_message(const char *part)
{
	ck_assert_msg(strstr(prefork_error(), part) != NULL, "it says: %s", prefork_error());
}

START_TEST(the_file_holds_the_pid_and_goes_with_its_owner)
{
	struct pfi_pidfile pidfile;
	struct stat status;

	ck_assert_int_eq(pfi_pidfile_check(path), 0);
	ck_assert_int_eq(pfi_pidfile_create(&pidfile, path), 0);
	expect_pid(path, getpid());
	ck_assert_int_eq(stat(path, &status), 0);
	ck_assert_uint_eq(status.st_mode, S_IFREG | 0644);
	ck_assert_int_ne(fcntl(pidfile.fd, F_GETFD) & FD_CLOEXEC, 0);
	ck_assert_int_eq(pfi_pidfile_check(path), 0);
	pfi_pidfile_remove(&pidfile);
	ck_assert_int_ne(access(path, F_OK), 0);
	pfi_pidfile_remove(&pidfile); /* of none: nothing */
}
END_TEST

START_TEST(a_relative_path_is_that_of_the_start)
{
	struct pfi_pidfile pidfile;
	char before[4096];

	ck_assert_ptr_nonnull(getcwd(before, sizeof before));
	ck_assert_int_eq(chdir(directory), 0);
	ck_assert_int_eq(pfi_pidfile_create(&pidfile, "pid"), 0);
	ck_assert_int_eq(chdir(before), 0);
	expect_pid(path, getpid());
	pfi_pidfile_remove(&pidfile);
	ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

/* What is left over may be the number of any process: this one's parent is alive. */
START_TEST(a_file_without_a_lock_is_stale_whatever_its_number)
{
	static const char *const left_over[] = { "1\n", "999999999\n", "12", "" };
	struct pfi_pidfile pidfile;

	write_file(path, left_over[_i]);
	ck_assert_int_eq(pfi_pidfile_check(path), 0);
	ck_assert_int_eq(pfi_pidfile_create(&pidfile, path), 0);
	expect_pid(path, getpid());
	pfi_pidfile_remove(&pidfile);
	ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

START_TEST(a_locked_file_refuses_a_second_server_and_names_the_first)
{
	struct pfi_pidfile first, second;
	char words[64];

	ck_assert_int_eq(pfi_pidfile_create(&first, path), 0);
	ck_assert_int_eq(pfi_pidfile_create(&second, path), -EEXIST);
	(void)snprintf(words, sizeof words, "the server with process id %d is running", (int)getpid());
	expect_message(words);
	expect_message(path);
	pfi_pidfile_remove(&second);
	expect_pid(path, getpid());
	pfi_pidfile_remove(&first);
}
END_TEST

START_TEST(what_is_no_pid_file_stays_as_it_is)
{
	static const char *const texts[] = { "root:x:0:0\n", "12 34\n", "-5\n", "0\n", "123456789012345678901234567890123456\n" };
	struct pfi_pidfile pidfile;

	write_file(path, texts[_i]);
	ck_assert_int_eq(pfi_pidfile_create(&pidfile, path), -EINVAL);
	expect_message("is not a pid file");
	ck_assert_int_eq(pfi_pidfile_check(path), -EINVAL);
	expect_file(path, texts[_i]);
}
END_TEST

START_TEST(links_pipes_and_directories_are_no_pid_files)
{
	struct pfi_pidfile pidfile;

	write_file(other, "7\n");
	ck_assert_int_eq(symlink(other, path), 0);
	ck_assert_int_eq(pfi_pidfile_create(&pidfile, path), -ELOOP);
	expect_message("is a symbolic link");
	expect_file(other, "7\n");
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(pfi_pidfile_create(&pidfile, path), -EINVAL);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(pfi_pidfile_create(&pidfile, directory), -EINVAL);
	ck_assert_int_eq(pfi_pidfile_create(&pidfile, "/nowhere/at/all/pid"), -ENOENT);
	expect_message("its directory does not exist");
	ck_assert_int_eq(pfi_pidfile_check("/nowhere/at/all/pid"), -ENOENT);
}
END_TEST

START_TEST(the_file_of_another_is_not_removed)
{
	struct pfi_pidfile pidfile;

	ck_assert_int_eq(pfi_pidfile_create(&pidfile, path), 0);
	ck_assert_int_eq(unlink(path), 0);
	write_file(path, "42\n");
	pfi_pidfile_remove(&pidfile);
	expect_file(path, "42\n");
}
END_TEST

/* An upgrade: the file of a new server that was killed. */
START_TEST(a_stale_file_of_another_is_removed_and_a_locked_one_is_not)
{
	struct pfi_pidfile pidfile;

	ck_assert_int_eq(pfi_pidfile_create(&pidfile, path), 0);
	ck_assert_int_eq(pfi_pidfile_remove_stale(path), -EAGAIN);
	expect_pid(path, getpid());
	pfi_pidfile_remove(&pidfile);
	write_file(path, "1\n");
	ck_assert_int_eq(pfi_pidfile_remove_stale(path), 0);
	ck_assert_int_ne(access(path, F_OK), 0);
	ck_assert_int_eq(pfi_pidfile_remove_stale(path), 0);
	write_file(path, "1 2\n");
	ck_assert_int_eq(pfi_pidfile_remove_stale(path), 0);
	expect_file(path, "1 2\n");
	ck_assert_int_eq(unlink(path), 0);
	write_file(other, "1\n");
	ck_assert_int_eq(symlink(other, path), 0);
	ck_assert_int_eq(pfi_pidfile_remove_stale(path), 0);
	expect_file(other, "1\n");
}
END_TEST

START_TEST(a_forked_child_does_not_remove_it)
{
	struct pfi_pidfile pidfile;
	int status = 1;

	ck_assert_int_eq(pfi_pidfile_create(&pidfile, path), 0);
	const pid_t pid = fork();
	if (pid == 0) {
		pfi_pidfile_remove(&pidfile);
		_exit(pidfile.fd != -1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	expect_pid(path, getpid());
	pfi_pidfile_remove(&pidfile);
}
END_TEST

/* An upgrade: the new server has a file of its own, which at last gets the name of the old one's. */
START_TEST(a_renamed_file_keeps_its_lock_and_the_old_owner_leaves_it)
{
	struct pfi_pidfile before, after, third;
	struct stat renamed, now;

	ck_assert_int_eq(pfi_pidfile_create(&before, path), 0);
	ck_assert_int_eq(pfi_pidfile_create(&after, other), 0);
	ck_assert_int_eq(fstat(after.fd, &renamed), 0);
	ck_assert_int_eq(pfi_pidfile_rename(&after, path), 0);
	ck_assert_int_ne(access(other, F_OK), 0);
	ck_assert_int_eq(stat(path, &now), 0);
	ck_assert_uint_eq(now.st_ino, renamed.st_ino);
	ck_assert_int_eq(pfi_pidfile_create(&third, path), -EEXIST);
	pfi_pidfile_remove(&before);
	expect_pid(path, getpid());
	ck_assert_int_eq(pfi_pidfile_create(&third, path), -EEXIST);
	ck_assert_int_eq(pfi_pidfile_rename(&after, "/nowhere/at/all/pid"), -ENOENT);
	expect_pid(path, getpid());
	pfi_pidfile_remove(&after);
	ck_assert_int_ne(access(path, F_OK), 0);
	ck_assert_int_eq(pfi_pidfile_rename(&after, path), -EBADF); /* of none */
}
END_TEST

struct result {
	pid_t pid;
	int r;
	uint64_t took_ms;
	char message[256];
};

/* Runs in a child: report the result, and keep the file until `end` is closed. */
static void race(int start, int report, int end)
{
	struct result result = { .pid = getpid() };
	struct pfi_pidfile pidfile;
	char byte;

	(void)!read(start, &byte, 1);
	const uint64_t began_ms = pfi_now_ms();
	result.r = pfi_pidfile_create(&pidfile, path);
	result.took_ms = pfi_now_ms() - began_ms;
	(void)snprintf(result.message, sizeof result.message, "%s", result.r < 0 ? prefork_error() : "");
	(void)!write(report, &result, sizeof result);
	(void)!read(end, &byte, 1);
	pfi_pidfile_remove(&pidfile);
	_exit(0);
}

static void check_results(int report, bool had_stale)
{
	struct result all[RACERS];
	pid_t winner = 0;
	char words[64];

	for (int i = 0; i < RACERS; i++) {
		ck_assert(wait_for(report, POLLIN, 10000));
		ck_assert_int_eq(read(report, &all[i], sizeof all[i]), sizeof all[i]);
		if (all[i].r == 0) {
			ck_assert_int_eq(winner, 0);
			winner = all[i].pid;
		}
	}
	ck_assert_int_ne(winner, 0);
	(void)snprintf(words, sizeof words, "process id %d is running", (int)winner);
	for (int i = 0; i < RACERS; i++) {
		/* If the winner was stopped before it had replaced the stale file, the others find the old number. */
		const bool may_be_stale = had_stale && all[i].took_ms >= STARTER_MS;
		const bool is_named = may_be_stale || strstr(all[i].message, words) != NULL;

		ck_assert_msg(all[i].r == 0 || (all[i].r == -EEXIST && is_named), "%d: %s", all[i].r, all[i].message);
	}
	expect_pid(path, winner);
}

/* Goal: of several that start at once one wins, and the others name it, whether there is no file or a stale one. */
START_TEST(of_several_starters_one_wins)
{
	for (int round = 0; round < ROUNDS; round++) {
		int start[2], report[2], end[2];

		if (_i > 0)
			write_file(path, "999999999\n");
		ck_assert(pipe(start) == 0 && pipe(report) == 0 && pipe(end) == 0);
		for (int i = 0; i < RACERS; i++) {
			if (fork() == 0) {
				(void)close(start[1]);
				(void)close(end[1]);
				race(start[0], report[1], end[0]);
			}
		}
		(void)close(start[0]);
		(void)close(start[1]);
		check_results(report[0], _i > 0 || !has_links);
		(void)close(end[1]);
		for (int i = 0; i < RACERS; i++)
			ck_assert_int_gt(wait(NULL), 0);
		(void)close(end[0]);
		(void)close(report[0]);
		(void)close(report[1]);
		ck_assert_int_ne(access(path, F_OK), 0);
	}
}
END_TEST

static void add_tests(Suite *suite, const char *name, bool links)
{
	TCase *const tc = tcase_create(name);

	tcase_add_checked_fixture(tc, make_directory, remove_directory);
	if (!links)
		tcase_add_checked_fixture(tc, remove_links, NULL);
	tcase_set_timeout(tc, patience_ms(20000) / 1000);
	suite_add_tcase(suite, tc);
	tcase_add_test(tc, the_file_holds_the_pid_and_goes_with_its_owner);
	tcase_add_test(tc, a_relative_path_is_that_of_the_start);
	tcase_add_loop_test(tc, a_file_without_a_lock_is_stale_whatever_its_number, 0, 4);
	tcase_add_test(tc, a_locked_file_refuses_a_second_server_and_names_the_first);
	tcase_add_loop_test(tc, what_is_no_pid_file_stays_as_it_is, 0, 5);
	tcase_add_test(tc, links_pipes_and_directories_are_no_pid_files);
	tcase_add_test(tc, the_file_of_another_is_not_removed);
	tcase_add_test(tc, a_stale_file_of_another_is_removed_and_a_locked_one_is_not);
	tcase_add_test(tc, a_forked_child_does_not_remove_it);
	tcase_add_test(tc, a_renamed_file_keeps_its_lock_and_the_old_owner_leaves_it);
	tcase_add_loop_test(tc, of_several_starters_one_wins, 0, 2);
}

int main(void)
{
	Suite *const suite = suite_create("pidfile");

	add_tests(suite, "pidfile", true);
	add_tests(suite, "without hard links", false);
	return run_suite(suite);
}
