/* Guarantees of the strategy threads, beyond those of all strategies. */
#include "../support.h"

#include "thread_stage.h"

#include "model/message.h"
#include "os/clock.h"

#include <prefork/settings.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <linux/sockios.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct prefork_worker worker_t;
typedef struct prefork_connection connection_t;

/* Release the callbacks of these connections, which have sent "wait": each is echoed. */
static void release(const int *fds, int count)
{
	for (int i = 0; i < count; i++)
		ck_assert_int_eq(write(stage->release[1], "x", 1), 1);
	for (int i = 0; i < count; i++) {
		thread_stage_expect(fds[i], "wait");
		(void)close(fds[i]);
	}
}

/* All threads but one are blocked until the test releases them, and that one serves the rest. */
START_TEST(blocked_callbacks_delay_no_other_connection)
{
	enum { HELD = TEST_THREADS - 1 };
	int held[HELD];

	thread_stage_open(&wait_service);
	harness_spawn(&stage->harness);
	for (int i = 0; i < HELD; i++) {
		held[i] = harness_connect(&stage->harness);
		thread_stage_send(held[i], "wait");
		thread_stage_wait(&stage->entered, i + 1);
	}
	for (int i = 0; i < 200; i++) {
		const int fd = harness_connect(&stage->harness);

		harness_expect_echo(fd, "hello");
		harness_expect_echo(fd, "again");
		(void)close(fd);
	}
	release(held, HELD);
	thread_stage_close();
}
END_TEST

/* With SCHED_IDLE, the worker runs only while the test waits; with SCHED_OTHER, as before. */
static void schedule_worker(int policy)
{
	const struct sched_param none = { 0 };
	char path[64];
	cpu_set_t here;

	CPU_ZERO(&here);
	CPU_SET((size_t)sched_getcpu(), &here);
	ck_assert_int_eq(sched_setaffinity(0, sizeof here, &here), 0);
	(void)snprintf(path, sizeof path, "/proc/%d/task", (int)stage->harness.child.pid);
	DIR *const tasks = opendir(path);
	ck_assert_ptr_nonnull(tasks);
	for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
		const pid_t tid = (pid_t)atoi(task->d_name);

		if (tid == 0)
			continue;
		ck_assert_int_eq(sched_setaffinity(tid, sizeof here, &here), 0);
		ck_assert(sched_setscheduler(tid, policy, &none) == 0 || errno == EPERM); /* back to SCHED_OTHER */
	}
	(void)closedir(tasks);
}

/* One thread is in a callback, and two connections are pending before another thread runs: the thread that accepts the
 * first one, and blocks, wakes a thread that waits in the epoll set for the other one. */
START_TEST(connections_behind_a_blocked_callback_are_accepted)
{
	enum { CLIENTS = 3 }; /* no fourth connection, whose event would cover those before it */
	int fds[CLIENTS];

	thread_stage_open(&wait_service);
	harness_spawn(&stage->harness);
	for (int i = 0; i < CLIENTS; i++) {
		fds[i] = harness_connect(&stage->harness);
		thread_stage_send(fds[i], "wait");
		if (i > 0)
			continue;
		thread_stage_wait(&stage->entered, 1);
		(void)poll(NULL, 0, 100); /* longer than the wake policy keeps to several threads */
		schedule_worker(SCHED_IDLE);
	}
	schedule_worker(SCHED_OTHER); /* or other processes of a busy machine keep it from running */
	thread_stage_wait(&stage->entered, CLIENTS);
	release(fds, CLIENTS);
	thread_stage_close();
}
END_TEST

/* Many connections at once: first short callbacks, so that a single thread runs them, then slow ones. */
START_TEST(slow_callbacks_run_in_all_threads_after_short_ones)
{
	enum { CLIENTS = 64, ROUNDS = 50 };
	int fds[CLIENTS];

	thread_stage_open(&wait_service);
	harness_spawn(&stage->harness);
	for (int i = 0; i < CLIENTS; i++)
		fds[i] = harness_connect(&stage->harness);
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < CLIENTS; i++)
			thread_stage_send(fds[i], "quick");
		for (int i = 0; i < CLIENTS; i++)
			thread_stage_expect(fds[i], "quick");
	}
	for (int i = 0; i < CLIENTS; i++)
		thread_stage_send(fds[i], "wait");
	thread_stage_wait(&stage->entered, TEST_THREADS);
	ck_assert_int_eq(atomic_load(&stage->entered), TEST_THREADS);
	release(fds, CLIENTS);
	ck_assert_uint_eq(harness_requests(&stage->harness), CLIENTS * (ROUNDS + 1));
	thread_stage_close();
}
END_TEST

