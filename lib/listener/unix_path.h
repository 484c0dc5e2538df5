/*
 * unix_path -- binding a unix socket to a path that may be in the way.
 */
#ifndef LISTENER_UNIX_PATH_H
#define LISTENER_UNIX_PATH_H

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

/* Bind `fd`. A socket that nobody listens on any more is replaced; anything else
 * stays. Mode and owner are set before anybody can connect, since `fd` does not
 * listen yet, and never by name, so a link put there meanwhile leads nowhere.
 * 0 and an O_PATH descriptor of the file in *ret_file, which the caller closes, or a negative errno with an error message:
 *   -EADDRINUSE  a live server is there
 *   -EEXIST      it is not a socket
 *   -EACCES, -ENOENT, -EPERM and what bind(2) says */
int pfi_unix_path_bind(int fd, const struct sockaddr_un *socket, socklen_t size, mode_t mode,
                       uid_t uid, gid_t gid, int *ret_file);

/* Whether there could be a socket at `path`, as far as can be seen: 0, or as bind but for
 * -EADDRINUSE. Makes nothing, and connects nowhere. */
int pfi_unix_path_try(const char *path);

/* Remove `path` if it is still the file behind `file`. As long as that is open
 * nobody else's file can have its inode number, which is soon reused otherwise. */
void pfi_unix_path_remove(const char *path, int file);

#endif
