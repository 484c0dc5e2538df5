#include "listener/lanes.h"

#include "os/fd.h"
#include "os/fdtable.h"

#include <prefork/error.h>

#include <errno.h>
#include <linux/filter.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

static int open_lane(const struct prefork_listener *listener,
		     const struct sockaddr_storage *address, socklen_t size,
		     const struct pfi_listener_options *options)
{
	int fd = pfi_open_socket(listener->family, SOCK_NONBLOCK);
	int r = fd < 0 ? fd : pfi_listener_set_tcp_options(fd, listener->family, options);

	if (r == 0 && bind(fd, (const struct sockaddr *)address, size) < 0)
		r = -errno;
	if (r < 0)
		pfi_close(&fd);
	return r < 0 ? r : fd;
}

int pfi_lanes_open(struct prefork_listener *listener, const struct pfi_listener_options *options)
{
	struct sockaddr_storage address = { 0 }; /* with port 0, the one that was given */
	socklen_t size = sizeof address;
	int r = 0;

	listener->lanes = calloc(options->lanes, sizeof *listener->lanes);
	if (!listener->lanes)
		return prefork_fail(-ENOMEM, "cannot listen on %s: out of memory", listener->address);
	listener->backlog = options->backlog;
	listener->lanes[listener->lane_count++] = listener->fd;
	listener->lanes_open = 1;
	if (getsockname(listener->fd, (struct sockaddr *)&address, &size) < 0)
		r = -errno;
	while (r >= 0 && listener->lane_count < options->lanes) {
		r = open_lane(listener, &address, size, options);
		if (r >= 0)
			listener->lanes[listener->lane_count++] = r;
	}
	while (r >= 0 && listener->lanes_open < options->lanes_open &&
	       listener->lanes_open < listener->lane_count)
		r = pfi_lanes_grow(listener);
	if (r < 0)
		return prefork_fail(r, "cannot listen on %s with %u sockets: %s", listener->address,
				    options->lanes, strerror(-r));
	return 0;
}

void pfi_lanes_finish(struct prefork_listener *listener)
{
	for (unsigned i = 0; i < listener->lane_count; i++) {
		if (listener->lanes[i] != listener->fd)
			pfi_close(&listener->lanes[i]);
	}
	free(listener->lanes);
	listener->lanes = NULL;
	listener->lane_count = listener->lanes_open = 0;
}

int pfi_lanes_grow(struct prefork_listener *listener)
{
	if (listen(listener->lanes[listener->lanes_open], listener->backlog) < 0)
		return -errno;
	listener->lanes_open++;
	return 0;
}

int pfi_lanes_steer(const struct prefork_listener *listener, unsigned count)
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
	const int r = count == 0 ? setsockopt(listener->lanes[0], SOL_SOCKET,
					      SO_DETACH_REUSEPORT_BPF, &none, sizeof none)
				 : setsockopt(listener->lanes[0], SOL_SOCKET,
					      SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program);

	if (r < 0 && count == 0 && errno == ENOENT)
		return 0; /* nobody is steered */
	return r < 0 ? -errno : 0;
}

void pfi_lanes_shrink(struct prefork_listener *listener)
{
	/* Not close: workers have copies, and the lane may be wanted again. It stays bound. */
	(void)shutdown(listener->lanes[--listener->lanes_open], SHUT_RDWR);
}

bool pfi_lanes_have_clients(const struct prefork_listener *listener, unsigned from)
{
	for (unsigned i = from; i < listener->lanes_open; i++) {
		struct pollfd pfd = { .fd = listener->lanes[i], .events = POLLIN };

		if (poll(&pfd, 1, 0) > 0 && (pfd.revents & POLLIN))
			return true;
	}
	return false;
}

int pfi_lane_set_open(void)
{
	return pfi_open_epoll();
}

int pfi_lane_watch(int set, const struct prefork_listener *listener, unsigned lane)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = lane };

	if (epoll_ctl(set, EPOLL_CTL_ADD, listener->lanes[lane], &event) < 0 && errno != EEXIST)
		return -errno;
	return 0;
}

void pfi_lane_unwatch(int set, const struct prefork_listener *listener, unsigned lane)
{
	(void)epoll_ctl(set, EPOLL_CTL_DEL, listener->lanes[lane], NULL);
}

int pfi_listener_accept(const struct prefork_listener *listener, struct sockaddr *address, socklen_t *size)
{
	const socklen_t room = *size;
	struct epoll_event event;

	if (!listener->lanes || listener->fd == listener->lanes[0])
		return pfi_accept(listener->fd, address, size);
	/* Another worker may watch the same lane, and be faster: then the next one. */
	for (unsigned i = 0; i < listener->lane_count; i++) {
		if (epoll_wait(listener->fd, &event, 1, 0) <= 0 || event.data.u32 >= listener->lane_count)
			break;
		*size = room;
		const int fd = pfi_accept(listener->lanes[event.data.u32], address, size);
		/* EINVAL: the arbiter has just closed this lane. */
		if (fd >= 0 || (errno != EAGAIN && errno != EINVAL))
			return fd;
	}
	errno = EAGAIN;
	return -1;
}
