/*
 * inherit -- listening sockets that were there before us.
 *
 *   LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES   systemd: descriptors from 3 on
 *   PREFORK_FDS                              NAME=FD,NAME=FD: by another arbiter,
 *       NAME being its bind text, in which %XX stands for a byte (% , = and others)
 *   SERVER_STARTER_PORT                      NAME=FD;NAME=FD: by Server::Starter, NAME
 *       being a port, HOST:PORT or a path
 *
 * Whoever sets the environment may be anybody: each value is checked, and one
 * that is wrong is an error, not a guess. Variables for another process
 * (LISTEN_PID) are not ours and passed over, as their protocol wants.
 */
#ifndef LISTENER_INHERIT_H
#define LISTENER_INHERIT_H

#include "listener/listener.h"

#include <stddef.h>
#include <sys/types.h>

enum { PFI_INHERITED_MAX = 1024 };

struct pfi_inherit_variables {
	const char *listen_pid, *listen_fds, *listen_fdnames, *prefork_fds, *server_starter_port; /* NULL: not set */
};

struct pfi_inherited_socket {
	int fd; /* -1: taken by a listener */
	char *name;
};

struct pfi_inherited {
	struct pfi_inherited_socket *sockets;
	size_t count;
};

/* Understand the variables of the process `self`; looks at no descriptor.
 * Returns new in *ret: finish it. 0, -EINVAL with an error message, -ENOMEM. */
int pfi_inherit_parse(const struct pfi_inherit_variables *variables, pid_t self, struct pfi_inherited *ret);

/* Read the environment and remove the variables from it, so that no child takes
 * them for its own. Once, at start, before there are threads. As parse. */
int pfi_inherit_take(struct pfi_inherited *ret);

/* Make a listener of the socket that is meant for `address` (a TCP name that is not
 * yet resolved fits none), or that has the name `name`. 0 and a new listener in *ret, 1 when none
 * fits, or as pfi_listener_adopt(). */
int pfi_inherit_match(struct pfi_inherited *inherited, const struct pfi_address *address, const char *name,
                      struct prefork_listener **ret);

/* Make a listener of the first socket that nobody took. 0, 1 when there is none
 * left, or as pfi_listener_adopt(). */
int pfi_inherit_next(struct pfi_inherited *inherited, struct prefork_listener **ret);

/* Close the sockets that nobody took, and free. */
void pfi_inherit_finish(struct pfi_inherited *inherited);

#endif
