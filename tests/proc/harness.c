#include "harness.h"

#include "model/message.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/parent_death.h"
#include "os/timer.h"
#include "worker/strategies.h"

#include <prefork/settings.h>
#include <prefork/worker.h>

#ifdef TEST_EV_DRIVER
#include "ev_driver.h"
#define STRATEGY ev_driver
#elif defined TEST_POLL_DRIVER
#include "poll_driver.h"
#define STRATEGY poll_driver
#elif defined TEST_POLL_DRIVER_PLAIN
#include "poll_driver.h"
#define STRATEGY poll_driver_plain
#elif defined TEST_TASKS
#include "task_driver.h"
#define STRATEGY task_driver
#elif defined TEST_LIBEV
#define STRATEGY pfi_strategy_libev
#elif defined TEST_THREADS
#define STRATEGY pfi_strategy_threads
#else
#define STRATEGY pfi_strategy_sync
#endif

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef TEST_THREADS
#define TEST_THREADS 0 /* how many, besides the first */
#endif

enum { THREAD_SLOTS = 1 + TEST_THREADS, PATIENCE_MS = 5000 };

int harness_patience_ms(void)
{
	const char *const patience = getenv("TEST_PATIENCE");
	const int times = patience ? atoi(patience) : 1;

	return PATIENCE_MS * (times > 0 ? times : 1);
}

int harness_threads(void)
{
	return TEST_THREADS;
}

bool harness_may_block(void)
{
	return STRATEGY.traits & PREFORK_STRATEGY_MAY_BLOCK;
}

enum prefork_next harness_echo(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	char bytes[65536];
	const ptrdiff_t n = prefork_connection_read(connection, bytes, sizeof bytes);

	(void)user;
	if (n <= 0)
		return n == -EAGAIN ? PREFORK_WAIT_READABLE : PREFORK_CLOSE;
	prefork_worker_count_request(worker);
	prefork_worker_set_activity(worker, bytes, (size_t)n);
	return prefork_connection_write(connection, bytes, (size_t)n);
}

static void wait_readable(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	ck_assert_int_eq(poll(&pollfd, 1, harness_patience_ms()), 1);
}

/* LeakSanitizer searches these pointers, but not the shared mapping in which a test may have its harness. */
static void *volatile reachable[2];

void harness_set(struct harness *harness, const char *name, const char *text)
{
	if (!harness->settings)
		ck_assert_int_eq(prefork_settings_create(&harness->settings), 0);
	reachable[1] = harness->settings;
	ck_assert_int_eq(prefork_settings_set_default(harness->settings, name, text), 0);
	harness->context.settings = harness->settings;
}

void harness_open(struct harness *harness, const struct prefork_service *service)
{
	*harness = (struct harness){ .child.pidfd = -1 };
	/* Check's own handlers would be inherited. */
	(void)signal(SIGTERM, SIG_DFL);
	(void)signal(SIGINT, SIG_DFL);
	(void)signal(SIGALRM, SIG_DFL);
	harness->fds_before = pfi_fd_count();
	ck_assert_int_eq(pfi_listener_open("127.0.0.1:0", &pfi_listener_defaults, &harness->listener), 0);
	ck_assert_int_eq(pfi_scoreboard_open(1, pfi_worker_score_bytes(THREAD_SLOTS), &harness->scoreboard), 0);
	ck_assert_int_eq(pfi_channel_open(harness->channel), 0);
	harness->context = (struct pfi_spawn_context){
		.program = "test",
		.pool = "web",
		.generation = 1,
		.strategy = &STRATEGY,
		.service = service,
		.user = harness,
		.listeners = &harness->listener,
		.listener_count = 1,
		.scoreboard = &harness->scoreboard,
		.score = pfi_scoreboard_at(&harness->scoreboard, 0),
		.thread_slots = THREAD_SLOTS,
		.channel = harness->channel[1],
		.arbiter_pidfd = pfi_arbiter_pidfd_open(),
		.watchdog = pfi_timer_open(),
		.arbiter = getpid(),
	};
#if TEST_THREADS > 0
	char threads[16];

	(void)snprintf(threads, sizeof threads, "%d", TEST_THREADS);
	harness_set(harness, "threads", threads);
	harness_set(harness, "drain_idle", "0");
#endif
	reachable[0] = harness->listener;
	ck_assert_int_ge(harness->context.arbiter_pidfd, 0);
	ck_assert_int_ge(harness->context.watchdog, 0);
}

int harness_be_worker(void *context)
{
	return pfi_worker_main(context);
}

void harness_spawn(struct harness *harness)
{
	ck_assert_int_eq(pfi_spawn(harness_be_worker, &harness->context, &harness->child), 0);
	ck_assert_uint_eq(harness_receive(harness).type, PFI_MESSAGE_READY);
}

void harness_send(struct harness *harness, uint32_t type, uint32_t value)
{
	ck_assert_int_eq(pfi_channel_send(harness->channel[0], type, value, NULL), 0);
}

void harness_signal(const struct harness *harness, int signo)
{
	ck_assert_int_eq(pfi_pidfd_signal(harness->child.pidfd, signo, 0), 0);
}

