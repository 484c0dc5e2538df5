/* Guarantees of the strategy libev: the loop, exclusive listeners, and that nothing spins. */
#include "../support.h"

#include "harness.h"

#include "model/message.h"
#include "os/clock.h"
#include "worker/own_fds.h"
#include "worker/strategies.h"

#include <prefork/settings.h>

#include <errno.h>
#include <ev.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

typedef struct prefork_worker worker_t;
typedef struct prefork_connection connection_t;

static uint64_t limit_ms(void)
{
	return pfi_now_ms() + (uint64_t)harness_patience_ms();
}

/* Watchers of the application: a timer that shows its rounds as the activity. */

static struct {
	ev_timer timer;
	unsigned rounds;
} host;

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	worker_t *const worker = timer->data;
	char text[16];
	const int size = snprintf(text, sizeof text, "round %u", ++host.rounds);

	(void)loop;
	(void)events;
	prefork_worker_set_activity(worker, text, (size_t)size);
	if (host.rounds == 3)
		ev_timer_stop(loop, timer);
}

static int start_timer(worker_t *worker, void *user)
{
	struct ev_loop *const loop = prefork_worker_loop(worker);

	(void)user;
	if (!loop)
		return -EINVAL;
	ev_timer_init(&host.timer, on_timer, 0.001, 0.001);
	host.timer.data = worker;
	ev_timer_start(loop, &host.timer);
	return 0;
}

static void stop_timer(worker_t *worker, void *user)
{
	(void)user;
	ev_timer_stop(prefork_worker_loop(worker), &host.timer);
}

START_TEST(an_application_runs_its_own_watchers)
{
	const struct prefork_service service = {
		.struct_size = sizeof service, .ready = harness_echo, .worker_start = start_timer, .worker_stop = stop_timer,
	};
	struct harness harness;

	harness_open(&harness, &service);
	harness_spawn(&harness);
	const uint64_t until_ms = limit_ms();
	while (strcmp(harness.context.score->thread_slots[0].activity, "round 3") != 0)
		ck_assert_uint_lt(pfi_now_ms(), until_ms);
	const int fd = harness_connect(&harness);
	harness_expect_echo(fd, "hello");
	(void)close(fd);
	harness_send(&harness, PFI_MESSAGE_DRAIN, 0);
	ck_assert_int_eq(harness_reap(&harness).code, 0);
	harness_close(&harness);
}
END_TEST

/* Not in the first turn, which precedes the ready message. */
static void hang(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)events;
	while (ev_iteration(loop) > 1)
		(void)pause();
	ev_timer_start(loop, timer);
}

/* Starts the timer once a request has arrived, so that the worker is ready. */
static enum prefork_next start_hanging_timer(worker_t *worker, connection_t *connection, void *user)
{
	char byte;

	if (recv(prefork_connection_fd(connection), &byte, 1, MSG_PEEK) > 0) {
		ev_timer_init(&host.timer, hang, 0., 0.);
		ev_timer_start(prefork_worker_loop(worker), &host.timer);
	}
	return harness_echo(worker, connection, user);
}

/* While a watcher of the application runs, the first thread has a deadline. */
START_TEST(a_watcher_of_the_application_has_a_deadline)
{
	const struct prefork_service service = {
		.struct_size = sizeof service, .ready = start_hanging_timer,
	};
	struct prefork_settings *settings = NULL;
	struct harness harness;

	ck_assert_int_eq(prefork_settings_create(&settings), 0);
	harness_open(&harness, &service);
	harness.context.settings = settings;
	harness_spawn(&harness);
	const int fd = harness_connect(&harness);
	harness_expect_echo(fd, "hello");
	const uint64_t until_ms = limit_ms();
	uint64_t since_ms = 0;
	/* Wait until one turn lasts: other turns, at the start, are short. */
	while (since_ms == 0 || pfi_now_ms() < since_ms + 50) {
		const struct pfi_thread_slot *const thread_slot = &harness.context.score->thread_slots[0];

		ck_assert_uint_lt(pfi_now_ms(), until_ms);
		since_ms = thread_slot->deadline_ms > 0 ? thread_slot->since_ms : 0;
	}
	(void)close(fd);
	harness_close(&harness);
	prefork_settings_destroy(settings);
}
END_TEST

