/*
 * Eight workers and up to 2048 connections, one at a time: each worker accepts its share, and
 * each connection wakes one worker.
 */
#include "../features.h"
#include "../support.h"
#include "asleep.h"
#include "host.h"

#include "worker/own_fds.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/socket.h>

/* WARM_UP: a shared listener gives each worker 16 of the first 128 connections. Among reuseport sockets the kernel
 * chooses by a hash: one of the 8 has none of 256 connections in 1 of 8e13 runs (8 * (7/8)^256). */
enum { WORKERS = 8, WARM_UP = 256 };

/* Closes the connection after the response, so that it wakes its worker once. */
static enum prefork_next respond(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	char line[64], text[32];
	const ssize_t n = prefork_connection_read(connection, line, sizeof line);

	(void)worker;
	(void)user;
	if (n == -EAGAIN)
		return PREFORK_WAIT_READABLE;
	if (n > 0)
		(void)prefork_connection_write(connection, text,
		                               (size_t)snprintf(text, sizeof text, "%d 1\n", (int)getpid()));
	return PREFORK_CLOSE;
}

static const struct prefork_service service = {
	.struct_size = sizeof service, .traits = PREFORK_SERVICE_CLIENT_FIRST, .ready = respond
};

static pid_t pids[WORKERS];
static unsigned ready;
static unsigned connections[WORKERS]; /* that worker i has accepted */

/* After a callback a worker wakes up to check its descriptors, at most once in PFI_OWN_FDS_MS: libev by a timer, the
 * other strategies if they have been idle for so long. On a slow machine there are many such wake-ups. */
static uint64_t check_ms[WORKERS];
static unsigned long checks_max;

static void count_check(unsigned worker)
{
	const uint64_t now_ms = pfi_now_ms();

	if (now_ms < check_ms[worker])
		return;
	check_ms[worker] = now_ms + PFI_OWN_FDS_MS;
	checks_max++;
}

static void on_ready(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	(void)arbiter;
	(void)user;
	ck_assert_uint_lt(ready, WORKERS);
	pids[ready++] = prefork_process_pid(process);
}

static const struct prefork_hooks hooks = { .struct_size = sizeof hooks, .worker_ready = on_ready };

/* Opens `count` connections, each while every thread of every worker waits: of those that wait on a shared listener
 * the kernel wakes the first, and a thread that has not begun to wait is woken in vain. */
static void connect_each(unsigned count, const struct asleep *workers)
{
	memset(connections, 0, sizeof connections);
	checks_max = WORKERS;
	while (count-- > 0) {
		asleep_wait(workers);
		const pid_t pid = host_who(host_address(0), NULL);
		unsigned i = 0;

		while (i < WORKERS && pids[i] != pid)
			i++;
		ck_assert_msg(i < WORKERS, "the response is from process %d, which is not a worker", (int)pid);
		connections[i]++;
		count_check(i);
	}
}

/* The first connections of a worker may cost more switches than later ones. */
static void warm_up(const struct asleep *workers)
{
	connect_each(WARM_UP, workers);
	for (unsigned i = 0; i < WORKERS; i++)
		ck_assert_msg(connections[i] > 0, "worker %u has accepted none of %d connections", i, WARM_UP);
}

/* Of all threads of a worker, so far. */
static unsigned long switches_of(pid_t pid)
{
	char path[64], line[128];
	unsigned long sum = 0, one;
	DIR *tasks;

	(void)snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
	tasks = opendir(path);
	ck_assert_ptr_nonnull(tasks);
	for (const struct dirent *entry; (entry = readdir(tasks));) {
		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof path, "/proc/%d/task/%.16s/status", (int)pid, entry->d_name);
		FILE *const status = fopen(path, "r");
		while (status && fgets(line, sizeof line, status)) {
			if (sscanf(line, "voluntary_ctxt_switches: %lu", &one) == 1)
				sum += one;
		}
		if (status)
			(void)fclose(status);
	}
	(void)closedir(tasks);
	return sum;
}

static unsigned long switches(void)
{
	unsigned long sum = 0;

	for (unsigned i = 0; i < WORKERS; i++)
		sum += switches_of(pids[i]);
	return sum;
}

struct kind {
	const char *strategy;
	const char *listeners; /* a flag: "--reuse-port", or one that leaves the listener shared */
	unsigned connections;
	unsigned share_max;    /* connections of one worker */
};

static void expect_equal_shares(const struct kind *kind, const struct asleep *workers)
{
	const unsigned long before = switches();

	connect_each(kind->connections, workers);
	const unsigned long wake_ups = switches() - before;
	unsigned most = 0;
	for (unsigned i = 0; i < WORKERS; i++)
		most = connections[i] > most ? connections[i] : most;
	printf("%s %s: %u connections, at most %u for one of %d workers; %lu wake-ups, at most %lu by a timer\n",
	       kind->strategy, kind->listeners, kind->connections, most, WORKERS, wake_ups, checks_max);

	ck_assert_msg(most <= kind->share_max, "%s %s: one worker has accepted %u of %u connections", kind->strategy,
	              kind->listeners, most, kind->connections);
	ck_assert_msg(wake_ups * 100 < kind->connections * 105UL + checks_max * 100,
	              "%s %s: %lu wake-ups for %u connections, at most %lu by a timer", kind->strategy, kind->listeners,
	              wake_ups, kind->connections, checks_max);
}

/* Shared listener: an equal share is 128, and a worker takes at most 16 connections before the next one is first in
 * the queue. Reuseport sockets: a share of 256 has a standard deviation of 15; that one of eight exceeds 332, five
 * deviations more, happens in 1 of 500000 runs. The test never tries again. */
static const struct kind kinds[] = {
	{ "sync", "--backlog=2048", 1024, 144 },    { "threads", "--backlog=2048", 1024, 144 },
	{ "libev", "--backlog=2048", 1024, 144 },   { "sync", "--reuse-port", 2048, 332 },
	{ "threads", "--reuse-port", 2048, 332 },   { "libev", "--reuse-port", 2048, 332 },
};

START_TEST(connections_are_balanced_evenly_and_wake_one_worker_each)
{
	const struct kind *const kind = &kinds[_i];
	struct asleep workers;
	const char *const words[] = { "-b", "127.0.0.1:0", "--workers", "8", "-k", kind->strategy, kind->listeners,
	                              "--threads", strcmp(kind->strategy, "sync") == 0 ? "1" : "2", NULL };

	if (!has_worker_class(kind->strategy))
		return;
	host_create(words);
	ck_assert_int_eq(prefork_arbiter_add_hooks(host, &hooks, NULL), 0);
	ck_assert_int_eq(prefork_arbiter_add_service(host, "web", &service, NULL), 0);
	ready = 0;
	host_start();
	host_turn();
	ck_assert_uint_eq(ready, WORKERS);
	asleep_open(&workers, pids, WORKERS);
	warm_up(&workers);
	expect_equal_shares(kind, &workers);
	asleep_close(&workers);
	host_stop();
	host_close();
}
END_TEST

int main(void)
{
	Suite *const suite = suite_create("balance");
	TCase *const tc = new_case(suite, "balance");

	tcase_set_timeout(tc, patience_ms(60000) / 1000);
	tcase_add_loop_test(tc, connections_are_balanced_evenly_and_wake_one_worker_each, 0, sizeof kinds / sizeof kinds[0]);
	return run_suite(suite);
}
