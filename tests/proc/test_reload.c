/*
 * Reloads with changed settings, observed by clients.
 */
#include "../support.h"
#include "host.h"

#include "arbiter/arbiter.h"
#include "os/query_socket.h"
#include "worker/spawn_context.h"

#include <fcntl.h>
#include <stdio.h>
#include <netinet/in.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char file[64], log_file[64], other_log[64], pid_file[64];

/* Rewrite the configuration file, as an operator does before SIGHUP. */
static void configure(const char *text)
{
	FILE *const out = fopen(file, "w");

	ck_assert_ptr_nonnull(out);
	(void)fprintf(out, "[prefork]\n%s", text);
	ck_assert_int_eq(fclose(out), 0);
}

static void name_files(void)
{
	(void)snprintf(file, sizeof file, "/tmp/prefork-reload-%d.ini", (int)getpid());
	(void)snprintf(log_file, sizeof log_file, "/tmp/prefork-reload-%d.log", (int)getpid());
	(void)snprintf(other_log, sizeof other_log, "/tmp/prefork-reload-%d.other", (int)getpid());
	(void)snprintf(pid_file, sizeof pid_file, "/tmp/prefork-reload-%d.pid", (int)getpid());
}

static void open_with(const char *text)
{
	const char *const words[] = { "--config", file, NULL };

	name_files();
	configure(text);
	host_create(words);
}

static void close_all(void)
{
	host_close();
	(void)unlink(file);
	(void)unlink(log_file);
	(void)unlink(other_log);
}

static void reload_until_verdict(const char *text)
{
	const int before = host_seen.verdicts;

	if (text)
		configure(text);
	prefork_arbiter_request_reload(host);
	ck_assert_int_eq(host_until(&host_seen.verdicts, before + 1), 1);
}

START_TEST(a_failed_reload_changes_no_setting)
{
	open_with("bind = 127.0.0.1:0\nworkers = 2\ntimeout = 7\ndefer_accept = off\n");
	host_start();
	atomic_store(&host_orders->boots_fail, 1);
	reload_until_verdict("bind = 127.0.0.1:0\nworkers = 4\ntimeout = 9\ndefer_accept = off\n");
	ck_assert_int_eq(host_seen.verdict, PREFORK_RELOAD_FAILED);
	ck_assert_ptr_nonnull(strstr(host_seen.why, "boots_fail is set"));
	ck_assert_int_eq(host_seen.ready, 2);
	ck_assert_int_eq(host_seen.exited, 1); /* the canary */
	ck_assert_int_eq(prefork_settings_int(prefork_arbiter_settings(host), "timeout"), 7000);
	ck_assert_int_eq(prefork_settings_int(prefork_arbiter_settings(host), "workers"), 2);
	/* The pool still has two workers: one that is killed is replaced by one. */
	atomic_store(&host_orders->boots_fail, 0);
	ck_assert_int_eq(kill(host_seen.last_ready, SIGKILL), 0);
	ck_assert_int_eq(host_until(&host_seen.ready, 3), 1);
	host_stop();
	ck_assert_int_eq(host_seen.ready, 3);
	ck_assert_int_eq(host_seen.verdicts, 1);
	close_all();
}
END_TEST

START_TEST(a_good_reload_changes_the_number_of_workers)
{
	open_with("bind = 127.0.0.1:0\ndefer_accept = off\nworkers = 2\n");
	host_start();
	reload_until_verdict("bind = 127.0.0.1:0\ndefer_accept = off\nworkers = 4\n");
	ck_assert_int_eq(host_seen.verdict, PREFORK_RELOAD_DONE);
	ck_assert_int_eq(host_seen.ready, 2 + 4);
	ck_assert_int_eq(host_until(&host_seen.exited, 2), 1);
	reload_until_verdict("bind = 127.0.0.1:0\ndefer_accept = off\nworkers = 1\n");
	ck_assert_int_eq(host_seen.verdict, PREFORK_RELOAD_DONE);
	ck_assert_int_eq(host_until(&host_seen.exited, 6), 1);
	host_stop();
	ck_assert_int_eq(host_seen.ready, 2 + 4 + 1);
	close_all();
}
END_TEST

