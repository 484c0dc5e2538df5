/* Sends and receives the messages of a control channel, a pair of SOCK_SEQPACKET sockets. */
#include "os/control_channel.h"

#include "os/fdtable.h"
#include "os/open.h"
#include "os/rights.h"

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
	return pfi_channel_send_fds(fd, type, value, text, NULL, 0);
}

int pfi_channel_send_fds(int fd, uint32_t type, uint32_t value, const char *text, const int *fds, size_t count)
{
	struct pfi_message message = { .type = type, .value = value };
	const size_t length = text ? strnlen(text, PFI_MESSAGE_TEXT_MAX) : 0;
	struct iovec part = { &message, HEAD_SIZE + length };
	struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1 };
	PFI_RIGHTS_BUFFER(PFI_MESSAGE_FDS_MAX) control = { .bytes = { 0 } };
	ssize_t n;

	if (count > PFI_MESSAGE_FDS_MAX)
		return -E2BIG;
	if (length > 0)
		memcpy(message.text, text, length);
	if (count > 0)
		pfi_rights_attach(&header, control.bytes, fds, count);
	do
		n = sendmsg(fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return 0;
	return errno == ECONNRESET || errno == ENOTCONN ? -EPIPE : -errno;
}

static int check(ssize_t n, const struct pfi_message *message)
{
	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	if (n == 0)
		return -EPIPE;
	if (n < HEAD_SIZE || n > HEAD_SIZE + PFI_MESSAGE_TEXT_MAX)
		return -EBADMSG;
	return memchr(message->text, 0, (size_t)n - HEAD_SIZE) ? -EBADMSG : 0;
}

int pfi_channel_receive(int fd, struct pfi_message *ret)
{
	struct pfi_message message = { 0 };
	ssize_t n;
	int r;

	/* recv(2) and not recvmsg(2): the kernel closes descriptors that the peer has attached. MSG_DONTWAIT, because
	 * the peer may have cleared O_NONBLOCK. */
	do
		n = recv(fd, &message, HEAD_SIZE + PFI_MESSAGE_TEXT_MAX, MSG_TRUNC | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	r = check(n, &message);
	if (r == 0)
		*ret = message;
	return r;
}

/* Between begin and end of the table of descriptors. The kernel puts all descriptors of a message into one header
 * (unix(7)), and nothing else: no other option of the socket asks for ancillary data. */
static size_t detach(struct msghdr *header, int *fds)
{
	const struct cmsghdr *const rights = CMSG_FIRSTHDR(header);
	size_t count = 0;

	if (rights == NULL || rights->cmsg_level != SOL_SOCKET || rights->cmsg_type != SCM_RIGHTS)
		return 0;
	for (size_t i = 0; CMSG_LEN((i + 1) * sizeof(int)) <= rights->cmsg_len; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(rights) + i * sizeof fd, sizeof fd);
		fds[count] = pfi_fdtable_enter(fd, PFI_FD_LOG);
		count += fds[count] >= 0;
	}
	return count;
}

int pfi_channel_receive_fds(int fd, struct pfi_message *ret, int *fds, size_t *ret_count)
{
	struct pfi_message message = { 0 };
	struct iovec part = { &message, HEAD_SIZE + PFI_MESSAGE_TEXT_MAX };
	PFI_RIGHTS_BUFFER(PFI_MESSAGE_FDS_MAX) control;
	struct msghdr header = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes
	};
	ssize_t n;
	int r;

	pfi_fdtable_begin();
	do
		n = recvmsg(fd, &header, MSG_TRUNC | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	r = check(n, &message);
	*ret_count = n > 0 ? detach(&header, fds) : 0;
	pfi_fdtable_end();
	if (r == 0)
		*ret = message;
	return r;
}
