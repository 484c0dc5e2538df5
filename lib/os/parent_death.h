/*
 * parent-death watch -- what a worker does when its arbiter is no more.
 *
 * A worker that waits polls pfi_arbiter_pidfd_open()'s pidfd of the arbiter. One that is
 * inside a long call does not look: there the kernel sends SIGTERM when the
 * parent ends, and the hook below sets a fuse that no code can block or catch.
 */
#ifndef OS_PARENT_DEATH_H
#define OS_PARENT_DEATH_H

#include <stdint.h>
#include <sys/types.h>

/* Runs in the arbiter, once: a pidfd of this process, for its children to
 * poll: readable when it is gone. A descriptor, or a negative errno. */
int pfi_arbiter_pidfd_open(void);

/* Runs in the worker, after privileges were dropped (which disarms): ask for
 * SIGTERM when `arbiter` ends, and lay the fuse of `orphan_timeout_ms`. 0, or
 *   -ESRCH  the arbiter is gone already: leave now */
int pfi_parent_death_arm(pid_t arbiter, uint64_t orphan_timeout_ms);

/* The signal pipe hook for SIGTERM. Lights the fuse if the arbiter is gone; the
 * same signal also comes when only the thread that forked has ended, or from
 * whoever asks this worker to leave, and then nothing happens here. */
void pfi_parent_death_on_term(int signo);

/* Light the fuse now: SIGKILL for this process in orphan_timeout_ms, unless it
 * has left by then. For the worker that read the arbiter's pidfd.
 * Async-signal-safe; the first call counts. */
void pfi_kill_timer_start(void);

/* Take the fuse away, for a process that leaves the tree on purpose. */
void pfi_parent_death_disarm(void);

/* Runs in a child of this process that is no worker. Async-signal-safe. */
void pfi_parent_death_forget(void);

#endif
