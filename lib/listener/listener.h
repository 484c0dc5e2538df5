/*
 * listener -- the life of a listening socket: open or adopt, refuse, close.
 *
 * Opened and closed by the arbiter. A worker inherits the object by fork and
 * closes its copy with the same function, which removes a unix path only in
 * the process that made it.
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
	bool ipv6_only;           /* [::] without IPv4                             */
	bool reuse_port;          /* several sockets on one address (listener/reuseport.h) */
	unsigned sockets;           /* TCP with reuse_port: how many, and how many of them  */
	unsigned sockets_listening;      /* listen from the beginning; 0: one, without reuseport sockets     */
	unsigned defer_accept_s;  /* TCP: wake us when the client has spoken; 0: off */
	mode_t mode;              /* of a unix path                                */
	uid_t uid;                /* its owner; (uid_t)-1: who we are              */
	gid_t gid;
};

/* A backlog of 2048, mode 0666, everything else off. */
extern const struct pfi_listener_options pfi_listener_defaults;

struct prefork_listener {
	int fd;
	int family;
	bool is_inherited;
	bool is_refusing;       /* pfi_listener_refuse() has worked        */
	unsigned defer_accept_s;
	pid_t maker;            /* the process that made the path below    */
	char *path;             /* of the unix socket that we made, absolute, or NULL */
	int path_fd;            /* of it, so that nobody else's is removed */
	int *sockets;             /* one socket per slot, the first is fd; NULL: fd alone.
	                         * In a worker fd is its set of them instead.        */
	unsigned socket_count;
	unsigned sockets_listening;    /* so many listen, the first ones          */
	int backlog;            /* of a reuseport socket                               */
	char *name;
	char address[PFI_ADDRESS_TEXT_MAX];
};

/* Bind and listen. Returns new in *ret. 0, or a negative errno with an error message:
 * -EINVAL, -EADDRINUSE, -EADDRNOTAVAIL, -EACCES, -EAFNOSUPPORT, -EEXIST (the path
 * is something else), -ENOMEM and what socket(2), bind(2), listen(2) say. */
int pfi_listener_open(const char *text, const struct pfi_listener_options *options,
                      struct prefork_listener **ret);

/* The same for an address that is parsed, and resolved if it is TCP. */
int pfi_listener_open_at(const struct pfi_address *address, const char *name,
                         const struct pfi_listener_options *options, struct prefork_listener **ret);

/* Whether that could work: an address that is parsed, and resolved if it is TCP, is bound for a
 * moment, and of a path it is looked whether there could be a socket. Who is there already may
 * be the server that is asked about, so that is no error. As open, without -EADDRINUSE. */
int pfi_listener_try(const struct pfi_address *address);

/* Make `fd`, which listens already, a listener called `name`. Takes `fd` when it
 * works, leaves it alone when not. 0, -EINVAL (not a listening stream socket),
 * -EBADF, -ENOMEM. */
int pfi_listener_adopt(int fd, const char *name, struct prefork_listener **ret);

/* Say in the table of descriptors which arbiter it belongs to. */
void pfi_listener_set_owner(const struct prefork_listener *listener, uint32_t arbiter);

/* Runs in the worker: its descriptors are not to be closed with those of others. */
void pfi_listener_keep(const struct prefork_listener *listener);

/* Close, and remove the path if it is still ours. NULL is fine. */
void pfi_listener_close(struct prefork_listener *listener);

/* From now on new clients are not let in, while those in the queue can still be
 * accepted, and none is reset. Only for a listener that we bound, when no other
 * program holds it; there is no way back. *ret_linger_ms is how long clients
 * may still come out of the kernel, so how long the workers go on accepting
 * before the queue counts as empty; 0 for unix sockets, whose descriptor stays
 * readable from here on, so accept until -EAGAIN and poll it no more. Tell the
 * workers before, who must call pfi_accepted_free().
 * 0, -EPERM (inherited), or what setsockopt(2) says. */
int pfi_listener_refuse(struct prefork_listener *listener, uint64_t *ret_linger_ms);

/* Runs in the worker, for what was accepted from a listener that refuses, or may: see refuse.c. */
void pfi_accepted_free(const struct prefork_listener *listener, int fd);

/* Whether a client waits in the queue: 1 or 0, or a negative errno: -EOPNOTSUPP
 * for a unix socket that refuses, where only accept(2) can tell. */
int pfi_listener_has_pending(const struct prefork_listener *listener);

/* How many wait, and how many may: TCP only, -EOPNOTSUPP otherwise. */
int pfi_listener_queue(const struct prefork_listener *listener, uint32_t *ret_length, uint32_t *ret_max);

#endif
