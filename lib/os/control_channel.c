/* Sends and receives the messages of a control channel, a pair of SOCK_SEQPACKET sockets. */
#include "os/control_channel.h"

#include "os/open.h"

#include <prefork/error.h>

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* A datagram is the struct up to the end of the text, without the NUL. */
enum { HEAD_SIZE = offsetof(struct pfi_message, text) };

int pfi_channel_open(int fds[2])
{
	const int r = pfi_open_pair(SOCK_SEQPACKET | SOCK_NONBLOCK, fds);

	return r < 0 ? prefork_fail(r, "cannot open a socket pair") : 0;
}

int pfi_channel_send(int fd, uint32_t type, uint32_t value, const char *text)
{
	struct pfi_message message = { .type = type, .value = value };
	const size_t length = text ? strnlen(text, PFI_MESSAGE_TEXT_MAX) : 0;
	ssize_t n;

	if (length > 0)
		memcpy(message.text, text, length);
	do
		n = send(fd, &message, HEAD_SIZE + length, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return 0;
	return errno == ECONNRESET || errno == ENOTCONN ? -EPIPE : -errno;
}

int pfi_channel_receive(int fd, struct pfi_message *ret)
{
	struct pfi_message message = { 0 };
	ssize_t n;

	/* recv(2) and not recvmsg(2): the kernel closes descriptors that the peer has attached. MSG_DONTWAIT, because
	 * the peer may have cleared O_NONBLOCK. */
	do
		n = recv(fd, &message, HEAD_SIZE + PFI_MESSAGE_TEXT_MAX, MSG_TRUNC | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	if (n == 0)
		return -EPIPE;
	if (n < HEAD_SIZE || n > HEAD_SIZE + PFI_MESSAGE_TEXT_MAX)
		return -EBADMSG;
	if (memchr(message.text, 0, (size_t)n - HEAD_SIZE))
		return -EBADMSG;
	*ret = message;
	return 0;
}
