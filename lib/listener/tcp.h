/*
 * tcp -- the socket options of a TCP listener.
 */
#ifndef LISTENER_TCP_H
#define LISTENER_TCP_H

struct pfi_listener_options;

/* Set the options that a socket needs before bind(2): SO_REUSEADDR, SO_REUSEPORT, IPV6_V6ONLY, TCP_NODELAY,
 * TCP_DEFER_ACCEPT. 0 or a negative errno. */
int pfi_tcp_set_options(int fd, int family, const struct pfi_listener_options *options);

#endif