static int refuse_a_loop(worker_t *worker, void *user)
{
	(void)user;
	return prefork_worker_loop(worker) ? 0 : -EINVAL;
}

START_TEST(other_strategies_have_no_loop)
{
	const struct prefork_service service = {
		.struct_size = sizeof service, .ready = harness_echo, .worker_start = refuse_a_loop,
	};
	struct harness harness;

	harness_open(&harness, &service);
	harness.context.strategy = &pfi_strategy_sync;
	ck_assert_int_eq(pfi_spawn(harness_be_worker, &harness.context, &harness.child), 0);
	ck_assert_uint_eq(harness_receive(&harness).type, PFI_MESSAGE_FAILED);
	(void)harness_reap(&harness);
	harness_close(&harness);
}
END_TEST

/* Whether /proc shows the listener with EPOLLEXCLUSIVE in an epoll set of the worker. */
static bool is_exclusive(const struct harness *harness)
{
	bool found = false;

	for (int set = 3; set < 64 && !found; set++) {
		char path[64], line[256];

		(void)snprintf(path, sizeof path, "/proc/%d/fdinfo/%d", (int)harness->child.pid, set);
		FILE *const file = fopen(path, "re");
		if (!file)
			continue;
		while (fgets(line, sizeof line, file)) {
			unsigned events;
			int fd;

			if (sscanf(line, "tfd: %d events: %x", &fd, &events) == 2 && fd == harness->listener->fd)
				found = found || events & 1u << 28;
		}
		(void)fclose(file);
	}
	return found;
}

/* "!" makes libev replace its epoll set, as it does after an event for an unknown descriptor. */
static enum prefork_next echo_and_replace_set(worker_t *worker, connection_t *connection, void *user)
{
	char bytes[64];
	const ptrdiff_t n = prefork_connection_read(connection, bytes, sizeof bytes);

	(void)user;
	if (n <= 0)
		return n == -EAGAIN ? PREFORK_WAIT_READABLE : PREFORK_CLOSE;
	if (bytes[0] == '!')
		ev_loop_fork(prefork_worker_loop(worker));
	return prefork_connection_write(connection, bytes, (size_t)n);
}

START_TEST(listeners_stay_exclusive_when_libev_replaces_its_set)
{
	const struct prefork_service service = { .struct_size = sizeof service, .ready = echo_and_replace_set };
	struct harness harness;

	harness_open(&harness, &service);
	harness_spawn(&harness);
	const int fd = harness_connect(&harness);
	for (int i = 0; i < 3; i++) {
		harness_expect_echo(fd, "hello");
		const int other = harness_connect(&harness); /* another turn, which adds the listeners again */
		harness_expect_echo(other, "hello");
		(void)close(other);
		harness_expect_echo(fd, "again");
		ck_assert(is_exclusive(&harness));
		harness_expect_echo(fd, "!");
	}
	(void)close(fd);
	harness_send(&harness, PFI_MESSAGE_DRAIN, 0);
	ck_assert_int_eq(harness_reap(&harness).code, 0);
	harness_close(&harness);
}
END_TEST

/* A client that sends and never reads; the service waits until the socket is writable. */
static enum prefork_next fill(worker_t *worker, connection_t *connection, void *user)
{
	static char bytes[65536];
	struct iovec piece = { bytes, sizeof bytes };
	ptrdiff_t n;

	(void)user;
	while ((n = prefork_connection_send(connection, &piece, 1)) > 0)
		continue;
	prefork_worker_set_activity(worker, "full", 4);
	return n == -EAGAIN ? PREFORK_WAIT_WRITABLE : PREFORK_CLOSE;
}

static uint64_t cpu_ns(const struct harness *harness)
{
	unsigned long long ns = 0;
	char path[64];

	(void)snprintf(path, sizeof path, "/proc/%d/schedstat", (int)harness->child.pid);
	FILE *const file = fopen(path, "re");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fscanf(file, "%llu", &ns), 1);
	(void)fclose(file);
	return ns;
}

