/*
 * query_socket -- an abstract unix socket on which an arbiter answers the commands of its own machine.
 *
 * Its name is made of the pid of the arbiter and the inode of its pid file, so that a command that has found the arbiter
 * by the file finds its socket. An abstract name has no owner: each side checks the user of the other by SO_PEERCRED,
 * and the command also the pid. Network namespaces separate abstract names.
 */
#ifndef OS_QUERY_SOCKET_H
#define OS_QUERY_SOCKET_H

#include <sys/types.h>

/* Listen. A descriptor, non-blocking, or a negative errno. */
int pfi_query_listen(pid_t pid, ino_t inode);

/* A connection of root, or of the user that this process runs as. A descriptor, non-blocking; -EAGAIN: none is pending;
 * -EPERM: of another user, closed; or another negative errno. */
int pfi_query_accept(int listener);

/* Connect to the socket of that arbiter, which must run as this user unless this process is root's. A descriptor,
 * blocking; -ECONNREFUSED: no arbiter listens, or another process does; -EPERM: the arbiter runs as another user; or
 * another negative errno. */
int pfi_query_connect(pid_t pid, ino_t inode);

#endif
