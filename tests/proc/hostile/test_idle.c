/*
 * An idle server causes no wake-ups: no thread of it runs, from one request timeout after
 * the last request on. A worker that gets stuck after that is still detected in time.
 */
#include "server.h"

#include "os/clock.h"
#include "../../features.h"
#include "../../support.h"

#include <dirent.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>

static const char *const classes[] = { "sync", "threads", "libev" };

enum { CLASSES = sizeof classes / sizeof classes[0], TIMEOUT_MS = 700, IDLE_MS = 5000, CLIENTS = 8 };

/* Context switches, voluntary or not, of all threads of a process; UINT64_MAX if it has exited. */
static uint64_t switches_of(pid_t pid)
{
	char path[64], line[256];
	uint64_t sum = 0;

	(void)snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
	DIR *const tasks = opendir(path);
	if (tasks == NULL)
		return UINT64_MAX;
	for (const struct dirent *task; (task = readdir(tasks)) != NULL;) {
		char status[384];
		unsigned long count;

		(void)snprintf(status, sizeof status, "%s/%s/status", path, task->d_name);
		FILE *const file = task->d_name[0] != '.' ? fopen(status, "r") : NULL;
		while (file != NULL && fgets(line, sizeof line, file) != NULL) {
			if (sscanf(line, "voluntary_ctxt_switches: %lu", &count) == 1 ||
			    sscanf(line, "nonvoluntary_ctxt_switches: %lu", &count) == 1)
				sum += count;
		}
		if (file != NULL)
			(void)fclose(file);
	}
	(void)closedir(tasks);
	return sum;
}

static uint64_t switches_of_all(const struct server *server)
{
	uint64_t sum = switches_of(server->pid);

	for (unsigned i = 0; i < server->ready; i++)
		sum += switches_of(server->pids[i]);
	return sum;
}

/* Waits until no thread has run for longer than any timer of the last request lasts: on a busy machine a thread may run
 * late. Returns the context switches so far. */
static uint64_t await_idle(const struct server *server)
{
	const uint64_t end_ms = pfi_now_ms() + (uint64_t)patience_ms(20000);
	uint64_t before, now = switches_of_all(server);

	do {
		ck_assert_msg(pfi_now_ms() < end_ms, "the server is not idle");
		before = now;
		(void)poll(NULL, 0, patience_ms(TIMEOUT_MS + 500));
		now = switches_of_all(server);
	} while (now != before);
	return now;
}

static int send_word(uint16_t port, const char *word)
{
	const struct timeval limit = { .tv_sec = patience_ms(20000) / 1000 };
	const struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port),
					     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
	ck_assert_int_eq(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
	ck_assert_int_eq(send(fd, word, 5, MSG_NOSIGNAL), 5);
	return fd;
}

START_TEST(an_idle_server_is_never_woken_and_still_detects_a_stuck_worker)
{
	const char *const arguments[] = { "--bind", "127.0.0.1:0", "--workers", "4", "--timeout", "700ms", "--abort-timeout",
					  "100ms", "--worker-class", classes[_i], "--threads", _i == 1 ? "2" : "1", NULL };
	struct server server;
	char bytes[5];

	if (!has_worker_class(classes[_i]))
		return;
	ck_assert(server_start(&server, arguments, 0));
	ck_assert(server_wait_ready(&server, 4));
	for (int i = 0; i < CLIENTS; i++) {
		const int fd = send_word(server.port, "hello");

		ck_assert_int_eq(recv(fd, bytes, sizeof bytes, MSG_WAITALL), sizeof bytes);
		(void)close(fd);
	}
	const uint64_t before = await_idle(&server);

	(void)poll(NULL, 0, IDLE_MS);
	ck_assert_uint_eq(switches_of_all(&server) - before, 0);

	const uint64_t begun_ms = pfi_now_ms();
	const int fd = send_word(server.port, "Hang!");
	ck_assert_int_eq(recv(fd, bytes, sizeof bytes, MSG_WAITALL), 0); /* the worker was aborted */
	const uint64_t took_ms = pfi_now_ms() - begun_ms;
	ck_assert_uint_ge(took_ms, TIMEOUT_MS);
	ck_assert_uint_le(took_ms, (unsigned)patience_ms(TIMEOUT_MS + 100 + 1500));
	(void)close(fd);
	ck_assert(server_wait_ready(&server, 5)); /* it is replaced */
	ck_assert_int_eq(kill(server.pid, SIGTERM), 0);
	ck_assert_int_eq(server_wait(&server), 0);
	server_finish(&server);
}
END_TEST

int main(void)
{
	Suite *const suite = suite_create("idle");
	TCase *const tc = new_case(suite, "idle");

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, an_idle_server_is_never_woken_and_still_detects_a_stuck_worker, 0, CLASSES);
	return run_suite(suite);
}
