/*
 * One socket per slot (reuse_port): no connection is lost, or waits for a worker that has
 * exited, whatever happens to the workers. Each connection is counted.
 */
#include "../features.h"
#include "../support.h"
#include "host.h"

#include "listener/listener.h"

#include <linux/filter.h>
#include <stdio.h>
#include <sys/socket.h>

enum { QUEUED = 100, LOADERS = 3 };

/* Each test runs under each worker class of this build. */
static const char *classes[3];

static int list_classes(void)
{
	static const char *const all[] = { "sync", "threads", "libev" };
	int count = 0;

	for (int i = 0; i < 3; i++) {
		if (has_worker_class(all[i]))
			classes[count++] = all[i];
	}
	return count;
}

static void open_with(const char *workers, int number)
{
	const char *const words[] = { "-b", "127.0.0.1:0", "--reuse-port", "--workers", workers, "--workers-max", "6",
	                              "--backlog", "512", "-k", classes[number], "--defer-accept", "off", NULL };

	host_create(words);
	host_start();
	host_turn();
}

static unsigned sockets_listening(void)
{
	return prefork_arbiter_listener(host, 0)->sockets_listening;
}

/* Opens many connections at once; each one must be served. Returns the number of workers that served them. */
static unsigned expect_all_served(unsigned count)
{
	int fds[QUEUED];
	pid_t pids[QUEUED], seen[QUEUED];
	unsigned different = 0;

	for (unsigned i = 0; i < count; i++) {
		fds[i] = host_request(host_address(0));
		ck_assert_int_ge(fds[i], 0);
	}
	for (unsigned i = 0; i < count; i++) {
		unsigned k = 0;

		pids[i] = host_receive(fds[i]);
		ck_assert_msg(pids[i] > 0, "client %u of %u was lost", i, count);
		while (k < different && seen[k] != pids[i])
			k++;
		if (k == different)
			seen[different++] = pids[i];
	}
	return different;
}

static struct host_load loads[LOADERS];

static void start_load(void)
{
	for (int i = 0; i < LOADERS; i++)
		host_load_start(&loads[i], host_address(0), NULL);
}

/* All requests were served, or at most `refused` connections per client refused: one, when the server has stopped. */
static void end_load(unsigned refused)
{
	for (int i = 0; i < LOADERS; i++) {
		const struct host_report seen = host_load_stop(&loads[i]);

		ck_assert_uint_gt(seen.served, 0);
		ck_assert_uint_le(seen.refused, refused);
	}
}

/* Continue until 30 requests are served: independent of time. */
static void serve_some(void)
{
	for (int i = 0; i < 30; i++) {
		ck_assert_int_gt(host_who(host_address(0), NULL), 0);
		host_turn();
	}
}

START_TEST(every_worker_accepts_from_its_own_socket)
{
	open_with("4", _i);
	ck_assert_uint_eq(sockets_listening(), 4);
	ck_assert_uint_eq(expect_all_served(QUEUED), 4);
	host_stop();
	host_close();
}
END_TEST

/* With --close-fds, a worker closes foreign descriptors and keeps its sockets. */
START_TEST(closing_the_applications_descriptors_keeps_its_sockets)
{
	const char *const words[] = { "-b", "127.0.0.1:0", "--reuse-port", "--workers", "2", "-k", classes[_i],
	                              "--close-fds", "--defer-accept", "off", NULL };

	host_create(words);
	host_start();
	host_turn();
	ck_assert_uint_eq(expect_all_served(QUEUED), 2);
	host_stop();
	host_close();
}
END_TEST

/* The connections in the backlog of a killed worker are accepted by its replacement. */
START_TEST(connections_pending_at_a_crashed_worker_are_served_by_another)
{
	int fds[QUEUED];
	siginfo_t stopped;

	open_with("1", _i);
	const pid_t pid = host_who(host_address(0), NULL);
	ck_assert_int_eq(kill(pid, SIGSTOP), 0);
	ck_assert_int_eq(waitid(P_PID, (id_t)pid, &stopped, WSTOPPED), 0); /* all its threads */
	for (int i = 0; i < QUEUED; i++)
		ck_assert_int_ge(fds[i] = host_request(host_address(0)), 0);
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(host_until(&host_seen.ready, 2), 1);
	for (int i = 0; i < QUEUED; i++)
		ck_assert_int_eq(host_receive(fds[i]), host_seen.last_ready);
	host_stop();
	host_close();
}
END_TEST