/* Scaling during the reload is added to the new number. */
START_TEST(scaling_during_probation_is_kept)
{
	open_with("bind = 127.0.0.1:0\nworkers = 1\nworkers_max = 8\n");
	host_start();
	atomic_store(&host_orders->boots_wait, 2); /* the canary alone */
	configure("bind = 127.0.0.1:0\nworkers = 3\nworkers_max = 8\n");
	prefork_arbiter_request_reload(host);
	host_turn();
	host_scale(2);
	/* If the added worker still booted when the canary is proved, it would be stopped, and not count as ready. */
	ck_assert_int_eq(host_until(&host_seen.ready, 2), 1);
	atomic_store(&host_orders->boots_wait, 0);
	ck_assert_int_eq(host_until(&host_seen.verdicts, 1), 1);
	ck_assert_int_eq(host_seen.verdict, PREFORK_RELOAD_DONE);
	host_stop();
	ck_assert_int_eq(host_seen.ready, 1 + 1 + 4); /* the first, the added one, the new ones */
	close_all();
}
END_TEST

START_TEST(a_reload_without_workers_has_a_verdict)
{
	open_with("bind = 127.0.0.1:0\ndefer_accept = off\nworkers = 2\n");
	host_start();
	host_scale(0);
	ck_assert_int_eq(host_until(&host_seen.exited, 2), 1);
	reload_until_verdict(NULL);
	ck_assert_int_eq(host_seen.verdict, PREFORK_RELOAD_DONE);
	ck_assert_int_eq(host_seen.ready, 4); /* as many as configured */
	unsigned generation = 0;
	ck_assert_int_gt(host_who(host_address(0), &generation), 0);
	ck_assert_uint_eq(generation, 2);
	host_stop();
	ck_assert_int_eq(host_seen.verdicts, 1);
	close_all();
}
END_TEST

static bool file_contains(const char *path, const char *text)
{
	char bytes[8192] = "";
	FILE *const in = fopen(path, "r");

	if (!in)
		return false;
	bytes[fread(bytes, 1, sizeof bytes - 1, in)] = 0;
	(void)fclose(in);
	return strstr(bytes, text) != NULL;
}

START_TEST(the_log_follows_a_good_reload_and_returns_after_a_bad_one)
{
	char text[256];

	host_is_loud = true;
	name_files();
	(void)snprintf(text, sizeof text, "bind = 127.0.0.1:0\nerrorlog = %s\nloglevel = warning\n", log_file);
	open_with(text);
	host_start();
	ck_assert(!file_contains(log_file, "Booting worker")); /* below the level warning */
	(void)snprintf(text, sizeof text, "bind = 127.0.0.1:0\nerrorlog = %s\nloglevel = info\n", other_log);
	reload_until_verdict(text);
	ck_assert_int_eq(host_seen.verdict, PREFORK_RELOAD_DONE);
	ck_assert(file_contains(other_log, "Reload done"));
	ck_assert(!file_contains(log_file, "Reload"));

	/* A log file that cannot be opened: the reload is refused. */
	reload_until_verdict("bind = 127.0.0.1:0\nerrorlog = /nowhere/at/all\nloglevel = critical\n");
	ck_assert_int_eq(host_seen.verdict, PREFORK_RELOAD_FAILED);
	ck_assert_ptr_nonnull(strstr(host_seen.why, "/nowhere/at/all"));
	ck_assert(file_contains(other_log, "/nowhere/at/all"));

	/* A reload whose canary fails keeps the log file. */
	atomic_store(&host_orders->boots_fail, 1);
	(void)snprintf(text, sizeof text, "bind = 127.0.0.1:0\nerrorlog = %s\nloglevel = critical\n", log_file);
	reload_until_verdict(text);
	ck_assert_int_eq(host_seen.verdict, PREFORK_RELOAD_FAILED);
	atomic_store(&host_orders->boots_fail, 0);
	prefork_log_printf(prefork_arbiter_log(host), PREFORK_LOG_INFO, "test", "still here");
	ck_assert(file_contains(other_log, "still here"));
	host_stop();
	close_all();
}
END_TEST

