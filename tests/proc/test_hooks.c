/*
 * The calls of hooks, their order, and the process in which they run; and several arbiters
 * in one process.
 */
#include "../support.h"

#include <prefork/prefork.h>

#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum { LIMIT_MS = 20000, EVENTS_MAX = 512 };

/* Calls as letters: in this process, and in the worker. */
static char here[EVENTS_MAX];
static struct events {
	_Atomic unsigned used;
	char letters[EVENTS_MAX];
} *there;

static int verdicts, readies, exits;
static int slot_user; /* its address is a worker's user pointer */
static bool had_user;
static char message[1024];
static long peak_kib;
static uint64_t requests;
static enum prefork_reason reason;

static void add_here(const char *letters)
{
	const size_t used = strlen(here);

	ck_assert_uint_lt(used + strlen(letters), sizeof here);
	(void)strcpy(here + used, letters);
}

static void add_there(char letter)
{
	const unsigned at = atomic_fetch_add(&there->used, 1);

	if (at < EVENTS_MAX - 1)
		there->letters[at] = letter;
}

static int before_fork(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	(void)arbiter, (void)process;
	add_here(user ? "B" : "b");
	return 0;
}

static void after_fork(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	(void)arbiter;
	add_here(user ? "A" : "a");
	ck_assert_int_gt(prefork_process_pid(process), 0);
	prefork_process_set_user(process, &slot_user);
}

static void worker_ready(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	(void)arbiter, (void)process;
	add_here(user ? "R" : "r");
	readies++;
}

static void worker_exited(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	(void)arbiter;
	add_here(user ? "X" : "x");
	exits++;
	had_user = prefork_process_user(process) == &slot_user;
	(void)snprintf(message, sizeof message, "%s; %s", prefork_process_exit_message(process),
		       prefork_process_activity(process));
	peak_kib = prefork_process_rusage(process)->ru_maxrss;
	requests = prefork_process_requests(process);
	reason = prefork_process_reason(process);
}

static int reload_begin(struct prefork_arbiter *arbiter, const struct prefork_settings *settings, void *user)
{
	(void)arbiter;
	add_here(user ? "L" : "l");
	return prefork_settings_int(settings, "workers") == 1 ? 0 : -EINVAL;
}

static void reload_end(struct prefork_arbiter *arbiter, enum prefork_verdict verdict, const char *why, void *user)
{
	(void)arbiter, (void)why;
	add_here(verdict == PREFORK_RELOAD_DONE ? user ? "E" : "e" : "?");
	verdicts++;
}

static void stopping(struct prefork_arbiter *arbiter, void *user)
{
	(void)arbiter;
	add_here(user ? "S" : "s");
}

static int listening(struct prefork_arbiter *arbiter, void *user)
{
	add_here(user ? "K" : "k");
	return prefork_arbiter_listener(arbiter, 0) != NULL ? 0 : prefork_fail(-EINVAL, "there is no listener");
}

static void scaled(struct prefork_arbiter *arbiter, const char *pool, unsigned workers, unsigned before, void *user)
{
	(void)arbiter;
	ck_assert_str_eq(pool, "web");
	ck_assert_uint_eq(before, workers == 2 ? 1 : 2);
	add_here(user ? "N" : "n");
}

static void stopped(struct prefork_arbiter *arbiter, int result, void *user)
{
	ck_assert_int_eq(result, 0);
	ck_assert_ptr_null(prefork_arbiter_listener(arbiter, 0));
	add_here(user ? "T" : "t");
}

static void destroyed(void *user)
{
	add_here(user ? "D" : "d");
}

/* These run in the worker. */

static void child_privileged(struct prefork_worker *worker, void *user)
{
	(void)worker;
	add_there(user ? 'P' : 'p');
}

static void worker_quit(struct prefork_worker *worker, void *user)
{
	(void)worker;
	add_there(user ? 'Q' : 'q');
}

static void child_after_fork(struct prefork_worker *worker, void *user)
{
	(void)worker;
	add_there(user ? 'F' : 'f');
	if (getenv("NOTIFY_SOCKET") != NULL || getenv("LISTEN_FDS") != NULL)
		add_there('!'); /* these variables are for the arbiter only */
}

static int worker_start(struct prefork_worker *worker, void *user)
{
	(void)worker;
	add_there(user ? 'G' : 'g');
	return 0;
}

static void worker_draining(struct prefork_worker *worker, void *user)
{
	(void)worker;
	add_there(user ? 'H' : 'h');
}

static void worker_stop(struct prefork_worker *worker, void *user)
{
	(void)worker;
	add_there(user ? 'I' : 'i');
}

