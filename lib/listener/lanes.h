/*
 * lanes -- several sockets on one address, one per slot of a pool (reuse_port).
 *
 * The kernel deals new clients out to the sockets that listen. All are bound from the
 * beginning, so that every worker has them by inheritance; the first lanes_open of
 * them listen. Who accepts from which is the arbiter's to say at any time: each
 * worker polls one epoll set per listener, made by the arbiter before the fork and
 * edited by the arbiter alone.
 *
 * Lanes open and close at the end only: the kernel numbers them in the order in which
 * they began to listen, and steering counts on that.
 */
#ifndef LISTENER_LANES_H
#define LISTENER_LANES_H

#include "listener/listener.h"

#include <sys/socket.h>

/* Bind `count` - 1 sockets more beside listener->fd, and listen on the first `open`.
 * 0, or a negative errno with a sentence. */
int pfi_lanes_open(struct prefork_listener *listener, const struct pfi_listener_options *options);

/* Close the lanes' descriptors, whether they listen or not, but for listener->fd. */
void pfi_lanes_finish(struct prefork_listener *listener);

/* Listen on one more. 0 or a negative errno. */
int pfi_lanes_grow(struct prefork_listener *listener);

/* Have new clients go to the first `count` of those that listen; 0: to all. */
int pfi_lanes_steer(const struct prefork_listener *listener, unsigned count);

/* The last one listens no more, in any process. Who waits in its queue is lost, so it
 * must be empty, and steered away from. */
void pfi_lanes_shrink(struct prefork_listener *listener);

/* Whether a client waits in lane `from` or above. */
bool pfi_lanes_have_clients(const struct prefork_listener *listener, unsigned from);

/* A set for one worker; and what it watches. Done twice, they do nothing. */
int pfi_lane_set_open(void);
int pfi_lane_watch(int set, const struct prefork_listener *listener, unsigned lane);
void pfi_lane_unwatch(int set, const struct prefork_listener *listener, unsigned lane);

/* As accept4(2) with SOCK_NONBLOCK and SOCK_CLOEXEC; in a worker whose listener->fd is
 * its set, from whichever lane of it has a client. */
int pfi_listener_accept(const struct prefork_listener *listener, struct sockaddr *address, socklen_t *size);

#endif
