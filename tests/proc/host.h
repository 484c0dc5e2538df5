/*
 * host -- an arbiter in this process, driven by a poll loop, and a small service: for
 * tests of what clients observe during the arbiter's actions.
 *
 * The service responds to each line: to "who" with its pid and generation, to "leave" with
 * "bye" after prefork_worker_retire(); "die" makes it exit without a response.
 */
#ifndef TESTS_HOST_H
#define TESTS_HOST_H

#include <prefork/prefork.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

struct host_seen {
	int ready, exited, verdicts;
	pid_t last_ready, last_exited;
	enum prefork_reason reason;
	enum prefork_verdict verdict;
	char why[1024];
};

/* Shared with the workers, before they are ready. */
struct host_orders {
	_Atomic int boots_fail; /* worker_start fails                   */
	_Atomic int boots_wait; /* worker_start waits while this is set: a generation, for that one and later ones */
};

extern struct prefork_arbiter *host;
extern struct host_seen host_seen;
extern struct host_orders *host_orders;
extern const struct prefork_service host_service;

/* `words` are arguments, terminated by NULL; adds no pool. Asserts. Logs warnings and errors, which
 * a test that fails shows; with host_is_loud, all. */
extern bool host_is_loud;
void host_create(const char *const *words);
void host_start(void); /* with one pool "web" if there is none; waits for `workers` to be ready */
void host_expect_refused(int error, const char *message); /* start fails */

/* Dispatch until `*counter` is `least` or the arbiter has stopped; returns the last result. */
int host_until(const int *counter, int least);
void host_until_exited(pid_t pid); /* until this worker has exited; others may exit in the same turn */
void host_scale(unsigned workers);
void host_turn(void);  /* one dispatch, without waiting */
void host_stop(void);  /* graceful; asserts that the result is 0 */
void host_close(void);

/* In main(): the ports for host_fixed_port(). No test that runs at the same time takes one of them, a test of tests/e2e
 * included (claim_ports() there): the name of an abstract socket claims them until this process exits. */
void host_claim_ports(void);

/* A TCP port of 127.0.0.1 that is free now, for a server that binds it later or again. It is below those that the
 * kernel gives to clients, so that no client takes it meanwhile. */
int host_fixed_port(void);

/* The address of listener `index` as text, as prefork_arbiter_listener() has it. */
const char *host_address(size_t index);

/* A connected socket with a time limit; -1 if the connection is refused. */
int host_connect(const char *address);

/* Send "who" on a new connection. Returns the pid; 0 if the connection is refused, -1 if it
 * breaks. Does not call Check: usable in children. */
pid_t host_who(const char *address, unsigned *ret_generation);

/* The same in two steps: connect and send "who"; receive the response and close. */
int host_request(const char *address);
pid_t host_receive(int fd);

/* A child that sends requests to `address` until it is stopped, ten at a time, each on its own
 * connection; once `address` refuses, to `next` (NULL: it stops sending). */
struct host_load {
	pid_t pid;
	int stop, report;
	_Atomic unsigned *served; /* so far */
};
struct host_report {
	unsigned served, refused;
	unsigned broken; /* 0, which host_load_stop() asserts */
	int error;       /* of the last broken one; 0: the server closed it */
};
void host_load_start(struct host_load *load, const char *address, const char *next);
void host_load_await(const struct host_load *load, unsigned served); /* at least so many in all */
struct host_report host_load_stop(struct host_load *load);

#endif