/* While all threads are blocked, connections stay in the backlog, where another worker may accept them. */
START_TEST(without_a_free_thread_no_connection_is_accepted)
{
	int held[TEST_THREADS];

	thread_stage_open(&wait_service);
	harness_spawn(&stage->harness);
	for (int i = 0; i < TEST_THREADS; i++) {
		held[i] = harness_connect(&stage->harness);
		thread_stage_send(held[i], "wait");
		thread_stage_wait(&stage->entered, i + 1);
	}
	const int first = harness_connect(&stage->harness);
	const int second = harness_connect(&stage->harness);
	thread_stage_send(first, "hello");
	thread_stage_send(second, "there");
	harness_await_acknowledged(first);
	harness_await_acknowledged(second);
	(void)poll(NULL, 0, 100); /* this does not wait for an event: it checks that there is none */
	ck_assert_uint_eq(stage->harness.context.score->connections, TEST_THREADS);
	ck_assert_int_eq(write(stage->release[1], "x", 1), 1);
	thread_stage_expect(first, "hello");
	thread_stage_expect(second, "there");
	for (int i = 1; i < TEST_THREADS; i++)
		ck_assert_int_eq(write(stage->release[1], "x", 1), 1);
	for (int i = 0; i < TEST_THREADS; i++) {
		thread_stage_expect(held[i], "wait");
		(void)close(held[i]);
	}
	(void)close(first);
	(void)close(second);
	thread_stage_close();
}
END_TEST

/* Reads one byte per callback, so that the rest must cause further callbacks. */
static enum prefork_next by_bytes(worker_t *worker, connection_t *connection, void *user)
{
	_Atomic bool *const busy = prefork_connection_user(connection);
	char byte;

	(void)worker;
	(void)user;
	if (atomic_exchange(busy, true))
		atomic_store(&stage->overlap, true);
	const ptrdiff_t n = prefork_connection_read(connection, &byte, 1);
	enum prefork_next next = n == -EAGAIN ? PREFORK_WAIT_READABLE : PREFORK_CLOSE;
	if (n > 0)
		next = prefork_connection_write(connection, &byte, 1);
	atomic_store(busy, false);
	return next;
}

static enum prefork_next set_flag(worker_t *worker, connection_t *connection, void *user)
{
	(void)worker;
	(void)user;
	prefork_connection_set_user(connection, calloc(1, sizeof(_Atomic bool)));
	return PREFORK_AGAIN;
}

static void free_flag(worker_t *worker, connection_t *connection, void *user)
{
	(void)worker;
	(void)user;
	free(prefork_connection_user(connection));
}

START_TEST(callbacks_of_one_connection_never_overlap)
{
	enum { CLIENTS = 16, SIZE = 200 };
	const struct prefork_service service = {
		.struct_size = sizeof service, .accepted = set_flag, .ready = by_bytes, .closed = free_flag,
	};
	char text[SIZE + 1];
	int fds[CLIENTS];

	for (int i = 0; i < SIZE; i++)
		text[i] = (char)('a' + i * 7 % 26);
	text[SIZE] = '\0';
	thread_stage_open(&service);
	harness_spawn(&stage->harness);
	for (int i = 0; i < CLIENTS; i++)
		fds[i] = harness_connect(&stage->harness);
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < CLIENTS; i++) {
			ck_assert_int_eq(send(fds[i], text, SIZE / 2, MSG_NOSIGNAL), SIZE / 2);
			ck_assert_int_eq(send(fds[i], text + SIZE / 2, SIZE / 2, MSG_NOSIGNAL), SIZE / 2);
		}
		for (int i = 0; i < CLIENTS; i++)
			thread_stage_expect(fds[i], text);
	}
	for (int i = 0; i < CLIENTS; i++) { /* end of file is reported after the bytes before it */
		thread_stage_send(fds[i], "end");
		ck_assert_int_eq(shutdown(fds[i], SHUT_WR), 0);
		thread_stage_expect(fds[i], "end");
		harness_expect_end(fds[i]);
		(void)close(fds[i]);
	}
	ck_assert(!atomic_load(&stage->overlap));
	thread_stage_close();
}
END_TEST