void harness_stop(const struct harness *harness)
{
	siginfo_t stopped;

	harness_signal(harness, SIGSTOP);
	ck_assert_int_eq(waitid(P_PID, (id_t)harness->child.pid, &stopped, WSTOPPED), 0);
}

struct pfi_message harness_receive(struct harness *harness)
{
	struct pfi_message message;

	wait_readable(harness->channel[0]);
	ck_assert_int_eq(pfi_channel_receive(harness->channel[0], &message), 0);
	return message;
}

struct pfi_exit_status harness_reap(struct harness *harness)
{
	struct pfi_exit_status exit_status;

	wait_readable(harness->child.pidfd);
	ck_assert_int_eq(pfi_reap(harness->child.pidfd, &exit_status), 0);
	pfi_close(&harness->child.pidfd);
	return exit_status;
}

void harness_close(struct harness *harness)
{
	if (harness->child.pidfd >= 0) {
		(void)pfi_pidfd_signal(harness->child.pidfd, SIGKILL, 0);
		(void)harness_reap(harness);
	}
	pfi_close(&harness->context.watchdog);
	pfi_close(&harness->context.arbiter_pidfd);
	pfi_close(&harness->channel[0]);
	pfi_close(&harness->channel[1]);
	pfi_scoreboard_close(&harness->scoreboard);
	pfi_listener_close(harness->listener);
	prefork_settings_destroy(harness->settings);
	ck_assert_int_eq(pfi_fd_count(), harness->fds_before);
}

uint64_t harness_requests(const struct harness *harness)
{
	uint64_t requests = 0;

	for (unsigned i = 0; i < THREAD_SLOTS; i++)
		requests += harness->context.score->thread_slots[i].requests;
	return requests;
}

static bool is_idle(const struct harness *harness)
{
	for (unsigned i = 0; i < THREAD_SLOTS; i++) {
		if (harness->context.score->thread_slots[i].deadline_ms != 0)
			return false;
	}
	return true;
}

void harness_await_idle(const struct harness *harness)
{
	const uint64_t until_ms = pfi_now_ms() + (uint64_t)harness_patience_ms();

	while (!is_idle(harness)) {
		ck_assert_uint_lt(pfi_now_ms(), until_ms);
		(void)poll(NULL, 0, 1);
	}
}

void harness_await_connections(const struct harness *harness, unsigned count)
{
	const uint64_t until_ms = pfi_now_ms() + (uint64_t)harness_patience_ms();

	while (harness->context.score->connections != count) {
		ck_assert_uint_lt(pfi_now_ms(), until_ms);
		(void)poll(NULL, 0, 1);
	}
}

void harness_await_drain(const struct harness *harness)
{
	const uint64_t until_ms = pfi_now_ms() + (uint64_t)harness_patience_ms();

	while (harness->context.score->closed == 0) {
		ck_assert_uint_lt(pfi_now_ms(), until_ms);
		(void)poll(NULL, 0, 1);
	}
}

void harness_await_acknowledged(int fd)
{
	const uint64_t until_ms = pfi_now_ms() + (uint64_t)harness_patience_ms();
	int unacknowledged = 1;

	for (;;) {
		ck_assert_int_eq(ioctl(fd, SIOCOUTQ, &unacknowledged), 0);
		if (unacknowledged == 0)
			return;
		ck_assert_uint_lt(pfi_now_ms(), until_ms);
		(void)poll(NULL, 0, 1);
	}
}

void harness_await_backlog(const struct harness *harness, unsigned count)
{
	const uint64_t until_ms = pfi_now_ms() + (uint64_t)harness_patience_ms();
	struct tcp_info info = { 0 };

	for (;;) {
		socklen_t size = sizeof info;

		ck_assert_int_eq(getsockopt(harness->listener->fd, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
		if (info.tcpi_unacked == count) /* of a listening socket: connections that are not accepted yet */
			return;
		ck_assert_uint_lt(pfi_now_ms(), until_ms);
		(void)poll(NULL, 0, 1);
	}
}

bool harness_has_activity(const struct harness *harness, const char *activity)
{
	for (unsigned i = 0; i < THREAD_SLOTS; i++) {
		if (strcmp(harness->context.score->thread_slots[i].activity, activity) == 0)
			return true;
	}
	return false;
}

int harness_connect(const struct harness *harness)
{
	const int patience_ms = harness_patience_ms();
	const struct timeval limit = { .tv_sec = patience_ms / 1000 };
	struct sockaddr_in address;
	socklen_t size = sizeof address;
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
	ck_assert_int_eq(getsockname(harness->listener->fd, (struct sockaddr *)&address, &size), 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, size), 0);
	return fd;
}

void harness_expect_echo(int fd, const char *text)
{
	char bytes[256];
	const size_t size = strlen(text);

	ck_assert_uint_lt(size, sizeof bytes);
	ck_assert_int_eq(send(fd, text, size, MSG_NOSIGNAL), (ssize_t)size);
	ck_assert_int_eq(recv(fd, bytes, size, MSG_WAITALL), (ssize_t)size);
	ck_assert_mem_eq(bytes, text, size);
}

void harness_expect_end(int fd)
{
	char byte;

	ck_assert_int_eq(recv(fd, &byte, 1, 0), 0);
}
