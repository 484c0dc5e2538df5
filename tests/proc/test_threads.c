/* What the strategy threads promises beyond what all promise. */
#include "../support.h"

#include "harness.h"

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
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct prefork_worker worker_t;
typedef struct prefork_connection connection_t;

/* What worker and test share. */
struct stage {
	struct harness harness;
	_Atomic int entered;  /* callbacks that have begun to wait           */
	_Atomic bool overlap; /* of two callbacks of one connection          */
	int release[2];       /* a pipe: a byte lets one callback that waits go on */
};

static struct stage *stage;

static void open_stage(const struct prefork_service *service)
{
	stage = mmap(NULL, sizeof *stage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(stage, MAP_FAILED);
	ck_assert_int_eq(pipe2(stage->release, O_CLOEXEC), 0);
	harness_open(&stage->harness, service);
}

static void close_stage(void)
{
	(void)close(stage->release[0]);
	(void)close(stage->release[1]);
	stage->harness.fds_before -= 2;
	harness_close(&stage->harness);
	(void)munmap(stage, sizeof *stage);
}

/* A word of the worker comes to be `wanted`, or more. */
static void wait_until(_Atomic int *word, int wanted)
{
	const uint64_t until_ms = pfi_now_ms() + (uint64_t)harness_patience_ms();

	while (atomic_load(word) < wanted && pfi_now_ms() < until_ms)
		(void)poll(NULL, 0, 1);
	ck_assert_int_ge(atomic_load(word), wanted);
}

/* "w" waits until it is released; everything is echoed. */
static enum prefork_next echo_or_wait(worker_t *worker, connection_t *connection, void *user)
{
	char bytes[4096], byte;
	const ptrdiff_t n = prefork_connection_read(connection, bytes, sizeof bytes);

	(void)user;
	if (n <= 0)
		return n == -EAGAIN ? PREFORK_WAIT_READABLE : PREFORK_CLOSE;
	if (bytes[0] == 'w') {
		atomic_fetch_add(&stage->entered, 1);
		(void)!read(stage->release[0], &byte, 1);
	}
	prefork_worker_count_request(worker);
	return prefork_connection_write(connection, bytes, (size_t)n);
}

static const struct prefork_service wait_service = { .struct_size = sizeof wait_service, .ready = echo_or_wait };

static void send_text(int fd, const char *text)
{
	ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void expect_text(int fd, const char *text)
{
	char bytes[256];
	const size_t size = strlen(text);

	ck_assert_int_eq(recv(fd, bytes, size, MSG_WAITALL), (ssize_t)size);
	ck_assert_mem_eq(bytes, text, size);
}

/* All but one are held for as long as the test likes, and that one does the rest. */
START_TEST(callbacks_that_wait_hold_nobody_else)
{
	enum { HELD = TEST_THREADS - 1 };
	int held[HELD];

	open_stage(&wait_service);
	harness_spawn(&stage->harness);
	for (int i = 0; i < HELD; i++) {
		held[i] = harness_connect(&stage->harness);
		send_text(held[i], "wait");
		wait_until(&stage->entered, i + 1);
	}
	for (int i = 0; i < 200; i++) {
		const int fd = harness_connect(&stage->harness);

		harness_expect_echo(fd, "hello");
		harness_expect_echo(fd, "again");
		(void)close(fd);
	}
	for (int i = 0; i < HELD; i++)
		ck_assert_int_eq(write(stage->release[1], "x", 1), 1);
	for (int i = 0; i < HELD; i++) {
		expect_text(held[i], "wait");
		(void)close(held[i]);
	}
	close_stage();
}
END_TEST

/* From now on the worker, which must be there, runs only while the test waits. */
static void come_before_the_worker(void)
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
		ck_assert_int_eq(sched_setscheduler(tid, SCHED_IDLE, &none), 0);
	}
	(void)closedir(tasks);
}

/* One is in a callback, and the next are at the listener before anybody looks: whoever takes the first
 * of them, and does not come back, has the others, who wait at the set, hear of the rest. */
