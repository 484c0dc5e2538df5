/*
 * host -- an arbiter in this process, driven from a plain poll loop, with a small
 * service for clients: for tests of what clients notice of the arbiter's doings.
 *
 * The service answers each line: "who" with its pid and generation, "leave" with
 * "bye" after asking to be replaced, "die" not at all.
 */
#ifndef TESTS_HOST_H
#define TESTS_HOST_H

#include <prefork/prefork.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

struct host_seen {
	int ready, exited, verdicts;
	int gone; /* how often the one has exited that host_until_gone() waits for */
	pid_t last_ready, last_exited;
	enum prefork_reason reason;
	enum prefork_verdict verdict;
	char why[1024];
};

/* Shared with the workers, before they are ready. */
struct host_orders {
	_Atomic int boots_fail; /* worker_start answers with a failure  */
	_Atomic int boots_wait; /* worker_start waits until this is 0   */
};

extern struct prefork_arbiter *host;
extern struct host_seen host_seen;
extern struct host_orders *host_orders;
extern const struct prefork_service host_service;

/* Words of the command line, ended by NULL; no pool yet. Asserts. Logs only what is
 * critical, unless host_is_loud. */
extern bool host_is_loud;
void host_create(const char *const *words);
void host_start(void); /* with one pool "web" if there is none; waits for `workers` to be ready */
void host_expect_refused(int error, const char *message); /* start fails */

/* Dispatch until *counter is `least`, or all is over; the last answer of dispatch. */
int host_until(const int *counter, int least);
void host_until_gone(pid_t pid); /* the same, until this worker has exited: others may, in the same turn */
void host_scale(unsigned workers);
void host_turn(void);  /* one dispatch, without waiting */
void host_stop(void);  /* gracefully, to its end, which must be 0 */
void host_close(void);

/* The address of listener `index` as text, as prefork_arbiter_listener() has it. */
const char *host_address(size_t index);

/* A client with a time limit, -1 when refused. */
int host_connect(const char *address);

/* Ask on a new connection: the pid that answers, and its generation, 0 when it was
 * refused, -1 when the connection broke. Calls nothing of Check: also for children. */
pid_t host_who(const char *address, unsigned *ret_generation);

/* The same in two steps: the question is asked, the answer is waited for and the
 * descriptor closed. */
int host_ask(const char *address);
pid_t host_hear(int fd);

/* A child that keeps asking `address`, and from when that refuses `next` (NULL: then
 * nobody), ten at a time, a connection each; until it is told to end. */
struct host_load {
	pid_t pid;
	int stop, report;
};
struct host_report {
	unsigned answered, broken, refused;
};
void host_load_start(struct host_load *load, const char *address, const char *next);
struct host_report host_load_stop(struct host_load *load);

#endif