static const struct {
	bool is_unix;
	const char *settings;
} moves[] = {
	{ false, "" },
	{ false, "defer_accept = off\n" },
	{ false, "defer_accept = off\nreuse_port = true\n" },
	{ true, "" },
	{ false, "defer_accept = off\nworker_class = libev\n" },
	{ false, "defer_accept = off\nworker_class = threads\nthreads = 2\n" },
};

/* New addresses are bound first; old ones are closed after their last worker. A connection is served at either address,
 * or refused, and never dropped. */
START_TEST(a_reload_to_another_address_drops_no_connection)
{
	const bool is_unix = moves[_i].is_unix;
	char text[256], old[64], new[64];
	struct host_load load[3];

	/* The old address refuses at last: a port of the kernel's choice could be another server's by then. */
	(void)snprintf(old, sizeof old, is_unix ? "unix:/tmp/prefork-reload-%d.old" : "127.0.0.1:%d",
	               is_unix ? (int)getpid() : host_fixed_port());
	(void)snprintf(text, sizeof text, "bind = %s\nworkers = 3\n%s", old, moves[_i].settings);
	open_with(text);
	host_start();
	(void)snprintf(new, sizeof new, is_unix ? "unix:/tmp/prefork-reload-%d.new" : "127.0.0.1:%d",
	               is_unix ? (int)getpid() : host_fixed_port());
	for (int i = 0; i < 3; i++)
		host_load_start(&load[i], old, new);
	(void)snprintf(text, sizeof text, "bind = %s\nworkers = 3\n%s", new, moves[_i].settings);
	reload_until_verdict(text);
	ck_assert_msg(host_seen.verdict == PREFORK_RELOAD_DONE, "%s", host_seen.why);
	ck_assert_str_eq(host_address(0), new);
	ck_assert_ptr_null(prefork_arbiter_listener(host, 1));
	ck_assert_int_eq(host_until(&host_seen.exited, 3), 1);
	host_turn();
	ck_assert_int_eq(host_who(old, NULL), 0);
	ck_assert_int_gt(host_who(new, NULL), 0);
	for (int i = 0; i < 3; i++) {
		const struct host_report seen = host_load_stop(&load[i]);

		ck_assert_uint_gt(seen.served, 0);
		ck_assert_uint_le(seen.refused, 1); /* 0: the client stopped before */
	}
	host_stop();
	close_all();
}
END_TEST

START_TEST(a_reload_to_an_address_in_use_changes_nothing)
{
	char text[128];

	open_with("bind = 127.0.0.1:0\ndefer_accept = off\nworkers = 1\n");
	host_start();
	const pid_t pid = host_who(host_address(0), NULL);
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in other = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t size = sizeof other;
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&other, size), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&other, &size), 0);
	(void)snprintf(text, sizeof text, "bind = 127.0.0.1:0, 127.0.0.1:%u\nworkers = 1\ndefer_accept = off\n", ntohs(other.sin_port));
	reload_until_verdict(text);
	ck_assert_int_eq(host_seen.verdict, PREFORK_RELOAD_FAILED);
	ck_assert_ptr_nonnull(strstr(host_seen.why, "another socket has this address"));
	ck_assert_int_eq(host_who(host_address(0), NULL), pid);
	ck_assert_ptr_null(prefork_arbiter_listener(host, 1));
	(void)close(fd);
	host_stop();
	close_all();
}
END_TEST

/* ---- without a surge ---- */

static int alive, most_alive;

static void count_fork(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	(void)arbiter, (void)process, (void)user;
	alive++;
	if (alive > most_alive)
		most_alive = alive;
}

static void count_exit(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	(void)arbiter, (void)process, (void)user;
	alive--;
}

static const struct prefork_hooks counts = {
	.struct_size = sizeof counts, .after_fork = count_fork, .worker_exited = count_exit,
};