START_TEST(who_stands_behind_a_callback_that_waits_is_let_in)
{
	enum { CLIENTS = 3 }; /* no fourth one, whose coming would tell of those before it */
	int fds[CLIENTS];

	open_stage(&wait_service);
	harness_spawn(&stage->harness);
	for (int i = 0; i < CLIENTS; i++) {
		fds[i] = harness_connect(&stage->harness);
		send_text(fds[i], "wait");
		if (i > 0)
			continue;
		wait_until(&stage->entered, 1);
		(void)poll(NULL, 0, 100); /* so that it may be tried again whether one thread is enough */
		come_before_the_worker();
	}
	wait_until(&stage->entered, CLIENTS);
	for (int i = 0; i < CLIENTS; i++)
		ck_assert_int_eq(write(stage->release[1], "x", 1), 1);
	for (int i = 0; i < CLIENTS; i++) {
		expect_text(fds[i], "wait");
		(void)close(fds[i]);
	}
	close_stage();
}
END_TEST

/* Many at once, first quick ones so that a single thread has them all, then slow ones. */
START_TEST(slow_callbacks_are_shared_out_after_quick_ones)
{
	enum { CLIENTS = 64, ROUNDS = 50 };
	int fds[CLIENTS];

	open_stage(&wait_service);
	harness_spawn(&stage->harness);
	for (int i = 0; i < CLIENTS; i++)
		fds[i] = harness_connect(&stage->harness);
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < CLIENTS; i++)
			send_text(fds[i], "quick");
		for (int i = 0; i < CLIENTS; i++)
			expect_text(fds[i], "quick");
	}
	for (int i = 0; i < CLIENTS; i++)
		send_text(fds[i], "wait");
	wait_until(&stage->entered, TEST_THREADS);
	ck_assert_int_eq(atomic_load(&stage->entered), TEST_THREADS);
	for (int i = 0; i < CLIENTS; i++)
		ck_assert_int_eq(write(stage->release[1], "x", 1), 1);
	for (int i = 0; i < CLIENTS; i++) {
		expect_text(fds[i], "wait");
		(void)close(fds[i]);
	}
	ck_assert_uint_eq(harness_requests(&stage->harness), CLIENTS * (ROUNDS + 1));
	close_stage();
}
END_TEST

/* With every thread held, a client stays in the kernel's queue, for a sibling to take. */
START_TEST(with_no_free_thread_nobody_is_accepted)
{
	int held[TEST_THREADS];

	open_stage(&wait_service);
	harness_spawn(&stage->harness);
	for (int i = 0; i < TEST_THREADS; i++) {
		held[i] = harness_connect(&stage->harness);
		send_text(held[i], "wait");
		wait_until(&stage->entered, i + 1);
	}
	const int first = harness_connect(&stage->harness);
	const int second = harness_connect(&stage->harness);
	send_text(first, "hello");
	send_text(second, "there");
	(void)poll(NULL, 0, 100); /* not to let a thing happen, but to see that nothing does */
	ck_assert_uint_eq(stage->harness.context.score->connections, TEST_THREADS);
	ck_assert_int_eq(write(stage->release[1], "x", 1), 1);
	expect_text(first, "hello");
	expect_text(second, "there");
	for (int i = 1; i < TEST_THREADS; i++)
		ck_assert_int_eq(write(stage->release[1], "x", 1), 1);
	for (int i = 0; i < TEST_THREADS; i++) {
		expect_text(held[i], "wait");
		(void)close(held[i]);
	}
	(void)close(first);
	(void)close(second);
	close_stage();
}
END_TEST

/* One byte per callback, so that what is left must be heard of again, and again. */
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

static enum prefork_next give_flag(worker_t *worker, connection_t *connection, void *user)
{
	(void)worker;
	(void)user;
	prefork_connection_set_user(connection, calloc(1, sizeof(_Atomic bool)));
	return PREFORK_AGAIN;
}

static void take_flag(worker_t *worker, connection_t *connection, void *user)
{
	(void)worker;
	(void)user;
	free(prefork_connection_user(connection));
}

