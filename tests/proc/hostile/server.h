/*
 * server -- a server in its own process, to be stopped and killed: an arbiter in
 * prefork_arbiter_run() with an echo service under a given strategy.
 */
#ifndef TESTS_SERVER_H
#define TESTS_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct server {
	pid_t pid;
	int pidfd;
	int news;          /* a pipe: its hooks report each ready worker           */
	int workers[8];    /* pidfds of the ready workers, in that order           */
	pid_t pids[8];
	unsigned ready;
	uint16_t port;     /* of its first listener, 0: not TCP                     */
};

/* Fork it, and wait for two workers. Each echo takes `work_ms`; a message that begins with H blocks for ever.
 * `arguments` end with NULL. Returns false if it does not start. */
bool server_start(struct server *server, const char *const *arguments, int work_ms);

bool server_wait_ready(struct server *server, unsigned count);

/* Wait for its exit. Returns the exit status; -1 if it was killed or is still running. */
int server_wait(struct server *server);

/* Have all workers exited within `limit_ms`? */
bool server_workers_gone(const struct server *server, int limit_ms);

/* Kill remaining processes, and close. */
void server_finish(struct server *server);

#endif