/* Without a replacement, the other workers accept them. */
START_TEST(the_socket_of_a_worker_that_cannot_start_is_adopted)
{
	open_with("3", _i);
	atomic_store(&host_orders->boots_fail, 1);
	for (int dead = 1; dead <= 2; dead++) {
		const pid_t pid = host_who(host_address(0), NULL);

		ck_assert_int_eq(kill(pid, SIGKILL), 0);
		host_until_exited(pid); /* workers that fail to start exit, too */
		ck_assert_uint_eq(expect_all_served(QUEUED), (unsigned)(3 - dead));
		ck_assert_uint_eq(sockets_listening(), 3);
	}
	atomic_store(&host_orders->boots_fail, 0);
	ck_assert_int_eq(host_until(&host_seen.ready, 5), 1);
	host_turn();
	ck_assert_uint_eq(expect_all_served(QUEUED), 3);
	host_stop();
	host_close();
}
END_TEST

/* The socket of a new worker listens when the worker is ready. */
START_TEST(scaling_up_leaves_no_connection_pending)
{
	open_with("1", _i);
	atomic_store(&host_orders->boots_wait, 1);
	host_scale(4);
	host_turn();
	ck_assert_uint_eq(expect_all_served(QUEUED), 1);
	ck_assert_uint_eq(sockets_listening(), 1);
	start_load();
	atomic_store(&host_orders->boots_wait, 0);
	ck_assert_int_eq(host_until(&host_seen.ready, 4), 1);
	host_turn();
	ck_assert_uint_eq(sockets_listening(), 4);
	ck_assert_uint_eq(expect_all_served(QUEUED), 4);
	end_load(0);
	host_stop();
	host_close();
}
END_TEST

START_TEST(scaling_down_and_up_drops_no_connection)
{
	open_with("5", _i);
	start_load();
	for (int times = 0; times < 2; times++) {
		const int exited = host_seen.exited, ready = host_seen.ready;

		host_scale(1);
		ck_assert_int_eq(host_until(&host_seen.exited, exited + 4), 1);
		while (sockets_listening() > 1) {
			(void)wait_for(prefork_arbiter_fd(host), POLLIN, 1000);
			host_turn();
		}
		ck_assert_uint_eq(expect_all_served(QUEUED), 1);
		serve_some();
		host_scale(5);
		ck_assert_int_eq(host_until(&host_seen.ready, ready + 4), 1);
		host_turn();
		ck_assert_uint_eq(sockets_listening(), 5);
		ck_assert_uint_eq(expect_all_served(QUEUED), 5);
	}
	end_load(0);
	host_stop();
	host_close();
}
END_TEST

/* With `held`, the reuseport sockets receive only SYN segments, as on a slow network. False: this process may not attach
 * filters. */
static bool hold_handshakes(bool held)
{
	struct sock_filter instructions[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13), /* the flags of TCP */
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 2), /* SYN */
		BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, 0x10000), /* bytes to accept: all, or none */
		BPF_STMT(BPF_RET | BPF_A, 0),
	};
	const struct sock_fprog program = { .len = 4, .filter = instructions };
	const struct prefork_listener *const listener = prefork_arbiter_listener(host, 0);
	const int none = 0;

	for (unsigned i = 0; i < listener->socket_count; i++) {
		const int r = held ? setsockopt(listener->sockets[i], SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program)
		                   : setsockopt(listener->sockets[i], SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof none);

		if (r < 0 && held && i == 0 && errno == EPERM)
			return false;
		ck_assert_int_eq(r, 0);
	}
	return true;
}

/* The client has got SYN-ACK, and its ACK has not arrived yet: the socket must not be closed until then. */
START_TEST(handshakes_in_progress_survive_a_scale_down)
{
	int fds[QUEUED];

	open_with("4", _i);
	if (!hold_handshakes(true)) {
		puts("SKIP: only root may attach a filter to a TCP socket on this kernel");
		host_stop();
		host_close();
		return;
	}
	for (int i = 0; i < QUEUED; i++)
		ck_assert_int_ge(fds[i] = host_request(host_address(0)), 0);
	host_scale(1);
	for (const uint64_t end_ms = pfi_now_ms() + 500; pfi_now_ms() < end_ms; host_turn())
		(void)wait_for(prefork_arbiter_fd(host), POLLIN, 10);
	(void)hold_handshakes(false);
	for (int i = 0; i < QUEUED; i++)
		ck_assert_msg(host_receive(fds[i]) > 0, "client %d was lost", i);
	host_stop();
	host_close();
}
END_TEST

