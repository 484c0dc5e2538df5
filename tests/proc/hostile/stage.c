#include "stage.h"
#include "../echo.h"

#include "arbiter/arbiter.h"
#include "faults.h"
#include "os/clock.h"
#include "os/fd.h"

#include <prefork/error.h>
#include <prefork/listener.h>
#include <prefork/service.h>
#include <prefork/worker.h>

#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct stage stage;
struct orders *orders;

static int result;

static void on_fork(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	(void)arbiter;
	(void)process;
	(void)user;
	stage.forked++;
}

static void on_ready(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	(void)arbiter;
	(void)user;
	stage.last_ready = prefork_process_pid(process);
	if (stage.ready < 2)
		stage.pids[stage.ready] = stage.last_ready;
	stage.ready++;
}

static void on_exited(struct prefork_arbiter *arbiter, struct prefork_process *process, void *user)
{
	(void)arbiter;
	(void)user;
	stage.exited++;
	stage.last_exited = prefork_process_pid(process);
	stage.reason = prefork_process_reason(process);
	stage.status = prefork_process_status(process);
	(void)snprintf(stage.message, sizeof stage.message, "%s; %s", prefork_process_exit_message(process),
		       prefork_process_activity(process));
}

static void on_reload_end(struct prefork_arbiter *arbiter, enum prefork_verdict verdict, const char *why, void *user)
{
	(void)arbiter;
	(void)user;
	stage.verdicts++;
	stage.verdict = verdict;
	(void)snprintf(stage.why, sizeof stage.why, "%s", why);
}

static void on_stopping(struct prefork_arbiter *arbiter, void *user)
{
	(void)arbiter;
	(void)user;
	stage.stopping++;
}

/* Runs in the worker. */
static int on_worker_start(struct prefork_worker *worker, void *user)
{
	const struct stage_parts *const parts = user;

	atomic_fetch_add(&orders->started, 1);
	return parts != NULL && parts->worker_start != NULL ? parts->worker_start(worker, user) : 0;
}

static const struct prefork_hooks hooks = {
	.struct_size = sizeof hooks,
	.after_fork = on_fork,
	.worker_ready = on_ready,
	.worker_exited = on_exited,
	.reload_end = on_reload_end,
	.stopping = on_stopping,
	.worker_start = on_worker_start,
};

static const struct prefork_service echo_service = { .struct_size = sizeof echo_service, .ready = echo };

unsigned stage_scaled_ms(unsigned time_ms)
{
	const char *const text = getenv("TEST_PATIENCE");
	const unsigned factor = text != NULL ? (unsigned)strtoul(text, NULL, 10) : 1;

	return time_ms * (factor > 0 ? factor : 1);
}

uint64_t stage_patience_ms(void)
{
	return stage_scaled_ms(20000);
}

const char *stage_scaled(unsigned time_ms)
{
	static char texts[8][32];
	static unsigned next;
	char *const text = texts[next++ % 8];

	(void)snprintf(text, sizeof texts[0], "%ums", stage_scaled_ms(time_ms));
	return text;
}

