/* The transport of TLS: handshake, decryption and encryption, without blocking. */
#include "tls/tls_worker.h"

#include "tls/tls_error.h"
#include "tls/tls_failure.h"
#include "tls/tls_kernel.h"
#include "tls/tls_session.h"

#include <openssl/err.h>

#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
	DROP_READS = 16,
	RECORD_MAX = SSL3_RT_MAX_PLAIN_LENGTH, /* 16 KiB */
	SEND_MAX = 4 * RECORD_MAX,             /* encrypted before it is sent by one system call */
};

static struct pfi_tls_session *session_of(const struct prefork_connection *connection)
{
	return prefork_transport_data(connection, &pfi_tls_transport);
}

/* The session, locked; NULL: the handshake has not begun. */
static struct pfi_tls_session *lock_session(const struct prefork_connection *connection)
{
	struct pfi_tls_session *const session = session_of(connection);

	if (session != NULL)
		(void)pthread_mutex_lock(&session->lock);
	return session;
}

static void unlock_session(struct pfi_tls_session *session)
{
	(void)pthread_mutex_unlock(&session->lock);
}

/* Whether the next receive needs no event: OpenSSL has read more than it has returned. */
static void note_input(const struct pfi_tls_session *session, bool more)
{
	prefork_transport_set_input(session->connection, more && SSL_has_pending(session->ssl));
}

/* What a handshake waits for while OpenSSL needs input: first, that the client has what was sent. */
static enum prefork_next wait_in_handshake(struct pfi_tls_session *session)
{
	const int r = pfi_tls_session_flush(session);

	if (r < 0 && r != -EAGAIN)
		return PREFORK_CLOSE;
	return r == -EAGAIN ? PREFORK_WAIT_WRITABLE : PREFORK_WAIT_READABLE;
}

/* The last flight is not sent here: unless the service responds at once, receive() or flush() sends it. */
static enum prefork_next finish_handshake(struct pfi_tls_session *session)
{
	session->is_established = true;
	note_input(session, true);
	pfi_tls_session_note_output(session);
	return PREFORK_AGAIN;
}

/* close(2) with unread input would reset the connection, and the client could lose the alert. */
static void drop_input(struct prefork_connection *connection)
{
	char bytes[4096];

	for (int i = 0; i < DROP_READS && prefork_socket_receive(connection, bytes, sizeof bytes) > 0; i++)
		continue;
}

static enum prefork_next establish(struct prefork_connection *connection)
{
	struct pfi_tls_worker *const tls = prefork_transport_user(connection);
	struct pfi_tls_session *session = session_of(connection);

	if (session == NULL) {
		session = pfi_tls_session_create(connection, tls);
		if (session == NULL) {
			pfi_tls_failure_log(tls, connection, "no memory for the session");
			return PREFORK_CLOSE;
		}
		prefork_transport_set_data(connection, session);
	}
	if (session->is_blocked) {
		const enum prefork_next next = wait_in_handshake(session);

		if (next == PREFORK_CLOSE || session->is_blocked)
			return next;
	}
	ERR_clear_error();
	session->reads_left = PFI_TLS_READS_MAX;
	const int r = SSL_do_handshake(session->ssl);
	if (r == 1)
		return finish_handshake(session);
	if (SSL_get_error(session->ssl, r) == SSL_ERROR_WANT_READ)
		return wait_in_handshake(session);
	session->is_failed = true;
	pfi_tls_failure_explain(session);
	(void)pfi_tls_session_flush(session); /* the alert */
	drop_input(connection);
	return PREFORK_CLOSE;
}

static void timed_out(struct prefork_connection *connection)
{
	pfi_tls_failure_log(prefork_transport_user(connection), connection, "handshake_timeout has passed");
}

/* The result of a read that returned nothing. A client that closes without close_notify may have been cut off. */
static ptrdiff_t end_of_input(struct pfi_tls_session *session, int result)
{
	switch (SSL_get_error(session->ssl, result)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		session->is_failed = true;
		ERR_clear_error();
		return session->error < 0 ? session->error : -ECONNRESET;
	}
}

