/*
 * helper -- a short-lived child that does what may block, as asking a name server does.
 *
 * It has nothing of this process but a pipe for what it finds, and dies with it. The caller
 * polls `pidfd`, which is readable when the helper has ended, and kills one that takes too
 * long. What it writes must fit into a pipe (64 KiB), since nobody reads before its end.
 */
#ifndef OS_HELPER_H
#define OS_HELPER_H

#include <stddef.h>
#include <sys/types.h>

struct pfi_helper {
	pid_t pid;
	int pidfd; /* -1: none runs */
	int fd;    /* to read what it wrote; never blocks */
};

/* Fork; the child runs task(arg, fd), which writes to `fd`, and leaves with its answer. Only where
 * this process has one thread: beside others the child may call only what is async-signal-safe.
 * 0 or as pfi_spawn(), -EMFILE. */
int pfi_helper_fork(int (*task)(void *arg, int fd), void *arg, struct pfi_helper *ret);

/* Fork and exec the program `path`, whose standard output is the pipe; fine beside other threads.
 * A program that cannot be executed ends with status 127. As above. */
int pfi_helper_exec(const char *path, char *const argv[], struct pfi_helper *ret);

/* What it wrote, up to `size` bytes, once it has ended; how many. */
size_t pfi_helper_read(const struct pfi_helper *helper, void *bytes, size_t size);

/* Close its descriptors; whoever still has to be killed or reaped is the caller's. */
void pfi_helper_close(struct pfi_helper *helper);

#endif