START_TEST(what_one_client_sends_is_answered_in_order_and_one_by_one)
{
	enum { CLIENTS = 16, SIZE = 200 };
	const struct prefork_service service = {
		.struct_size = sizeof service, .accepted = give_flag, .ready = by_bytes, .closed = take_flag,
	};
	char text[SIZE + 1];
	int fds[CLIENTS];

	for (int i = 0; i < SIZE; i++)
		text[i] = (char)('a' + i * 7 % 26);
	text[SIZE] = '\0';
	open_stage(&service);
	harness_spawn(&stage->harness);
	for (int i = 0; i < CLIENTS; i++)
		fds[i] = harness_connect(&stage->harness);
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < CLIENTS; i++) {
			ck_assert_int_eq(send(fds[i], text, SIZE / 2, MSG_NOSIGNAL), SIZE / 2);
			ck_assert_int_eq(send(fds[i], text + SIZE / 2, SIZE / 2, MSG_NOSIGNAL), SIZE / 2);
		}
		for (int i = 0; i < CLIENTS; i++)
			expect_text(fds[i], text);
	}
	for (int i = 0; i < CLIENTS; i++) { /* the end is heard of, though bytes come before it */
		send_text(fds[i], "end");
		ck_assert_int_eq(shutdown(fds[i], SHUT_WR), 0);
		expect_text(fds[i], "end");
		harness_expect_end(fds[i]);
		(void)close(fds[i]);
	}
	ck_assert(!atomic_load(&stage->overlap));
	close_stage();
}
END_TEST

START_TEST(a_callback_under_way_is_finished_before_a_worker_leaves)
{
	open_stage(&wait_service);
	harness_spawn(&stage->harness);
	const int held = harness_connect(&stage->harness);
	const int idle = harness_connect(&stage->harness);
	harness_expect_echo(idle, "hello");
	send_text(held, "wait");
	wait_until(&stage->entered, 1);
	harness_send(&stage->harness, PFI_MESSAGE_DRAIN, 0);
	harness_expect_end(idle); /* so the worker has heard it */
	ck_assert_int_eq(write(stage->release[1], "x", 1), 1);
	expect_text(held, "wait");
	harness_expect_end(held);
	const struct pfi_exit_status death = harness_reap(&stage->harness);
	ck_assert_int_eq(death.signo, 0);
	ck_assert_int_eq(death.code, PREFORK_EXIT_RECYCLE);
	(void)close(held);
	(void)close(idle);
	close_stage();
}
END_TEST

/* The worker has read what its arbiter said; what it does about it follows at once. */
static void wait_until_heard(void)
{
	const uint64_t until_ms = pfi_now_ms() + (uint64_t)harness_patience_ms();
	int unread = 1;

	while (unread > 0 && pfi_now_ms() < until_ms) {
		ck_assert_int_eq(ioctl(stage->harness.channel[0], SIOCOUTQ, &unread), 0);
		(void)poll(NULL, 0, 1);
	}
	ck_assert_int_eq(unread, 0);
}

/* With every thread in a callback nobody has told the service that there is something to read. */
START_TEST(what_a_client_had_sent_before_a_stop_is_answered)
{
	int held[TEST_THREADS];

	open_stage(&wait_service);
	harness_spawn(&stage->harness);
	const int talks = harness_connect(&stage->harness), silent = harness_connect(&stage->harness);
	harness_expect_echo(talks, "hello");
	harness_expect_echo(silent, "hello");
	for (int i = 0; i < TEST_THREADS; i++) {
		held[i] = harness_connect(&stage->harness);
		send_text(held[i], "wait");
		wait_until(&stage->entered, i + 1);
	}
	send_text(talks, "again");
	harness_send(&stage->harness, PFI_MESSAGE_DRAIN, 0);
	wait_until_heard();
	for (int i = 0; i < TEST_THREADS; i++)
		ck_assert_int_eq(write(stage->release[1], "x", 1), 1);
	expect_text(talks, "again");
	harness_expect_end(talks);
	harness_expect_end(silent);
	for (int i = 0; i < TEST_THREADS; i++) {
		expect_text(held[i], "wait");
		(void)close(held[i]);
	}
	ck_assert_int_eq(harness_reap(&stage->harness).code, PREFORK_EXIT_RECYCLE);
	(void)close(talks);
	(void)close(silent);
	close_stage();
}
END_TEST