START_TEST(a_drain_finishes_running_callbacks)
{
	thread_stage_open(&wait_service);
	harness_spawn(&stage->harness);
	const int held = harness_connect(&stage->harness);
	const int idle = harness_connect(&stage->harness);
	harness_expect_echo(idle, "hello");
	thread_stage_send(held, "wait");
	thread_stage_wait(&stage->entered, 1);
	harness_send(&stage->harness, PFI_MESSAGE_DRAIN, 0);
	harness_expect_end(idle); /* so the worker is draining */
	ck_assert_int_eq(write(stage->release[1], "x", 1), 1);
	thread_stage_expect(held, "wait");
	harness_expect_end(held);
	const struct pfi_exit_status exit_status = harness_reap(&stage->harness);
	ck_assert_int_eq(exit_status.signo, 0);
	ck_assert_int_eq(exit_status.code, PREFORK_EXIT_RECYCLE);
	(void)close(held);
	(void)close(idle);
	thread_stage_close();
}
END_TEST

/* Wait until the worker has read the message of the arbiter; it acts at once. */
static void await_message_read(void)
{
	const uint64_t until_ms = pfi_now_ms() + (uint64_t)harness_patience_ms();
	int unread = 1;

	while (unread > 0 && pfi_now_ms() < until_ms) {
		ck_assert_int_eq(ioctl(stage->harness.channel[0], SIOCOUTQ, &unread), 0);
		(void)poll(NULL, 0, 1);
	}
	ck_assert_int_eq(unread, 0);
}

/* With all threads in callbacks, the request has not been reported to the service. */
START_TEST(a_request_sent_before_a_stop_is_served)
{
	int held[TEST_THREADS];

	thread_stage_open(&wait_service);
	harness_spawn(&stage->harness);
	const int sends = harness_connect(&stage->harness), idle = harness_connect(&stage->harness);
	harness_expect_echo(sends, "hello");
	harness_expect_echo(idle, "hello");
	for (int i = 0; i < TEST_THREADS; i++) {
		held[i] = harness_connect(&stage->harness);
		thread_stage_send(held[i], "wait");
		thread_stage_wait(&stage->entered, i + 1);
	}
	thread_stage_send(sends, "again");
	harness_send(&stage->harness, PFI_MESSAGE_DRAIN, 0);
	await_message_read();
	for (int i = 0; i < TEST_THREADS; i++)
		ck_assert_int_eq(write(stage->release[1], "x", 1), 1);
	thread_stage_expect(sends, "again");
	harness_expect_end(sends);
	harness_expect_end(idle);
	for (int i = 0; i < TEST_THREADS; i++) {
		thread_stage_expect(held[i], "wait");
		(void)close(held[i]);
	}
	ck_assert_int_eq(harness_reap(&stage->harness).code, PREFORK_EXIT_RECYCLE);
	(void)close(sends);
	(void)close(idle);
	thread_stage_close();
}
END_TEST

/* Refuses a request if three or more wait. */
static enum prefork_next echo_or_refuse(worker_t *worker, connection_t *connection, void *user)
{
	char byte;

	if (prefork_worker_queued(worker) < 3)
		return thread_stage_echo(worker, connection, user);
	const ptrdiff_t n = prefork_connection_read(connection, &byte, 1);
	return n < 0 ? PREFORK_WAIT_READABLE : n == 0 ? PREFORK_CLOSE : prefork_connection_write(connection, "-", 1);
}

START_TEST(a_service_sees_how_many_wait_for_a_thread)
{
	enum { CLIENTS = 40 };
	const struct prefork_service service = { .struct_size = sizeof service, .ready = echo_or_refuse };
	int held[TEST_THREADS], fds[CLIENTS], served = 0;

	thread_stage_open(&service);
	harness_spawn(&stage->harness);
	for (int i = 0; i < CLIENTS; i++) {
		fds[i] = harness_connect(&stage->harness);
		harness_expect_echo(fds[i], "x");
	}
	for (int i = 0; i < TEST_THREADS; i++) {
		held[i] = harness_connect(&stage->harness);
		thread_stage_send(held[i], "w");
		thread_stage_wait(&stage->entered, i + 1);
	}
	for (int i = 0; i < CLIENTS; i++)
		thread_stage_send(fds[i], "x");
	for (int i = 0; i < CLIENTS; i++)
		harness_await_acknowledged(fds[i]);
	ck_assert_int_eq(write(stage->release[1], "x", 1), 1); /* this thread finds all of them */
	for (int i = 0; i < CLIENTS; i++) {
		char byte;

		ck_assert_int_eq(recv(fds[i], &byte, 1, 0), 1);
		served += byte == 'x';
		(void)close(fds[i]);
	}
	ck_assert_int_eq(served, 3);
	for (int i = 1; i < TEST_THREADS; i++)
		ck_assert_int_eq(write(stage->release[1], "x", 1), 1);
	for (int i = 0; i < TEST_THREADS; i++) {
		thread_stage_expect(held[i], "w");
		(void)close(held[i]);
	}
	thread_stage_close();
}
END_TEST