static const struct {
	int workers;
	const char *text;
} singles[] = {
	{ 1, "bind = 127.0.0.1:0\nworkers = 1\nsurge = 0\nmax_unavailable = 1\n" },
	{ 3, "bind = 127.0.0.1:0\nworkers = 3\nsurge = 0\nmax_unavailable = 1\n" },
};

static void make_one_retire(void)
{
	const int fd = host_connect(host_address(0)), before = host_seen.ready;

	ck_assert_int_eq(send(fd, "leave\n", 6, MSG_NOSIGNAL), 6);
	ck_assert_int_eq(host_until(&host_seen.ready, before + 1), 1);
	(void)close(fd);
}

/* During a reload, a failed reload, and recycling, there are never more processes than workers. */
START_TEST(without_a_surge_no_worker_overlaps_the_one_that_it_replaces)
{
	alive = most_alive = 0;
	open_with(singles[_i].text);
	ck_assert_int_eq(prefork_arbiter_add_hooks(host, &counts, NULL), 0);
	host_start();
	reload_until_verdict(NULL);
	ck_assert_int_eq(host_seen.verdict, PREFORK_RELOAD_DONE);
	atomic_store(&host_orders->boots_fail, 1);
	reload_until_verdict(NULL);
	ck_assert_int_eq(host_seen.verdict, PREFORK_RELOAD_FAILED);
	atomic_store(&host_orders->boots_fail, 0);
	/* The worker that the reload has replaced starts again, and may have failed once more until here. */
	ck_assert_int_eq(host_until(&host_seen.ready, 2 * singles[_i].workers + 1), 1);
	ck_assert_int_gt(host_who(host_address(0), NULL), 0);
	make_one_retire();
	ck_assert_int_eq(most_alive, singles[_i].workers);
	host_stop();
	close_all();
}
END_TEST

/* --- a trial before the settings are read --- */

enum { TRIAL_MS = 60 * 1000, SHORT_MS = 500 }; /* the limit; that of a trial that does not end */

static int trials_needed;

static int count_trial(struct prefork_arbiter *arbiter, void *user)
{
	ck_assert_ptr_eq(arbiter, host);
	ck_assert_ptr_eq(user, &trials_needed);
	return trials_needed;
}

static void open_with_trial(const char *script, int limit_ms)
{
	char text[192];

	static char *words[] = { (char *)(uintptr_t)"sh", (char *)(uintptr_t)"-c", NULL, NULL };
	const struct prefork_reload_trial trial = {
		.struct_size = sizeof trial, .path = "/bin/sh", .argv = words, .limit = "lookup_timeout",
		.proof = "fine\n", .is_needed = count_trial, .user = &trials_needed,
	};

	words[2] = (char *)(uintptr_t)script;
	trials_needed = 1;
	name_files();
	(void)snprintf(text, sizeof text, "bind = 127.0.0.1:0\ndefer_accept = off\nlookup_timeout = %dms\npidfile = %s\n", limit_ms,
		       pid_file);
	open_with(text);
	ck_assert_int_eq(prefork_arbiter_set_reload_trial(host, &trial), 0);
	host_start();
}

static const struct {
	const char *script;
	enum prefork_verdict verdict;
	const char *why;
	int limit_ms;
} trials[] = {
	{ "echo fine", PREFORK_RELOAD_DONE, "", TRIAL_MS },
	{ "echo a trace; echo fine", PREFORK_RELOAD_DONE, "", TRIAL_MS },
	{ "echo a trace; echo the reason; exit 1", PREFORK_RELOAD_FAILED, "the reason", TRIAL_MS },
	{ "echo fine; exit 1", PREFORK_RELOAD_FAILED, "fine", TRIAL_MS },
	{ "exit 0", PREFORK_RELOAD_FAILED, "exited with status 0, before it was done", TRIAL_MS },
	{ "kill -SEGV $$", PREFORK_RELOAD_FAILED, "was killed by signal 11", TRIAL_MS },
	{ "echo fine; exec sleep 1000", PREFORK_RELOAD_FAILED, "not read within 0.5 s (lookup_timeout)", SHORT_MS },
	{ "yes | head -c 1000000", PREFORK_RELOAD_FAILED, "not read within 0.5 s", SHORT_MS }, /* the pipe is full */
};