/* Refuses whom it cannot serve soon. */
static enum prefork_next choosy(worker_t *worker, connection_t *connection, void *user)
{
	char byte;

	if (prefork_worker_queued(worker) < 3)
		return echo_or_wait(worker, connection, user);
	const ptrdiff_t n = prefork_connection_read(connection, &byte, 1);
	return n < 0 ? PREFORK_WAIT_READABLE : n == 0 ? PREFORK_CLOSE : prefork_connection_write(connection, "-", 1);
}

START_TEST(a_service_sees_how_many_wait_for_a_thread)
{
	enum { CLIENTS = 40 };
	const struct prefork_service service = { .struct_size = sizeof service, .ready = choosy };
	int held[TEST_THREADS], fds[CLIENTS], served = 0;

	open_stage(&service);
	harness_spawn(&stage->harness);
	for (int i = 0; i < CLIENTS; i++) {
		fds[i] = harness_connect(&stage->harness);
		harness_expect_echo(fds[i], "x");
	}
	for (int i = 0; i < TEST_THREADS; i++) {
		held[i] = harness_connect(&stage->harness);
		send_text(held[i], "w");
		wait_until(&stage->entered, i + 1);
	}
	for (int i = 0; i < CLIENTS; i++)
		send_text(fds[i], "x");
	ck_assert_int_eq(write(stage->release[1], "x", 1), 1); /* and this one finds them all */
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
		expect_text(held[i], "w");
		(void)close(held[i]);
	}
	close_stage();
}
END_TEST

static enum prefork_next answer_and_close(worker_t *worker, connection_t *connection, void *user)
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

/* How often the worker's threads have gone to sleep, all together. */
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
		FILE *const file = entry->d_name[0] == '.' ? NULL : fopen(path, "re");
		while (file && fgets(line, sizeof line, file))
			total += sscanf(line, "voluntary_ctxt_switches: %lu", &one) == 1 ? one : 0;
		if (file)
			(void)fclose(file);
	}
	(void)closedir(directory);
	return total;
}

/* A level at the listener would wake a second one, and a hand-over a third. */
START_TEST(one_client_wakes_one_thread)
{
	enum { CLIENTS = 1000 };
	const struct prefork_service service = { .struct_size = sizeof service, .ready = answer_and_close };
	const int one_second = 1;
	unsigned long before = 0;

	open_stage(&service);
	/* So that the client's word is there when it is accepted. */
	ck_assert_int_eq(setsockopt(stage->harness.listener->fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &one_second,
	                            sizeof one_second), 0);
	harness_spawn(&stage->harness);
	for (int i = -10; i < CLIENTS; i++) {
		char byte;

		if (i == 0)
			before = sleeps();
		const int fd = harness_connect(&stage->harness);
		send_text(fd, "x");
		ck_assert_int_eq(recv(fd, &byte, 1, 0), 1);
		harness_expect_end(fd);
		(void)close(fd);
	}
	const unsigned long after = sleeps();
	ck_assert_msg(after - before <= CLIENTS * 13 / 10, "%d clients, %lu wake-ups", CLIENTS, after - before);
	close_stage();
}
END_TEST

/* Where threads share a table of descriptors that must grow for a client, the kernel has
 * all of them wait for many milliseconds. */
START_TEST(there_is_room_for_all_clients_before_there_are_threads)
{
	char path[64], line[128];
	int size = 0;

	open_stage(&wait_service);
	ck_assert_int_eq(prefork_settings_set_default(stage->harness.settings, "worker_connections", "700"), 0);
	harness_spawn(&stage->harness);
	(void)snprintf(path, sizeof path, "/proc/%d/status", (int)stage->harness.child.pid);
	FILE *const file = fopen(path, "re");
	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof line, file))
		(void)sscanf(line, "FDSize: %d", &size);
	(void)fclose(file);
	ck_assert_int_gt(size, 700);
	close_stage();
}
END_TEST