static enum prefork_next echo_and_close(worker_t *worker, connection_t *connection, void *user)
{
	char byte;
	const ptrdiff_t n = prefork_connection_read(connection, &byte, 1);

	(void)worker;
	(void)user;
	if (n == -EAGAIN)
		return PREFORK_WAIT_READABLE;
	if (n > 0)
		(void)prefork_connection_write(connection, &byte, 1);
	return PREFORK_CLOSE;
}

/* How often the serving threads have gone to sleep, in total. A timer wakes the first thread while one thread serves:
 * once in a while, or for each connection if the machine is slow. */
static unsigned long sleeps(void)
{
	char path[300], line[128];
	unsigned long total = 0, one;
	struct dirent *entry;

	(void)snprintf(path, sizeof path, "/proc/%d/task", (int)stage->harness.child.pid);
	DIR *const directory = opendir(path);
	ck_assert_ptr_nonnull(directory);
	while ((entry = readdir(directory)) != NULL) {
		(void)snprintf(path, sizeof path, "/proc/%d/task/%.20s/status", (int)stage->harness.child.pid, entry->d_name);
		const int thread = atoi(entry->d_name);
		FILE *const file = thread == 0 || thread == stage->harness.child.pid ? NULL : fopen(path, "re");
		while (file && fgets(line, sizeof line, file))
			total += sscanf(line, "voluntary_ctxt_switches: %lu", &one) == 1 ? one : 0;
		if (file)
			(void)fclose(file);
	}
	(void)closedir(directory);
	return total;
}

/* A level-triggered listener would wake a second thread, and passing the connection on would wake a third. */
START_TEST(one_connection_wakes_one_thread)
{
	enum { CLIENTS = 1000 };
	const struct prefork_service service = { .struct_size = sizeof service, .ready = echo_and_close };
	const int one_second = 1;
	unsigned long before = 0;

	thread_stage_open(&service);
	/* So that the input is there when the connection is accepted. */
	ck_assert_int_eq(setsockopt(stage->harness.listener->fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &one_second,
	                            sizeof one_second), 0);
	harness_spawn(&stage->harness);
	for (int i = -10; i < CLIENTS; i++) {
		char byte;

		if (i == 0)
			before = sleeps();
		const int fd = harness_connect(&stage->harness);
		thread_stage_send(fd, "x");
		ck_assert_int_eq(recv(fd, &byte, 1, 0), 1);
		harness_expect_end(fd);
		(void)close(fd);
	}
	const unsigned long after = sleeps();
	ck_assert_msg(after - before <= CLIENTS * 13 / 10, "%d clients, %lu wake-ups", CLIENTS, after - before);
	thread_stage_close();
}
END_TEST

/* When a descriptor table that threads share must grow, the kernel blocks all of them for many milliseconds. */
START_TEST(the_descriptor_table_is_sized_before_threads_start)
{
	char path[64], line[128];
	int size = 0;

	thread_stage_open(&wait_service);
	ck_assert_int_eq(prefork_settings_set_default(stage->harness.settings, "worker_connections", "700"), 0);
	harness_spawn(&stage->harness);
	(void)snprintf(path, sizeof path, "/proc/%d/status", (int)stage->harness.child.pid);
	FILE *const file = fopen(path, "re");
	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof line, file))
		(void)sscanf(line, "FDSize: %d", &size);
	(void)fclose(file);
	ck_assert_int_gt(size, 700);
	thread_stage_close();
}
END_TEST

/* Connections are opened and closed at the limit. */
START_TEST(connections_above_worker_connections_wait_and_are_served_later)
{
	enum { LIMIT = 5 };
	int fds[LIMIT], late[LIMIT];

	thread_stage_open(&wait_service);
	ck_assert_int_eq(prefork_settings_set_default(stage->harness.settings, "worker_connections", "5"), 0);
	harness_spawn(&stage->harness);
	for (int i = 0; i < LIMIT; i++) {
		fds[i] = harness_connect(&stage->harness);
		harness_expect_echo(fds[i], "hello");
	}
	for (int i = 0; i < LIMIT; i++) {
		late[i] = harness_connect(&stage->harness);
		thread_stage_send(late[i], "late");
	}
	harness_expect_echo(fds[0], "still here");
	ck_assert_uint_eq(stage->harness.context.score->connections, LIMIT);
	for (int i = 0; i < LIMIT; i++)
		(void)close(fds[i]);
	for (int i = 0; i < LIMIT; i++) {
		thread_stage_expect(late[i], "late");
		(void)close(late[i]);
	}
	thread_stage_close();
}
END_TEST

static atomic_int threads_left;
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *), void *argument);