static ptrdiff_t receive_locked(struct pfi_tls_session *session, char *bytes, size_t size)
{
	size_t total = 0, n = 0;

	do {
		ERR_clear_error();
		session->is_starved = false;
		const int r = SSL_read_ex(session->ssl, bytes + total, size - total, &n);

		if (r != 1) {
			const ptrdiff_t end = end_of_input(session, r);

			/* No event would come for what ends the input, or for what follows a message of TLS: the next call
			 * returns it. */
			prefork_transport_set_input(session->connection,
						    end == -EAGAIN ? !session->is_starved && SSL_has_pending(session->ssl) : total > 0);
			return total > 0 ? (ptrdiff_t)total : end;
		}
		total += n;
	} while (total < size && SSL_has_pending(session->ssl));
	note_input(session, true);
	return (ptrdiff_t)total;
}

/* If nothing was received, the service waits: what OpenSSL has written meanwhile (the end of the handshake, or the
 * response to KeyUpdate) is sent now. */
static ptrdiff_t receive(struct prefork_connection *connection, void *bytes, size_t size)
{
	struct pfi_tls_session *const session = lock_session(connection);

	if (session == NULL)
		return -EBADF;
	session->reads_left = PFI_TLS_READS_MAX;
	const ptrdiff_t n = size > 0 ? receive_locked(session, bytes, size) : 0;
	if (n <= 0 && session->out_end > session->out_start)
		(void)pfi_tls_session_flush(session);
	unlock_session(session);
	return n;
}

/* Encrypt. 0 or a negative errno. If the client has sent the beginning of a handshake message of TLS 1.3, such as
 * KeyUpdate, OpenSSL reads the rest first. A client that keeps it back loses the connection: waiting for it while the
 * socket is writable would be a busy loop. */
static int encrypt(struct pfi_tls_session *session, const char *bytes, size_t size)
{
	size_t n = 0;

	session->reads_left = PFI_TLS_READS_MAX;
	for (size_t at = 0; at < size; at += n) {
		ERR_clear_error();
		if (SSL_write_ex(session->ssl, bytes + at, size - at, &n) != 1) {
			session->is_failed = true;
			ERR_clear_error();
			return session->error < 0 ? session->error : -EPIPE;
		}
	}
	return 0;
}

/* The pieces from piece `*piece`, byte `*at` on, at most `max` bytes, copied to `to`. Returns how many. */
static size_t gather(const struct iovec *pieces, int count, int *piece, size_t *at, char *to, size_t max)
{
	size_t size = 0;

	while (*piece < count && size < max) {
		const size_t left = pieces[*piece].iov_len - *at, part = left < max - size ? left : max - size;

		if (part > 0)
			memcpy(to + size, (const char *)pieces[*piece].iov_base + *at, part);
		size += part;
		*at += part;
		if (*at == pieces[*piece].iov_len) {
			(*piece)++;
			*at = 0;
		}
	}
	return size;
}

/* Small pieces share a record; of a large one, whole records are encrypted where they are. */
static ptrdiff_t encrypt_pieces(struct pfi_tls_session *session, const struct iovec *pieces, int count)
{
	char record[RECORD_MAX];
	size_t total = 0, at = 0;
	int piece = 0, r = 0;

	while (r == 0 && piece < count && total < SEND_MAX) {
		const size_t left = pieces[piece].iov_len - at;

		if (left >= RECORD_MAX || (piece == count - 1 && left > 0)) {
			const size_t size = left < SEND_MAX - total ? left : SEND_MAX - total;

			r = encrypt(session, (const char *)pieces[piece].iov_base + at, size);
			total += size;
			at += size;
			if (at == pieces[piece].iov_len) {
				piece++;
				at = 0;
			}
		} else {
			const size_t size = gather(pieces, count, &piece, &at, record, RECORD_MAX);

			r = size > 0 ? encrypt(session, record, size) : 0;
			total += size;
		}
	}
	return r < 0 ? r : (ptrdiff_t)total;
}

