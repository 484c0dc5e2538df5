/*
 * fd -- operations on any file descriptor, and on the descriptor table of the process.
 *
 * Threads: any.
 */
#ifndef OS_FD_H
#define OS_FD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Close *fd, remove it from the table of the library's descriptors (os/fdtable.h), and store -1. No effect if *fd is
 * negative. Preserves errno. */
void pfi_close(int *fd);

/* 0 or a negative errno. */
int pfi_fd_set_cloexec(int fd, bool on);
int pfi_fd_set_nonblock(int fd, bool on);

/* The number of open descriptors of this process, or a negative errno. */
int pfi_fd_count(void);

/* Raise the soft limit of open files to `wanted`, at most to the hard limit. 0, or -EMFILE if the hard limit is lower.
 * Stores the resulting limit in both cases. */
int pfi_fd_reserve(uint64_t wanted, uint64_t *ret_limit);

/* Expand the kernel's descriptor table of this process to `count` entries, at most to the soft limit. `fd` is any open
 * descriptor, and borrowed. If several threads share the table, the thread that opens the first descriptor beyond its
 * end waits for an RCU grace period (expand_fdtable() in the kernel): 5 to 50 ms. 0 or a negative errno. */
int pfi_fd_expand_table(int fd, uint64_t count);

#endif
