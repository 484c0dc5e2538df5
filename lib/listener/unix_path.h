/*
 * unix_path -- bind a unix socket to a path, where the socket of an earlier server may exist.
 */
#ifndef LISTENER_UNIX_PATH_H
#define LISTENER_UNIX_PATH_H

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

/* Bind `fd`. A socket at the path that no process listens on is replaced; everything else stays. Mode and owner are set
 * before a client can connect, since `fd` does not listen yet, and through a descriptor, so that a link put at the path
 * meanwhile has no effect.
 * 0 and an O_PATH descriptor of the file in *ret_file, which the caller closes, or a negative errno with an error
 * message:
 *   -EADDRINUSE  a server listens there
 *   -EEXIST      the file is not a socket
 *   -EACCES, -ENOENT, -EPERM and the errors of bind(2) */
int pfi_unix_path_bind(int fd, const struct sockaddr_un *socket, socklen_t size, mode_t mode,
                       uid_t uid, gid_t gid, int *ret_file);

/* Whether a socket could be bound at `path`, without creating or connecting one: 0, or the errors of bind except for
 * -EADDRINUSE. */
int pfi_unix_path_try(const char *path);

/* Remove `path` if it is still the file that `file` refers to. While `file` is open the kernel does not reuse its
 * inode number, so no other file compares equal. */
void pfi_unix_path_remove(const char *path, int file);

#endif