/* What the socket did not take before goes first. */
static int make_way(struct pfi_tls_session *session)
{
	if (session->kernel_sends && SSL_get_key_update_type(session->ssl) != SSL_KEY_UPDATE_NONE) {
		session->is_failed = true; /* see tls_kernel.h */
		session->error = -EOPNOTSUPP;
	}
	if (session->is_failed)
		return session->error < 0 ? session->error : -EPIPE;
	const bool has_messages = session->kernel_sends && session->out_end > session->out_start;
	return session->is_blocked || has_messages ? pfi_tls_session_flush(session) : 0;
}

/* `sent` bytes went to the socket, where the kernel encrypts them. */
static ptrdiff_t note_sent(struct pfi_tls_session *session, ptrdiff_t sent)
{
	if (sent > 0) {
		session->is_blocked = !pfi_tls_kernel_is_done(session);
		pfi_tls_session_note_output(session);
	}
	return sent;
}

/* The bytes are taken, whether or not the socket takes all of them now. */
static ptrdiff_t send_out(struct pfi_tls_session *session, ptrdiff_t taken)
{
	const int r = taken > 0 ? pfi_tls_session_flush(session) : 0;

	return r < 0 && r != -EAGAIN ? r : taken;
}

static ptrdiff_t send_pieces(struct prefork_connection *connection, const struct iovec *pieces, int count)
{
	struct pfi_tls_session *const session = lock_session(connection);

	if (session == NULL)
		return -EBADF;
	ptrdiff_t n = make_way(session);
	if (n == 0 && session->kernel_sends)
		n = note_sent(session, prefork_socket_send(connection, pieces, count));
	else if (n == 0)
		n = send_out(session, encrypt_pieces(session, pieces, count));
	unlock_session(session);
	return n;
}

static ptrdiff_t encrypt_file(struct pfi_tls_session *session, int fd, int64_t offset, size_t size)
{
	char record[RECORD_MAX];
	size_t total = 0;

	if (size > SEND_MAX)
		size = SEND_MAX;
	while (total < size) {
		const size_t max = size - total < sizeof record ? size - total : sizeof record;
		const ssize_t n = pread(fd, record, max, (off_t)(offset + (int64_t)total));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return total > 0 ? (ptrdiff_t)total : n < 0 ? -errno : 0;
		const int r = encrypt(session, record, (size_t)n);
		if (r < 0)
			return r;
		total += (size_t)n;
	}
	return (ptrdiff_t)total;
}

static ptrdiff_t send_file(struct prefork_connection *connection, int fd, int64_t *offset, size_t size)
{
	struct pfi_tls_session *const session = lock_session(connection);

	if (session == NULL)
		return -EBADF;
	ptrdiff_t n = make_way(session);
	if (n == 0 && session->kernel_sends) {
		n = note_sent(session, prefork_socket_send_file(connection, fd, offset, size));
	} else if (n == 0) {
		n = send_out(session, encrypt_file(session, fd, *offset, size));
		*offset += n > 0 ? n : 0;
	}
	unlock_session(session);
	return n;
}

static int flush(struct prefork_connection *connection)
{
	struct pfi_tls_session *const session = lock_session(connection);

	if (session == NULL)
		return -EBADF;
	const int r = pfi_tls_session_flush(session);
	unlock_session(session);
	return r;
}

static int end_output(struct prefork_connection *connection)
{
	struct pfi_tls_session *const session = lock_session(connection);

	if (session == NULL)
		return -EBADF;
	pfi_tls_session_notify_close(session);
	session->ends_output = true;
	const int r = pfi_tls_session_flush(session);
	unlock_session(session);
	return r == -EAGAIN ? 0 : r;
}

static void close_session(struct prefork_connection *connection)
{
	struct pfi_tls_session *const session = session_of(connection);

	if (session == NULL)
		return;
	prefork_transport_set_data(connection, NULL);
	pfi_tls_session_notify_close(session);
	if (session->out_end > session->out_start)
		(void)pfi_tls_session_flush(session);
	pfi_tls_session_destroy(session);
}

const struct prefork_transport pfi_tls_transport = {
	.struct_size = sizeof pfi_tls_transport,
	.traits = PREFORK_TRANSPORT_SECURE,
	.receive = receive,
	.send = send_pieces,
	.send_file = send_file,
	.end_output = end_output,
	.flush = flush,
	.establish = establish,
	.timed_out = timed_out,
	.close = close_session,
};
