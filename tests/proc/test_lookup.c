/*
 * Reloads with new host names; the name server replies at once, late, or never.
 */
#include "../support.h"
#include "host.h"

#include "arbiter/arbiter.h"

#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>

/* Shared with the children that look up names. */
static struct {
	_Atomic int calls;
	_Atomic int replies; /* late.example has an address now */
} *names;

int __real_getaddrinfo(const char *name, const char *port, const struct addrinfo *hints, struct addrinfo **ret);
int __wrap_getaddrinfo(const char *name, const char *port, const struct addrinfo *hints, struct addrinfo **ret);

int __wrap_getaddrinfo(const char *name, const char *port, const struct addrinfo *hints, struct addrinfo **ret)
{
	atomic_fetch_add(&names->calls, 1);
	if (strcmp(name, "none.example") == 0)
		return EAI_NONAME;
	while (strcmp(name, "silent.example") == 0)
		(void)pause();
	while (strcmp(name, "late.example") == 0 && !atomic_load(&names->replies))
		(void)poll(NULL, 0, 1);
	return __real_getaddrinfo("127.0.0.1", port, hints, ret);
}

char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);

/* The only text that is this name alone is the name to look up. */
char *__wrap_strdup(const char *text)
{
	if (strcmp(text, "no-memory.example") != 0)
		return __real_strdup(text);
	errno = ENOMEM;
	return NULL;
}

static char file[64];

static void configure(const char *bind, const char *rest)
{
	FILE *const out = fopen(file, "w");

	ck_assert_ptr_nonnull(out);
	(void)fprintf(out, "[prefork]\nworkers = 2\ndefer_accept = off\nbind = %s\n%s", bind, rest);
	ck_assert_int_eq(fclose(out), 0);
}

