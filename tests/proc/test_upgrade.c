/*
 * The binary upgrade by the public call: this program starts itself as a server by a real exec, and the server requests
 * its own upgrade. Signals and load are in tests/e2e/test_upgrade.py.
 */
#include "../support.h"

#include <prefork/prefork.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>

enum { LIMIT_MS = 20000, THREAD_ENDS_MS = 100 };

/* ---- the server ---- */

static const char *mode;
static bool is_upgrade;
static atomic_bool is_requested;
static struct prefork_arbiter *arbiter, *other;

static enum prefork_next close_it(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	(void)worker, (void)connection, (void)user;
	return PREFORK_CLOSE;
}

static const struct prefork_service service = { .struct_size = sizeof service, .ready = close_it };

static void say(const char *text, int number, const char *more)
{
	printf("%s %d %s\n", text, number, more);
	(void)fflush(stdout);
}

/* Any thread may request it. */
static void *request(void *user)
{
	prefork_arbiter_request_upgrade(user);
	atomic_store(&is_requested, true);
	(void)prefork_arbiter_request_scale(user, 0, 1); /* and one more turn, which sees that */
	(void)poll(NULL, 0, THREAD_ENDS_MS); /* it runs while the arbiter forks */
	return NULL;
}

static void on_ready(struct prefork_arbiter *which, struct prefork_process *process, void *user)
{
	static pthread_t thread;

	(void)user, (void)process;
	if (which != arbiter)
		return;
	say("ready", (int)getpid(), prefork_listener_address(prefork_arbiter_listener(which, 0)));
	if (!is_upgrade && strcmp(mode, "stranger") != 0 && pthread_create(&thread, NULL, request, arbiter) == 0)
		(void)pthread_detach(thread);
}

static void on_end(struct prefork_arbiter *which, enum prefork_upgrade_verdict verdict, int pid, const char *why,
		   void *user)
{
	(void)which, (void)user;
	printf("verdict %d new %d %s\n", (int)verdict, pid, why);
	(void)fflush(stdout);
}

static const struct prefork_hooks hooks = { .struct_size = sizeof hooks, .worker_ready = on_ready, .upgrade_end = on_end };

static int make(int argc, char **argv, struct prefork_arbiter **ret)
{
	struct prefork_settings *settings = NULL;
	int r = prefork_settings_load(argc, argv, &settings);

	if (r == 0 && (r = prefork_arbiter_create(settings, ret)) == 0 &&
	    (r = prefork_arbiter_add_service(*ret, "web", &service, NULL)) == 0)
		r = prefork_arbiter_add_hooks(*ret, &hooks, NULL);
	prefork_settings_destroy(settings);
	return r == 0 ? prefork_arbiter_start(*ret) : r;
}

/* The application's own loop, over both arbiters. With mode "destroy" it ends the arbiter while the new program boots. */
static int drive(void)
{
	int r = 1;

	while (r == 1) {
		struct pollfd fds[2] = { { .fd = prefork_arbiter_fd(arbiter), .events = POLLIN },
					 { .fd = other ? prefork_arbiter_fd(other) : -1, .events = POLLIN } };

		(void)poll(fds, 2, -1);
		const bool begins = atomic_load(&is_requested); /* in this dispatch, or has begun */

		if (other)
			(void)prefork_arbiter_dispatch(other);
		r = prefork_arbiter_dispatch(arbiter);
		if (begins && strcmp(mode, "destroy") == 0)
			return 0;
	}
	return r;
}

static int serve(int argc, char **argv)
{
	int r;

	mode = getenv("UPGRADE_MODE");
	is_upgrade = getenv("PREFORK_UPGRADE_PID") != NULL && strcmp(mode, "stranger") != 0;
	if (is_upgrade && strcmp(mode, "destroy") == 0) {
		say("hangs", (int)getpid(), "");
		for (;;)
			(void)pause();
	}
	r = make(argc, argv, &arbiter);
	if (r == 0 && strcmp(mode, "pair") == 0)
		r = make(argc, argv, &other);
	if (r < 0)
		say("failed", r, prefork_error());
	else
		r = drive();
	if (getenv("PREFORK_UPGRADE_PID") || getenv("PREFORK_FDS") || getenv("PREFORK_UPGRADE_FD") || getenv("PREFORK_SLOT"))
		say("environment", 0, "still has the variables");
	prefork_arbiter_destroy(arbiter);
	prefork_arbiter_destroy(other);
	say("exit", (int)getpid(), "");
	return prefork_exit_status(r);
}

/* ---- the test ---- */

static pid_t server;
static int out;