START_TEST(the_result_of_a_trial_decides_about_the_reload)
{
	open_with_trial(trials[_i].script, trials[_i].limit_ms);
	reload_until_verdict(NULL);
	ck_assert_int_eq(host_seen.verdict, trials[_i].verdict);
	ck_assert_ptr_nonnull(strstr(host_seen.why, trials[_i].why));
	ck_assert_int_eq(host_seen.ready, trials[_i].verdict == PREFORK_RELOAD_DONE ? 2 : 1);
	trials_needed = 0;
	reload_until_verdict(NULL);
	ck_assert_int_eq(host_seen.verdict, PREFORK_RELOAD_DONE);
	host_stop();
	close_all();
}
END_TEST

START_TEST(another_reload_and_a_stop_do_not_wait_for_a_trial)
{
	open_with_trial("exec sleep 1000", TRIAL_MS);
	prefork_arbiter_request_reload(host);
	host_turn();
	ck_assert_int_eq(host_seen.verdicts, 0);
	prefork_arbiter_request_reload(host);
	ck_assert_int_eq(host_until(&host_seen.verdicts, 1), 1);
	ck_assert_int_eq(host_seen.verdict, PREFORK_RELOAD_SUPERSEDED);
	host_stop();
	ck_assert_int_eq(host_seen.verdict, PREFORK_RELOAD_STOPPED);
	ck_assert_int_eq(host_seen.verdicts, 2);
	close_all();
}
END_TEST

/* A process that traces `pid`, and never waits for it. -1: it may not trace others. */
static pid_t start_tracer(pid_t pid)
{
	char is_traced = 0;
	int ends[2];

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	const pid_t tracer = fork();

	ck_assert_int_ge(tracer, 0);
	if (tracer == 0) {
		is_traced = ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0;
		(void)!write(ends[1], &is_traced, 1);
		for (;;)
			(void)pause();
	}
	(void)close(ends[1]);
	ck_assert_int_eq(read(ends[0], &is_traced, 1), 1);
	(void)close(ends[0]);
	if (is_traced)
		return tracer;
	ck_assert_int_eq(kill(tracer, SIGKILL), 0);
	ck_assert_int_eq(waitpid(tracer, NULL, 0), tracer);
	return -1;
}

/* Its pidfd is readable, and waitid(2) returns nothing. */
START_TEST(a_trial_that_a_debugger_has_not_reaped_does_not_keep_the_arbiter_busy)
{
	open_with_trial("exec sleep 1000", TRIAL_MS);
	prefork_arbiter_request_reload(host);
	host_turn();
	const struct pfi_helper trial = host->trial.child.helper;
	const pid_t tracer = start_tracer(trial.pid);

	ck_assert_int_eq(kill(trial.pid, SIGKILL), 0);
	if (tracer > 0) {
		bool is_busy = true;

		ck_assert(wait_for(trial.pidfd, POLLIN, 10000));
		for (int turns = 0; is_busy && turns < 20; turns++) {
			host_turn();
			is_busy = wait_for(prefork_arbiter_fd(host), POLLIN, 0);
		}
		ck_assert(!is_busy);
		ck_assert_int_eq(host_seen.verdicts, 0);
		ck_assert_int_eq(kill(tracer, SIGKILL), 0);
		ck_assert_int_eq(waitpid(tracer, NULL, 0), tracer);
	}
	ck_assert_int_eq(host_until(&host_seen.verdicts, 1), 1);
	ck_assert_int_eq(host_seen.verdict, PREFORK_RELOAD_FAILED);
	ck_assert_ptr_nonnull(strstr(host_seen.why, "was killed by signal 9"));
	host_stop();
	close_all();
}
END_TEST

/* A command that waits for the verdict of a reload. */
static int begin_command(void)
{
	struct stat status;
	int fd;

	ck_assert_int_eq(stat(pid_file, &status), 0);
	fd = pfi_query_connect(getpid(), status.st_ino);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(send(fd, "reload", 6, 0), 6);
	host_turn(); /* accepts it */
	host_turn(); /* begins the reload */
	return fd;
}