/* Connections come and go, by the limit of how many there may be. */
START_TEST(over_the_limit_clients_wait_and_then_are_served)
{
	enum { LIMIT = 5 };
	int fds[LIMIT], late[LIMIT];

	open_stage(&wait_service);
	ck_assert_int_eq(prefork_settings_set_default(stage->harness.settings, "worker_connections", "5"), 0);
	harness_spawn(&stage->harness);
	for (int i = 0; i < LIMIT; i++) {
		fds[i] = harness_connect(&stage->harness);
		harness_expect_echo(fds[i], "hello");
	}
	for (int i = 0; i < LIMIT; i++) {
		late[i] = harness_connect(&stage->harness);
		send_text(late[i], "late");
	}
	harness_expect_echo(fds[0], "still here");
	ck_assert_uint_eq(stage->harness.context.score->connections, LIMIT);
	for (int i = 0; i < LIMIT; i++)
		(void)close(fds[i]);
	for (int i = 0; i < LIMIT; i++) {
		expect_text(late[i], "late");
		(void)close(late[i]);
	}
	close_stage();
}
END_TEST

/* Whoever takes a connection writes it here, and a thread of the service gives it back. */
static int taken[2];

static void *give_all_back(void *nothing)
{
	connection_t *connection;

	(void)nothing;
	while (read(taken[0], &connection, sizeof connection) == (ssize_t)sizeof connection)
		prefork_connection_resume(connection, echo_or_wait(prefork_connection_worker(connection), connection, NULL));
	return NULL;
}

static int start_giver(worker_t *worker, void *user)
{
	pthread_t giver;

	(void)worker;
	(void)user;
	if (pipe2(taken, O_CLOEXEC) < 0 || pthread_create(&giver, NULL, give_all_back, NULL) != 0)
		return -EAGAIN;
	(void)pthread_detach(giver);
	return 0;
}

/* A bit of everything, by the first letter. */
static enum prefork_next anything(worker_t *worker, connection_t *connection, void *user)
{
	char letter;
	const ssize_t n = recv(prefork_connection_fd(connection), &letter, 1, MSG_PEEK);

	prefork_connection_set_deadline(connection, 20);
	if (n <= 0)
		return n < 0 && errno == EAGAIN ? PREFORK_WAIT_READABLE : PREFORK_CLOSE;
	switch (letter) {
	case 't':
		return write(taken[1], &connection, sizeof connection) == (ssize_t)sizeof connection ? PREFORK_SUSPENDED :
		                                                                                      PREFORK_CLOSE;
	case 's':
		(void)poll(NULL, 0, 2);
		break;
	default:
		break;
	}
	return echo_or_wait(worker, connection, user);
}

/* A process that asks at random until it is refused; its exit code says whether an answer
 * was wrong. A connection may end, by a deadline or because the worker leaves. */
static void be_client(unsigned seed)
{
	static const char *const words[] = { "quick", "take", "slow", "dear", "" };
	struct sockaddr_in address;
	socklen_t size = sizeof address;
	char bytes[8];

	if (getsockname(stage->harness.listener->fd, (struct sockaddr *)&address, &size) < 0)
		_exit(3);
	(void)close(stage->harness.listener->fd);
	for (;;) {
		const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (connect(fd, (struct sockaddr *)&address, size) < 0)
			_exit(0);
		for (unsigned i = 0; i < 1 + seed % 4; i++) {
			const char *const word = words[(seed = seed * 1103515245 + 12345) / 65536 % 5];
			const size_t length = strlen(word);

			if (send(fd, word, length, MSG_NOSIGNAL) != (ssize_t)length)
				break;
			if (length == 0 && seed % 2)
				(void)poll(NULL, 0, 25); /* too long */
			const ssize_t n = recv(fd, bytes, length, MSG_WAITALL);
			if (n > 0 && memcmp(bytes, word, (size_t)n) != 0)
				_exit(1);
			if (n != (ssize_t)length)
				break;
		}
		(void)close(fd);
	}
}

