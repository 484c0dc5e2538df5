/*
 * The table of the library's descriptors: which of them a worker keeps, which a forked child closes, and
 * that after a fork at any time the open descriptors and the entries agree.
 */
#include "os/fdtable.h"
#include "os/open.h"

#include "../support.h"
#include "os/control_channel.h"
#include "os/spawn.h"
#include "os/timer.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { FORKS = 200, CHURNERS = 3 };

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* Expects the exit status 0 of a child that calls `child`. */
static void expect_0(int (*child)(void))
{
	int status = 0;
	const pid_t pid = fork();

	if (pid == 0)
		_exit(child());
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

START_TEST(opening_enters_a_descriptor_and_closing_removes_it)
{
	int pair[2], timer = pfi_timer_open(), set = pfi_open_epoll(), event = pfi_open_eventfd();

	ck_assert_int_eq(pfi_open_pair(SOCK_STREAM, pair), 0);
	ck_assert_int_eq(pfi_fdtable_look_up(timer).kind, PFI_FD_TIMER);
	ck_assert_int_eq(pfi_fdtable_look_up(set).kind, PFI_FD_EPOLL);
	ck_assert_int_eq(pfi_fdtable_look_up(event).kind, PFI_FD_EVENT);
	ck_assert_int_eq(pfi_fdtable_look_up(pair[1]).kind, PFI_FD_CHANNEL);
	ck_assert_uint_eq(pfi_fdtable_look_up(set).arbiter, 0);
	ck_assert_uint_eq(pfi_fdtable_look_up(set).slot, PFI_FD_NO_SLOT);
	pfi_fdtable_set_owner(set, 0xffffff, 7);
	ck_assert_uint_eq(pfi_fdtable_look_up(set).arbiter, 0xffffff);
	ck_assert_uint_eq(pfi_fdtable_look_up(set).slot, 7);
	ck_assert_int_eq(pfi_fdtable_look_up(set).kind, PFI_FD_EPOLL);
	const int number = set;
	pfi_close(&set);
	ck_assert_int_eq(pfi_fdtable_look_up(number).kind, PFI_FD_NONE);
	pfi_fdtable_set_owner(number, 1, 1); /* not entered: no effect */
	ck_assert_int_eq(pfi_fdtable_look_up(number).kind, PFI_FD_NONE);
	pfi_close(&timer);
	pfi_close(&event);
	pfi_close(&pair[0]);
	pfi_close(&pair[1]);
}
END_TEST

START_TEST(a_new_file_is_marked_until_it_is_closed)
{
	int log = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	const int number = log;

	pfi_fdtable_set_new(-1, true);
	pfi_fdtable_set_new(log, true); /* not entered: no effect */
	ck_assert(!pfi_fdtable_is_new(log));
	ck_assert_int_eq(pfi_fdtable_adopt(log, PFI_FD_LOG), 0);
	ck_assert_int_eq(pfi_fdtable_find_new(7), -1);
	pfi_fdtable_set_new(log, true);
	ck_assert_int_eq(pfi_fdtable_find_new(7), log); /* of the program */
	pfi_fdtable_set_owner(log, 8, PFI_FD_NO_SLOT);
	ck_assert(pfi_fdtable_is_new(log));
	ck_assert_int_eq(pfi_fdtable_look_up(log).kind, PFI_FD_LOG);
	ck_assert_int_eq(pfi_fdtable_find_new(7), -1);
	ck_assert_int_eq(pfi_fdtable_find_new(8), log);
	pfi_close(&log);
	ck_assert(!pfi_fdtable_is_new(number));
}
END_TEST

START_TEST(high_numbers_are_entered_and_impossible_ones_are_refused)
{
	int far = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 900);

	ck_assert_int_ge(far, 900);
	ck_assert_int_eq(pfi_fdtable_adopt(far, PFI_FD_LISTENER), 0);
	ck_assert_int_eq(pfi_fdtable_look_up(far).kind, PFI_FD_LISTENER);
	ck_assert_int_eq(pfi_fdtable_look_up(far + 100000).kind, PFI_FD_NONE);
	ck_assert_int_eq(pfi_fdtable_look_up(-1).kind, PFI_FD_NONE);
	ck_assert_int_eq(pfi_fdtable_adopt(1 << 30, PFI_FD_LISTENER), -EMFILE);
	pfi_fdtable_remove(-1);
	pfi_fdtable_keep(1 << 30);
	errno = ENFILE;
	ck_assert_int_eq(pfi_fdtable_enter(-1, PFI_FD_EPOLL), -ENFILE);
	pfi_close(&far);
	for (int kind = 0; kind < PFI_FD_KINDS; kind++)
		ck_assert_ptr_nonnull(pfi_fd_kind_name((enum pfi_fd_kind)kind));
}
END_TEST

