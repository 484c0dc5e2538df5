/*
 * dump -- the stack of a thread, written by itself in a signal handler.
 *
 * Function names come from the dynamic symbol table only: link hosts with
 * -rdynamic, or give the addresses to addr2line.
 */
#ifndef OS_DUMP_H
#define OS_DUMP_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

/* What asks a thread for its stack. Ignored by default, so that it does no harm to a
 * process that does not expect it. */
enum { PFI_DUMP_SIGNAL = SIGURG };

/* Load now what the first dump would load, with malloc, in a handler. */
void pfi_dump_prepare(void);

/* One line per frame. Async-signal-safe. False where it cannot be done. */
bool pfi_dump_stack(int fd);

/* Ask thread `tid` of the process `pid`, our own or a child that was not reaped. Async-
 * signal-safe. 0; -ESRCH: the process has no such thread; -EPERM; -EINVAL. */
int pfi_dump_ask(pid_t pid, pid_t tid);

#endif
