/*
 * Pools with settings of their own, starts that are refused, and workers that retire: observed
 * by clients.
 */
#include "../features.h"
#include "../support.h"
#include "host.h"
#include "seccomp.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>

/* ---- settings of one pool ---- */

static int idle(struct prefork_worker *worker, void *user)
{
	struct pollfd wait = { .fd = prefork_worker_fd(worker), .events = POLLIN };

	(void)user;
	while (prefork_worker_check(worker) == PREFORK_CONTINUE)
		(void)poll(&wait, 1, -1);
	return 0;
}

/* Accepts without a service, and sends each client the name of its pool. */
static int send_pool(struct prefork_worker *worker, void *user)
{
	struct prefork_listener *const listener = prefork_worker_listener(worker, 0);

	(void)user;
	while (prefork_worker_check(worker) == PREFORK_CONTINUE) {
		struct pollfd wait[] = {
			{ .fd = prefork_worker_fd(worker), .events = POLLIN },
			{ .fd = prefork_listener_fd(listener), .events = POLLIN },
		};

		(void)poll(wait, 2, -1);
		const int fd = accept(prefork_listener_fd(listener), NULL, NULL);
		if (fd < 0)
			continue;
		(void)!write(fd, prefork_worker_pool(worker), strlen(prefork_worker_pool(worker)));
		(void)close(fd);
	}
	return 0;
}

static const struct prefork_strategy jobs = {
	.struct_size = sizeof jobs, .name = "jobs", .traits = PREFORK_STRATEGY_NO_SERVICE, .run = idle
};
static const struct prefork_strategy sender = {
	.struct_size = sizeof sender, .name = "sender", .traits = PREFORK_STRATEGY_NO_SERVICE, .run = send_pool
};

START_TEST(each_pool_may_have_addresses_of_its_own)
{
	const char *const words[] = { "-b", "127.0.0.1:0", NULL };
	struct prefork_pool *pool = NULL;
	char received[16] = "";

	host_create(words);
	ck_assert_int_eq(prefork_arbiter_add_service(host, "web", &host_service, NULL), 0);
	ck_assert_int_eq(prefork_arbiter_add_pool(host, "admin", NULL, &host_service, NULL, &pool), 0);
	ck_assert_int_eq(prefork_pool_set(pool, "bind", "127.0.0.1:0,127.0.0.1:0"), 0);
	ck_assert_int_eq(prefork_pool_set(pool, "workers", "2"), 0);
	ck_assert_int_eq(prefork_arbiter_add_pool(host, "sender", &sender, NULL, NULL, &pool), 0);
	ck_assert_int_eq(prefork_pool_set(pool, "bind", "127.0.0.1:0"), 0);
	ck_assert_int_eq(prefork_arbiter_add_pool(host, "jobs", &jobs, NULL, NULL, NULL), 0);
	ck_assert_int_eq(prefork_arbiter_start(host), 0);
	ck_assert_int_eq(host_until(&host_seen.ready, 5), 1);
	ck_assert_ptr_null(prefork_arbiter_listener(host, 4));

	const pid_t web = host_who(host_address(0), NULL);
	ck_assert_int_gt(web, 0);
	ck_assert_int_gt(host_who(host_address(1), NULL), 0);
	ck_assert_int_ne(host_who(host_address(1), NULL), web);
	ck_assert_int_ne(host_who(host_address(2), NULL), web);
	const int fd = host_connect(host_address(3));
	ck_assert_int_eq(recv(fd, received, sizeof received - 1, MSG_WAITALL), 6);
	ck_assert_str_eq(received, "sender");
	(void)close(fd);

	/* All of it is the same after a reload. */
	prefork_arbiter_request_reload(host);
	ck_assert_int_eq(host_until(&host_seen.verdicts, 1), 1);
	ck_assert_int_eq(host_seen.verdict, PREFORK_RELOAD_DONE);
	ck_assert_int_eq(host_until(&host_seen.exited, 5), 1); /* they accept until they leave */
	for (size_t i = 0; i < 3; i++)
		ck_assert_int_gt(host_who(host_address(i), NULL), 0);
	ck_assert_ptr_null(prefork_arbiter_listener(host, 4));
	host_stop();
	host_close();
}
END_TEST

