/* Opens a listening socket or adopts an inherited one, and closes it. A unix path is removed only by the process
 * that created it. */
#include "listener/listener.h"

#include "base/required.h"
#include "listener/explain.h"
#include "listener/reuseport.h"
#include "listener/tcp.h"
#include "listener/unix_path.h"
#include "os/fd.h"
#include "os/fdtable.h"
#include "os/open.h"

#include <prefork/error.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct pfi_listener_options pfi_listener_defaults = {
	.backlog = 2048,
	.mode = 0666,
	.uid = (uid_t)-1,
	.gid = (gid_t)-1,
};

static int get_option(int fd, int level, int option, int *ret)
{
	socklen_t size = sizeof *ret;

	return getsockopt(fd, level, option, ret, &size) < 0 ? -errno : 0;
}

static struct prefork_listener *new_listener(const char *name)
{
	struct prefork_listener *listener = calloc(1, sizeof *listener);

	if (!listener)
		return NULL;
	listener->fd = listener->path_fd = -1;
	listener->name = strdup(name);
	if (listener->name)
		return listener;
	free(listener);
	return NULL;
}

static int bind_tcp(struct prefork_listener *listener, const struct pfi_address *address,
                    const struct pfi_listener_options *options)
{
	int r = pfi_tcp_set_options(listener->fd, listener->family, options);

	if (r == 0 && bind(listener->fd, (const struct sockaddr *)&address->socket, address->socket_size) < 0)
		r = -errno;
	listener->defer_accept_s = options->defer_accept_s;
	return r;
}

/* Absolute: the program may change its working directory before the listener closes. */
static char *absolute_path(const char *path)
{
	char *directory = NULL, *absolute = NULL;

	if (*path == '/')
		return strdup(path);
	directory = getcwd(NULL, 0);
	if (directory) {
		const size_t size = strlen(directory) + strlen(path) + 2;

		absolute = malloc(size);
		if (absolute)
			(void)snprintf(absolute, size, "%s/%s", directory, path);
	}
	free(directory);
	return absolute;
}

static int bind_unix(struct prefork_listener *listener, const struct pfi_address *address,
                     const struct pfi_listener_options *options)
{
	const struct sockaddr_un *socket_address = (const struct sockaddr_un *)&address->socket;

	if (!socket_address->sun_path[0]) {
		if (bind(listener->fd, (const struct sockaddr *)socket_address, address->socket_size) < 0)
			return pfi_explain_unix(-errno, listener->address);
		return 0;
	}
	char *path = absolute_path(socket_address->sun_path);
	if (!path)
		return prefork_fail(-ENOMEM, "cannot listen on %s: out of memory", listener->address);
	const int r = pfi_unix_path_bind(listener->fd, socket_address, address->socket_size, options->mode,
	                                 options->uid, options->gid, &listener->path_fd);
	if (r < 0) {
		free(path);
		return r;
	}
	listener->path = path;
	listener->maker = getpid();
	return 0;
}

/* Read the address from the socket: with port 0 the kernel has chosen one. */
static int read_address(struct prefork_listener *listener)
{
	struct sockaddr_storage address = { 0 };
	socklen_t size = sizeof address;

	if (getsockname(listener->fd, (struct sockaddr *)&address, &size) < 0)
		return -errno;
	listener->family = address.ss_family;
	pfi_address_format(&address, size, listener->address, sizeof listener->address);
	return 0;
}

static int explain(int error, const struct prefork_listener *listener, const struct pfi_address *address)
{
	return listener->family == AF_UNIX ? pfi_explain_unix(error, listener->address)
					   : pfi_explain_tcp(error, listener->address, address);
}

static int bind_and_listen(struct prefork_listener *listener, const struct pfi_address *address,
                           const struct pfi_listener_options *options)
{
	const int family = address->socket.ss_family;

	listener->family = family;
	/* For error messages, until the socket is bound. */
	pfi_address_format(&address->socket, address->socket_size, listener->address, sizeof listener->address);
	listener->fd = pfi_open_socket(family, SOCK_NONBLOCK);
	if (listener->fd < 0)
		return explain(listener->fd, listener, address);

	if (family == AF_UNIX) {
		const int r = bind_unix(listener, address, options);

		if (r < 0)
			return r;
	} else {
		const int r = bind_tcp(listener, address, options);

		if (r < 0)
			return explain(r, listener, address);
	}
	if (listen(listener->fd, options->backlog) < 0)
		return explain(-errno, listener, address);
	const int r = read_address(listener);
	if (r < 0)
		return explain(r, listener, address);
	return options->sockets > 0 && family != AF_UNIX ? pfi_reuseport_open(listener, options) : 0;
}

int pfi_listener_open_at(const struct pfi_address *address, const char *name,
                         const struct pfi_listener_options *options, struct prefork_listener **ret)
{
	struct prefork_listener *listener = NULL;
	int r;

	if (address->kind == PFI_ADDRESS_FD)
		return pfi_listener_adopt(address->fd, name, ret);
	listener = new_listener(name);
	if (!listener)
		return prefork_fail(-ENOMEM, "cannot listen on %s: out of memory", name);
	r = bind_and_listen(listener, address, options);
	if (r < 0) {
		pfi_listener_close(listener);
		return r;
	}
	*ret = listener;
	return 0;
}