static void open_with(const char *bind)
{
	const char *const words[] = { "--config", file, NULL };

	names = mmap(NULL, sizeof *names, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(names, MAP_FAILED);
	(void)snprintf(file, sizeof file, "/tmp/prefork-lookup-%d.ini", (int)getpid());
	configure(bind, "");
	host_create(words);
	host_start();
}

static void close_all(void)
{
	host_close();
	(void)unlink(file);
	(void)munmap(names, sizeof *names);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
}

static void reload(const char *bind, const char *rest)
{
	configure(bind, rest);
	prefork_arbiter_request_reload(host);
	host_turn();
}

static void expect(int verdicts, enum prefork_verdict verdict, const char *why)
{
	ck_assert_int_eq(host_until(&host_seen.verdicts, verdicts), 1);
	ck_assert_int_eq(host_seen.verdicts, verdicts);
	ck_assert_int_eq(host_seen.verdict, verdict);
	ck_assert_msg(strstr(host_seen.why, why) != NULL, "%s", host_seen.why);
}

#define SILENT "127.0.0.1:0, silent.example:0"

#define NO_LIMIT "lookup_timeout = 60s\n" /* longer than a test takes */

START_TEST(a_silent_name_server_delays_nothing_else)
{
	open_with("127.0.0.1:0");
	reload(SILENT, NO_LIMIT);
	ck_assert_int_eq(host_seen.verdicts, 0);
	ck_assert_int_eq(kill(host_seen.last_ready, SIGKILL), 0);
	host_until_exited(host_seen.last_ready);
	ck_assert_int_eq(host_until(&host_seen.ready, 3), 1);
	prefork_arbiter_request_scale(host, 0, 3);
	ck_assert_int_eq(host_until(&host_seen.ready, 4), 1);
	ck_assert_int_eq(host_seen.verdicts, 0); /* both are done before the lookup is */

	/* A stop during the lookup. */
	prefork_arbiter_request_stop(host, true);
	host_turn(); /* does not wait for the lookup */
	ck_assert_int_eq(host_seen.verdicts, 1);
	ck_assert_int_eq(host_seen.verdict, PREFORK_RELOAD_STOPPED);
	host_stop();
	ck_assert_int_eq(host_seen.verdicts, 1);
	close_all();
}
END_TEST

START_TEST(a_silent_name_server_has_limited_time)
{
	enum { TIMEOUT_MS = 1000 }; /* the default is 5 s */

	open_with("127.0.0.1:0");
	const uint64_t began_ms = pfi_now_ms();
	reload(SILENT, "lookup_timeout = 1s\n");
	expect(1, PREFORK_RELOAD_FAILED, "silent.example within 1.0 s");
	ck_assert_int_ge((int)(pfi_now_ms() - began_ms), TIMEOUT_MS - 1);
	ck_assert_int_lt((int)(pfi_now_ms() - began_ms), TIMEOUT_MS + patience_ms(3000));
	ck_assert_int_gt(host_who(host_address(0), NULL), 0);
	host_stop();
	close_all();
}
END_TEST

START_TEST(a_later_reload_replaces_a_pending_one)
{
	open_with("127.0.0.1:0");
	reload(SILENT, NO_LIMIT);
	reload("127.0.0.1:0", "");
	ck_assert_int_eq(host_seen.verdicts, 1);
	ck_assert_int_eq(host_seen.verdict, PREFORK_RELOAD_SUPERSEDED);
	expect(2, PREFORK_RELOAD_DONE, "");
	host_stop();
	ck_assert_int_eq(host_seen.verdicts, 2);
	close_all();
}
END_TEST

/* The arbiter would look up the names itself, and wait. */
START_TEST(without_memory_for_all_names_of_bind_the_reload_fails)
{
	open_with("127.0.0.1:0");
	reload("127.0.0.1:0, first.example:0, no-memory.example:0", "");
	expect(1, PREFORK_RELOAD_FAILED, "no memory for host names");
	ck_assert_int_eq(atomic_load(&names->calls), 0);
	reload("127.0.0.1:0, first.example:0", "");
	expect(2, PREFORK_RELOAD_DONE, "");
	host_stop();
	close_all();
}
END_TEST

START_TEST(a_name_is_looked_up_once)
{
	open_with("first.example:0");
	ck_assert_int_eq(atomic_load(&names->calls), 1);
	reload("first.example:0", "timeout = 7\n");
	expect(1, PREFORK_RELOAD_DONE, "");
	ck_assert_int_eq(atomic_load(&names->calls), 1);

	reload("first.example:0, late.example:0", NO_LIMIT);
	ck_assert_int_eq(host_seen.verdicts, 1);
	ck_assert_ptr_null(prefork_arbiter_listener(host, 1));
	atomic_store(&names->replies, 1);
	expect(2, PREFORK_RELOAD_DONE, "");
	ck_assert_int_eq(atomic_load(&names->calls), 2);
	ck_assert_int_gt(host_who(host_address(1), NULL), 0);

	reload("first.example:0, late.example:0", "timeout = 8\n");
	expect(3, PREFORK_RELOAD_DONE, "");
	ck_assert_int_eq(atomic_load(&names->calls), 2);
	reload("none.example:80", "");
	expect(4, PREFORK_RELOAD_FAILED, "cannot listen on none.example:80: there is no such host");
	ck_assert_int_gt(host_who(host_address(1), NULL), 0);
	host_stop();
	close_all();
}
END_TEST

START_TEST(a_quick_stop_ends_a_pending_graceful_stop)
{
	static const int never = 0;

	open_with("127.0.0.1:0");
	reload(SILENT, NO_LIMIT);
	prefork_arbiter_request_stop(host, false);
	ck_assert_int_eq(host_until(&never, 1), 0);
	ck_assert_int_eq(host_seen.verdicts, 1);
	ck_assert_int_eq(host_seen.verdict, PREFORK_RELOAD_STOPPED);
	close_all();
}
END_TEST

START_TEST(destroy_ends_a_pending_stop)
{
	open_with("127.0.0.1:0");
	reload(SILENT, "");
	close_all();
}
END_TEST

/* ---- the names of other programs, at the start ---- */

static void nothing(int signo)
{
	(void)signo;
}

START_TEST(signals_do_not_extend_the_lookup_of_the_start)
{
	static const struct prefork_option row = {
		.struct_size = sizeof row, .name = "receiver", .type = PREFORK_OPTION_STRING,
		.traits = PREFORK_OPTION_ADDRESS, .default_text = "silent.example:8125", .unit = "ADDRESS", .doc = "Where it goes.",
		.section = "Test",
	};
	const char *const words[] = { "test", "--bind", "127.0.0.1:0", "--lookup-timeout", "300ms", "--log-level", "critical" };
	const struct sigaction action = { .sa_handler = nothing, .sa_flags = SA_RESTART };
	const struct itimerval often = { { 0, 20000 }, { 0, 20000 } }, never = { { 0, 0 }, { 0, 0 } };
	struct prefork_settings *settings;
	struct prefork_arbiter *arbiter;

	names = mmap(NULL, sizeof *names, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(names, MAP_FAILED);
	ck_assert_int_eq(prefork_settings_create(&settings), 0);
	ck_assert_int_eq(prefork_settings_add_options(settings, &row, 1), 0);
	ck_assert_int_eq(prefork_settings_parse(settings, sizeof words / sizeof words[0], (char *const *)(uintptr_t)words), 0);
	ck_assert_int_eq(prefork_arbiter_create(settings, &arbiter), 0);
	ck_assert_int_eq(prefork_arbiter_add_service(arbiter, "web", &host_service, NULL), 0);
	ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
	const uint64_t began_ms = pfi_now_ms();

	ck_assert_int_eq(prefork_arbiter_start(arbiter), 0);
	ck_assert_int_ge((int)(pfi_now_ms() - began_ms), 299);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
	prefork_arbiter_destroy(arbiter);
	prefork_settings_destroy(settings);
}
END_TEST

/* ---- in a process with threads ---- */

static void *wait_for_byte(void *fd)
{
	char byte;

	(void)!read(*(int *)fd, &byte, 1);
	return NULL;
}

static const struct {
	const char *program, *bind, *settings, *why;
	enum prefork_verdict verdict;
} programs[] = {
	{ LOOKUP, "127.0.0.1:0, localhost:0", NO_LIMIT, "", PREFORK_RELOAD_DONE },
	{ "/nowhere/prefork-lookup", "new.example:0", NO_LIMIT, "needs /nowhere/prefork-lookup", PREFORK_RELOAD_FAILED },
	{ "/bin/false", "new.example:0", NO_LIMIT, "the child that should do it failed", PREFORK_RELOAD_FAILED },
	/* It never exits. */
	{ "/usr/bin/yes", "new.example:0", "lookup_timeout = 1s\n", "new.example within ", PREFORK_RELOAD_FAILED },
};

START_TEST(a_process_with_threads_runs_a_lookup_program)
{
	pthread_t thread;
	int fds[2];

	open_with("127.0.0.1:0");
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_byte, &fds[0]), 0);
	pfi_lookup_program = programs[_i].program;
	reload(programs[_i].bind, programs[_i].settings);
	expect(1, programs[_i].verdict, programs[_i].why);
	ck_assert_int_eq(atomic_load(&names->calls), 0); /* not in a fork of this process */
	ck_assert_int_eq(write(fds[1], "", 1), 1);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	(void)close(fds[0]);
	(void)close(fds[1]);
	host_stop();
	close_all();
}
END_TEST

int main(void)
{
	Suite *const suite = suite_create("lookup");
	TCase *const tc = new_case(suite, "lookup");

	tcase_add_test(tc, a_silent_name_server_delays_nothing_else);
	tcase_add_test(tc, a_silent_name_server_has_limited_time);
	tcase_add_test(tc, a_later_reload_replaces_a_pending_one);
	tcase_add_test(tc, without_memory_for_all_names_of_bind_the_reload_fails);
	tcase_add_test(tc, a_name_is_looked_up_once);
	tcase_add_test(tc, a_quick_stop_ends_a_pending_graceful_stop);
	tcase_add_test(tc, destroy_ends_a_pending_stop);
	tcase_add_test(tc, signals_do_not_extend_the_lookup_of_the_start);
	tcase_add_loop_test(tc, a_process_with_threads_runs_a_lookup_program, 0, sizeof programs / sizeof programs[0]);
	return run_suite(suite);
}