/* The slot, if the variable has it, too. */
static unsigned char slot_of(const struct prefork_worker *worker)
{
	const char *const variable = getenv("PREFORK_SLOT");
	char text[16];

	(void)snprintf(text, sizeof text, "%u", prefork_worker_slot(worker));
	return variable && strcmp(variable, text) == 0 ? (unsigned char)prefork_worker_slot(worker) : 100;
}

/* Writes its slot to the pipe, and idles. */
static int send_slot(struct prefork_worker *worker, void *user)
{
	const unsigned char slot = slot_of(worker);

	(void)!write(((const int *)user)[1], &slot, 1);
	return idle(worker, user);
}

static const struct prefork_strategy slot_sender = {
	.struct_size = sizeof slot_sender, .name = "slot_sender", .traits = PREFORK_STRATEGY_NO_SERVICE,
	.run = send_slot
};

static unsigned process_slots; /* of the pool "second": one bit for each that became ready */

static void on_ready(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	(void)arbiter, (void)user;
	if (strcmp(prefork_process_pool(process), "second") == 0)
		process_slots |= 1u << prefork_process_slot(process);
}

START_TEST(slots_are_counted_in_each_pool)
{
	const char *const words[] = { "-b", "127.0.0.1:0", "--workers-max", "8", NULL };
	static const struct prefork_hooks hooks = { .struct_size = sizeof hooks, .worker_ready = on_ready };
	struct prefork_pool *pool = NULL;
	unsigned char slots[2];
	int slots_pipe[2];

	process_slots = 0;
	ck_assert_int_eq(setenv("PREFORK_SLOT", "9", 1), 0); /* of a server whose worker has started this one */
	ck_assert_int_eq(pipe2(slots_pipe, O_CLOEXEC), 0);
	host_create(words);
	ck_assert_int_eq(prefork_arbiter_add_hooks(host, &hooks, NULL), 0);
	ck_assert_int_eq(prefork_arbiter_add_service(host, "first", &host_service, NULL), 0);
	ck_assert_int_eq(prefork_arbiter_add_pool(host, "second", &slot_sender, NULL, slots_pipe, &pool), 0);
	ck_assert_int_eq(prefork_pool_set(pool, "workers", "2"), 0);
	ck_assert_int_eq(prefork_arbiter_start(host), 0);
	ck_assert_int_eq(host_until(&host_seen.ready, 3), 1);
	for (int i = 0; i < 2; i++)
		ck_assert(wait_for(slots_pipe[0], POLLIN, 20000) && read(slots_pipe[0], &slots[i], 1) == 1);
	ck_assert_int_eq(slots[0] + slots[1], 0 + 1);
	ck_assert_uint_eq(process_slots, 1u << 0 | 1u << 1);
	host_stop();
	host_close();
	(void)close(slots_pipe[0]);
	(void)close(slots_pipe[1]);
}
END_TEST

static const struct {
	const char *setting, *text;
	int result;
	const char *message;
} settings_of_pools[] = {
	{ "workers", "3", 0, NULL },
	{ "bind", "127.0.0.1:0, [::1]:0", 0, NULL },
	{ "worker", "3", -ENOENT, "pool web: unknown option worker" },
	{ "workers", "many", PREFORK_ECONFIG, "pool web: workers: expected a whole number from 1 to 4096, not 'many'" },
	{ "workers", "0", PREFORK_ECONFIG, "pool web: workers: expected" },
	{ "errorlog", "/dev/null", PREFORK_ECONFIG, "pool web: errorlog applies to the whole server" },
	{ "loglevel", "debug", PREFORK_ECONFIG, "pool web: loglevel applies to" },
	{ "proc_name", "x", PREFORK_ECONFIG, "pool web: proc_name applies to" },
	{ "stop_linger", "0", PREFORK_ECONFIG, "pool web: stop_linger applies to" },
	{ "config", "x.ini", PREFORK_ECONFIG, "pool web: config applies to" },
	{ "timeout", "30 parsecs", PREFORK_ECONFIG, "parsecs" },
	{ "bind", "", PREFORK_ECONFIG, "" },
	{ "bind", "localhost:port", PREFORK_ECONFIG, "port" },
	{ "bind", "127.0.0.1:80,tcp://127.0.0.1:80", PREFORK_ECONFIG, "name it once" },
	{ NULL, "3", -EINVAL, "name" },
	{ "workers", NULL, -EINVAL, "value" },
};

