/*
 * harness -- one worker, and the arbiter's end of its channel, watchdog timer and
 * scoreboard, without an arbiter: for tests of the module worker.
 */
#ifndef TESTS_HARNESS_H
#define TESTS_HARNESS_H

#include "listener/listener.h"
#include "model/worker_score.h"
#include "os/control_channel.h"
#include "os/scoreboard.h"
#include "os/reap.h"
#include "os/spawn.h"
#include "worker/spawn_context.h"

#include <stdbool.h>
#include <stdint.h>

struct harness {
	struct pfi_spawn_context context;
	struct pfi_scoreboard scoreboard;
	struct prefork_listener *listener;
	struct prefork_settings *settings; /* NULL: none */
	struct pfi_child child;
	int channel[2];
	int fds_before;
};

/* Time limit of every wait; includes TEST_PATIENCE. */
int harness_patience_ms(void);

/* Number of worker threads besides the first thread. */
int harness_threads(void);

/* May callbacks block under this strategy? */
bool harness_may_block(void);

/* `ready` of most services here: echo the input, count it as a request, and set it as activity. */
enum prefork_next harness_echo(struct prefork_worker *worker, struct prefork_connection *connection, void *user);

/* Open a listener on a free port, a scoreboard and a watchdog timer. Asserts. */
void harness_open(struct harness *harness, const struct prefork_service *service);

/* Change the default of a setting before the worker starts. Unless changed, drain_idle is 0, so that
 * idle connections do not delay the end of a test. Asserts. */
void harness_set(struct harness *harness, const char *name, const char *text);
int harness_be_worker(void *context); /* for pfi_spawn() */
void harness_spawn(struct harness *harness); /* and wait until it is ready */
void harness_send(struct harness *harness, uint32_t type, uint32_t value);
void harness_signal(const struct harness *harness, int signo);
void harness_stop(const struct harness *harness); /* SIGSTOP, and wait until all its threads have stopped */

/* Receive the next message of the worker. Asserts that it arrives in time. */
struct pfi_message harness_receive(struct harness *harness);

/* Wait for its exit. */
struct pfi_exit_status harness_reap(struct harness *harness);

/* Kill a remaining worker, close everything, and assert that no descriptor leaks. */
void harness_close(struct harness *harness);

/* From the scoreboard: requests of all threads; whether a thread has this activity; wait until
 * no thread runs a callback or a turn of a loop. */
uint64_t harness_requests(const struct harness *harness);
void harness_await_idle(const struct harness *harness);

/* Wait until the worker has exactly `count` connections. A client sees an end of file or a response before the worker
 * has counted the close. */
void harness_await_connections(const struct harness *harness, unsigned count);
bool harness_has_activity(const struct harness *harness, const char *activity);

/* A connected blocking socket with a time limit. */
int harness_connect(const struct harness *harness);

/* Wait until the worker drains, and accepts no more connections. */
void harness_await_drain(const struct harness *harness);

/* Wait until the other end of a TCP connection has acknowledged all that was sent: then the connection is in the
 * backlog, and its input can be read. The kernel may deliver both later than connect(2) and send(2) return, and not in
 * the order of the calls. */
void harness_await_acknowledged(int fd);

/* The same if nothing was sent: wait until exactly `count` connections are in the backlog. */
void harness_await_backlog(const struct harness *harness, unsigned count);

/* Send `text` and assert that it is echoed. */
void harness_expect_echo(int fd, const char *text);

/* Assert that the next read is at end of file. */
void harness_expect_end(int fd);

#endif
