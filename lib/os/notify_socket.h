/*
 * notify_socket -- the socket of a service manager, for the datagrams of sd_notify(3).
 *
 * Nothing here waits: the receive queue of such a socket is short (net.unix.max_dgram_qlen, often 10), and a manager that
 * does not read must not stop the arbiter. One thread.
 */
#ifndef OS_NOTIFY_SOCKET_H
#define OS_NOTIFY_SOCKET_H

#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

struct pfi_notify_socket {
	int fd; /* -1: there is none */
	struct sockaddr_un address;
	socklen_t size;
};

#define PFI_NO_NOTIFY_SOCKET ((struct pfi_notify_socket){ .fd = -1 })

/* `name` is that of the variable NOTIFY_SOCKET: "/path" or "@abstract". 0, or a negative errno with an error message:
 * -EPROTONOSUPPORT for another kind of address (vsock:), -ENAMETOOLONG, or those of socket(2). */
int pfi_notify_socket_open(const char *name, struct pfi_notify_socket *ret);

/* Send one datagram, with copies of `count` descriptors. 0; -EAGAIN: the queue is full, send it again later; or another
 * negative errno: it is lost. */
int pfi_notify_socket_send(const struct pfi_notify_socket *notify, const char *bytes, size_t size, const int *fds,
			   size_t count);

void pfi_notify_socket_close(struct pfi_notify_socket *notify);

#endif
