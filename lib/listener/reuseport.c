/* Opens the sockets of a listener with SO_REUSEPORT, makes more or fewer of them listen, and steers connections
 * with a BPF program. */
#include "listener/reuseport.h"

#include "listener/tcp.h"
#include "os/fd.h"
#include "os/open.h"

#include <prefork/error.h>

#include <errno.h>
#include <linux/filter.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

static int open_socket(const struct prefork_listener *listener,
		     const struct sockaddr_storage *address, socklen_t size,
		     const struct pfi_listener_options *options)
{
	int fd = pfi_open_socket(listener->family, SOCK_NONBLOCK);
	int r = fd < 0 ? fd : pfi_tcp_set_options(fd, listener->family, options);

	if (r == 0 && bind(fd, (const struct sockaddr *)address, size) < 0)
		r = -errno;
	if (r < 0)
		pfi_close(&fd);
	return r < 0 ? r : fd;
}

int pfi_reuseport_open(struct prefork_listener *listener, const struct pfi_listener_options *options)
{
	struct sockaddr_storage address = { 0 }; /* with port 0, the port that the kernel chose */
	socklen_t size = sizeof address;
	int r = 0;

	listener->sockets = calloc(options->sockets, sizeof *listener->sockets);
	if (!listener->sockets)
		return prefork_fail(-ENOMEM, "cannot listen on %s: out of memory", listener->address);
	listener->backlog = options->backlog;
	listener->sockets[listener->socket_count++] = listener->fd;
	listener->sockets_listening = 1;
	if (getsockname(listener->fd, (struct sockaddr *)&address, &size) < 0)
		r = -errno;
	while (r >= 0 && listener->socket_count < options->sockets) {
		r = open_socket(listener, &address, size, options);
		if (r >= 0)
			listener->sockets[listener->socket_count++] = r;
	}
	while (r >= 0 && listener->sockets_listening < options->sockets_listening &&
	       listener->sockets_listening < listener->socket_count)
		r = pfi_reuseport_listen_next(listener);
	if (r < 0)
		return prefork_fail(r, "cannot listen on %s with %u sockets: %s", listener->address,
				    options->sockets, strerror(-r));
	return 0;
}

void pfi_reuseport_close(struct prefork_listener *listener)
{
	for (unsigned i = 0; i < listener->socket_count; i++) {
		if (listener->sockets[i] != listener->fd)
			pfi_close(&listener->sockets[i]);
	}
	free(listener->sockets);
	listener->sockets = NULL;
	listener->socket_count = listener->sockets_listening = 0;
}

int pfi_reuseport_listen_next(struct prefork_listener *listener)
{
	if (listen(listener->sockets[listener->sockets_listening], listener->backlog) < 0)
		return -errno;
	listener->sockets_listening++;
	return 0;
}

int pfi_reuseport_steer(const struct prefork_listener *listener, unsigned count)
{
	struct sock_filter instructions[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_RANDOM)),
		BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, count),
		BPF_STMT(BPF_RET | BPF_A, 0),
	};
	const struct sock_fprog program = {
		.len = sizeof instructions / sizeof instructions[0],
		.filter = instructions,
	};
	const int none = 0;
	const int r = count == 0 ? setsockopt(listener->sockets[0], SOL_SOCKET,
					      SO_DETACH_REUSEPORT_BPF, &none, sizeof none)
				 : setsockopt(listener->sockets[0], SOL_SOCKET,
					      SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program);

	if (r < 0 && count == 0 && errno == ENOENT)
		return 0; /* no program is attached */
	return r < 0 ? -errno : 0;
}

void pfi_reuseport_close_last(struct prefork_listener *listener)
{
	/* Not close(2): workers have copies, and the socket may listen again. It stays bound. */
	(void)shutdown(listener->sockets[--listener->sockets_listening], SHUT_RDWR);
}

bool pfi_reuseport_has_pending(const struct prefork_listener *listener, unsigned from)
{
	for (unsigned i = from; i < listener->sockets_listening; i++) {
		struct pollfd pfd = { .fd = listener->sockets[i], .events = POLLIN };

		if (poll(&pfd, 1, 0) > 0 && (pfd.revents & POLLIN))
			return true;
	}
	return false;
}

int pfi_reuseport_set_open(void)
{
	return pfi_open_epoll();
}

int pfi_reuseport_set_add(int set, const struct prefork_listener *listener, unsigned socket_index)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = socket_index };

	if (epoll_ctl(set, EPOLL_CTL_ADD, listener->sockets[socket_index], &event) < 0 && errno != EEXIST)
		return -errno;
	return 0;
}

void pfi_reuseport_set_remove(int set, const struct prefork_listener *listener, unsigned socket_index)
{
	(void)epoll_ctl(set, EPOLL_CTL_DEL, listener->sockets[socket_index], NULL);
}

int pfi_listener_accept(const struct prefork_listener *listener, struct sockaddr *address, socklen_t *size)
{
	const socklen_t capacity = *size;
	struct epoll_event event;

	if (!listener->sockets || listener->fd == listener->sockets[0])
		return pfi_accept(listener->fd, address, size);
	/* Another worker may have accepted the connection meanwhile: then try the next socket. */
	for (unsigned i = 0; i < listener->socket_count; i++) {
		if (epoll_wait(listener->fd, &event, 1, 0) <= 0 || event.data.u32 >= listener->socket_count)
			break;
		*size = capacity;
		const int fd = pfi_accept(listener->sockets[event.data.u32], address, size);
		/* EINVAL: the arbiter has just stopped this socket from listening. */
		if (fd >= 0 || (errno != EAGAIN && errno != EINVAL))
			return fd;
	}
	errno = EAGAIN;
	return -1;
}
