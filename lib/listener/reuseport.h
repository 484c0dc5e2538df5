/*
 * reuseport sockets -- several sockets on one address, one per slot of a pool (reuse_port).
 *
 * The kernel deals new clients out to the sockets that listen. All are bound from the
 * beginning, so that every worker has them by inheritance; the first sockets_listening of
 * them listen. Who accepts from which is the arbiter's to say at any time: each
 * worker polls one epoll set per listener, made by the arbiter before the fork and
 * edited by the arbiter alone.
 *
 * Reuseport sockets open and close at the end only: the kernel numbers them in the order in which
 * they began to listen, and steering counts on that.
 */
#ifndef LISTENER_REUSEPORT_H
#define LISTENER_REUSEPORT_H

#include "listener/listener.h"

#include <sys/socket.h>

/* Bind `count` - 1 sockets more beside listener->fd, and listen on the first `open`.
 * 0, or a negative errno with an error message. */
int pfi_reuseport_open(struct prefork_listener *listener, const struct pfi_listener_options *options);

/* Close the reuseport sockets' descriptors, whether they listen or not, but for listener->fd. */
void pfi_reuseport_close(struct prefork_listener *listener);

/* Listen on one more. 0 or a negative errno. */
int pfi_reuseport_listen_next(struct prefork_listener *listener);

/* Have new clients go to the first `count` of those that listen; 0: to all. */
int pfi_reuseport_steer(const struct prefork_listener *listener, unsigned count);

/* The last one listens no more, in any process. Who waits in its queue is lost, so it
 * must be empty, and steered away from. */
void pfi_reuseport_close_last(struct prefork_listener *listener);

/* Whether a client waits in reuseport socket `from` or above. */
bool pfi_reuseport_has_pending(const struct prefork_listener *listener, unsigned from);

/* A set for one worker; and what it watches. Done twice, they do nothing. */
int pfi_reuseport_set_open(void);
int pfi_reuseport_set_add(int set, const struct prefork_listener *listener, unsigned socket_index);
void pfi_reuseport_set_remove(int set, const struct prefork_listener *listener, unsigned socket_index);

/* As accept4(2) with SOCK_NONBLOCK and SOCK_CLOEXEC; in a worker whose listener->fd is
 * its set, from whichever reuseport socket of it has a client. */
int pfi_listener_accept(const struct prefork_listener *listener, struct sockaddr *address, socklen_t *size);

#endif
