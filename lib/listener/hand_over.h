/*
 * hand_over -- a listener for another arbiter, in PREFORK_FDS and back.
 *
 *     NAME=FD             a socket that the starter of this process has bound
 *     NAME=FD:bound       one that this process, or an arbiter before it, has bound
 *     NAME=FD:bound:stored
 *                         the service manager has a copy of the socket, too
 *     NAME=FD+FD+FD:bound:listening=2
 *                         reuseport sockets by slot, of which the first two listen
 *     NAME=FD:bound:file=FD:path=PATH
 *                         a unix socket, an O_PATH descriptor of its file, and its absolute path
 *
 * In NAME and PATH, %XX stands for a byte. Words that are not listed here are ignored: the arbiter may be newer.
 */
#ifndef LISTENER_HAND_OVER_H
#define LISTENER_HAND_OVER_H

#include "listener/listener.h"

#include <stddef.h>
#include <stdio.h>

struct pfi_inherited_socket;

/* Write the entry of `listener`. */
void pfi_hand_over_write(const struct prefork_listener *listener, FILE *out);

/* Its descriptors: sockets, and that of its file. At most `max` are stored in `fds`; returns how many there are. */
size_t pfi_hand_over_fds(const struct prefork_listener *listener, int *fds, size_t max);

/* Parse what follows NAME= in `length` bytes. Writes fd and the following members of `ret`. 0, -EINVAL (and what is
 * wrong in *ret_why), -ENOMEM. Allocates also on failure: pfi_inherited_free(). */
int pfi_hand_over_parse(const char *text, size_t length, struct pfi_inherited_socket *ret, const char **ret_why);

/* Give `listener`, adopted from socket->fd, what else is in the entry. Takes the descriptors, which are -1 afterwards, and
 * the path, on success only. `is_upgrade`: the arbiter before holds the socket, too. 0, -EBADF, -ENOMEM. */
int pfi_hand_over_take(struct prefork_listener *listener, struct pfi_inherited_socket *socket, bool is_upgrade);

/* Decode %XX. Returns new; NULL and -EINVAL or -ENOMEM in *ret_error. */
char *pfi_hand_over_decode(const char *text, size_t length, int *ret_error);

#endif