/* The application has closed its standard descriptors: its output must not reach a socket of the library. */
static int open_without_standard(void)
{
	struct pfi_fd_entry entry;

	for (int i = 0; i < 3; i++)
		(void)close(i);
	const int fd = pfi_open_eventfd();
	entry = pfi_fdtable_look_up(fd);
	if (fd < 3 || entry.kind != PFI_FD_EVENT)
		return 10;
	for (int i = 0; i < 3; i++) {
		if (!is_open(i) || pfi_fdtable_look_up(i).kind != PFI_FD_NONE)
			return 11;
	}
	return fcntl(fd, F_GETFD) & FD_CLOEXEC ? 0 : 12;
}

START_TEST(no_descriptor_of_the_library_has_a_standard_number)
{
	expect_0(open_without_standard);
}
END_TEST

static int fds[8];

static void open_some(void)
{
	for (int i = 0; i < 6; i++)
		fds[i] = pfi_open_eventfd();
	fds[6] = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3); /* the application's */
	fds[7] = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 600);
	/* 4: a log of the application, 5: a log of another arbiter. */
	(void)pfi_fdtable_adopt(fds[4], PFI_FD_LOG);
	(void)pfi_fdtable_adopt(fds[5], PFI_FD_LOG);
	pfi_fdtable_set_owner(fds[5], 2, PFI_FD_NO_SLOT);
}

static void close_some(void)
{
	for (int i = 0; i < 8; i++)
		pfi_close(&fds[i]);
}

static int become_worker(void)
{
	static const bool is_kept[8] = { [1] = true, [3] = true, [4] = true, [6] = true, [7] = true };

	pfi_fdtable_keep(fds[1]);
	pfi_fdtable_keep(fds[3]);
	pfi_fdtable_keep(fds[6]); /* not entered: no effect */
	pfi_fdtable_close_rest(1);
	for (int i = 0; i < 8; i++) {
		if (is_open(fds[i]) != is_kept[i])
			return 10 + i;
	}
	if (pfi_fdtable_look_up(fds[0]).kind != PFI_FD_NONE || pfi_fdtable_look_up(fds[1]).kind != PFI_FD_EVENT)
		return 20;
	if (pfi_fdtable_close_unlisted() < 0)
		return 21;
	for (int i = 0; i < 8; i++) {
		if (is_open(fds[i]) != (is_kept[i] && i < 6))
			return 30 + i;
	}
	if (!is_open(STDIN_FILENO) || !is_open(STDERR_FILENO) || pfi_fd_count() != 3 + 3)
		return 22;
	pfi_fdtable_close_rest(1); /* fds[1] is no longer on the list */
	return is_open(fds[1]) || !is_open(fds[4]) ? 23 : 0;
}

START_TEST(a_worker_keeps_listed_descriptors_and_those_of_the_application)
{
	open_some();
	expect_0(become_worker);
	close_some();
}
END_TEST

static int forget(void)
{
	errno = ENOTTY;
	if (pfi_fdtable_is_forgotten())
		return 10;
	pfi_fdtable_forget();
	if (errno != ENOTTY || !pfi_fdtable_is_forgotten())
		return 11;
	for (int i = 0; i < 8; i++) {
		if (is_open(fds[i]) != (i >= 4))
			return 20 + i;
	}
	/* A second call does not close a number that the application has opened since. */
	const int reused = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, fds[0]);
	pfi_fdtable_forget();
	return is_open(reused) ? 0 : 12;
}