START_TEST(an_invalid_setting_of_a_pool_is_refused_at_once)
{
	const char *const words[] = { NULL };
	struct prefork_pool *pool = NULL;

	host_create(words);
	ck_assert_int_eq(prefork_arbiter_add_pool(host, "web", NULL, &host_service, NULL, &pool), 0);
	(void)prefork_fail(0, "%s", "");
	const int r = prefork_pool_set(pool, settings_of_pools[_i].setting, settings_of_pools[_i].text);
	ck_assert_int_eq(r, settings_of_pools[_i].result);
	if (r < 0)
		ck_assert_msg(strstr(prefork_error(), settings_of_pools[_i].message), "the error message is: %s", prefork_error());
	host_close();
}
END_TEST

/* Each setting is valid by itself. */
START_TEST(settings_of_a_pool_must_be_consistent)
{
	const char *const words[] = { "-b", "127.0.0.1:0", "--workers-max", "5", NULL };
	struct prefork_pool *pool = NULL;

	host_create(words);
	ck_assert_int_eq(prefork_arbiter_add_pool(host, "many", NULL, &host_service, NULL, &pool), 0);
	ck_assert_int_eq(prefork_pool_set(pool, "workers", "9"), 0);
	host_expect_refused(PREFORK_ECONFIG, "pool many: workers_max");
	ck_assert_int_eq(prefork_pool_set(pool, "workers_max", "10"), 0);
	ck_assert_int_eq(prefork_arbiter_start(host), 0);
	ck_assert_int_eq(host_until(&host_seen.ready, 10), 1); /* nine, and one of web */
	host_stop();
	host_close();
}
END_TEST

/* A strategy of the application, selected on the command line. */
START_TEST(worker_class_may_name_a_strategy_of_the_application)
{
	static const char *const argv[] = { "test", "-k", "sender", "-b", "127.0.0.1:0", "--log-level", "critical" };
	struct prefork_settings *settings = NULL;
	struct prefork_arbiter *arbiter = NULL;
	char received[16] = "";

	ck_assert_int_eq(prefork_settings_create(&settings), 0);
	ck_assert_int_eq(prefork_settings_add_choice(settings, "worker_class", "sender", NULL), 0);
	ck_assert_int_eq(prefork_settings_parse(settings, 7, (char *const *)(uintptr_t)argv), 0);
	ck_assert_int_eq(prefork_arbiter_create(settings, &arbiter), 0);
	ck_assert_int_eq(prefork_arbiter_add_service(arbiter, "web", &host_service, NULL), 0);
	ck_assert_int_eq(prefork_arbiter_start(arbiter), PREFORK_ECONFIG); /* it is not added yet */
	ck_assert_ptr_nonnull(strstr(prefork_error(), "no worker class sender"));
	ck_assert_int_eq(prefork_arbiter_add_strategy(arbiter, &sender), 0);
	ck_assert_int_eq(prefork_arbiter_add_strategy(arbiter, &sender), -EEXIST);
	ck_assert_int_eq(prefork_arbiter_start(arbiter), 0);
	ck_assert_int_eq(prefork_arbiter_add_strategy(arbiter, &jobs), -EBUSY);
	const int fd = host_connect(prefork_listener_address(prefork_arbiter_listener(arbiter, 0)));
	ck_assert_int_eq(recv(fd, received, sizeof received - 1, MSG_WAITALL), 3);
	ck_assert_str_eq(received, "web");
	(void)close(fd);
	prefork_arbiter_destroy(arbiter);
	prefork_settings_destroy(settings);
}
END_TEST

/* ---- starts that are refused before a listener is opened ---- */

static int open_files_before;

static const struct {
	const char *words[5];
	int result;
	const char *message;
} refusals[] = {
	{ { "-b", "[::1%nowhere]:0" }, -EINVAL, "nowhere" },
	{ { "-b", "192.0.2.1:0" }, -EADDRNOTAVAIL, "no interface" },
	{ { "-b", "127.0.0.1:0,unix:/proc/x" }, -ENOENT, "/proc/x" },
	{ { "-b", "127.0.0.1:0", "-w", "1000" }, -EMFILE, "for 1000 workers" },
};

