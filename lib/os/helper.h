/*
 * helper -- a short-lived child for an operation that may block, such as a name lookup.
 *
 * The child keeps no descriptor of the library but a pipe for its result, and is killed when this process exits
 * (PR_SET_PDEATHSIG). The caller polls `pidfd`, which is readable when the helper has exited, and kills a helper that
 * takes too long. The result must fit into a pipe (64 KiB), because it is read only after the exit.
 */
#ifndef OS_HELPER_H
#define OS_HELPER_H

#include <stddef.h>
#include <sys/types.h>

struct pfi_helper {
	pid_t pid;
	int pidfd; /* -1: none */
	int fd;    /* the read end of the pipe, non-blocking */
};

/* Fork; the child runs task(arg, fd), which writes its result to `fd`, and exits with the status that it returns. Only
 * if this process has one thread: otherwise the child may only call async-signal-safe functions. 0; -EMFILE, or the
 * errors of pfi_spawn(). */
int pfi_helper_fork(int (*task)(void *arg, int fd), void *arg, struct pfi_helper *ret);

/* Fork and execute the program `path`, the standard output of which is the pipe; also if this process has several
 * threads. The exit status is 127 if the program cannot be executed. The same errors. */
int pfi_helper_exec(const char *path, char *const argv[], struct pfi_helper *ret);

/* Read the result after the exit, up to `size` bytes. Returns its size. */
size_t pfi_helper_read(const struct pfi_helper *helper, void *bytes, size_t size);

/* Close the descriptors. The caller has reaped the child, or has moved `pidfd` elsewhere. */
void pfi_helper_close(struct pfi_helper *helper);

#endif
