/*
 * epoll -- find an epoll set of this process that another library has created.
 *
 * libev has no function that returns its epoll descriptor; /proc shows which sets contain a descriptor.
 */
#ifndef OS_EPOLL_H
#define OS_EPOLL_H

#include <stdint.h>

/* The epoll set that contains `fd`, and the data of its events. 0; -ENOENT: none does; -EEXIST: several do; or the
 * negative errno of opening /proc/self/fd. */
int pfi_epoll_find(int fd, int *ret_set, uint64_t *ret_data);

#endif
