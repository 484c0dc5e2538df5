/*
 * asleep -- wait until every thread of some processes sleeps.
 *
 * Where the kernel wakes one of several workers that wait, which one is certain; which of them
 * waits at a given moment is up to the scheduler, and on a busy machine one of them may wait for
 * its turn for longer than a whole test takes. A test that lets each client come only once all
 * workers wait judges the library, and not the machine.
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

/* The threads that these processes have now. */
void asleep_open(struct asleep *asleep, const pid_t *pids, size_t count);
void asleep_close(struct asleep *asleep);

/* Aborts the test when it takes too long. */
void asleep_wait(const struct asleep *asleep);

#endif