/* The second scaling arrives while the first one is in progress. */
START_TEST(scaling_up_during_a_steered_scale_down_drops_no_connection)
{
	open_with("4", _i);
	start_load();
	for (int times = 0; times < 5; times++) {
		const int ready = host_seen.ready;

		host_scale(2);
		host_scale(4);
		ck_assert_int_eq(host_until(&host_seen.ready, ready + 2), 1);
		serve_some();
		ck_assert_uint_eq(sockets_listening(), 4);
	}
	end_load(0);
	host_stop();
	host_close();
}
END_TEST

START_TEST(a_reload_drops_no_connection)
{
	open_with("3", _i);
	start_load();
	for (int times = 1; times <= 3; times++) {
		prefork_arbiter_request_reload(host);
		ck_assert_int_eq(host_until(&host_seen.verdicts, times), 1);
		ck_assert_int_eq(host_seen.verdict, PREFORK_RELOAD_DONE);
		ck_assert_int_eq(host_until(&host_seen.exited, 3 * times), 1);
		ck_assert_uint_eq(sockets_listening(), 3);
		ck_assert_uint_eq(expect_all_served(QUEUED), 3);
	}
	end_load(0);
	host_stop();
	host_close();
}
END_TEST

/* The canary shares a socket; if it fails, nothing has changed. */
START_TEST(a_failed_reload_drops_no_connection)
{
	open_with("2", _i);
	start_load();
	atomic_store(&host_orders->boots_fail, 1);
	prefork_arbiter_request_reload(host);
	ck_assert_int_eq(host_until(&host_seen.verdicts, 1), 1);
	ck_assert_int_eq(host_seen.verdict, PREFORK_RELOAD_FAILED);
	atomic_store(&host_orders->boots_fail, 0);
	ck_assert_uint_eq(expect_all_served(QUEUED), 2);
	end_load(0);
	host_stop();
	host_close();
}
END_TEST

START_TEST(recycling_drops_no_connection)
{
	open_with("2", _i);
	start_load();
	for (int i = 1; i <= 10; i++) {
		const int fd = host_connect(host_address(0));
		char bye[4];

		ck_assert_int_eq(send(fd, "leave\n", 6, MSG_NOSIGNAL), 6);
		ck_assert_int_eq(recv(fd, bye, sizeof bye, MSG_WAITALL), 4);
		(void)close(fd);
		ck_assert_int_eq(host_until(&host_seen.exited, i), 1);
	}
	end_load(0);
	host_stop();
	host_close();
}
END_TEST

/* With four backlogs. */
START_TEST(a_stop_serves_or_refuses)
{
	open_with("4", _i);
	start_load();
	serve_some();
	host_stop();
	end_load(1);
	host_close();
}
END_TEST

/* Each class is a test of its own in meson, so that they run in parallel: they mostly wait. */
static void add_case(Suite *suite, int number)
{
	TCase *const tc = new_case(suite, classes[number]);

	tcase_set_timeout(tc, patience_ms(60000) / 1000);
	tcase_add_loop_test(tc, every_worker_accepts_from_its_own_socket, number, number + 1);
	tcase_add_loop_test(tc, closing_the_applications_descriptors_keeps_its_sockets, number, number + 1);
	tcase_add_loop_test(tc, connections_pending_at_a_crashed_worker_are_served_by_another, number, number + 1);
	tcase_add_loop_test(tc, the_socket_of_a_worker_that_cannot_start_is_adopted, number, number + 1);
	tcase_add_loop_test(tc, scaling_up_leaves_no_connection_pending, number, number + 1);
	tcase_add_loop_test(tc, scaling_down_and_up_drops_no_connection, number, number + 1);
	tcase_add_loop_test(tc, handshakes_in_progress_survive_a_scale_down, number, number + 1);
	tcase_add_loop_test(tc, scaling_up_during_a_steered_scale_down_drops_no_connection, number, number + 1);
	tcase_add_loop_test(tc, a_reload_drops_no_connection, number, number + 1);
	tcase_add_loop_test(tc, a_failed_reload_drops_no_connection, number, number + 1);
	tcase_add_loop_test(tc, recycling_drops_no_connection, number, number + 1);
	tcase_add_loop_test(tc, a_stop_serves_or_refuses, number, number + 1);
}

int main(void)
{
	Suite *const suite = suite_create("reuse_port");
	const int count = list_classes();

	for (int i = 0; i < count; i++)
		add_case(suite, i);
	return run_suite(suite);
}
