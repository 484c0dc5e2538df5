/*
 * spawn -- the only place that forks.
 *
 * The child starts from a clean slate: every signal blocked, every disposition
 * the default, whatever the host had. Only the handlers of faults (SIGSEGV and
 * its kin) stay: they are the host's crash reporter, and say nothing to us.
 */
#ifndef OS_SPAWN_H
#define OS_SPAWN_H

#include <sys/types.h>

struct pfi_child {
	pid_t pid; /* for people; a pid may be reused as soon as the child is reaped */
	int pidfd; /* for programs; the caller closes it */
};

/* Fork; the child runs `child(arg)` and leaves by _exit() with its answer.
 *
 * It does not run before its parent holds the pidfd, so that the pidfd is
 * never another process's, even in a host that ignores SIGCHLD or reaps
 * everything. Stdio is flushed first, so that nothing is written twice.
 *
 * 0, or a negative errno and there is no child: -EAGAIN, -ENOMEM, -EMFILE,
 * -ENFILE, -ENOSYS (Linux before 5.3), -ECHILD (killed before it began). */
int pfi_spawn(int (*child)(void *arg), void *arg, struct pfi_child *ret);

/* Runs in the child, when its own signal pipe is open: unblock every signal. */
void pfi_spawn_unblock(void);

/* Threads of this process, or a negative errno. Beside other threads, a forked
 * child may call only what is async-signal-safe, so hosts are told. */
int pfi_thread_count(void);

#endif
