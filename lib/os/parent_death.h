/*
 * parent-death watch -- a worker detects the exit of its arbiter.
 *
 * An idle worker polls the pidfd of the arbiter. A worker that is inside a callback does not; the kernel sends it
 * SIGTERM when its parent exits, and the handler arms a timer that sends SIGKILL:
 *
 *     arbiter          kernel                            worker, inside a callback
 *     exits  ------->  PR_SET_PDEATHSIG: SIGTERM ------> handler: getppid() has changed,
 *                                                        arm the kill timer
 *                      after orphan_timeout: SIGKILL --> exits, unless it has drained before
 */
#ifndef OS_PARENT_DEATH_H
#define OS_PARENT_DEATH_H

#include <stdint.h>
#include <sys/types.h>

/* Runs in the arbiter: a pidfd of this process, which its children poll. It is readable after the exit. A descriptor,
 * or a negative errno with an error message. */
int pfi_arbiter_pidfd_open(void);

/* Runs in the worker after privileges were dropped, because a change of the user id resets PR_SET_PDEATHSIG: request
 * SIGTERM for the exit of `arbiter`, and create the kill timer. 0; -ESRCH: the arbiter has exited already; or another
 * negative errno. */
int pfi_parent_death_arm(pid_t arbiter, uint64_t orphan_timeout_ms);

/* Hook of the signal pipe for SIGTERM: start the kill timer if the arbiter has exited. Otherwise no effect: SIGTERM
 * also comes from a process that requests a drain, and when only the thread that forked has exited (prctl(2)). */
void pfi_parent_death_on_term(int signo);

/* Start the kill timer: SIGKILL in orphan_timeout_ms, unless this process has exited by then. For a worker that has
 * read the pidfd. Async-signal-safe; only the first call has an effect. */
void pfi_kill_timer_start(void);

/* Delete the timer and reset PR_SET_PDEATHSIG. */
void pfi_parent_death_disarm(void);

/* Runs in a child of a worker. Async-signal-safe. */
void pfi_parent_death_forget(void);

#endif
