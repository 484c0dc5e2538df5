/*
 * stage -- an arbiter with an echo service, driven by a poll loop as an application
 * would, for hostile tests.
 *
 * `mood`, in shared memory, sets the behaviour of workers: each reads it once, at its
 * start. Hooks record the events of the arbiter; a memfd holds the log.
 */
#ifndef TESTS_STAGE_H
#define TESTS_STAGE_H

#include <prefork/arbiter.h>
#include <prefork/settings.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct stage {
	struct prefork_settings *settings;
	struct prefork_arbiter *arbiter;
	int log;               /* a file in memory */
	int fds_before;
	int forked, ready, exited, verdicts, stopping, rounds; /* how often */
	pid_t pids[2]; /* of the first two ready workers */
	pid_t last_ready, last_exited;
	enum prefork_reason reason;
	int status;
	enum prefork_verdict verdict;
	char message[1024], why[1024];
};

extern struct stage stage;

/* Shared with the workers. */
struct orders {
	_Atomic int mood;            /* its meaning depends on the test           */
	_Atomic int started;         /* workers that have read it, in total       */
	_Atomic int pid;             /* of the worker concerned                   */
	_Atomic int number;          /* for the test                              */
	_Atomic uintptr_t at;        /* an address that is the same after a fork  */
};
extern struct orders *orders;

/* A test's own workers: a strategy, NULL for the echo service under `--worker-class`;
 * and what a worker does before it is ready. */
struct stage_parts {
	const struct prefork_strategy *strategy;
	bool with_echo; /* the strategy serves, too */
	const struct prefork_service *service; /* instead of the echo service */
	const struct prefork_hooks *hooks; /* called after the hooks of the stage */
	int (*worker_start)(struct prefork_worker *worker, void *user);
};

/* Settings: two workers on a free port, short times; `arguments` come behind and end
 * with NULL, or are NULL. Checked fixtures: stage_set_up first, stage_tear_down last. */
void stage_set_up(void);
void stage_tear_down(void);
int stage_load(const char *const *arguments);
int stage_create(const struct stage_parts *parts);
void stage_destroy(void);

/* All of it, and two workers are ready. */
void stage_start(const struct stage_parts *parts, const char *const *arguments);

/* Dispatch until `*counter` is `least`. Returns false if the arbiter stops before; see
 * stage_result(). Fails the test after the time limit, without assertions. */
bool stage_until(const int *counter, int least);
int stage_result(void);
void stage_run_for(unsigned time_ms);

/* Has a thread of the first worker this activity? */
bool stage_is_at(const char *activity);

/* Stop, and wait. Returns the result. */
int stage_stop(bool graceful);

/* Number of occurrences of `text` in the log. */
int stage_log_count(const char *text);
char *stage_log(void); /* all of it, *new*, or NULL */

/* Connect to the first listener, with a time limit; -1 if refused. Send a word and receive its echo. */
int stage_connect(void);
bool stage_echo(int fd);

/* Shortens the back-off after a failed boot, which is 500 ms. Until the next reload. */
void stage_hurry(void);

uint64_t stage_cpu_ms(void); /* of this process, so far */
uint64_t stage_patience_ms(void);

/* A setting of so many milliseconds times TEST_PATIENCE: for a limit that a busy machine must not exceed. One of 8
 * buffers, in turn. */
const char *stage_scaled(unsigned time_ms);
unsigned stage_scaled_ms(unsigned time_ms);

/* End the test with an error message, if this does not hold; unlike ck_assert() it allocates
 * nothing when it does. */
#define PROMISE(condition, ...)                               \
	do {                                                  \
		if (!(condition))                             \
			stage_fail(#condition, __VA_ARGS__);  \
	} while (0)

_Noreturn void stage_fail(const char *promise, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
