/* Sets the socket options of a TCP listener. */
#include "listener/tcp.h"

#include "listener/listener.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

static int set_option(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof value) < 0 ? -errno : 0;
}

int pfi_tcp_set_options(int fd, int family, const struct pfi_listener_options *options)
{
	int r = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);

	if (r == 0 && options->reuse_port)
		r = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	/* Set in both cases: the default is net.ipv6.bindv6only. */
	if (r == 0 && family == AF_INET6)
		r = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, options->ipv6_only);
	/* Accepted connections inherit it, which saves a system call for each. */
	if (r == 0)
		r = set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (r == 0 && options->defer_accept_s > 0)
		r = set_option(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, (int)options->defer_accept_s);
	return r;
}
