/*
 * One worker cannot accept connections and another one can: no connection waits for the first one, which is
 * replaced if the shortage lasts. If no worker can accept, all retry, and none is replaced.
 */
#include "../features.h"
#include "../support.h"
#include "host.h"
#include "seccomp.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum {
	CONNECTIONS = 200,
	BURST = 10,      /* connections at a time, in the second half of them */
	SOON_MS = 100,   /* a connection that is not served by then may be left waiting:                  */
	QUIET_MS = 200,  /* no worker runs for so long; less than the 500 ms after which a worker retries */
	GIVE_UP_MS = 5000,
	FEW = 256,
	ROUNDS = 5,
	WORKERS_MAX = 16,
};

static const struct variant {
	const char *worker_class, *threads;
	bool reuse_port;
} variants[] = {
	{ "sync", "1", false },	    { "sync", "1", true },  { "threads", "4", false }, { "threads", "4", true },
	{ "libev", "0", false },    { "libev", "0", true }, { "libev", "4", false },   { "libev", "4", true },
};
enum { VARIANTS = sizeof variants / sizeof variants[0] };

static const char *worker_connections = "1000";
static char log_file[64], log_bytes[65536];

/* The application leaks: runs in the worker. */
static void leak_all(void)
{
	const struct rlimit few = { FEW, FEW };

	(void)setrlimit(RLIMIT_NOFILE, &few);
	while (open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0)
		continue;
}

static enum prefork_next leak_or_respond(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	char line[64], text[64];
	const ptrdiff_t n = prefork_connection_read(connection, line, sizeof line - 1);

	(void)user;
	if (n <= 0)
		return n == -EAGAIN ? PREFORK_WAIT_READABLE : PREFORK_CLOSE;
	line[n] = 0;
	if (strncmp(line, "leak", 4) == 0)
		leak_all();
	if (strncmp(line, "deny", 4) == 0 && !deny_syscall(SYS_accept4, EPERM))
		return PREFORK_CLOSE;
	const int length = snprintf(text, sizeof text, "%d %u\n", (int)getpid(), prefork_worker_generation(worker));
	return prefork_connection_write(connection, text, (size_t)length);
}

static const struct prefork_service service = {
	.struct_size = sizeof service, .ready = leak_or_respond,
};

static pid_t pids[WORKERS_MAX]; /* of all workers that were started */
static unsigned pid_count;

static void on_fork(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	(void)arbiter;
	(void)user;
	ck_assert_uint_lt(pid_count, WORKERS_MAX);
	pids[pid_count++] = prefork_process_pid(process);
}

static const struct prefork_hooks hooks = { .struct_size = sizeof hooks, .after_fork = on_fork };

static bool open_variant(const struct variant *variant, const char *workers)
{
	const char *const words[] = { "-b", "127.0.0.1:0", "--workers", workers, "-k", variant->worker_class, "--threads",
		                      variant->threads, "--defer-accept", "off", "--error-logfile", log_file,
		                      "--worker-connections", worker_connections,
		                      variant->reuse_port ? "--reuse-port" : NULL, NULL };

	if (!has_worker_class(variant->worker_class))
		return false;
	(void)strcpy(log_file, "/tmp/prefork-shortage-XXXXXX");
	ck_assert_int_eq(close(mkstemp(log_file)), 0);
	host_is_loud = true;
	host_create(words);
	ck_assert_int_eq(prefork_arbiter_add_service(host, "web", &service, NULL), 0);
	ck_assert_int_eq(prefork_arbiter_add_hooks(host, &hooks, NULL), 0);
	host_start();
	host_turn();
	return true;
}

/* Number of occurrences of `text` in the log. */
static int logged(const char *text)
{
	FILE *const in = fopen(log_file, "r");
	int count = 0;

	ck_assert_ptr_nonnull(in);
	log_bytes[fread(log_bytes, 1, sizeof log_bytes - 1, in)] = 0;
	(void)fclose(in);
	for (const char *at = log_bytes; (at = strstr(at, text)) != NULL; at++)
		count++;
	return count;
}