/* For the sanitizer, too: everything at once, and the worker leaves in the middle of it. */
START_TEST(a_storm_is_served_and_left_in_good_order)
{
	enum { CLIENTS = 12 };
	const struct prefork_service service = {
		.struct_size = sizeof service, .worker_start = start_giver, .ready = anything,
	};
	pid_t clients[CLIENTS];

	open_stage(&service);
	harness_spawn(&stage->harness);
	for (unsigned i = 0; i < CLIENTS; i++) {
		clients[i] = fork();
		ck_assert_int_ge(clients[i], 0);
		if (clients[i] == 0)
			be_client(i * 7919 + 1);
	}
	const uint64_t until_ms = pfi_now_ms() + (uint64_t)harness_patience_ms();
	while (harness_requests(&stage->harness) < 3000 && pfi_now_ms() < until_ms)
		(void)poll(NULL, 0, 5);
	ck_assert_uint_ge(harness_requests(&stage->harness), 3000);
	harness_send(&stage->harness, PFI_MESSAGE_DRAIN, 0);
	const struct pfi_exit_status death = harness_reap(&stage->harness);
	ck_assert_int_eq(death.signo, 0);
	ck_assert_int_eq(death.code, PREFORK_EXIT_RECYCLE);
	ck_assert_int_eq(shutdown(stage->harness.listener->fd, SHUT_RDWR), 0); /* nobody accepts any more */
	for (unsigned i = 0; i < CLIENTS; i++) {
		int status;

		ck_assert_int_eq(waitpid(clients[i], &status, 0), clients[i]);
		ck_assert_int_eq(status, 0);
	}
	close_stage();
}
END_TEST

static atomic_int threads_left;
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *), void *argument);

/* In the worker, where nothing may be asserted. */
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *), void *argument)
{
	if (atomic_fetch_sub(&threads_left, 1) <= 0)
		return EAGAIN;
	return __real_pthread_create(thread, attributes, body, argument);
}

START_TEST(without_threads_a_worker_does_not_boot_and_says_why)
{
	open_stage(&wait_service);
	atomic_store(&threads_left, _i);
	ck_assert_int_eq(pfi_spawn(harness_be_worker, &stage->harness.context, &stage->harness.child), 0);
	atomic_store(&threads_left, 1000);
	const struct pfi_message message = harness_receive(&stage->harness);
	ck_assert_uint_eq(message.type, PFI_MESSAGE_FAILED);
	ck_assert_int_eq((int)message.value, PREFORK_EXIT_BOOT);
	ck_assert_ptr_nonnull(strstr(message.text, "threads could be created"));
	ck_assert_int_eq(harness_reap(&stage->harness).code, PREFORK_EXIT_BOOT);
	close_stage();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("threads");
	TCase *tc = new_case(suite, "threads");

	atomic_store(&threads_left, 1000);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, callbacks_that_wait_hold_nobody_else);
	tcase_add_test(tc, who_stands_behind_a_callback_that_waits_is_let_in);
	tcase_add_test(tc, slow_callbacks_are_shared_out_after_quick_ones);
	tcase_add_test(tc, with_no_free_thread_nobody_is_accepted);
	tcase_add_test(tc, what_one_client_sends_is_answered_in_order_and_one_by_one);
	tcase_add_test(tc, a_callback_under_way_is_finished_before_a_worker_leaves);
	tcase_add_test(tc, what_a_client_had_sent_before_a_stop_is_answered);
	tcase_add_test(tc, one_client_wakes_one_thread);
	tcase_add_test(tc, a_service_sees_how_many_wait_for_a_thread);
	tcase_add_test(tc, there_is_room_for_all_clients_before_there_are_threads);
	tcase_add_test(tc, over_the_limit_clients_wait_and_then_are_served);
	tcase_add_test(tc, a_storm_is_served_and_left_in_good_order);
	tcase_add_loop_test(tc, without_threads_a_worker_does_not_boot_and_says_why, 0, TEST_THREADS);

	return run_suite(suite);
}