START_TEST(a_forked_child_keeps_logs_and_descriptors_of_the_application)
{
	open_some();
	expect_0(forget);
	close_some();
}
END_TEST

/* Threads open and close descriptors during forks. In each child every open descriptor but the application's
 * must be entered, because the child would never close it otherwise. */
static atomic_bool stop_churning;

static void *churn(void *listener)
{
	while (!atomic_load(&stop_churning)) {
		struct sockaddr_storage address;
		socklen_t size = sizeof address;
		int fd = pfi_open_eventfd(), set = pfi_open_epoll();
		int connection = pfi_accept(*(int *)listener, (struct sockaddr *)&address, &size); /* no connection is pending */

		pfi_close(&connection);
		pfi_close(&fd);
		pfi_close(&set);
	}
	return NULL;
}

static int application_fd;

static int count_after_forgetting(void)
{
	pfi_fdtable_forget();
	for (int fd = 3; fd < 100; fd++) {
		if (is_open(fd) && fd != application_fd)
			return 10;
	}
	return is_open(application_fd) ? 0 : 11;
}

START_TEST(a_fork_while_threads_open_and_close_leaks_no_descriptor)
{
	pthread_t threads[CHURNERS];
	int listener;

	/* Enters the descriptors of the test, so that the child closes them. */
	for (int fd = 3; fd < 100; fd++) {
		if (is_open(fd))
			(void)pfi_fdtable_adopt(fd, PFI_FD_LISTENER);
	}
	listener = pfi_open_socket(AF_INET, SOCK_NONBLOCK);
	ck_assert_int_eq(listen(listener, 1), 0);
	application_fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	atomic_store(&stop_churning, false);
	for (int i = 0; i < CHURNERS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, churn, &listener), 0);
	for (int i = 0; i < FORKS; i++)
		expect_0(count_after_forgetting);
	atomic_store(&stop_churning, true);
	for (int i = 0; i < CHURNERS; i++)
		(void)pthread_join(threads[i], NULL);
	pfi_close(&listener);
	(void)close(application_fd);
}
END_TEST

static int worker_main(void *unused)
{
	(void)unused;
	return pfi_fdtable_is_spawning() || pfi_fdtable_is_forgotten() ? 1 : 0;
}

static bool handler_saw_spawn; /* a handler of pthread_atfork(3), as of an application */

static void in_child(void)
{
	handler_saw_spawn = pfi_fdtable_is_spawning();
}

static int report(void *unused)
{
	(void)unused;
	return handler_saw_spawn ? worker_main(NULL) : 2;
}

START_TEST(a_fork_handler_recognises_a_spawn_of_the_library)
{
	struct pfi_child child;
	int status = 0;

	ck_assert_int_eq(pthread_atfork(NULL, NULL, in_child), 0);
	ck_assert_int_eq(pfi_spawn(report, NULL, &child), 0);
	ck_assert_int_eq(waitpid(child.pid, &status, 0), child.pid);
	ck_assert_int_eq(status, 0);
	pfi_close(&child.pidfd);
	ck_assert(!pfi_fdtable_is_spawning());
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fdtable");
	TCase *tc = new_case(suite, "fdtable");

	tcase_add_test(tc, opening_enters_a_descriptor_and_closing_removes_it);
	tcase_add_test(tc, high_numbers_are_entered_and_impossible_ones_are_refused);
	tcase_add_test(tc, no_descriptor_of_the_library_has_a_standard_number);
	tcase_add_test(tc, a_new_file_is_marked_until_it_is_closed);
	tcase_add_test(tc, a_worker_keeps_listed_descriptors_and_those_of_the_application);
	tcase_add_test(tc, a_forked_child_keeps_logs_and_descriptors_of_the_application);
	tcase_add_test(tc, a_fork_while_threads_open_and_close_leaks_no_descriptor);
	tcase_add_test(tc, a_fork_handler_recognises_a_spawn_of_the_library);
	return run_suite(suite);
}
