/*
 * thread_stage -- a worker whose callbacks block until the test releases them, for tests
 * of worker threads.
 */
#ifndef TESTS_THREAD_STAGE_H
#define TESTS_THREAD_STAGE_H

#include "harness.h"

#include <prefork/service.h>

#include <stdatomic.h>
#include <stdbool.h>

/* Shared memory of worker and test. */
struct thread_stage {
	struct harness harness;
	_Atomic int entered;  /* callbacks that have begun to wait           */
	_Atomic bool overlap; /* two callbacks of one connection overlapped  */
	int release[2];       /* a pipe: each byte releases one callback     */
};

extern struct thread_stage *stage;
extern const struct prefork_service wait_service; /* with thread_stage_echo() */

void thread_stage_open(const struct prefork_service *service);
void thread_stage_close(void);

/* Wait until `*count` is at least `wanted`. Asserts. */
void thread_stage_wait(_Atomic int *count, int wanted);

/* Echoes; input that begins with "w" waits for a byte in `release` first. */
enum prefork_next thread_stage_echo(struct prefork_worker *worker, struct prefork_connection *connection, void *user);

void thread_stage_send(int fd, const char *text);
void thread_stage_expect(int fd, const char *text);

#endif