static void close_variant(void)
{
	host_close();
	(void)unlink(log_file);
}

/* Wait until `fd` is readable, and dispatch meanwhile. False: not within `limit_ms`. */
static bool await_readable(int fd, uint64_t limit_ms)
{
	const uint64_t end_ms = pfi_now_ms() + limit_ms;
	struct pollfd wait[] = { { .fd = fd, .events = POLLIN },
		                 { .fd = prefork_arbiter_fd(host), .events = POLLIN } };

	for (;;) {
		const uint64_t now_ms = pfi_now_ms();

		(void)poll(wait, 2, now_ms < end_ms ? (int)(end_ms - now_ms) : 0);
		if (wait[0].revents)
			return true;
		if (wait[1].revents)
			host_turn();
		if (now_ms >= end_ms)
			return false;
	}
}

/* Dispatch for `ms`. */
static void run_for_ms(uint64_t ms)
{
	(void)await_readable(-1, ms);
}

static void run_until_logged(const char *text)
{
	for (int i = 0; logged(text) == 0; i++) {
		ck_assert_msg(i < patience_ms(GIVE_UP_MS) / 20, "not in the log: %s\n%s", text, log_bytes);
		run_for_ms(20);
	}
}

/* Sends `word` to one worker; returns its pid, and the connection, which stays open, in *ret_fd. */
static pid_t send_to_one(const char *word, int *ret_fd)
{
	char text[64] = "";
	int pid = -1;

	*ret_fd = host_connect(host_address(0));
	ck_assert_int_ge(*ret_fd, 0);
	ck_assert_int_eq(send(*ret_fd, word, strlen(word), MSG_NOSIGNAL), (ssize_t)strlen(word));
	ck_assert(await_readable(*ret_fd, (uint64_t)patience_ms(GIVE_UP_MS)));
	ck_assert_int_gt(recv(*ret_fd, text, sizeof text - 1, 0), 0);
	ck_assert_int_eq(sscanf(text, "%d", &pid), 1);
	return pid;
}

/* Whether a thread sleeps or has exited; adds its context switches to *switches. */
static bool thread_sleeps(const char *status_path, unsigned long *switches)
{
	FILE *const status = fopen(status_path, "re");
	char line[128], state = 'X';
	unsigned long count;

	while (status && fgets(line, sizeof line, status)) {
		(void)sscanf(line, "State: %c", &state);
		if (sscanf(line, "voluntary_ctxt_switches: %lu", &count) == 1 ||
		    sscanf(line, "nonvoluntary_ctxt_switches: %lu", &count) == 1)
			*switches += count;
	}
	if (status)
		(void)fclose(status);
	return strchr("SZX", state) != NULL;
}

/* Whether all threads of all workers sleep; *ret_switches: how often they have run until now. */
static bool workers_sleep(unsigned long *ret_switches)
{
	bool all = true;

	*ret_switches = 0;
	for (unsigned i = 0; i < pid_count; i++) {
		char path[64];

		(void)snprintf(path, sizeof path, "/proc/%d/task", (int)pids[i]);
		DIR *const tasks = opendir(path);
		for (const struct dirent *entry; tasks && (entry = readdir(tasks));) {
			(void)snprintf(path, sizeof path, "/proc/%d/task/%.16s/status", (int)pids[i], entry->d_name);
			if (entry->d_name[0] != '.')
				all &= thread_sleeps(path, ret_switches);
		}
		if (tasks)
			(void)closedir(tasks);
	}
	return all;
}

/* Whether this connection waits and no process does anything about it: it is in the backlog, the arbiter has no event,
 * and no worker runs. A process that a slow machine delays does not sleep: it could run. */
static bool is_left_waiting(int fd)
{
	struct pollfd events[] = { { .fd = fd, .events = POLLIN },
		                   { .fd = prefork_arbiter_fd(host), .events = POLLIN } };
	unsigned long before, after;
	int unacknowledged = 1;

	return ioctl(fd, SIOCOUTQ, &unacknowledged) == 0 && unacknowledged == 0 && workers_sleep(&before) &&
	       poll(events, 2, QUIET_MS) == 0 && workers_sleep(&after) && after == before;
}

