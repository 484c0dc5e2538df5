/*
 * open -- open descriptors and enter them in the table of the library's descriptors (os/fdtable.h).
 *
 * All are close-on-exec, and non-blocking except for epoll sets and pidfds. Threads: any.
 */
#ifndef OS_OPEN_H
#define OS_OPEN_H

#include <sys/socket.h>

/* A descriptor, or a negative errno. */
int pfi_open_epoll(void);
int pfi_open_eventfd(void);
int pfi_open_pidfd(int pid);
int pfi_open_log_socket(int family); /* of datagrams */
int pfi_open_datagram(void); /* a unix socket, for the service manager */

/* `flags` and `type` as for socket(2) and socketpair(2), without SOCK_CLOEXEC. A descriptor or 0, or a negative errno. */
int pfi_open_socket(int family, int flags);
int pfi_open_query_socket(int flags); /* a unix socket of type SOCK_SEQPACKET */
int pfi_open_pair(int type, int fds[2]);

/* accept4(2) with SOCK_NONBLOCK and SOCK_CLOEXEC; on failure -1 and errno. */
int pfi_accept(int listener, struct sockaddr *address, socklen_t *size);

#endif
