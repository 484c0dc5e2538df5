/*
 * dump -- a thread writes its own stack, in a signal handler.
 *
 * Function names are those of the dynamic symbol table: link the application with -rdynamic, or pass the addresses to
 * addr2line(1).
 */
#ifndef OS_DUMP_H
#define OS_DUMP_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

/* Requests the stack of a thread. Its default action is to be ignored, so that it does not terminate a worker that has
 * no handler yet. */
enum { PFI_DUMP_SIGNAL = SIGURG };

/* The first backtrace(3) loads libgcc and calls malloc(3), which must not happen in a handler. */
void pfi_dump_prepare(void);

/* Write one line per frame. Async-signal-safe. False if this platform cannot. */
bool pfi_dump_stack(int fd);

/* Request the stack of thread `tid` of this process, or of a child that was not reaped. Async-signal-safe. 0; -ESRCH:
 * the process has no such thread; -EPERM; -EINVAL. */
int pfi_dump_ask(pid_t pid, pid_t tid);

#endif
