/*
 * server -- a whole server in a process of its own, to be stopped and killed: an
 * arbiter in prefork_arbiter_run() with a service under the strategy it is told.
 */
#ifndef TESTS_SERVER_H
#define TESTS_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct server {
	pid_t pid;
	int pidfd;
	int news;          /* a pipe: its hooks tell of each ready worker          */
	int workers[8];    /* pidfds of those that were ready, in that order       */
	pid_t pids[8];
	unsigned ready;
	uint16_t port;     /* of its first listener, 0: not TCP                     */
};

/* Fork it, and wait for two workers. `work_ms` is how long each message that the service
 * echoes takes it; one that begins with an H takes for ever. `arguments` end with NULL. False: it did not start. */
bool server_start(struct server *server, const char *const *arguments, int work_ms);

bool server_wait_ready(struct server *server, unsigned count);

/* Wait for its end: its exit status, -1 for any other end or none. */
int server_wait(struct server *server);

/* All its workers are gone within `limit_ms`. */
bool server_workers_gone(const struct server *server, int limit_ms);

/* Kill what is left, and close. */
void server_finish(struct server *server);

#endif