START_TEST(a_failed_start_leaves_nothing_behind)
{
	const struct rlimit few = { 256, 256 };
	const int before = pfi_fd_count();
	struct rlimit limit;

	if (refusals[_i].result == -EMFILE) {
		ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	}
	host_create(refusals[_i].words);
	open_files_before = pfi_fd_count();
	host_expect_refused(refusals[_i].result, refusals[_i].message);
	ck_assert_int_eq(pfi_fd_count(), open_files_before);
	host_close();
	ck_assert_int_eq(pfi_fd_count(), before);
}
END_TEST

/* A seccomp filter may deny getrlimit(2): then the message has no number. */
START_TEST(a_limit_that_cannot_be_read_is_named)
{
	const char *const words[] = { "-b", "127.0.0.1:0", NULL };

	if (!deny_syscall(SYS_prlimit64, EPERM))
		return;
	host_create(words);
	host_expect_refused(-EPERM, "getrlimit is refused");
	ck_assert_ptr_null(strstr(prefork_error(), "RLIMIT_NOFILE is"));
	host_close();
}
END_TEST

/* RLIMIT_NOFILE is raised for worker_connections, or a warning is logged. */
START_TEST(descriptors_for_connections_are_reserved_or_their_lack_is_logged)
{
	static const struct rlimit limits[] = { { 256, 256 }, { 256, 2000 } };
	char log_file[64], log_bytes[4096] = "";
	const char *const words[] = { "-b", "127.0.0.1:0", "--worker-connections", "1000", "--error-logfile", log_file, NULL };
	struct rlimit now;

	(void)strcpy(log_file, "/tmp/prefork-pools-XXXXXX");
	ck_assert_int_eq(close(mkstemp(log_file)), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limits[_i]), 0);
	host_is_loud = true;
	host_create(words);
	host_start();
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &now), 0);
	ck_assert(_i == 0 ? now.rlim_cur == 256 : now.rlim_cur > 1000);
	FILE *const in = fopen(log_file, "r");
	ck_assert_ptr_nonnull(in);
	ck_assert_uint_gt(fread(log_bytes, 1, sizeof log_bytes - 1, in), 0);
	(void)fclose(in);
	(void)unlink(log_file);
	ck_assert_int_eq(strstr(log_bytes, "RLIMIT_NOFILE is 256") != NULL, _i == 0);
	ck_assert_int_gt(host_who(host_address(0), NULL), 0);
	host_stop();
	host_close();
}
END_TEST

/* A missing worker class is detected before a listener is bound. */
START_TEST(a_pool_without_a_class_is_refused_before_it_listens)
{
	const char *const words[] = { "-b", "127.0.0.1:0", "-k", "libev", NULL };
	struct prefork_settings *settings = NULL;
	const char *const arguments[] = { "test", "-k", "libev", "--check-config", NULL };
	int r;

	host_create(words);
	r = prefork_arbiter_add_service(host, "web", &host_service, NULL);
	ck_assert_int_eq(r, 0);
	r = prefork_arbiter_start(host);
	if (r == 0) { /* this build has libev */
		host_stop();
		ck_assert_int_eq(prefork_settings_load(4, (char *const *)(uintptr_t)arguments, &settings), 1);
	} else {
		ck_assert_int_eq(r, PREFORK_ECONFIG);
		ck_assert_ptr_nonnull(strstr(prefork_error(), "no worker class libev"));
		ck_assert_int_eq(prefork_settings_load(4, (char *const *)(uintptr_t)arguments, &settings), PREFORK_ECONFIG);
		ck_assert_ptr_nonnull(strstr(prefork_error(), "this build has no libev"));
	}
	host_close();
}
END_TEST

static const struct {
	const char *bind;
	const char *message;
} bad_binds[] = {
	{ "127.0.0.1:99999", "0 to 65535" },
	{ "http://127.0.0.1", "tcp://" },
	{ "[::1", "bracket" },
	{ "unix:", "path" },
	{ "fd://x", "descriptor" },
	{ "8000", "colon" },
	{ "127.0.0.1:80,127.0.0.1:80", "name it once" },
	{ "unix:/a,unix:///a", "name it once" },
	{ "localhost:80,localhost:80", "name it once" },
};

START_TEST(a_bad_address_is_found_by_check_config)
{
	const char *const arguments[] = { "test", "-b", bad_binds[_i].bind, "--check-config", NULL };
	struct prefork_settings *settings = NULL;

	ck_assert_int_eq(prefork_settings_load(4, (char *const *)(uintptr_t)arguments, &settings), PREFORK_ECONFIG);
	ck_assert_msg(strstr(prefork_error(), bad_binds[_i].message), "the error message is: %s", prefork_error());
	ck_assert_msg(strstr(prefork_error(), "bind (-b)") || strstr(prefork_error(), "bind (--bind)"), "the error message is: %s",
	              prefork_error());
}
END_TEST

