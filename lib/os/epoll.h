/*
 * epoll -- what the kernel tells about this process's epoll sets.
 *
 * For sets that somebody else has made: a library that waits in an epoll set of
 * its own does not say which it is, but /proc does.
 */
#ifndef OS_EPOLL_H
#define OS_EPOLL_H

#include <stdint.h>

/* The one set of this process in which `fd` is, and the data that its events
 * carry. 0; -ENOENT when there is none; -EEXIST when there are several; or the
 * negative errno of looking: without /proc it cannot be told. */
int pfi_epoll_find(int fd, int *ret_set, uint64_t *ret_data);

#endif