/* Waits for the response. False: meanwhile no process did anything about the connection. */
static bool is_served_without_delay(int fd)
{
	const uint64_t end_ms = pfi_now_ms() + (uint64_t)patience_ms(GIVE_UP_MS);
	bool waited = false;

	while (!await_readable(fd, SOON_MS)) {
		ck_assert_msg(pfi_now_ms() < end_ms, "a connection was never accepted");
		waited |= is_left_waiting(fd);
	}
	return !waited;
}

/* Sends `count` requests at once. Returns the number of those that waited without need. */
static unsigned request_burst(unsigned count)
{
	unsigned late = 0;
	int fds[BURST];

	for (unsigned i = 0; i < count; i++)
		ck_assert_int_ge(fds[i] = host_request(host_address(0)), 0);
	for (unsigned i = 0; i < count; i++) {
		late += !is_served_without_delay(fds[i]);
		ck_assert_int_gt(host_receive(fds[i]), 0);
	}
	return late;
}

static void expect_no_delay(const struct variant *variant)
{
	unsigned late = 0;

	for (unsigned i = 0; i < CONNECTIONS / 2; i++)
		late += request_burst(1);
	for (unsigned i = 0; i < CONNECTIONS / 2; i += BURST)
		late += request_burst(BURST);
	ck_assert_msg(late == 0, "%s, %s threads%s: %u of %d connections waited while no worker ran",
	              variant->worker_class, variant->threads, variant->reuse_port ? ", reuse_port" : "", late,
	              CONNECTIONS);
}

START_TEST(a_worker_at_its_descriptor_limit_keeps_no_connection_waiting)
{
	const struct variant *const variant = &variants[_i];
	int fd;

	if (!open_variant(variant, "2"))
		return;
	const pid_t affected = send_to_one("leak\n", &fd);
	expect_no_delay(variant);
	host_until_exited(affected); /* it is replaced */
	(void)close(fd);
	ck_assert_int_eq(host_until(&host_seen.ready, 3), 1);
	ck_assert_msg(logged("cannot accept connections: Too many open files") == 1, "%s", log_bytes);
	host_stop();
	close_variant();
}
END_TEST

START_TEST(a_worker_that_may_not_accept_keeps_no_connection_waiting)
{
	const struct variant *const variant = &variants[2 * _i + _i % 2]; /* every second one has reuse_port */
	int fd;

	if (!open_variant(variant, "2"))
		return;
	const pid_t affected = send_to_one("deny\n", &fd);
	expect_no_delay(variant);
	host_until_exited(affected);
	(void)close(fd);
	host_stop();
	close_variant();
}
END_TEST

/* The only worker may not accept, and a connection waits: one log line, no CPU time, and a stop is not delayed. */
START_TEST(if_no_worker_may_accept_none_is_replaced_and_a_stop_is_not_delayed)
{
	const struct variant *const variant = &variants[2 * _i + 1 - _i % 2];
	struct rusage usage;
	int fd;

	if (!open_variant(variant, "1"))
		return;
	(void)send_to_one("deny\n", &fd);
	const int waits = host_request(host_address(0));
	run_until_logged("cannot accept connections: Operation not permitted");
	run_for_ms(1200);
	ck_assert_int_eq(logged("cannot accept connections"), 1);
	ck_assert_int_eq(host_seen.exited, 0);
	ck_assert_int_eq(host_seen.ready, 1); /* a replacement could not accept either */
	(void)close(fd);
	const uint64_t begin_ms = pfi_now_ms();
	host_stop();
	ck_assert_uint_lt(pfi_now_ms() - begin_ms, (uint64_t)patience_ms(4000));
	ck_assert_int_eq(getrusage(RUSAGE_CHILDREN, &usage), 0);
	ck_assert_int_eq(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec, 0);
	(void)close(waits);
	close_variant();
}
END_TEST