static int service_start(struct prefork_worker *worker, void *user)
{
	(void)user;
	prefork_worker_set_activity(worker, "GET /last", 9);
	prefork_worker_count_request(worker);
	add_there('(');
	return 0;
}

static enum prefork_next close_at_once(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	(void)worker, (void)connection, (void)user;
	return PREFORK_CLOSE;
}

static void service_stop(struct prefork_worker *worker, void *user)
{
	(void)worker, (void)user;
	add_there(')');
}

static const struct prefork_service service = {
	.struct_size = sizeof service, .worker_start = service_start, .ready = close_at_once, .worker_stop = service_stop
};

static const struct prefork_hooks hooks = {
	.struct_size = sizeof hooks,
	.before_fork = before_fork,
	.after_fork = after_fork,
	.worker_ready = worker_ready,
	.worker_exited = worker_exited,
	.reload_begin = reload_begin,
	.reload_end = reload_end,
	.stopping = stopping,
	.child_after_fork = child_after_fork,
	.worker_start = worker_start,
	.worker_draining = worker_draining,
	.worker_stop = worker_stop,
	.destroyed = destroyed,
	.listening = listening,
	.scaled = scaled,
	.stopped = stopped,
	.child_privileged = child_privileged,
	.worker_quit = worker_quit,
};

static struct prefork_arbiter *new_arbiter(void)
{
	/* A worker that is slow at a quick stop calls all its hooks, too. */
	const char *const argv[] = { "test", "-b", "127.0.0.1:0", "--canary-time", "0", "--log-level", "critical",
				     "--abort-timeout", "30s" };
	struct prefork_settings *settings = NULL;
	struct prefork_arbiter *arbiter = NULL;

	ck_assert_int_eq(prefork_settings_load(9, (char *const *)(uintptr_t)argv, &settings), 0);
	ck_assert_int_eq(prefork_arbiter_create(settings, &arbiter), 0);
	ck_assert_int_eq(prefork_arbiter_add_service(arbiter, "web", &service, NULL), 0);
	prefork_settings_destroy(settings);
	return arbiter;
}

/* Returns the last result of prefork_arbiter_dispatch(). */
static int until(struct prefork_arbiter *arbiter, const int *counter, int least)
{
	int r = 1;

	while (r == 1 && *counter < least) {
		ck_assert_msg(wait_for(prefork_arbiter_fd(arbiter), POLLIN, LIMIT_MS), "waited too long");
		r = prefork_arbiter_dispatch(arbiter);
	}
	return r;
}

static const int never;