void stage_set_up(void)
{
	static const int restored[] = { SIGTERM, SIGINT, SIGALRM };

	for (size_t i = 0; i < sizeof restored / sizeof restored[0]; i++)
		ck_assert(signal(restored[i], SIG_DFL) != SIG_ERR);
	stage = (struct stage){ .fds_before = pfi_fd_count() };
	orders = mmap(NULL, sizeof *orders, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(orders, MAP_FAILED);
	stage.log = memfd_create("log", MFD_CLOEXEC);
	ck_assert_int_ge(stage.log, 0);
	ck_assert_int_eq(setenv("PREFORK_BIND", "127.0.0.1:0", 1), 0); /* which a reload may change */
	faults_open();
}

void stage_tear_down(void)
{
	stage_destroy();
	faults_close();
	(void)munmap(orders, sizeof *orders);
	pfi_close(&stage.log);
	ck_assert_int_eq(pfi_fd_count(), stage.fds_before);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
}

int stage_load(const char *const *arguments)
{
	char log_path[64];
	const char *argv[64] = { "stage", "--workers", "2", "--stop-linger", "0", "--abort-timeout", "200ms",
				 "--canary-time", "0", "--error-logfile", log_path };
	int argc = 11;

	(void)snprintf(log_path, sizeof log_path, "/proc/self/fd/%d", stage.log);
	while (arguments != NULL && *arguments != NULL && argc < 63)
		argv[argc++] = *arguments++;
	return prefork_settings_load(argc, (char *const *)(uintptr_t)argv, &stage.settings);
}

int stage_create(const struct stage_parts *parts)
{
	const bool is_echo = parts == NULL || parts->strategy == NULL || parts->with_echo;
	const struct prefork_service *const service =
		parts != NULL && parts->service != NULL ? parts->service : &echo_service;
	int r = prefork_arbiter_create(stage.settings, &stage.arbiter);

	if (r == 0)
		r = prefork_arbiter_add_pool(stage.arbiter, "web", parts != NULL ? parts->strategy : NULL,
					     is_echo ? service : NULL, NULL, NULL);
	if (r == 0)
		r = prefork_arbiter_add_hooks(stage.arbiter, &hooks, (void *)(uintptr_t)parts);
	if (r == 0 && parts != NULL && parts->hooks != NULL)
		r = prefork_arbiter_add_hooks(stage.arbiter, parts->hooks, NULL);
	return r;
}

void stage_destroy(void)
{
	prefork_arbiter_destroy(stage.arbiter);
	prefork_settings_destroy(stage.settings);
	stage.arbiter = NULL;
	stage.settings = NULL;
}

void stage_start(const struct stage_parts *parts, const char *const *arguments)
{
	PROMISE(stage_load(arguments) == 0, "%s", prefork_error());
	PROMISE(stage_create(parts) == 0, "%s", prefork_error());
	PROMISE(prefork_arbiter_start(stage.arbiter) == 0, "%s", prefork_error());
	PROMISE(stage_until(&stage.ready, 2), "%s", prefork_error());
}

bool stage_until(const int *counter, int least)
{
	const uint64_t end_ms = pfi_now_ms() + stage_patience_ms();

	result = 1;
	while (result == 1 && *counter < least) {
		struct pollfd wait = { .fd = prefork_arbiter_fd(stage.arbiter), .events = POLLIN };

		PROMISE(pfi_now_ms() < end_ms, "waited too long");
		(void)poll(&wait, 1, 1000);
		result = prefork_arbiter_dispatch(stage.arbiter);
		stage.rounds++;
	}
	return *counter >= least;
}

int stage_result(void)
{
	return result;
}

void stage_run_for(unsigned time_ms)
{
	const uint64_t end_ms = pfi_now_ms() + time_ms;

	for (uint64_t now_ms; (now_ms = pfi_now_ms()) < end_ms;) {
		struct pollfd wait = { .fd = prefork_arbiter_fd(stage.arbiter), .events = POLLIN };

		if (poll(&wait, 1, (int)(end_ms - now_ms)) == 0)
			continue;
		result = prefork_arbiter_dispatch(stage.arbiter);
		PROMISE(result == 1, "%s", prefork_error());
		stage.rounds++;
	}
}

bool stage_is_at(const char *activity)
{
	const struct pfi_worker_score *const score = pfi_scoreboard_at(&stage.arbiter->scoreboard, 0);

	for (unsigned i = 0; i < stage.arbiter->pools[0].thread_slots; i++) {
		if (score->thread_slots[i].deadline_ms != 0 && strcmp(score->thread_slots[i].activity, activity) == 0)
			return true;
	}
	return false;
}

int stage_stop(bool graceful)
{
	static const int never = 0;

	prefork_arbiter_request_stop(stage.arbiter, graceful);
	(void)stage_until(&never, 1);
	return result;
}

void stage_hurry(void)
{
	for (unsigned p = 0; p < stage.arbiter->pool_count; p++) {
		stage.arbiter->models[p].policy.boot.first_ms = 20;
		stage.arbiter->models[p].policy.boot.cap_ms = 20;
	}
}

uint64_t stage_cpu_ms(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

char *stage_log(void)
{
	const off_t size = lseek(stage.log, 0, SEEK_END);
	char *const text = calloc((size_t)size + 1, 1);

	if (text != NULL && pread(stage.log, text, (size_t)size, 0) < 0)
		*text = '\0';
	return text;
}

int stage_log_count(const char *text)
{
	char *const log = stage_log();
	int count = 0;

	for (const char *at = log; at != NULL && (at = strstr(at, text)) != NULL; at++)
		count++;
	free(log);
	return count;
}

void stage_fail(const char *promise, const char *format, ...)
{
	char why[1024];
	va_list arguments;

	faults_disarm();
	va_start(arguments, format);
	(void)vsnprintf(why, sizeof why, format, arguments);
	va_end(arguments);

	char *const log = stage_log();

	(void)fprintf(stderr, "%s", log != NULL ? log : "");
	free(log);
	ck_abort_msg("%s: %s", promise, why);
}

int stage_connect(void)
{
	const struct timeval limit = { .tv_sec = (time_t)(stage_patience_ms() / 1000) };
	struct sockaddr_storage address;
	socklen_t size = sizeof address;
	const int listener = prefork_listener_fd(prefork_arbiter_listener(stage.arbiter, 0));

	if (getsockname(listener, (struct sockaddr *)&address, &size) < 0)
		return -1;

	const int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0 ||
	    connect(fd, (struct sockaddr *)&address, size) < 0) {
		if (fd >= 0)
			(void)close(fd);
		return -1;
	}
	return fd;
}

bool stage_echo(int fd)
{
	static const char word[] = "hello";
	char bytes[sizeof word];

	return send(fd, word, sizeof word, MSG_NOSIGNAL) == (ssize_t)sizeof word &&
	       recv(fd, bytes, sizeof bytes, MSG_WAITALL) == (ssize_t)sizeof bytes &&
	       memcmp(bytes, word, sizeof word) == 0;
}
