/*
 * reuseport -- with reuse_port: several sockets on one address (SO_REUSEPORT), one per slot of a pool.
 *
 * The kernel distributes new connections over the sockets that listen. All sockets are bound at the start, so that every
 * worker inherits them; the first sockets_listening of them listen. Which worker accepts from which socket the arbiter
 * decides at any time: each worker polls one epoll set per listener, which the arbiter opens before the fork and alone
 * edits.
 *
 * Sockets begin and stop to listen at the end of the array only: the kernel numbers them in the order in which they began,
 * and steering relies on that.
 */
#ifndef LISTENER_REUSEPORT_H
#define LISTENER_REUSEPORT_H

#include "listener/listener.h"

#include <sys/socket.h>

/* Besides listener->fd bind options->sockets - 1 sockets, and listen on options->sockets_listening of all. 0, or a
 * negative errno with an error message. */
int pfi_reuseport_open(struct prefork_listener *listener, const struct pfi_listener_options *options);

/* Close all sockets except for listener->fd. */
void pfi_reuseport_close(struct prefork_listener *listener);

/* Listen on one more socket. 0 or a negative errno. */
int pfi_reuseport_listen_next(struct prefork_listener *listener);

/* Have new connections go to the first `count` sockets that listen; 0: to all. 0 or a negative errno. */
int pfi_reuseport_steer(const struct prefork_listener *listener, unsigned count);

/* Have the last socket stop listening, in all processes. Connections in its backlog are reset: steer new ones away and
 * wait until it is empty. */
void pfi_reuseport_close_last(struct prefork_listener *listener);

/* Whether connections are pending on socket `from` or a later one. */
bool pfi_reuseport_has_pending(const struct prefork_listener *listener, unsigned from);

/* The epoll set of one worker. Adding or removing a socket twice has no effect. */
int pfi_reuseport_set_open(void);
int pfi_reuseport_set_add(int set, const struct prefork_listener *listener, unsigned socket_index);
void pfi_reuseport_set_remove(int set, const struct prefork_listener *listener, unsigned socket_index);

/* As accept4(2) with SOCK_NONBLOCK and SOCK_CLOEXEC; in a worker whose listener->fd is an epoll set, from any socket in
 * it. */
int pfi_listener_accept(const struct prefork_listener *listener, struct sockaddr *address, socklen_t *size);

#endif