int __real_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags);
int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags);
int __real_epoll_wait(int epoll, struct epoll_event *events, int count, int timeout_ms);
int __wrap_epoll_wait(int epoll, struct epoll_event *events, int count, int timeout_ms);

/* Threads of a worker that do not begin before the first of them accepts a connection. */
static struct {
	bool on; /* set before the worker is started */
	int created;
	struct late_thread {
		void *(*body)(void *);
		void *argument;
	} late[TEST_THREADS];
	atomic_bool accepts;
	atomic_int polling; /* late threads that wait in the epoll set, or are about to */
} order;

static _Thread_local bool is_late;

/* The following functions run in the worker, which must not assert. */

static void *begin_late(void *user)
{
	const struct late_thread *const late = user;

	while (!atomic_load(&order.accepts))
		(void)poll(NULL, 0, 1);
	is_late = true;
	return late->body(late->argument);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *), void *argument)
{
	const int i = order.created++;

	if (atomic_fetch_sub(&threads_left, 1) <= 0)
		return EAGAIN;
	if (!order.on || i == 0 || i >= TEST_THREADS)
		return __real_pthread_create(thread, attributes, body, argument);
	order.late[i] = (struct late_thread){ body, argument };
	return __real_pthread_create(thread, attributes, begin_late, &order.late[i]);
}

int __wrap_epoll_wait(int epoll, struct epoll_event *events, int count, int timeout_ms)
{
	if (is_late) {
		atomic_fetch_add(&order.polling, 1);
		is_late = false;
	}
	return __real_epoll_wait(epoll, events, count, timeout_ms);
}

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
	if (order.on && !atomic_exchange(&order.accepts, true)) {
		while (atomic_load(&order.polling) < TEST_THREADS - 1)
			(void)poll(NULL, 0, 1);
	}
	return __real_accept4(fd, address, size, flags);
}

/* While the first thread accepts, the other ones begin to wait for events. The connections that are pending behind it had
 * their event before: it wakes a thread for them before it blocks. */
START_TEST(threads_that_become_idle_during_an_accept_take_the_rest)
{
	int fds[TEST_THREADS];

	thread_stage_open(&wait_service);
	for (int i = 0; i < TEST_THREADS; i++) {
		fds[i] = harness_connect(&stage->harness);
		thread_stage_send(fds[i], "wait");
	}
	order.on = true;
	order.created = 0;
	harness_spawn(&stage->harness);
	order.on = false;
	thread_stage_wait(&stage->entered, TEST_THREADS);
	release(fds, TEST_THREADS);
	thread_stage_close();
}
END_TEST

START_TEST(without_threads_the_boot_fails_with_its_cause)
{
	thread_stage_open(&wait_service);
	atomic_store(&threads_left, _i);
	ck_assert_int_eq(pfi_spawn(harness_be_worker, &stage->harness.context, &stage->harness.child), 0);
	atomic_store(&threads_left, 1000);
	const struct pfi_message message = harness_receive(&stage->harness);
	ck_assert_uint_eq(message.type, PFI_MESSAGE_FAILED);
	ck_assert_int_eq((int)message.value, PREFORK_EXIT_BOOT);
	ck_assert_ptr_nonnull(strstr(message.text, "threads could be created"));
	ck_assert_int_eq(harness_reap(&stage->harness).code, PREFORK_EXIT_BOOT);
	thread_stage_close();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("threads");
	TCase *tc = new_case(suite, "threads");

	atomic_store(&threads_left, 1000);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, blocked_callbacks_delay_no_other_connection);
	tcase_add_test(tc, connections_behind_a_blocked_callback_are_accepted);
	tcase_add_test(tc, slow_callbacks_run_in_all_threads_after_short_ones);
	tcase_add_test(tc, without_a_free_thread_no_connection_is_accepted);
	tcase_add_test(tc, callbacks_of_one_connection_never_overlap);
	tcase_add_test(tc, a_drain_finishes_running_callbacks);
	tcase_add_test(tc, a_request_sent_before_a_stop_is_served);
	tcase_add_test(tc, one_connection_wakes_one_thread);
	tcase_add_test(tc, a_service_sees_how_many_wait_for_a_thread);
	tcase_add_test(tc, the_descriptor_table_is_sized_before_threads_start);
	tcase_add_test(tc, connections_above_worker_connections_wait_and_are_served_later);
	tcase_add_test(tc, threads_that_become_idle_during_an_accept_take_the_rest);
	tcase_add_loop_test(tc, without_threads_the_boot_fails_with_its_cause, 0, TEST_THREADS);

	return run_suite(suite);
}
