/* Passes keys to the kernel, and sends messages of TLS through it. */
#include "tls/tls_kernel.h"

#include "tls/tls_output.h"
#include "tls/tls_session.h"

#include <prefork/strategy.h>

#include <openssl/bio.h>
#include <openssl/ssl.h>

#include <errno.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* Before each message in `out`. */
struct head {
	uint8_t type; /* of the record: RFC 8446, section 5.1 */
	uint32_t size;
};

/* If it has, a socket that is not connected lacks only that. */
bool pfi_tls_kernel_has_tls(void)
{
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const bool has = fd >= 0 && (setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof "tls") == 0 || errno == ENOTCONN);

	if (fd >= 0)
		(void)close(fd);
	return has;
}

/* The BIO of OpenSSL for sockets knows the struct of its own library. */
bool pfi_tls_kernel_start(struct pfi_tls_session *session, void *key)
{
	BIO *bio;

	if (session->kernel_sends)
		return false;
	bio = BIO_new_socket(prefork_connection_fd(session->connection), BIO_NOCLOSE);
	if (bio == NULL)
		return false;
	session->kernel_sends = BIO_ctrl(bio, PFI_TLS_SET_KEY, 1, key) > 0;
	BIO_free(bio);
	return session->kernel_sends;
}

bool pfi_tls_kernel_add(struct pfi_tls_session *session, const char *bytes, size_t size)
{
	const struct head head = {
		.type = session->message_type != 0 ? session->message_type : SSL3_RT_APPLICATION_DATA, .size = (uint32_t)size,
	};

	return pfi_tls_output_append(session, &head, sizeof head) && pfi_tls_output_append(session, bytes, size);
}

static ptrdiff_t send_message(const struct pfi_tls_session *session, uint8_t type, char *bytes, size_t size)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof type)];
	} control = { .bytes = { 0 } };
	struct iovec piece = { bytes, size };
	const struct msghdr message = {
		.msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control,
	};
	ssize_t n;

	control.head = (struct cmsghdr){ .cmsg_level = SOL_TLS, .cmsg_type = TLS_SET_RECORD_TYPE, .cmsg_len = CMSG_LEN(sizeof type) };
	*CMSG_DATA(&control.head) = type;
	do
		n = sendmsg(prefork_connection_fd(session->connection), &message, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

bool pfi_tls_kernel_is_done(const struct pfi_tls_session *session)
{
	struct pollfd pollfd = { .fd = prefork_connection_fd(session->connection), .events = POLLOUT };

	return poll(&pollfd, 1, 0) > 0;
}

/* The first message in `out`. What is left of it gets a new head, in the place of what was sent. */
static int send_first(struct pfi_tls_session *session)
{
	char *const at = session->out + session->out_start;
	struct head head;

	memcpy(&head, at, sizeof head);
	const ptrdiff_t n = send_message(session, head.type, at + sizeof head, head.size);
	if (n < 0)
		return (int)n;
	session->out_start += (size_t)n;
	head.size -= (uint32_t)n;
	if (head.size == 0)
		session->out_start += sizeof head;
	else
		memcpy(session->out + session->out_start, &head, sizeof head);
	return 0;
}

int pfi_tls_kernel_flush(struct pfi_tls_session *session)
{
	int r = 0;

	while (r == 0 && session->out_start < session->out_end)
		r = pfi_tls_kernel_is_done(session) ? send_first(session) : -EAGAIN;
	return r == 0 && !pfi_tls_kernel_is_done(session) ? -EAGAIN : r;
}
