/*
 * fd -- what can be done to any file descriptor, and to all of them at once.
 *
 * Threads: any.
 */
#ifndef OS_FD_H
#define OS_FD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Close *fd when it is open, take it out of the table of the library's descriptors (os/fdtable.h),
 * and forget it: -1 stays -1. errno is kept. */
void pfi_close(int *fd);

/* 0 or a negative errno. */
int pfi_fd_set_cloexec(int fd, bool on);
int pfi_fd_set_nonblock(int fd, bool on);

/* Open /dev/null where descriptors 0 to 2 are closed, lest something of ours gets such a
 * number, and what the program prints. 0 or a negative errno. */
int pfi_fd_fill_standard(void);

/* How many descriptors this process has open, or a negative errno. */
int pfi_fd_count(void);

/* Make room for at least `wanted` descriptors: the soft limit is raised as far
 * as the hard one allows. 0, or -EMFILE when the hard limit is too low; the
 * limit then in force is stored in *ret_limit either way. */
int pfi_fd_reserve(uint64_t wanted, uint64_t *ret_limit);

/* Have the kernel's table of this process's descriptors grow to `count` now, or to the soft
 * limit. `fd` is any open one, and borrowed. When threads share the table, whoever opens the
 * one that does not fit waits until every processor has passed through the scheduler: five
 * milliseconds, or fifty. 0 or a negative errno. */
int pfi_fd_make_room(int fd, uint64_t count);

#endif
