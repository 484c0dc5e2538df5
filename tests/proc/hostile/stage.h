/*
 * stage -- an arbiter with an echo service, driven by a plain poll loop as a
 * host would, for tests that are hostile to it.
 *
 * Workers are told how to behave by `mood`, which lies in shared memory: the
 * first thing a worker does is to look it up, and so settle what becomes of it.
 * What the arbiter says, hooks note down, and a file in memory holds the log.
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
	pid_t pids[2]; /* of the first two that were ready */
	pid_t last_ready, last_exited;
	enum prefork_reason reason;
	int status;
	enum prefork_verdict verdict;
	char message[1024], why[1024];
};

extern struct stage stage;

/* Shared with the workers. */
struct orders {
	_Atomic int mood;            /* the test's own meaning                    */
	_Atomic int started;         /* workers that looked it up, ever           */
	_Atomic int pid;             /* of the one that it is about               */
	_Atomic int number;          /* for whatever the test has to tell or hear */
	_Atomic uintptr_t at;        /* an address that is the same after a fork  */
};
extern struct orders *orders;

/* A test's own workers: a strategy, NULL for the echo service under `--worker-class`;
 * and what a worker does before it is ready. */
struct stage_parts {
	const struct prefork_strategy *strategy;
	bool with_echo; /* the strategy serves, too */
	const struct prefork_service *service; /* instead of the echo service */
	const struct prefork_hooks *hooks; /* called behind the stage's own */
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

/* Dispatch until `*counter` is `least`; false: all is over before, see stage_result(). Aborts the
 * test when that takes too long. Asserts nothing. */
bool stage_until(const int *counter, int least);
int stage_result(void);
void stage_run_for(unsigned time_ms);

/* Whether a thread of the first worker is at this, by its note. */
bool stage_is_at(const char *activity);

/* Stop, and wait for the end: its result. */
int stage_stop(bool graceful);

/* How often `text` stands in the log. */
int stage_log_count(const char *text);
char *stage_log(void); /* all of it, new, or NULL */

/* A client of the first listener with a time limit, -1 if it is refused; and a word said and heard. */
int stage_connect(void);
bool stage_echo(int fd);

/* The wait after a failed boot is half a second: too long for a table. Holds until a reload. */
void stage_hurry(void);

uint64_t stage_cpu_ms(void); /* of this process, so far */
uint64_t stage_patience_ms(void);

/* End the test with an error message, if this does not hold; unlike ck_assert() it allocates
 * nothing when it does. */
#define PROMISE(condition, ...)                               \
	do {                                                  \
		if (!(condition))                             \
			stage_fail(#condition, __VA_ARGS__);  \
	} while (0)

_Noreturn void stage_fail(const char *promise, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