static void map_letters(void)
{
	there = mmap(NULL, sizeof *there, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(there, MAP_FAILED);
}

START_TEST(hooks_are_called_in_the_order_of_a_workers_life)
{
	static int second;
	struct prefork_arbiter *const arbiter = new_arbiter();

	map_letters();
	ck_assert_int_eq(setenv("NOTIFY_SOCKET", "/nowhere", 1) | setenv("LISTEN_FDS", "1", 1), 0);
	ck_assert_int_eq(prefork_arbiter_add_hooks(arbiter, &hooks, NULL), 0);
	ck_assert_int_eq(prefork_arbiter_add_hooks(arbiter, &hooks, &second), 0);
	ck_assert_int_eq(prefork_arbiter_start(arbiter), 0);
	ck_assert_int_eq(prefork_arbiter_add_hooks(arbiter, &hooks, NULL), -EBUSY);
	ck_assert_int_eq(until(arbiter, &readies, 2), 1);
	ck_assert_str_eq(here, "kKbBaArR");
	ck_assert_str_eq(there->letters, "pPfFgG(");
	ck_assert_str_eq(getenv("NOTIFY_SOCKET"), "/nowhere"); /* an application may use it */
	ck_assert_int_eq(prefork_arbiter_take_environment(arbiter), -EBUSY);

	prefork_arbiter_request_reload(arbiter);
	ck_assert_int_eq(until(arbiter, &exits, 2), 1);
	ck_assert_str_eq(here, "kKbBaArR" "lLbBaArR" "eE" "xX");
	ck_assert_int_eq(verdicts, 2);
	ck_assert(had_user);
	ck_assert_int_eq(reason, PREFORK_REASON_STOPPED);
	ck_assert_int_gt(peak_kib, 0);
	ck_assert_uint_eq(requests, 1);
	ck_assert_ptr_nonnull(strstr(message, "; GET /last"));
	/* The new worker was ready before the old one was drained. */
	ck_assert_str_eq(there->letters, "pPfFgG(" "pPfFgG(" "hH)Ii");

	prefork_arbiter_request_stop(arbiter, true);
	ck_assert_int_eq(until(arbiter, &never, 1), 0);
	ck_assert_str_eq(here, "kKbBaArR" "lLbBaArR" "eE" "xX" "sSxXtT");
	ck_assert_str_eq(there->letters, "pPfFgG(" "pPfFgG(" "hH)Ii" "hH)Ii");
	prefork_arbiter_destroy(arbiter);
	ck_assert_str_eq(here, "kKbBaArR" "lLbBaArR" "eE" "xX" "sSxXtT" "Dd");
	(void)munmap(there, sizeof *there);
}
END_TEST

START_TEST(hooks_follow_the_number_of_workers_and_a_quick_stop)
{
	struct prefork_arbiter *const arbiter = new_arbiter();

	map_letters();
	ck_assert_int_eq(prefork_arbiter_add_hooks(arbiter, &hooks, NULL), 0);
	ck_assert_int_eq(prefork_arbiter_start(arbiter), 0);
	ck_assert_int_eq(until(arbiter, &readies, 1), 1);
	ck_assert_int_eq(prefork_arbiter_request_scale(arbiter, 0, 2), 0);
	ck_assert_int_eq(until(arbiter, &readies, 2), 1);
	ck_assert_str_eq(here, "kbar" "nbar");
	ck_assert_int_eq(prefork_arbiter_request_scale(arbiter, 0, 1), 0);
	ck_assert_int_eq(until(arbiter, &exits, 1), 1);
	ck_assert_str_eq(here, "kbar" "nbar" "nx");
	ck_assert_ptr_null(strchr(there->letters, 'q'));
	prefork_arbiter_request_stop(arbiter, false);
	ck_assert_int_eq(until(arbiter, &never, 1), 0);
	ck_assert_ptr_nonnull(strstr(there->letters, "hq)i"));
	prefork_arbiter_destroy(arbiter);
	(void)munmap(there, sizeof *there);
}
END_TEST

static int refuse_listeners(struct prefork_arbiter *arbiter, void *user)
{
	(void)arbiter, (void)user;
	return prefork_fail(-EINVAL, "the licence server is away");
}

START_TEST(a_hook_can_refuse_the_start_when_the_listeners_are_bound)
{
	static const struct prefork_hooks refusing_start = { .struct_size = sizeof refusing_start, .listening = refuse_listeners };
	struct prefork_arbiter *const arbiter = new_arbiter();

	ck_assert_int_eq(prefork_arbiter_add_hooks(arbiter, &hooks, NULL), 0);
	ck_assert_int_eq(prefork_arbiter_add_hooks(arbiter, &refusing_start, NULL), 0);
	ck_assert_int_eq(prefork_arbiter_start(arbiter), -EINVAL);
	ck_assert_str_eq(prefork_error(), "the licence server is away");
	ck_assert_str_eq(here, "k"); /* no fork, and no end of a run */
	ck_assert_ptr_null(prefork_arbiter_listener(arbiter, 0));
	prefork_arbiter_destroy(arbiter);
}
END_TEST

/* ---- aborts ---- */

static int ready_pid, exit_status;

static void keep_pid(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	(void)arbiter, (void)user;
	ready_pid = prefork_process_pid(process);
	readies++;
}

static void keep_status(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	(void)arbiter, (void)user;
	exit_status = prefork_process_status(process);
	exits++;
}

static unsigned postpone(struct prefork_worker *worker, void *user)
{
	(void)worker;
	add_there('y');
	return *(unsigned *)user;
}

static void end_abort(struct prefork_worker *worker, void *user)
{
	(void)worker;
	add_there('z');
	while (*(unsigned *)user < 20000)
		(void)pause(); /* the timer ends the process */
}

static const struct prefork_hooks aborting = {
	.struct_size = sizeof aborting, .worker_ready = keep_pid, .worker_exited = keep_status,
	.abort_begin = postpone, .worker_abort = end_abort,
};

/* 0: at once; 500 ms (times TEST_PATIENCE, for a busy machine to reach the hook): in it, since it hangs; 20 s: when it has
 * returned. */
START_TEST(an_aborted_worker_calls_a_hook_that_can_hang)
{
	static const unsigned postponements[] = { 0, 500, 20000 };
	unsigned ms = _i == 1 ? (unsigned)patience_ms((int)postponements[_i]) : postponements[_i];
	struct prefork_arbiter *const arbiter = new_arbiter();

	map_letters();
	ck_assert_int_eq(prefork_arbiter_add_hooks(arbiter, &aborting, &ms), 0);
	ck_assert_int_eq(prefork_arbiter_start(arbiter), 0);
	ck_assert_int_eq(until(arbiter, &readies, 1), 1);
	ck_assert_int_eq(kill(ready_pid, SIGABRT), 0);
	ck_assert_int_eq(until(arbiter, &exits, 1), 1);
	ck_assert_int_eq(exit_status & 0x7f, SIGABRT);
	ck_assert_ptr_nonnull(strstr(there->letters, ms > 0 ? "yz" : "y"));
	ck_assert(ms > 0 || strchr(there->letters, 'z') == NULL);
	prefork_arbiter_request_stop(arbiter, false);
	ck_assert_int_eq(until(arbiter, &never, 1), 0);
	prefork_arbiter_destroy(arbiter);
	(void)munmap(there, sizeof *there);
}
END_TEST

/* ---- several in one process ---- */

static int stopped_readies, other_readies;

static void count_ready(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	(void)arbiter, (void)process;
	++*(int *)user;
}

static const struct prefork_hooks counting = { .struct_size = sizeof counting, .worker_ready = count_ready };

static const struct prefork_service quiet = { .struct_size = sizeof quiet, .ready = close_at_once };

static struct prefork_arbiter *new_quiet(int *readies_of_it)
{
	const char *const argv[] = { "test", "-b", "127.0.0.1:0", "-w", "2", "--log-level", "critical",
				     "--restart-intensity", "2" };
	struct prefork_settings *settings = NULL;
	struct prefork_arbiter *arbiter = NULL;

	ck_assert_int_eq(prefork_settings_load(9, (char *const *)(uintptr_t)argv, &settings), 0);
	ck_assert_int_eq(prefork_arbiter_create(settings, &arbiter), 0);
	ck_assert_int_eq(prefork_arbiter_add_service(arbiter, "web", &quiet, NULL), 0);
	ck_assert_int_eq(prefork_arbiter_add_hooks(arbiter, &counting, readies_of_it), 0);
	prefork_settings_destroy(settings);
	return arbiter;
}

START_TEST(two_arbiters_live_side_by_side)
{
	struct prefork_arbiter *const first = new_quiet(&stopped_readies), *const second = new_quiet(&other_readies);

	prefork_arbiter_take_signals(first, true);
	prefork_arbiter_take_signals(second, true);
	ck_assert_int_eq(prefork_arbiter_start(first), 0);
	/* Signals are one per process. */
	ck_assert_int_eq(prefork_arbiter_start(second), -EBUSY);
	ck_assert_ptr_nonnull(strstr(prefork_error(), "signals"));
	prefork_arbiter_take_signals(second, false);
	ck_assert_int_eq(prefork_arbiter_start(second), 0);
	ck_assert_int_eq(until(first, &stopped_readies, 2), 1);
	ck_assert_int_eq(until(second, &other_readies, 2), 1);

	/* A signal stops the arbiter that takes signals; the other one continues. */
	ck_assert_int_eq(kill(getpid(), SIGTERM), 0);
	ck_assert_int_eq(until(first, &never, 1), 0);
	ck_assert_int_eq(prefork_arbiter_dispatch(second), 1);
	prefork_arbiter_destroy(first);
	ck_assert_int_eq(prefork_arbiter_request_scale(second, 0, 3), 0);
	ck_assert_int_eq(until(second, &other_readies, 3), 1);
	prefork_arbiter_request_stop(second, false);
	ck_assert_int_eq(until(second, &never, 1), 0);
	prefork_arbiter_destroy(second);
}
END_TEST

/* ---- forks that fail ---- */

static struct {
	int before, refusals;
	int after, failed, error;
	char order[16];
} forks;

static int count_before(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	(void)arbiter, (void)process, (void)user;
	forks.before++;
	return 0;
}

static int refuse(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	(void)arbiter, (void)process, (void)user;
	return forks.refusals-- > 0 ? prefork_fail(-EINVAL, "the licence server is away") : 0;
}

static void forked(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	(void)arbiter, (void)process, (void)user;
	forks.after++;
}

static void not_forked(struct prefork_arbiter *arbiter, struct prefork_process *process, int error, void *user)
{
	(void)arbiter;
	ck_assert_int_eq(prefork_process_pid(process), 0);
	forks.failed += user == NULL;
	forks.error = error;
	(void)strncat(forks.order, user == NULL ? "1" : "2", sizeof forks.order - strlen(forks.order) - 1);
}

static const struct prefork_hooks counting_forks = {
	.struct_size = sizeof counting_forks, .before_fork = count_before, .after_fork = forked, .fork_failed = not_forked,
};
static const struct prefork_hooks plain = { .struct_size = sizeof plain, .fork_failed = not_forked };
static const struct prefork_hooks refusing = {
	.struct_size = sizeof refusing, .before_fork = refuse, .fork_failed = not_forked,
};

/* Each before_fork is followed by after_fork or fork_failed, which gets the error. */
START_TEST(fork_failed_follows_before_fork)
{
	static int second, third;
	struct prefork_arbiter *const arbiter = new_quiet(&other_readies);

	ck_assert_int_eq(prefork_arbiter_add_hooks(arbiter, &counting_forks, NULL), 0);
	ck_assert_int_eq(prefork_arbiter_add_hooks(arbiter, &plain, &second), 0);
	ck_assert_int_eq(prefork_arbiter_add_hooks(arbiter, &refusing, &third), 0);
	forks.refusals = 1;
	other_readies = 0;
	ck_assert_int_eq(prefork_arbiter_start(arbiter), 0);
	ck_assert_str_eq(forks.order, "21"); /* not the hook that refused */
	ck_assert_int_eq(forks.error, -EINVAL);
	ck_assert_int_eq(until(arbiter, &other_readies, 2), 1);
	ck_assert_int_eq(forks.before, forks.after + forks.failed);
	prefork_arbiter_request_stop(arbiter, false);
	ck_assert_int_eq(until(arbiter, &never, 1), 0);
	prefork_arbiter_destroy(arbiter);
}
END_TEST

START_TEST(a_failing_before_fork_is_the_result_of_the_run)
{
	struct prefork_arbiter *const arbiter = new_quiet(&other_readies);

	ck_assert_int_eq(prefork_arbiter_add_hooks(arbiter, &refusing, NULL), 0);
	forks.refusals = 1000;
	ck_assert_int_eq(prefork_arbiter_start(arbiter), 0);
	ck_assert_int_eq(until(arbiter, &never, 1), PREFORK_EBOOT);
	ck_assert_ptr_nonnull(strstr(prefork_error(), "the licence server is away"));
	prefork_arbiter_destroy(arbiter);
}
END_TEST

static void keep_verdict(struct prefork_arbiter *arbiter, enum prefork_verdict verdict, const char *why, void *user)
{
	(void)arbiter;
	ck_assert_int_eq(verdict, PREFORK_RELOAD_FAILED);
	ck_assert_msg(strstr(why, "the licence server is away") != NULL, "%s", why);
	++*(int *)user;
}

static const struct prefork_hooks awaiting = { .struct_size = sizeof awaiting, .reload_end = keep_verdict };

START_TEST(a_failing_before_fork_is_the_verdict_of_a_reload)
{
	static int ends;
	struct prefork_arbiter *const arbiter = new_quiet(&other_readies);

	ck_assert_int_eq(prefork_arbiter_add_hooks(arbiter, &refusing, NULL), 0);
	ck_assert_int_eq(prefork_arbiter_add_hooks(arbiter, &awaiting, &ends), 0);
	other_readies = 0;
	ck_assert_int_eq(prefork_arbiter_start(arbiter), 0);
	ck_assert_int_eq(until(arbiter, &other_readies, 2), 1);
	forks.refusals = 1000;
	prefork_arbiter_request_reload(arbiter);
	ck_assert_int_eq(until(arbiter, &ends, 1), 1);
	prefork_arbiter_request_stop(arbiter, false);
	ck_assert_int_eq(until(arbiter, &never, 1), 0);
	prefork_arbiter_destroy(arbiter);
}
END_TEST

int main(void)
{
	Suite *const suite = suite_create("hooks");
	TCase *const tc = new_case(suite, "hooks");

	tcase_add_test(tc, hooks_are_called_in_the_order_of_a_workers_life);
	tcase_add_test(tc, hooks_follow_the_number_of_workers_and_a_quick_stop);
	tcase_add_test(tc, a_hook_can_refuse_the_start_when_the_listeners_are_bound);
	tcase_add_loop_test(tc, an_aborted_worker_calls_a_hook_that_can_hang, 0, 3);
	tcase_add_test(tc, two_arbiters_live_side_by_side);
	tcase_add_test(tc, fork_failed_follows_before_fork);
	tcase_add_test(tc, a_failing_before_fork_is_the_result_of_the_run);
	tcase_add_test(tc, a_failing_before_fork_is_the_verdict_of_a_reload);
	return run_suite(suite);
}