START_TEST(any_ipv6_address_takes_ipv4_too)
{
	const char *const words[] = { "-b", "[::]:0", NULL };
	const int probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	char address[64];

	if (probe < 0 || bind(probe, (const struct sockaddr *)&any, sizeof any) < 0) {
		(void)close(probe);
		return; /* no IPv6 on this machine */
	}
	(void)close(probe);
	host_create(words);
	host_start();
	const char *const port = strrchr(host_address(0), ':');
	(void)snprintf(address, sizeof address, "127.0.0.1%s", port);
	ck_assert_int_gt(host_who(address, NULL), 0);
	(void)snprintf(address, sizeof address, "[::1]%s", port);
	ck_assert_int_gt(host_who(address, NULL), 0);
	host_stop();
	host_close();
}
END_TEST

/* ---- workers that retire ---- */

static void make_one_retire(const char *address)
{
	const int fd = host_connect(address);
	char bye[4];

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(send(fd, "leave\n", 6, MSG_NOSIGNAL), 6);
	ck_assert_int_eq(recv(fd, bye, sizeof bye, MSG_WAITALL), 4);
	(void)close(fd);
}

START_TEST(a_retiring_worker_serves_until_its_replacement_is_ready)
{
	const char *const words[] = { "-b", "127.0.0.1:0", NULL };

	host_create(words);
	host_start();
	const pid_t old = host_who(host_address(0), NULL);
	atomic_store(&host_orders->boots_wait, 1);
	make_one_retire(host_address(0));
	/* The arbiter reads the message and starts a replacement, which is slow. */
	ck_assert(wait_for(prefork_arbiter_fd(host), POLLIN, 20000));
	host_turn();
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(host_who(host_address(0), NULL), old);
		host_turn();
	}
	ck_assert_int_eq(host_seen.ready, 1);
	ck_assert_int_eq(host_seen.exited, 0);
	atomic_store(&host_orders->boots_wait, 0);
	ck_assert_int_eq(host_until(&host_seen.exited, 1), 1);
	ck_assert_int_eq(host_seen.ready, 2);
	ck_assert_int_eq(host_seen.last_exited, old);
	ck_assert_int_eq(host_seen.reason, PREFORK_REASON_STOPPED);
	ck_assert_int_eq(host_who(host_address(0), NULL), host_seen.last_ready);
	host_stop();
	host_close();
}
END_TEST

START_TEST(recycling_under_load_drops_no_connection)
{
	const char *const words[] = { "-b", "127.0.0.1:0", "--workers", "2", NULL };
	struct host_load load;

	host_create(words);
	host_start();
	host_load_start(&load, host_address(0), NULL);
	for (int i = 1; i <= 20; i++) {
		make_one_retire(host_address(0));
		ck_assert_int_eq(host_until(&host_seen.exited, i), 1);
		ck_assert_int_ge(host_seen.ready, 2 + i); /* never fewer than configured */
	}
	host_load_await(&load, 21);
	(void)host_load_stop(&load);
	host_stop();
	host_close();
}
END_TEST

START_TEST(a_worker_is_replaced_after_max_requests)
{
	const char *const words[] = { "-b", "127.0.0.1:0", "--max-requests", "5", NULL };

	host_create(words);
	host_start();
	const pid_t old = host_seen.last_ready;
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(host_who(host_address(0), NULL), old);
	ck_assert(!wait_for(prefork_arbiter_fd(host), POLLIN, 0)); /* it has not retired */
	ck_assert_int_eq(host_who(host_address(0), NULL), old);
	ck_assert_int_eq(host_until(&host_seen.exited, 1), 1);
	ck_assert_int_eq(host_seen.last_exited, old);
	ck_assert_int_eq(host_seen.reason, PREFORK_REASON_STOPPED);
	ck_assert_int_eq(host_seen.ready, 2);
	host_stop();
	host_close();
}
END_TEST

