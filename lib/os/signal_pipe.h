/*
 * signal pipe -- signals become a set of bits that the event loop reads.
 *
 * The handler sets one bit per signal and writes to an eventfd, nothing else. Two SIGHUPs may become one, as in the
 * kernel; a SIGHUP and a SIGTERM may not. A signalfd would need the signals blocked in every thread of the application.
 *
 * There is one per process, as signal handlers are. A forked child forgets that of its parent, while signals are
 * blocked, and opens its own; until then both would share one eventfd.
 *
 * Threads: the handler runs in any thread; one thread opens, takes and closes.
 */
#ifndef OS_SIGNAL_PIPE_H
#define OS_SIGNAL_PIPE_H

#include <stddef.h>
#include <stdint.h>

/* The bit of a signal in the set that pfi_signal_pipe_take() returns. */
#define PFI_SIGNAL_BIT(signo) (UINT64_C(1) << (signo))

/* Handle `signals` (1 to 63), with these sa_flags. 0, or
 *   -EBUSY   it is open
 *   -EINVAL  a signal cannot be handled
 * or an error of eventfd(2); the dispositions are then unchanged. */
int pfi_signal_pipe_open(const int *signals, size_t count, unsigned sa_flags);

/* While it is open: unblock the handled signals in the calling thread, because the parent may have started this process
 * with some of them blocked. pfi_signal_pipe_close() blocks those again. */
void pfi_signal_pipe_unblock(void);

/* While it is open: call `hook` in the handler of `signo`, before the bit is set. It must be async-signal-safe. NULL
 * removes it. */
void pfi_signal_pipe_set_hook(int signo, void (*hook)(int signo));

/* A descriptor that is readable if a signal has arrived; -1 if it is closed. Borrowed. */
int pfi_signal_pipe_fd(void);

/* Return the set of signals that have arrived since the last call: PFI_SIGNAL_BIT() each. */
uint64_t pfi_signal_pipe_take(void);

/* Restore dispositions and mask. No effect if it is closed. Not from a hook. */
void pfi_signal_pipe_close(void);

/* Runs in a forked worker, with signals blocked: forget the signal pipe of the parent, without changing its eventfd or
 * any disposition. */
void pfi_signal_pipe_forget_in_child(void);

/* Runs in another forked child: restore the dispositions that the application has not changed since. The descriptor is
 * closed by pfi_fdtable_forget(). Async-signal-safe. */
void pfi_signal_pipe_restore_in_child(void);

#endif