START_TEST(unread_input_does_not_spin_the_loop)
{
	const struct prefork_service service = { .struct_size = sizeof service, .ready = fill };
	struct harness harness;

	harness_open(&harness, &service);
	harness_spawn(&harness);
	const int fd = harness_connect(&harness);
	ck_assert_int_eq(send(fd, "unread", 6, MSG_NOSIGNAL), 6);
	const uint64_t until_ms = limit_ms();
	while (strcmp(harness.context.score->thread_slots[0].activity, "full") != 0)
		ck_assert_uint_lt(pfi_now_ms(), until_ms);
	uint64_t before_ns = 0; /* until the buffers of both ends are full */
	for (uint64_t now_ns; (now_ns = cpu_ns(&harness)) != before_ns; before_ns = now_ns) {
		ck_assert_uint_lt(pfi_now_ms(), until_ms);
		(void)poll(NULL, 0, 100);
	}
	ck_assert_int_eq(send(fd, "unread", 6, MSG_NOSIGNAL), 6);
	(void)poll(NULL, 0, 400); /* this does not wait for an event: it checks that there is none */
	ck_assert_uint_lt(cpu_ns(&harness) - before_ns, 20 * 1000 * 1000);
	(void)close(fd);
	harness_close(&harness);
}
END_TEST

/* A connection whose callback always returns PREFORK_AGAIN leaves turns to the others. */
static enum prefork_next echo_or_again(worker_t *worker, connection_t *connection, void *user)
{
	char byte;

	if (prefork_connection_user(connection))
		return PREFORK_AGAIN;
	if (recv(prefork_connection_fd(connection), &byte, 1, MSG_PEEK) == 1 && byte == 'i') {
		prefork_connection_set_user(connection, connection);
		return PREFORK_AGAIN;
	}
	return harness_echo(worker, connection, user);
}

START_TEST(again_starves_no_other_connection)
{
	const struct prefork_service service = { .struct_size = sizeof service, .ready = echo_or_again };
	struct harness harness;

	harness_open(&harness, &service);
	harness_spawn(&harness);
	const int again = harness_connect(&harness);
	ck_assert_int_eq(send(again, "i", 1, MSG_NOSIGNAL), 1);
	for (int i = 0; i < 100; i++) {
		const int fd = harness_connect(&harness);

		harness_expect_echo(fd, "hello");
		(void)close(fd);
	}
	harness_signal(&harness, SIGQUIT);
	ck_assert_int_eq(harness_reap(&harness).code, 0);
	(void)close(again);
	harness_close(&harness);
}
END_TEST

/* The timeout in ms of the epoll_wait(2) that a process is in; -1: none, -2: it is not in epoll_wait(2), -3: the kernel
 * does not show it. */
static long wakes_in_ms(pid_t pid)
{
	char path[64];
	long number = -3, timeout = 0;

	(void)snprintf(path, sizeof path, "/proc/%d/syscall", (int)pid);
	FILE *const file = fopen(path, "re");
	if (!file)
		return -3;
	const int found = fscanf(file, "%ld %*x %*x %*x %lx", &number, (unsigned long *)&timeout);
	(void)fclose(file);
#ifdef SYS_epoll_wait
	if (found == 2 && number == SYS_epoll_wait)
		return (int)timeout;
#endif
	return found == 2 && number == SYS_epoll_pwait ? (int)timeout : -2;
}

/* By default, libev wakes once a minute to read the wall clock, in every worker. */
START_TEST(an_idle_loop_sleeps_for_at_least_a_day)
{
	const struct prefork_service service = { .struct_size = sizeof service, .ready = harness_echo };
	struct harness harness;
	long ms;

	harness_open(&harness, &service);
	harness_spawn(&harness);
	const uint64_t until_ms = pfi_now_ms() + (uint64_t)harness_patience_ms();
	while ((ms = wakes_in_ms(harness.child.pid)) == -2 && pfi_now_ms() < until_ms)
		(void)poll(NULL, 0, 1);
	ck_assert_msg(ms == -1 || ms == -3 || ms > 24 * 3600 * 1000, "%ld ms", ms);
	harness_close(&harness);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ev");
	TCase *tc = new_case(suite, "ev");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, an_application_runs_its_own_watchers);
	tcase_add_test(tc, a_watcher_of_the_application_has_a_deadline);
	tcase_add_test(tc, an_idle_loop_sleeps_for_at_least_a_day);
	tcase_add_test(tc, other_strategies_have_no_loop);
	tcase_add_test(tc, listeners_stay_exclusive_when_libev_replaces_its_set);
	tcase_add_test(tc, unread_input_does_not_spin_the_loop);
	tcase_add_test(tc, again_starves_no_other_connection);
	return run_suite(suite);
}
