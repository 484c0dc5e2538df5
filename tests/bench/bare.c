/*
 * bare loop|epoll|plain-epoll PORT: a minimal server, to compare the others with.
 *
 * Each sends a fixed response to any input: no parsing, no supervision, no timeouts. "loop" is a
 * blocking accept, read, write, close. "epoll" keeps connections alive, unless the request says close.
 * Both set TCP_DEFER_ACCEPT, which "plain-epoll" does without. Errors that a server must survive are ignored, the rest end it.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static const char alive[] = "HTTP/1.1 200 OK\r\nServer: bare\r\nContent-Type: text/plain\r\n"
			    "Content-Length: 14\r\n\r\nHello, world!\n";
static const char closing[] = "HTTP/1.1 200 OK\r\nServer: bare\r\nContent-Type: text/plain\r\n"
			      "Content-Length: 14\r\nConnection: close\r\n\r\nHello, world!\n";

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int listen_on(unsigned port, int flags, int defer)
{
	const struct sockaddr_in at = {
		.sin_family = AF_INET, .sin_port = htons((unsigned short)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const int one = 1;
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &defer, sizeof defer) < 0 ||
	    bind(fd, (const struct sockaddr *)&at, sizeof at) < 0 || listen(fd, 2048) < 0)
		die("listen");
	return fd;
}

static void loop(int listener)
{
	char bytes[4096];

	for (;;) {
		const int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			continue;
		if (read(fd, bytes, sizeof bytes) > 0 && write(fd, closing, sizeof closing - 1) < 0)
			perror("write");
		close(fd);
	}
}

/* Respond to the input; 0 if the connection is to be closed. */
static int respond(int fd)
{
	char bytes[4096];
	const ssize_t n = read(fd, bytes, sizeof bytes);

	if (n <= 0)
		return 0;
	if (memmem(bytes, (size_t)n, "Connection: close", 17)) {
		(void)!write(fd, closing, sizeof closing - 1);
		return 0;
	}
	return write(fd, alive, sizeof alive - 1) == (ssize_t)sizeof alive - 1;
}

static void add(int epoll, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		die("epoll_ctl");
}

static void epoll_loop(int listener)
{
	struct epoll_event events[256];
	const int epoll = epoll_create1(EPOLL_CLOEXEC);

	if (epoll < 0)
		die("epoll_create1");
	add(epoll, listener);
	for (;;) {
		const int n = epoll_wait(epoll, events, 256, -1);

		for (int i = 0; i < n; i++) {
			const int fd = events[i].data.fd;

			if (fd == listener) {
				const int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

				if (client >= 0)
					add(epoll, client);
			} else if (!respond(fd)) {
				close(fd);
			}
		}
	}
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "loop"))
		loop(listen_on((unsigned)atoi(argv[2]), 0, 1));
	if (argc == 3 && !strcmp(argv[1], "epoll"))
		epoll_loop(listen_on((unsigned)atoi(argv[2]), SOCK_NONBLOCK, 1));
	if (argc == 3 && !strcmp(argv[1], "plain-epoll"))
		epoll_loop(listen_on((unsigned)atoi(argv[2]), SOCK_NONBLOCK, 0));
	fprintf(stderr, "usage: bare loop|epoll|plain-epoll PORT\n");
	return 2;
}
