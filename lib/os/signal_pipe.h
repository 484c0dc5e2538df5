/*
 * signal pipe -- signals in, a set out.
 *
 * The handler sets one bit per signal and pokes an eventfd; it never logs,
 * never reaps and never overwrites another signal. Two SIGHUPs may merge into
 * one, as the kernel already merges them; a SIGHUP and a SIGTERM may not. Why
 * not a signalfd: it sees only what every thread of the host has blocked.
 *
 * One per process, because signal handlers are. A forked child, with signals
 * still blocked, forgets its parent's signal pipe and opens one of its own: until
 * then both would share one eventfd.
 *
 * Threads: the handler may run on any thread; open, take and close belong to one.
 */
#ifndef OS_SIGNAL_PIPE_H
#define OS_SIGNAL_PIPE_H

#include <stddef.h>
#include <stdint.h>

/* The bit of a signal in the set that pfi_signal_pipe_take() returns. */
#define PFI_SIGNAL_BIT(signo) (UINT64_C(1) << (signo))

/* Take `signals` (1..63) with these sa_flags, SA_RESTART as a rule. 0, or
 *   -EBUSY   open already
 *   -EINVAL  a signal that cannot be taken
 * or what eventfd(2) says; then every disposition is as it was. */
int pfi_signal_pipe_open(const int *signals, size_t count, unsigned sa_flags);

/* Unblock what was taken, in the calling thread: a signal that the starter had blocked would
 * never arrive. pfi_signal_pipe_close() blocks those again. While the signal pipe is open. */
void pfi_signal_pipe_unblock(void);

/* Have `hook` run inside the handler, each time `signo` arrives and before its
 * bit is set: it must be async-signal-safe. NULL takes it away. While the
 * signal pipe is open. */
void pfi_signal_pipe_set_hook(int signo, void (*hook)(int signo));

/* Readable when something has arrived; -1 when closed. The signal pipe owns it. */
int pfi_signal_pipe_fd(void);

/* Bit n is set: signal n arrived since the last take. */
uint64_t pfi_signal_pipe_take(void);

/* Give the dispositions and the mask back. Harmless when closed. Not from within a hook. */
void pfi_signal_pipe_close(void);

/* Runs in a forked child, signals blocked: drop the parent's signal pipe, touching
 * neither the parent's eventfd nor any disposition. */
void pfi_signal_pipe_forget_in_child(void);

/* In a child that is no worker: signals are again as before, where nobody has changed that since,
 * and the descriptor is left to pfi_fdtable_forget(). Async-signal-safe. */
void pfi_signal_pipe_restore_in_child(void);

#endif
