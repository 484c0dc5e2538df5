/*
 * harness -- one worker and the arbiter's ends of everything it holds, without
 * an arbiter: for tests of the worker room.
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

/* Everything that can wait does so this long, times TEST_PATIENCE. */
int harness_patience_ms(void);

/* How many threads the worker under test has besides its first. */
int harness_threads(void);

/* Whether the strategy under test lets callbacks block. */
bool harness_may_block(void);

/* What most services here do when a connection is ready: what has come goes back, is counted as a
 * request, and is the thread's note. */
enum prefork_next harness_echo(struct prefork_worker *worker, struct prefork_connection *connection, void *user);

/* A listener on a free port, a page, a watch: ready to spawn. Asserts. */
void harness_open(struct harness *harness, const struct prefork_service *service);
int harness_be_worker(void *context); /* for pfi_spawn() */
void harness_spawn(struct harness *harness); /* and wait until it is ready */
void harness_send(struct harness *harness, uint32_t type, uint32_t value);
void harness_signal(const struct harness *harness, int signo);

/* The next message of the worker, which must come. */
struct pfi_message harness_receive(struct harness *harness);

/* Wait until it has left, however. */
struct pfi_exit_status harness_reap(struct harness *harness);

/* End what is left, and count the descriptors. */
void harness_close(struct harness *harness);

/* What the page says of all threads together: requests served; whether somebody left this
 * note. And wait until it says that nobody is in a callback, or in a turn of a loop. */
uint64_t harness_requests(const struct harness *harness);
void harness_await_rest(const struct harness *harness);
bool harness_has_note(const struct harness *harness, const char *activity);

/* A blocking client with a time limit. */
int harness_connect(const struct harness *harness);

/* Send `text`, and read exactly as many bytes: they must be the same. */
void harness_expect_echo(int fd, const char *text);

/* The next read finds the end. */
void harness_expect_end(int fd);

#endif
