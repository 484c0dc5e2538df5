/*
 * spawn -- fork; no other file of the library does.
 *
 * The child starts with all signals blocked and default dispositions, whatever those of the application are. Only the
 * handlers of SIGSEGV and other faults stay: they are a crash reporter of the application.
 */
#ifndef OS_SPAWN_H
#define OS_SPAWN_H

#include <sys/types.h>

struct pfi_child {
	pid_t pid; /* for messages: it may be reused once the child is reaped */
	int pidfd; /* closed by the caller */
};

/* Fork; the child calls child(arg) and exits with _exit(2) and the status that it returns.
 *
 * The child waits until the parent has its pidfd: otherwise, if the application ignores SIGCHLD or reaps all children,
 * the child could exit and its pid be reused before pidfd_open(2). Stdio is flushed first, so that the child does not
 * write the same output again.
 *
 * 0; a negative errno with an error message if there is no child: -EAGAIN, -ENOMEM, -EMFILE, -ENFILE, -ENOSYS (before
 * Linux 5.3), -ECHILD (it was killed before it began). */
int pfi_spawn(int (*child)(void *arg), void *arg, struct pfi_child *ret);

/* Runs in the child once its signal pipe is open: unblock all signals. */
void pfi_spawn_unblock(void);

/* The number of threads of this process, or a negative errno. A child that is forked while other threads run may only
 * call async-signal-safe functions, which the arbiter warns of. */
int pfi_thread_count(void);

#endif
