/*
 * inherit -- listening sockets that were opened by the program that has started this process.
 *
 *   LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES   systemd: descriptors from 3 on
 *   PREFORK_FDS                              NAME=FD,NAME=FD: from another arbiter. NAME is the
 *       text of its bind, in which %XX stands for a byte (% , = and others); FD may be followed by
 *       who has bound the socket, and by further descriptors (hand_over.h)
 *   SERVER_STARTER_PORT                      NAME=FD;NAME=FD: from Server::Starter. NAME
 *       is a port, HOST:PORT or a path
 *
 * The environment is input: each value is checked, and a wrong value is an error. Variables for another process
 * (LISTEN_PID) are ignored, as sd_listen_fds(3) specifies.
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
	bool is_bound;                   /* by an arbiter before this one                              */
	bool is_stored;                  /* the service manager has a copy                             */
	int *more;                       /* reuseport sockets of the slots 1 and up                    */
	unsigned more_count, listening;  /* of all sockets, the first so many listen; 0: not said      */
	int file;                        /* O_PATH descriptor of the file of a unix socket, -1: none   */
	char *path;                      /* its absolute path, or NULL                                 */
};

struct pfi_inherited {
	struct pfi_inherited_socket *sockets;
	size_t count;
	bool is_upgrade; /* the arbiter that has bound them still runs */
};

/* Parse the variables of the process `self`; touches no descriptor. Returns new in *ret: finish it. 0,
 * -EINVAL with an error message, -ENOMEM. */
int pfi_inherit_parse(const struct pfi_inherit_variables *variables, pid_t self, struct pfi_inherited *ret);

/* Parse the environment and remove the variables from it, so that no child uses them. Once, at the start, before there
 * are threads. `is_upgrade`: they come from an arbiter that this process is an upgrade of. Errors as parse. */
int pfi_inherit_take(bool is_upgrade, struct pfi_inherited *ret);

/* Make a listener of the socket that is bound to `address` or has the name `name`. A host name that is not resolved yet
 * matches no socket. 0 and a new listener in *ret, 1 if no socket matches, or as pfi_listener_adopt(). */
int pfi_inherit_match(struct pfi_inherited *inherited, const struct pfi_address *address, const char *name,
                      struct prefork_listener **ret);

/* Make a listener of the first socket that no call has taken. 0, 1 if none is left, or as pfi_listener_adopt(). */
int pfi_inherit_next(struct pfi_inherited *inherited, struct prefork_listener **ret);

/* Close the sockets that no call has taken, and free. */
void pfi_inherit_finish(struct pfi_inherited *inherited);

#endif
