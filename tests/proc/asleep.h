/*
 * asleep -- wait until every thread of some processes sleeps.
 *
 * The kernel wakes one of several waiting workers in a defined order, but the scheduler decides
 * which of them are waiting: on a busy machine a worker may be runnable, but not running, for
 * longer than a test takes. A test that connects only when all workers sleep tests the library
 * and not the machine.
 */
#ifndef TESTS_ASLEEP_H
#define TESTS_ASLEEP_H

#include <stddef.h>
#include <sys/types.h>

enum { ASLEEP_MAX = 1024 };

struct asleep {
	int fds[ASLEEP_MAX]; /* of /proc/PID/task/TID/stat */
	size_t count;
};

/* Collects the present threads of these processes. */
void asleep_open(struct asleep *asleep, const pid_t *pids, size_t count);
void asleep_close(struct asleep *asleep);

/* Fails the test after the time limit. */
void asleep_wait(const struct asleep *asleep);

#endif