/* An idle worker is stopped: another worker accepts from its socket until it runs again. */
START_TEST(connections_of_a_stopped_workers_reuseport_socket_are_served)
{
	const struct variant *const variant = &variants[2 * _i + 1];
	siginfo_t stopped;
	int fds[20], fd;

	if (!open_variant(variant, "2"))
		return;
	const pid_t pid = send_to_one("who\n", &fd);
	(void)close(fd);
	run_for_ms(50); /* until the worker is idle */
	ck_assert_int_eq(kill(pid, SIGSTOP), 0);
	ck_assert_int_eq(waitid(P_PID, (id_t)pid, &stopped, WSTOPPED), 0);
	for (int i = 0; i < 20; i++)
		ck_assert_int_ge(fds[i] = host_request(host_address(0)), 0);
	for (int i = 0; i < 20; i++) {
		ck_assert_msg(await_readable(fds[i], (uint64_t)patience_ms(GIVE_UP_MS)), "connection %d was not accepted", i);
		ck_assert_int_ne(host_receive(fds[i]), pid);
	}
	ck_assert_int_eq(logged("does not run"), 1);
	ck_assert_int_eq(kill(pid, SIGCONT), 0);
	run_until_logged("runs again");
	ck_assert_uint_eq(request_burst(BURST), 0);
	ck_assert_int_eq(host_seen.exited, 0);
	host_stop();
	close_variant();
}
END_TEST

/* With `on`, this process runs before all others of its processor. */
static void take_precedence(bool on)
{
	const struct sched_param param = { .sched_priority = on ? 1 : 0 };

	(void)sched_setscheduler(0, on ? SCHED_FIFO : SCHED_OTHER, &param); /* without privileges the race is less likely */
}

/* On one processor, by a process with precedence: both connections are established before a worker runs, and a thread of
 * one worker is woken for each. */
static void connect_both(int *fds)
{
	take_precedence(true);
	for (int i = 0; i < 2; i++) {
		fds[i] = host_connect(host_address(0));
		(void)send(fds[i], "who\n", 4, MSG_NOSIGNAL);
	}
	take_precedence(false);
}

START_TEST(a_worker_at_its_connection_limit_keeps_no_connection_waiting)
{
	const struct variant *const variant = &variants[2 * _i]; /* a reuseport socket is of one worker */
	cpu_set_t one;
	int fds[2];

	CPU_ZERO(&one);
	CPU_SET((size_t)sched_getcpu(), &one);
	ck_assert_int_eq(sched_setaffinity(0, sizeof one, &one), 0);
	worker_connections = "1";
	if (!open_variant(variant, "2"))
		return;
	for (int round = 0; round < ROUNDS; round++) {
		run_for_ms(50); /* until the workers are idle */
		connect_both(fds);
		for (int i = 0; i < 2; i++)
			ck_assert_msg(await_readable(fds[i], (uint64_t)patience_ms(GIVE_UP_MS)),
			              "%s, %s threads: connection %d of round %d waits", variant->worker_class,
			              variant->threads, i, round);
		for (int i = 0; i < 2; i++)
			ck_assert_int_eq(close(fds[i]), 0);
	}
	host_stop();
	close_variant();
}
END_TEST

int main(void)
{
	Suite *const suite = suite_create("accept_shortage");
	TCase *const tc = new_case(suite, "accept_shortage");

	tcase_add_loop_test(tc, a_worker_at_its_descriptor_limit_keeps_no_connection_waiting, 0, VARIANTS);
	tcase_add_loop_test(tc, a_worker_at_its_connection_limit_keeps_no_connection_waiting, 0, VARIANTS / 2);
	tcase_add_loop_test(tc, a_worker_that_may_not_accept_keeps_no_connection_waiting, 0, VARIANTS / 2);
	tcase_add_loop_test(tc, if_no_worker_may_accept_none_is_replaced_and_a_stop_is_not_delayed, 0, VARIANTS / 2);
	tcase_add_loop_test(tc, connections_of_a_stopped_workers_reuseport_socket_are_served, 0, VARIANTS / 2);
	return run_suite(suite);
}