/* Like host_service, but does not call prefork_worker_count_request(). Runs in the worker. */
static enum prefork_next send_pid(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	char text[64];
	const int length = snprintf(text, sizeof text, "%d %u\n", (int)getpid(), prefork_worker_generation(worker));

	(void)user;
	if (prefork_connection_read(connection, text + length, 16) == -EAGAIN)
		return PREFORK_WAIT_READABLE;
	(void)prefork_connection_write(connection, text, (size_t)length);
	return PREFORK_CLOSE;
}

static const struct prefork_service plain_service = { .struct_size = sizeof plain_service, .ready = send_pid };
static const char *const classes[] = { "sync", "threads", "libev" };

START_TEST(connections_count_as_requests_if_the_service_counts_none)
{
	const char *const words[] = { "-b", "127.0.0.1:0", "--max-requests", "5", "-k", classes[_i], NULL };

	if (!has_worker_class(classes[_i]))
		return;
	host_create(words);
	ck_assert_int_eq(prefork_arbiter_add_service(host, "web", &plain_service, NULL), 0);
	host_start();
	const pid_t old = host_seen.last_ready;
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(host_who(host_address(0), NULL), old);
	ck_assert_int_eq(host_until(&host_seen.exited, 1), 1);
	ck_assert_int_eq(host_seen.last_exited, old);
	ck_assert_int_eq(host_seen.reason, PREFORK_REASON_STOPPED);
	host_stop();
	host_close();
}
END_TEST

START_TEST(jitter_adds_to_max_requests)
{
	const char *const words[] = { "-b", "127.0.0.1:0", "--max-requests", "1", "--max-requests-jitter", "1000000", NULL };

	host_create(words);
	host_start();
	const pid_t old = host_seen.last_ready;
	for (int i = 0; i < 10; i++) /* with a probability of 1e-5 the number is that small */
		ck_assert_int_eq(host_who(host_address(0), NULL), old);
	host_stop();
	host_close();
}
END_TEST

START_TEST(continuous_replacement_drops_no_connection)
{
	const char *const words[] = { "-b", "127.0.0.1:0", "--workers", "2", "--max-requests", "20",
		                      "--max-requests-jitter", "10", NULL };
	struct host_load load;

	host_create(words);
	host_start();
	host_load_start(&load, host_address(0), NULL);
	ck_assert_int_eq(host_until(&host_seen.exited, 10), 1);
	const struct host_report seen = host_load_stop(&load);
	ck_assert_int_ge(host_seen.ready, 2 + 10); /* never fewer than configured */
	ck_assert_uint_ge(seen.served, 10 * 20);
	host_stop();
	host_close();
}
END_TEST

int main(void)
{
	Suite *const suite = suite_create("pools");
	TCase *const tc = new_case(suite, "pools");

	tcase_add_test(tc, each_pool_may_have_addresses_of_its_own);
	tcase_add_test(tc, slots_are_counted_in_each_pool);
	tcase_add_loop_test(tc, an_invalid_setting_of_a_pool_is_refused_at_once, 0,
	                    sizeof settings_of_pools / sizeof settings_of_pools[0]);
	tcase_add_test(tc, settings_of_a_pool_must_be_consistent);
	tcase_add_test(tc, worker_class_may_name_a_strategy_of_the_application);
	tcase_add_loop_test(tc, a_failed_start_leaves_nothing_behind, 0, sizeof refusals / sizeof refusals[0]);
	tcase_add_test(tc, a_limit_that_cannot_be_read_is_named);
	tcase_add_loop_test(tc, descriptors_for_connections_are_reserved_or_their_lack_is_logged, 0, 2);
	tcase_add_test(tc, a_pool_without_a_class_is_refused_before_it_listens);
	tcase_add_loop_test(tc, a_bad_address_is_found_by_check_config, 0, sizeof bad_binds / sizeof bad_binds[0]);
	tcase_add_test(tc, any_ipv6_address_takes_ipv4_too);
	tcase_add_test(tc, a_retiring_worker_serves_until_its_replacement_is_ready);
	tcase_add_test(tc, recycling_under_load_drops_no_connection);
	tcase_add_test(tc, a_worker_is_replaced_after_max_requests);
	tcase_add_loop_test(tc, connections_count_as_requests_if_the_service_counts_none, 0, 3);
	tcase_add_test(tc, jitter_adds_to_max_requests);
	tcase_add_test(tc, continuous_replacement_drops_no_connection);
	return run_suite(suite);
}
