/* Workers whose loop has the listener as an exclusive entry, and one client after the other: each worker accepts its
 * share, and each connection wakes one worker. */
#include "../support.h"

#include "asleep.h"
#include "harness.h"

#include "os/clock.h"
#include "worker/own_fds.h"

#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct prefork_worker worker_t;
typedef struct prefork_connection connection_t;

enum { WORKERS_MAX = 8, REQUEUE = 16 };

/* A worker accepts 16 connections in a row, and then the next one is first in the kernel's wait queue. Of 125 times 16,
 * each of 8 workers has 15 or 16; of 50 times 16, each of 4 has 12 or 13. */
static const struct row {
	unsigned workers, clients, least, most;
} rows[] = { { 8, 2000, 15 * REQUEUE, 16 * REQUEUE }, { 4, 800, 12 * REQUEUE, 13 * REQUEUE } };

static enum prefork_next respond(worker_t *worker, connection_t *connection, void *user)
{
	(void)user;
	prefork_worker_count_request(worker);
	(void)prefork_connection_write(connection, "x", 1);
	return PREFORK_CLOSE;
}

static unsigned long switches(pid_t pid)
{
	unsigned long count = 0;
	char path[64], line[128];

	(void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	FILE *const file = fopen(path, "re");
	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof line, file))
		(void)sscanf(line, "voluntary_ctxt_switches: %lu", &count);
	(void)fclose(file);
	return count;
}

/* A worker of its own scoreboard entry, as one of an arbiter has. */
static void spawn_workers(struct harness *harness, struct pfi_scoreboard *scoreboard, struct pfi_child *children, unsigned count)
{
	ck_assert_int_eq(pfi_scoreboard_open(count, pfi_worker_score_bytes(1), scoreboard), 0);
	harness->context.scoreboard = NULL;
	for (unsigned i = 0; i < count; i++) {
		harness->context.slot = i;
		harness->context.score = pfi_scoreboard_at(scoreboard, i);
		harness_spawn(harness);
		children[i] = harness->child;
		harness->child.pidfd = -1;
	}
}

static void stop_workers(struct harness *harness, const struct pfi_child *children, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		harness->child = children[i];
		ck_assert_int_eq(pfi_pidfd_signal(harness->child.pidfd, SIGTERM, 0), 0);
		ck_assert_int_eq(harness_reap(harness).code, 0);
	}
}

static void connect_each(const struct harness *harness, const struct asleep *workers, unsigned count)
{
	while (count-- > 0) {
		char byte;

		asleep_wait(workers); /* the scheduler of a busy machine decides otherwise which workers wait */
		const int fd = harness_connect(harness);
		ck_assert_int_eq(recv(fd, &byte, 1, 0), 1);
		harness_expect_end(fd);
		(void)close(fd);
	}
}

static unsigned long switches_of(const struct pfi_child *children, unsigned count)
{
	unsigned long sum = 0;

	for (unsigned i = 0; i < count; i++)
		sum += switches(children[i].pid);
	return sum;
}

static uint64_t requests_of(const struct pfi_scoreboard *scoreboard, unsigned index)
{
	const struct pfi_worker_score *const score = pfi_scoreboard_at(scoreboard, index);

	return score->thread_slots[0].requests;
}

START_TEST(connections_are_balanced_evenly_and_wake_one_worker_each)
{
	const struct prefork_service service = {
		.struct_size = sizeof service, .ready = respond, .accepted = respond,
	};
	const struct row *const row = &rows[_i];
	struct pfi_child children[WORKERS_MAX];
	pid_t pids[WORKERS_MAX];
	uint64_t requests[WORKERS_MAX];
	struct pfi_scoreboard scoreboard;
	struct harness harness;
	struct asleep workers;

	harness_open(&harness, &service);
	spawn_workers(&harness, &scoreboard, children, row->workers);
	for (unsigned i = 0; i < row->workers; i++)
		pids[i] = children[i].pid;
	asleep_open(&workers, pids, row->workers);
	connect_each(&harness, &workers, REQUEUE * row->workers); /* the first ones warm up all workers */
	asleep_wait(&workers);
	for (unsigned i = 0; i < row->workers; i++)
		requests[i] = requests_of(&scoreboard, i);
	const unsigned long before = switches_of(children, row->workers);
	const uint64_t begin_ms = pfi_now_ms();
	connect_each(&harness, &workers, row->clients);
	asleep_wait(&workers);
	/* An idle worker wakes up once per PFI_OWN_FDS_MS at most, to check its descriptors. */
	const unsigned long checks_max = row->workers * ((pfi_now_ms() - begin_ms) / PFI_OWN_FDS_MS + 1);
	ck_assert_uint_le(switches_of(children, row->workers) - before, row->clients * 105 / 100 + checks_max);
	for (unsigned i = 0; i < row->workers; i++) {
		const uint64_t share = requests_of(&scoreboard, i) - requests[i];

		ck_assert_uint_ge(share, row->least);
		ck_assert_uint_le(share, row->most);
	}
	asleep_close(&workers);
	stop_workers(&harness, children, row->workers);
	pfi_scoreboard_close(&scoreboard);
	harness_close(&harness);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("herd");
	TCase *tc = new_case(suite, "herd");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, connections_are_balanced_evenly_and_wake_one_worker_each, 0, sizeof rows / sizeof rows[0]);
	return run_suite(suite);
}
