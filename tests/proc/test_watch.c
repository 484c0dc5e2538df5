/*
 * What a library beside this one uses in the arbiter: descriptors that are polled, kept or sent to workers, and the hook
 * that checks the settings of a pool.
 */
#include "../support.h"

#include <prefork/prefork.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { LIMIT_MS = 20000 };

static struct prefork_arbiter *arbiter;
static int ends[2], kept, calls;
static struct stat watched_file, kept_file;
static char text[64];

/* In the arbiter. */
static void on_readable(struct prefork_arbiter *which, int fd, void *user)
{
	ck_assert_ptr_eq(which, arbiter);
	ck_assert_ptr_eq(user, &calls);
	const ssize_t n = read(fd, text, sizeof text - 1);
	ck_assert_int_gt(n, 0);
	text[n] = '\0';
	calls++;
}

static void on_ready(struct prefork_arbiter *which, struct prefork_process *process, void *user)
{
	(void)which, (void)user;
	ck_assert_int_eq(prefork_settings_int(prefork_process_settings(process), "workers"), 1);
	ck_assert_int_eq(prefork_process_send(process, "a topic", ends[1]), 0);
}

/* The number may be another file's in the worker. */
static bool has(int fd, const struct stat *file)
{
	struct stat status;

	return fstat(fd, &status) == 0 && status.st_ino == file->st_ino && status.st_dev == file->st_dev;
}

/* In the worker: what it got, and whether it has what is the arbiter's alone. */
static void on_message(struct prefork_worker *worker, const char *topic, int fd, void *user)
{
	char line[64];
	const bool is_private = !has(ends[0], &watched_file) && !has(kept, &kept_file);

	(void)worker, (void)user;
	const int length = snprintf(line, sizeof line, "%s, %s", topic, is_private ? "private" : "inherited");
	(void)!write(fd, line, (size_t)length);
}

static int check_pool(struct prefork_arbiter *which, const char *pool, const struct prefork_settings *settings, void *user)
{
	(void)which;
	if (user == NULL || prefork_settings_int(settings, "workers") != 1 || strcmp(pool, "web") != 0)
		return 0;
	return prefork_fail(PREFORK_ECONFIG, "pool %s is refused", pool);
}

static enum prefork_next close_at_once(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	(void)worker, (void)connection, (void)user;
	return PREFORK_CLOSE;
}

static const struct prefork_service service = { .struct_size = sizeof service, .ready = close_at_once };
static const struct prefork_hooks hooks = {
	.struct_size = sizeof hooks, .worker_ready = on_ready, .check_pool = check_pool, .worker_message = on_message
};

static void create(void *user)
{
	const char *const argv[] = { "test", "-b", "127.0.0.1:0", "--log-level", "critical" };
	struct prefork_settings *settings = NULL;

	ck_assert_int_eq(prefork_settings_load(5, (char *const *)(uintptr_t)argv, &settings), 0);
	ck_assert_int_eq(prefork_arbiter_create(settings, &arbiter), 0);
	ck_assert_int_eq(prefork_arbiter_add_service(arbiter, "web", &service, NULL), 0);
	ck_assert_int_eq(prefork_arbiter_add_hooks(arbiter, &hooks, user), 0);
	prefork_settings_destroy(settings);
}

static int until(const int *counter, int least)
{
	int r = 1;

	while (r == 1 && *counter < least) {
		ck_assert_msg(wait_for(prefork_arbiter_fd(arbiter), POLLIN, LIMIT_MS), "waited too long");
		r = prefork_arbiter_dispatch(arbiter);
	}
	return r;
}

START_TEST(descriptors_reach_workers_only_when_they_are_sent)
{
	static const int never;

	calls = 0;
	create(NULL);
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	kept = memfd_create("kept", MFD_CLOEXEC);
	ck_assert_int_eq(fstat(ends[0], &watched_file) | fstat(kept, &kept_file), 0);
	ck_assert_int_eq(prefork_arbiter_watch(arbiter, ends[0], on_readable, &calls), 0);
	ck_assert_int_eq(prefork_arbiter_keep_fd(arbiter, "some-keys", kept), 0);
	ck_assert_int_eq(prefork_arbiter_start(arbiter), 0);
	ck_assert_int_eq(until(&calls, 1), 1);
	ck_assert_str_eq(text, "a topic, private");
	prefork_arbiter_request_stop(arbiter, false);
	ck_assert_int_eq(until(&never, 1), 0);
	prefork_arbiter_destroy(arbiter); /* closes both */
	ck_assert_int_lt(fcntl(ends[0], F_GETFD), 0);
	ck_assert_int_lt(fcntl(kept, F_GETFD), 0);
	ck_assert_int_eq(close(ends[1]), 0);
}
END_TEST

START_TEST(names_and_numbers_of_descriptors_are_checked)
{
	int more[17][2];

	create(NULL);
	ck_assert_int_eq(prefork_arbiter_watch(arbiter, 1000, on_readable, NULL), -EBADF);
	for (int i = 0; i < 17; i++) {
		ck_assert_int_eq(pipe2(more[i], O_CLOEXEC), 0);
		ck_assert_int_eq(prefork_arbiter_watch(arbiter, more[i][0], on_readable, NULL), i < 16 ? 0 : -ENOSPC);
		ck_assert_int_eq(close(more[i][1]), 0);
	}
	prefork_arbiter_unwatch(arbiter, more[3][0]);
	ck_assert_int_lt(fcntl(more[3][0], F_GETFD), 0);
	ck_assert_int_eq(prefork_arbiter_watch(arbiter, more[16][0], on_readable, NULL), 0);

	ck_assert_int_eq(prefork_arbiter_keep_fd(arbiter, "Keys", 0), -EINVAL);
	ck_assert_int_eq(prefork_arbiter_keep_fd(arbiter, "", 0), -EINVAL);
	ck_assert_int_eq(prefork_arbiter_keep_fd(arbiter, "a=1,b", 0), -EINVAL);
	ck_assert_int_eq(prefork_arbiter_keep_fd(arbiter, "keys", 1000), -EBADF);
	ck_assert_int_eq(prefork_arbiter_kept_fd(arbiter, "keys"), -ENOENT);
	const int first = dup(2), second = dup(2);
	ck_assert_int_eq(prefork_arbiter_keep_fd(arbiter, "keys", first), 0);
	ck_assert_int_eq(prefork_arbiter_keep_fd(arbiter, "keys", second), 0);
	ck_assert_int_eq(prefork_arbiter_kept_fd(arbiter, "keys"), second);
	ck_assert_int_lt(fcntl(first, F_GETFD), 0);
	prefork_arbiter_destroy(arbiter);
}
END_TEST

START_TEST(a_pool_whose_settings_are_refused_is_not_started)
{
	create(&calls);
	ck_assert_int_eq(prefork_arbiter_start(arbiter), PREFORK_ECONFIG);
	ck_assert_str_eq(prefork_error(), "pool web is refused");
	prefork_arbiter_destroy(arbiter);
}
END_TEST

int main(void)
{
	Suite *const suite = suite_create("watch");
	TCase *const tc = new_case(suite, "watch");

	tcase_add_test(tc, descriptors_reach_workers_only_when_they_are_sent);
	tcase_add_test(tc, names_and_numbers_of_descriptors_are_checked);
	tcase_add_test(tc, a_pool_whose_settings_are_refused_is_not_started);
	return run_suite(suite);
}
