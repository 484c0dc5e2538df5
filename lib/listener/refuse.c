/*
 * Refuse new connections while handshakes in progress complete, and the length of a backlog.
 *
 * TCP: a socket filter drops packets with SYN alone. The filter of a listening socket sees the packet from its TCP header
 * on, for IPv4 and IPv6 alike. The client retransmits its SYN after 1 s and finds the port closed by then.
 * Where SO_ATTACH_FILTER needs CAP_NET_ADMIN (seen on Linux 6.18), IP_MINTTL of 255 drops SYNs instead: only routers send
 * packets with that TTL. Packets of handshakes in progress are not checked. A connection that is accepted from such a
 * socket inherits the option, and pfi_accepted_free() resets it.
 *
 * Unix: after shutdown(SHUT_RD) the kernel refuses connect(2), and what is in the backlog can still be accepted.
 */
#include "listener/reuseport.h"

#include "base/times.h"

#include <prefork/error.h>

#include <errno.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>

enum {
	FLAGS_OFFSET = 13, /* in the TCP header */
	FIN = 0x01,
	SYN = 0x02,
	RST = 0x04,
	ACK = 0x10,
	PASS_WHOLE = 0x7fffffff,
	HOPS_MAX = 255,  /* packets of hosts start lower, 64 by default on Linux */
};

#ifndef IPV6_MINHOPCOUNT
#define IPV6_MINHOPCOUNT 73
#endif

static int set_hops(int fd, int family, int hops)
{
	/* An IPv6 socket may accept IPv4, too. */
	int r = setsockopt(fd, IPPROTO_IP, IP_MINTTL, &hops, sizeof hops);

	if (r == 0 && family == AF_INET6)
		r = setsockopt(fd, IPPROTO_IPV6, IPV6_MINHOPCOUNT, &hops, sizeof hops);
	return r < 0 ? -errno : 0;
}

void pfi_accepted_free(const struct prefork_listener *listener, int fd)
{
	if (listener->family != AF_UNIX)
		(void)set_hops(fd, listener->family, 0);
}

static int drop_new_handshakes(int fd, int family)
{
	struct sock_filter instructions[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, FLAGS_OFFSET),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, FIN | SYN | RST | ACK),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYN, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, PASS_WHOLE),
	};
	const struct sock_fprog program = {
		.len = sizeof instructions / sizeof instructions[0],
		.filter = instructions,
	};

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0)
		return 0;
	return errno == EPERM ? set_hops(fd, family, HOPS_MAX) : -errno;
}

static void allow_in_socket(int fd, int family)
{
	const int none = 0;

	(void)setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof none); /* ENOENT: there is none */
	(void)set_hops(fd, family, 0);
}

void pfi_listener_allow(const struct prefork_listener *listener)
{
	if (listener->family == AF_UNIX)
		return; /* shutdown(2) is for good */
	if (!listener->sockets)
		allow_in_socket(listener->fd, listener->family);
	for (unsigned i = 0; i < listener->socket_count; i++)
		allow_in_socket(listener->sockets[i], listener->family);
}

static int drop_in_sockets(const struct prefork_listener *listener)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < listener->sockets_listening; i++)
		r = drop_new_handshakes(listener->sockets[i], listener->family);
	return r;
}

int pfi_listener_refuse(struct prefork_listener *listener, uint64_t *ret_linger_ms)
{
	int r = 0;

	if (listener->held_by != 0)
		return prefork_fail(-EPERM, "%s is held by another process, which may serve it", listener->address);
	if (listener->sockets)
		r = drop_in_sockets(listener);
	else if (listener->family != AF_UNIX)
		r = drop_new_handshakes(listener->fd, listener->family);
	else if (shutdown(listener->fd, SHUT_RD) < 0)
		r = -errno;
	if (r < 0)
		return prefork_fail(r, "cannot refuse new connections on %s: %s", listener->address, strerror(-r));
	listener->is_refusing = true;
	/* TCP_DEFER_ACCEPT: a connection enters the backlog with its first data, or when the time is over. */
	*ret_linger_ms = listener->family == AF_UNIX ? 0 :
						       PFI_DRAIN_ACK_MS +
							       listener->defer_accept_s * (uint64_t)PFI_DRAIN_DEFER_MS;
	return 0;
}

static int queue_of(int fd, uint32_t *ret_length, uint32_t *ret_max)
{
	struct tcp_info info = { 0 };
	socklen_t size = sizeof info;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
		return -errno;
	/* tcp_get_info(): of a listening socket these two are the length and the limit of its backlog. */
	*ret_length = info.tcpi_state == TCP_LISTEN ? info.tcpi_unacked : 0;
	*ret_max = info.tcpi_state == TCP_LISTEN ? info.tcpi_sacked : 0;
	return 0;
}

int pfi_listener_queue(const struct prefork_listener *listener, uint32_t *ret_length, uint32_t *ret_max)
{
	uint32_t length = 0, max = 0;

	if (listener->family == AF_UNIX)
		return -EOPNOTSUPP;
	if (!listener->sockets)
		return queue_of(listener->fd, ret_length, ret_max);
	for (unsigned i = 0; i < listener->socket_count; i++) {
		uint32_t one = 0, one_max = 0;
		const int r = queue_of(listener->sockets[i], &one, &one_max);

		if (r < 0)
			return r;
		length += one;
		max += one_max;
	}
	*ret_length = length;
	*ret_max = max;
	return 0;
}

int pfi_listener_has_pending(const struct prefork_listener *listener)
{
	struct pollfd pfd = { .fd = listener->fd, .events = POLLIN };

	/* After shutdown(SHUT_RD) a unix socket is always readable, whatever its backlog. */
	if (listener->family == AF_UNIX && listener->is_refusing)
		return -EOPNOTSUPP;
	if (listener->sockets)
		return pfi_reuseport_has_pending(listener, 0);
	if (poll(&pfd, 1, 0) < 0)
		return -errno;
	return (pfd.revents & POLLIN) != 0;
}