static void start_server(const char *server_mode, const char *variable)
{
	char *const argv[] = { (char[]){ "upgrade" }, (char[]){ "--bind" }, (char[]){ "127.0.0.1:0" },
			       (char[]){ "--log-level" }, (char[]){ "error" }, (char[]){ "--canary-time" }, (char[]){ "0" },
			       (char[]){ "--upgrade" }, (char[]){ "manual" }, NULL };
	int ends[2];

	/* An arbiter whose parent has exited becomes a child of the test. */
	ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	server = fork();
	ck_assert_int_ge(server, 0);
	if (server == 0) {
		(void)dup2(ends[1], STDOUT_FILENO);
		(void)setenv("UPGRADE_MODE", server_mode, 1);
		(void)setenv("PREFORK_SLOT", "9", 1); /* as if a worker had started it */
		if (variable)
			(void)putenv((char *)(uintptr_t)variable);
		(void)execv("/proc/self/exe", argv);
		_exit(99);
	}
	(void)close(ends[1]);
	out = ends[0];
}

static const char *next_line(void)
{
	static char line[1024];
	size_t used = 0;

	do {
		ck_assert_msg(wait_for(out, POLLIN, LIMIT_MS), "the server prints nothing");
		if (read(out, &line[used], 1) != 1)
			break;
	} while (line[used] != '\n' && ++used < sizeof line - 1);
	line[used] = 0;
	return line;
}

/* The next line begins with `word`; the number behind it. */
static int expect(const char *word, char address[64])
{
	const char *const line = next_line();
	int number = 0;

	ck_assert_msg(strncmp(line, word, strlen(word)) == 0, "not \"%s\": %s", word, line);
	ck_assert_int_ge(sscanf(line + strlen(word), "%d %63s", &number, address), 1);
	return number;
}

static void expect_exit(pid_t pid)
{
	int status = -1;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

/* Kill the arbiter `pid`, and reap all children. */
static void kill_rest(pid_t pid)
{
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	while (*next_line()) /* until its workers have exited */
		continue;
	(void)close(out);
	while (waitpid(-1, NULL, 0) > 0)
		continue;
}

/* The call is for an automatic upgrade, whatever the settings say. */
START_TEST(a_call_from_another_thread_replaces_the_process)
{
	char before[64] = "", after[64] = "", text[64];

	start_server("call", NULL);
	ck_assert_int_eq(expect("ready", before), server);
	const int new = expect("ready", after);
	ck_assert_int_ne(new, server);
	ck_assert_str_eq(before, after); /* port 0 is not asked for again */
	ck_assert_int_eq(expect("verdict 0 new", text), new);
	ck_assert_int_eq(expect("exit", text), server);
	expect_exit(server);
	kill_rest(new);
}
END_TEST

START_TEST(a_process_with_two_arbiters_is_not_replaced)
{
	char text[64];

	start_server("pair", NULL);
	ck_assert_int_eq(expect("ready", text), server);
	ck_assert_int_eq(expect("verdict 2 new", text), 0);
	kill_rest(server);
}
END_TEST

START_TEST(an_arbiter_that_is_destroyed_kills_a_new_one_that_boots)
{
	char text[64];
	int left = 2;

	start_server("destroy", NULL);
	ck_assert_int_eq(expect("ready", text), server);
	for (const char *line = next_line(); *line; line = next_line()) /* "hangs" may come before or after, or not at all */
		left -= strncmp(line, "exit", 4) == 0;
	ck_assert_int_eq(left, 1); /* the pipe has ended: the new program is gone */
	(void)close(out);
	expect_exit(server);
	while (waitpid(-1, NULL, 0) > 0)
		continue;
}
END_TEST

/* The variables of an upgrade that name another process are for that one, PREFORK_FDS with them. */
START_TEST(variables_for_another_process_are_ignored)
{
	char text[64];

	(void)setenv("PREFORK_FDS", "x=777", 1);
	start_server("stranger", "PREFORK_UPGRADE_PID=1");
	(void)unsetenv("PREFORK_FDS");
	ck_assert_int_eq(expect("ready", text), server);
	ck_assert_ptr_nonnull(strstr(text, "127.0.0.1:"));
	kill_rest(server);
}
END_TEST

int main(int argc, char **argv)
{
	if (getenv("UPGRADE_MODE"))
		return serve(argc, argv);

	Suite *const suite = suite_create("upgrade");
	TCase *const tc = new_case(suite, "upgrade");

	tcase_add_test(tc, a_call_from_another_thread_replaces_the_process);
	tcase_add_test(tc, a_process_with_two_arbiters_is_not_replaced);
	tcase_add_test(tc, an_arbiter_that_is_destroyed_kills_a_new_one_that_boots);
	tcase_add_test(tc, variables_for_another_process_are_ignored);
	return run_suite(suite);
}
