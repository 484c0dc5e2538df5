/*
 * Eight workers and 4000 clients, one at a time: everybody gets a share, and nobody is
 * woken for a client that another one serves.
 */
#include "../features.h"
#include "../support.h"
#include "host.h"


#include <dirent.h>
#include <stdio.h>
#include <sys/socket.h>

enum { WORKERS = 8, CLIENTS = 4000, TRIES = 3 };

/* Closes first, so that each client wakes its worker once. */
static enum prefork_next answer(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
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
	.struct_size = sizeof service, .traits = PREFORK_SERVICE_CLIENT_FIRST, .ready = answer
};

static struct share {
	pid_t pid;
	unsigned clients;
} shares[WORKERS];

static void count(pid_t pid)
{
	unsigned i = 0;

	ck_assert_int_gt(pid, 0);
	while (i < WORKERS && shares[i].pid != 0 && shares[i].pid != pid)
		i++;
	ck_assert_uint_lt(i, WORKERS);
	shares[i].pid = pid;
	shares[i].clients++;
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
		sum += switches_of(shares[i].pid);
	return sum;
}

struct kind {
	const char *name;
	const char *sockets; /* "--reuse-port", or nothing that matters */
	unsigned percent;    /* of a fair share, at most */
};

/* Whether everybody got its share of the clients, and one wake-up each. */
static bool share_out(const struct kind *kind, bool must)
{
	for (unsigned i = 0; i < WORKERS; i++)
		shares[i].clients = 0;
	const unsigned long before = switches();
	for (unsigned i = 0; i < CLIENTS; i++)
		count(host_who(host_address(0), NULL));
	const unsigned long woken = switches() - before;
	unsigned most = 0;
	for (unsigned i = 0; i < WORKERS; i++)
		most = shares[i].clients > most ? shares[i].clients : most;
	printf("%s %s: at most %u clients of %d for one of %d workers, %lu wake-ups\n", kind->name, kind->sockets,
	       most, CLIENTS, WORKERS, woken);

	const bool even = most * 100 <= CLIENTS / WORKERS * kind->percent;
	const bool no_herd = woken * 100 < CLIENTS * 105;

	ck_assert_msg(!must || even, "%s %s: one has %u of %d", kind->name, kind->sockets, most, CLIENTS);
	ck_assert_msg(!must || no_herd, "%s %s: %lu wake-ups for %d clients", kind->name, kind->sockets, woken,
	              CLIENTS);
	return even && no_herd;
}

static const struct kind kinds[] = {
	{ "sync", "--backlog=2048", 110 },    { "threads", "--backlog=2048", 110 },
	{ "libev", "--backlog=2048", 110 },   { "sync", "--reuse-port", 120 },
	{ "threads", "--reuse-port", 120 },   { "libev", "--reuse-port", 120 },
};

START_TEST(clients_are_shared_evenly_and_wake_one_worker_each)
{
	const char *const words[] = { "-b", "127.0.0.1:0", "--workers", "8", "-k", kinds[_i].name, kinds[_i].sockets,
	                              "--threads", "2", NULL };

	if (!has_worker_class(kinds[_i].name))
		return;
	host_create(words);
	ck_assert_int_eq(prefork_arbiter_add_service(host, "web", &service, NULL), 0);
	host_start();
	host_turn();
	memset(shares, 0, sizeof shares);
	/* Until everybody is known, and has done things for the first time. */
	for (unsigned i = 0; shares[WORKERS - 1].pid == 0; i++) {
		ck_assert_uint_lt(i, CLIENTS);
		count(host_who(host_address(0), NULL));
	}
	/* A machine that is busy with something else may spoil one try; a herd is there in each. */
	for (int try = 0; try < TRIES && !share_out(&kinds[_i], try == TRIES - 1); try++)
		continue;
	host_stop();
	host_close();
}
END_TEST

int main(void)
{
	Suite *const suite = suite_create("balance");
	TCase *const tc = new_case(suite, "balance");

	tcase_set_timeout(tc, patience_ms(60000) / 1000);
	tcase_add_loop_test(tc, clients_are_shared_evenly_and_wake_one_worker_each, 0, sizeof kinds / sizeof kinds[0]);
	return run_suite(suite);
}
