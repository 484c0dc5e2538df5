/*
 * listener -- a listening socket: open or adopt, refuse new connections, close.
 *
 * The arbiter opens and closes it. A worker inherits the object by fork and closes its copy with the same function, which
 * removes a unix path only in the process that created it.
 */
#ifndef LISTENER_LISTENER_H
#define LISTENER_LISTENER_H

#include "listener/address.h"

#include <prefork/listener.h>

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct pfi_listener_options {
	int backlog;
	bool ipv6_only;             /* [::] without IPv4                                       */
	bool reuse_port;            /* several sockets on one address (listener/reuseport.h)  */
	unsigned sockets;           /* TCP with reuse_port: number of sockets; 0: fd alone     */
	unsigned sockets_listening; /* number of those that listen at the start                */
	unsigned defer_accept_s;    /* TCP_DEFER_ACCEPT: a connection is accepted once data has arrived; 0: off */
	mode_t mode;                /* of a unix path                                          */
	uid_t uid;                  /* its owner; (uid_t)-1: that of this process              */
	gid_t gid;
};

/* A backlog of 2048, mode 0666, everything else off. */
extern const struct pfi_listener_options pfi_listener_defaults;

/* Bits of held_by. */
enum {
	PFI_HELD_BY_STARTER = 1, /* the program that bound it: systemd, Server::Starter, fd://N          */
	PFI_HELD_BY_PARENT = 2,  /* the arbiter that this one is an upgrade of                           */
	PFI_HELD_BY_CHILD = 4,   /* the arbiter that is an upgrade of this one                           */
	PFI_HELD_BY_STORE = 8,   /* the descriptor store of the service manager                          */
};

struct prefork_listener {
	int fd;
	int family;
	bool is_inherited;
	unsigned held_by;           /* who else holds the socket: while there is any, it must keep accepting and keep
	                             * its path                                       */
	bool is_refusing;           /* pfi_listener_refuse() has succeeded           */
	unsigned defer_accept_s;
	pid_t maker;                /* the process that removes the path below       */
	char *path;                 /* absolute path of a unix socket that this arbiter or one before it has created; NULL: none */
	int path_fd;                /* opened with O_PATH: only the file that it refers to is removed */
	int *sockets;               /* one socket per slot, of which the first is fd; NULL: fd alone. In a worker,
	                             * fd is the worker's epoll set of these sockets */
	unsigned socket_count;
	unsigned sockets_listening; /* number of sockets that listen: the first ones */
	int backlog;                /* of each socket                                */
	char *name;
	char address[PFI_ADDRESS_TEXT_MAX];
};

/* Bind and listen. Returns new in *ret. 0, or a negative errno with an error message:
 * -EINVAL, -EADDRINUSE, -EADDRNOTAVAIL, -EACCES, -EAFNOSUPPORT, -EEXIST (the path
 * is not a socket), -ENOMEM and the errors of socket(2), bind(2), listen(2). */
int pfi_listener_open(const char *text, const struct pfi_listener_options *options,
                      struct prefork_listener **ret);

/* The same for an address that is parsed and, for TCP, resolved. */
int pfi_listener_open_at(const struct pfi_address *address, const char *name,
                         const struct pfi_listener_options *options, struct prefork_listener **ret);

/* Whether opening would succeed. A TCP address is bound for a moment, a path is only examined. An address in use is no
 * error: most likely by the running server whose settings are checked. Otherwise as open. */
int pfi_listener_try(const struct pfi_address *address);

/* Make a listener named `name` of `fd`, which listens already and is held by the starter. Takes `fd` on success only. 0, -EINVAL (not a listening
 * stream socket), -EBADF, -ENOMEM. */
int pfi_listener_adopt(int fd, const char *name, struct prefork_listener **ret);

/* Enter its arbiter in the table of descriptors (os/fdtable.h). */
void pfi_listener_set_owner(const struct prefork_listener *listener, uint32_t arbiter);

/* Runs in the worker: keep its descriptors open when those of other workers are closed. */
void pfi_listener_keep(const struct prefork_listener *listener);

/* Close, and remove the unix path if it is still the file that this process created and no other holds the socket. NULL
 * is fine. */
void pfi_listener_close(struct prefork_listener *listener);

/* Refuse new connections. Handshakes in progress complete, connections in the backlog can be accepted, none is reset.
 * Undone only by the process that takes the socket over; only for a listener that no other program holds. *ret_linger_ms is how long
 * handshakes may take: the workers accept until then, before an empty backlog counts. For unix sockets it is 0, and their
 * descriptor is always readable afterwards: accept until -EAGAIN and do not poll. Before the call, have the workers call
 * pfi_accepted_free() for what they accept. 0, -EPERM (held by another), or the error of setsockopt(2). */
int pfi_listener_refuse(struct prefork_listener *listener, uint64_t *ret_linger_ms);

/* Accept new connections again after the refusal of an earlier process: detach its filter. */
void pfi_listener_allow(const struct prefork_listener *listener);

/* Runs in the worker: reset what an accepted connection inherits from a listener that refuses, see refuse.c. */
void pfi_accepted_free(const struct prefork_listener *listener, int fd);

/* Whether the backlog has a connection: 1 or 0, or a negative errno. -EOPNOTSUPP for a unix socket that refuses: only
 * accept(2) can tell. */
int pfi_listener_has_pending(const struct prefork_listener *listener);

/* Length and limit of the backlog. 0 or a negative errno; -EOPNOTSUPP for unix sockets. */
int pfi_listener_queue(const struct prefork_listener *listener, uint32_t *ret_length, uint32_t *ret_max);

#endif