static void expect_answer(int fd, char code)
{
	char bytes[1024];

	ck_assert_int_gt(recv(fd, bytes, sizeof bytes, MSG_DONTWAIT), 0);
	ck_assert_int_eq(bytes[0], code);
	ck_assert_int_eq(close(fd), 0);
}

/* The verdicts of both reloads, in either order. */
START_TEST(a_command_gets_no_verdict_of_another_reload)
{
	open_with_trial("exec sleep 1000", TRIAL_MS);
	trials_needed = 0;
	atomic_store(&host_orders->boots_wait, 2);
	const int started = begin_command();
	trials_needed = 1;
	const int tried = begin_command();

	ck_assert_int_gt(host->trial.child.helper.pid, 0);
	if (_i == 0) {
		atomic_store(&host_orders->boots_wait, 0);
		ck_assert_int_eq(host_until(&host_seen.verdicts, 1), 1);
		expect_answer(started, PFI_QUERY_DONE);
		ck_assert(!wait_for(tried, POLLIN, 0));
		ck_assert_int_eq(kill(host->trial.child.helper.pid, SIGKILL), 0);
		ck_assert_int_eq(host_until(&host_seen.verdicts, 2), 1);
		expect_answer(tried, PFI_QUERY_FAILED);
	} else {
		ck_assert_int_eq(kill(host->trial.child.helper.pid, SIGKILL), 0);
		ck_assert_int_eq(host_until(&host_seen.verdicts, 1), 1);
		expect_answer(tried, PFI_QUERY_FAILED);
		ck_assert(!wait_for(started, POLLIN, 0));
		atomic_store(&host_orders->boots_wait, 0);
		ck_assert_int_eq(host_until(&host_seen.verdicts, 2), 1);
		expect_answer(started, PFI_QUERY_DONE);
	}
	host_stop();
	close_all();
}
END_TEST

START_TEST(an_incomplete_trial_is_refused)
{
	const struct prefork_reload_trial trial = { .struct_size = sizeof trial, .path = "/bin/true" };

	open_with("bind = 127.0.0.1:0\n");
	ck_assert_int_eq(prefork_arbiter_set_reload_trial(host, &trial), -EINVAL);
	ck_assert_int_eq(prefork_arbiter_set_reload_trial(host, NULL), -EINVAL);
	close_all();
}
END_TEST

/* The last cases need worker classes that a build may lack. */
static int moves_here(void)
{
	const int all = sizeof moves / sizeof moves[0];

	return pfi_strategy_by_name("libev") ? all : all - 2;
}

int main(void)
{
	Suite *const suite = suite_create("reload");
	TCase *const tc = new_case(suite, "reload"), *const trial = new_case(suite, "trial");

	host_claim_ports();
	tcase_add_test(tc, a_failed_reload_changes_no_setting);
	tcase_add_test(tc, a_good_reload_changes_the_number_of_workers);
	tcase_add_test(tc, scaling_during_probation_is_kept);
	tcase_add_test(tc, a_reload_without_workers_has_a_verdict);
	tcase_add_test(tc, the_log_follows_a_good_reload_and_returns_after_a_bad_one);
	tcase_add_loop_test(tc, a_reload_to_another_address_drops_no_connection, 0, moves_here());
	tcase_add_test(tc, a_reload_to_an_address_in_use_changes_nothing);
	tcase_add_loop_test(tc, without_a_surge_no_worker_overlaps_the_one_that_it_replaces, 0, 2);
	tcase_add_loop_test(trial, the_result_of_a_trial_decides_about_the_reload, 0, sizeof trials / sizeof trials[0]);
	tcase_add_test(trial, another_reload_and_a_stop_do_not_wait_for_a_trial);
	tcase_add_test(trial, a_trial_that_a_debugger_has_not_reaped_does_not_keep_the_arbiter_busy);
	tcase_add_loop_test(trial, a_command_gets_no_verdict_of_another_reload, 0, 2);
	tcase_add_test(trial, an_incomplete_trial_is_refused);
	return run_suite(suite);
}