static int try_tcp(struct prefork_listener *listener, const struct pfi_address *address)
{
	listener->fd = pfi_open_socket(listener->family, 0);

	const int r = listener->fd < 0 ? listener->fd : bind_tcp(listener, address, &pfi_listener_defaults);

	return r < 0 && r != -EADDRINUSE ? explain(r, listener, address) : 0;
}

int pfi_listener_try(const struct pfi_address *address)
{
	struct prefork_listener listener = { .fd = -1, .family = address->socket.ss_family };
	const struct sockaddr_un *const path = (const struct sockaddr_un *)&address->socket;
	int r = 0;

	pfi_address_format(&address->socket, address->socket_size, listener.address, sizeof listener.address);
	if (listener.family != AF_UNIX)
		r = try_tcp(&listener, address);
	else if (path->sun_path[0])
		r = pfi_unix_path_try(path->sun_path);
	pfi_close(&listener.fd);
	return r;
}

int pfi_listener_open(const char *text, const struct pfi_listener_options *options,
                      struct prefork_listener **ret)
{
	struct pfi_address address;
	int r = pfi_address_parse(text, &address);

	if (r == 0)
		r = pfi_address_resolve(&address);
	return r == 0 ? pfi_listener_open_at(&address, text, options, ret) : r;
}

/* 0, or -EBADF or -EINVAL with the reason. */
static int check_adoptable(int fd, const char *name)
{
	int domain = 0, type = 0, is_listening = 0;

	const int r = get_option(fd, SOL_SOCKET, SO_TYPE, &type);
	if (r == -EBADF)
		return prefork_fail(r, "cannot adopt descriptor %d (%s): it is not open; the program that starts "
					"this one must keep it open", fd, name);
	if (r < 0)
		return prefork_fail(-EINVAL, "cannot adopt descriptor %d (%s): it is not a socket", fd, name);
	(void)get_option(fd, SOL_SOCKET, SO_DOMAIN, &domain);
	if (type != SOCK_STREAM || (domain != AF_INET && domain != AF_INET6 && domain != AF_UNIX))
		return prefork_fail(
			-EINVAL,
			"cannot adopt descriptor %d (%s): it is not a TCP or unix stream socket",
			fd, name);
	if (get_option(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening) < 0 || !is_listening)
		return prefork_fail(-EINVAL, "cannot adopt descriptor %d (%s): it does not listen", fd, name);
	return 0;
}

int pfi_listener_adopt(int fd, const char *name, struct prefork_listener **ret)
{
	int r = check_adoptable(fd, name);

	if (r < 0)
		return r;
	struct prefork_listener *listener = new_listener(name);
	if (!listener)
		return prefork_fail(-ENOMEM, "cannot adopt descriptor %d (%s): out of memory", fd, name);
	listener->fd = fd;
	listener->is_inherited = true;
	listener->held_by = PFI_HELD_BY_STARTER;
	r = read_address(listener);
	if (r == 0)
		r = pfi_fd_set_nonblock(fd, true);
	if (r == 0)
		r = pfi_fd_set_cloexec(fd, true);
	if (r == 0)
		r = pfi_fdtable_adopt(fd, PFI_FD_LISTENER);
	if (r < 0) {
		listener->fd = -1; /* the caller still owns it */
		pfi_listener_close(listener);
		return prefork_fail(r, "cannot adopt descriptor %d (%s): %s", fd, name, strerror(-r));
	}
	*ret = listener;
	return 0;
}

void pfi_listener_set_owner(const struct prefork_listener *listener, uint32_t arbiter)
{
	pfi_fdtable_set_owner(listener->fd, arbiter, PFI_FD_NO_SLOT);
	pfi_fdtable_set_owner(listener->path_fd, arbiter, PFI_FD_NO_SLOT);
	for (unsigned i = 0; i < listener->socket_count; i++)
		pfi_fdtable_set_owner(listener->sockets[i], arbiter, PFI_FD_NO_SLOT);
}

void pfi_listener_keep(const struct prefork_listener *listener)
{
	pfi_fdtable_keep(listener->fd);
	for (unsigned i = 0; i < listener->socket_count; i++)
		pfi_fdtable_keep(listener->sockets[i]);
}

void pfi_listener_close(struct prefork_listener *listener)
{
	if (!listener)
		return;
	/* The path first: a server that starts between the two steps finds no stale path. */
	if (listener->path && listener->maker == getpid() && listener->held_by == 0)
		pfi_unix_path_remove(listener->path, listener->path_fd);
	pfi_close(&listener->path_fd);
	pfi_reuseport_close(listener);
	pfi_close(&listener->fd);
	free(listener->path);
	free(listener->name);
	free(listener);
}

const char *prefork_listener_address(const struct prefork_listener *listener)
{
	PFI_RETURN_IF_NULL(listener, NULL);
	return listener->address;
}

const char *prefork_listener_name(const struct prefork_listener *listener)
{
	PFI_RETURN_IF_NULL(listener, NULL);
	return listener->name;
}

int prefork_listener_fd(const struct prefork_listener *listener)
{
	PFI_RETURN_IF_NULL(listener, -EINVAL);
	return listener->fd;
}

int prefork_listener_pending(const struct prefork_listener *listener)
{
	PFI_RETURN_IF_NULL(listener, -EINVAL);

	uint32_t length = 0, max = 0;
	const int r = pfi_listener_queue(listener, &length, &max);

	return r < 0 ? r : (int)length;
}

bool prefork_listener_is_inherited(const struct prefork_listener *listener)
{
	PFI_RETURN_IF_NULL(listener, false);
	return listener->is_inherited;
}
