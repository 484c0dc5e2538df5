/* Creates the SSL of a connection, and connects it with the socket. */
#include "tls/tls_session.h"

#include "tls/tls_kernel.h"
#include "tls/tls_output.h"
#include "tls/tls_variables.h"
#include "tls/tls_worker.h"

#include <openssl/err.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

static int read_socket(BIO *bio, char *bytes, int size)
{
	struct pfi_tls_session *const session = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	if (session->reads_left == 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	session->reads_left--;
	const ptrdiff_t n = prefork_socket_receive(session->connection, bytes, (size_t)size);

	if (n > 0) {
		session->has_received = true;
		return (int)n;
	}
	session->is_starved = n == -EAGAIN;
	if (n == -EAGAIN)
		BIO_set_retry_read(bio);
	else if (n == 0)
		session->is_at_end = true;
	else
		session->error = (int)n;
	return n == 0 ? 0 : -1;
}

static int write_socket(BIO *bio, const char *bytes, int size)
{
	struct pfi_tls_session *const session = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	if (size <= 0)
		return 0;
	const bool is_added = session->kernel_sends ? pfi_tls_kernel_add(session, bytes, (size_t)size) :
						      pfi_tls_output_append(session, bytes, (size_t)size);
	return is_added ? size : -1;
}

static long control(BIO *bio, int command, long number, void *pointer)
{
	struct pfi_tls_session *const session = BIO_get_data(bio);

	switch (command) {
	case BIO_CTRL_FLUSH: /* pfi_tls_session_flush() sends it */
	case BIO_CTRL_DUP:
		return 1;
	case BIO_CTRL_EOF:
		return session != NULL && session->is_at_end;
	case PFI_TLS_SET_KEY:
		return number != 0 && pfi_tls_session_flush(session) == 0 && pfi_tls_kernel_start(session, pointer);
	case BIO_CTRL_GET_KTLS_SEND:
		return session != NULL && session->kernel_sends;
	case PFI_TLS_SET_MESSAGE:
	case PFI_TLS_CLEAR_MESSAGE:
		session->message_type = command == PFI_TLS_SET_MESSAGE ? (uint8_t)number : 0;
		return 0;
	default:
		return 0;
	}
}

static int create(BIO *bio)
{
	BIO_set_init(bio, 1);
	return 1;
}

BIO_METHOD *pfi_tls_session_method(void)
{
	BIO_METHOD *const method = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(), "prefork connection");

	if (method != NULL && BIO_meth_set_read(method, read_socket) == 1 && BIO_meth_set_write(method, write_socket) == 1 &&
	    BIO_meth_set_ctrl(method, control) == 1 && BIO_meth_set_create(method, create) == 1)
		return method;
	BIO_meth_free(method);
	return NULL;
}

static bool set_up(struct pfi_tls_session *session)
{
	BIO *bio;

	session->ssl = SSL_new(session->contexts->list[0].context);
	if (session->ssl == NULL)
		return false;
	bio = BIO_new(session->worker->method);
	if (bio == NULL)
		return false;
	BIO_set_data(bio, session);
	SSL_set_bio(session->ssl, bio, bio);
	SSL_set_accept_state(session->ssl);
	/* Here and not in the context, which may be one of the application. With read-ahead, a request costs one recv(2). */
	(void)SSL_set_mode(session->ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
						 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* A client that sends messages of TLS without a pause, such as KeyUpdate, gets one of them processed in its turn. */
	(void)SSL_clear_mode(session->ssl, SSL_MODE_AUTO_RETRY);
	(void)SSL_set_options(session->ssl, SSL_OP_NO_RENEGOTIATION | (session->worker->uses_kernel ? SSL_OP_ENABLE_KTLS : 0));
	SSL_set_read_ahead(session->ssl, 1);
	return true;
}

struct pfi_tls_session *pfi_tls_session_create(struct prefork_connection *connection, struct pfi_tls_worker *worker)
{
	struct pfi_tls_session *const session = calloc(1, sizeof *session);

	if (session == NULL)
		return NULL;
	session->connection = connection;
	session->worker = worker;
	(void)pthread_mutex_init(&session->lock, NULL);
	session->contexts = pfi_tls_worker_contexts(worker);
	ERR_clear_error();
	if (set_up(session))
		return session;
	ERR_clear_error();
	pfi_tls_session_destroy(session);
	return NULL;
}

void pfi_tls_session_destroy(struct pfi_tls_session *session)
{
	if (session == NULL)
		return;
	pfi_tls_variables_destroy(session->variables);
	SSL_free(session->ssl);
	pfi_tls_contexts_unref(session->contexts);
	(void)pthread_mutex_destroy(&session->lock);
	free(session->out);
	free(session);
}

void pfi_tls_session_note_output(struct pfi_tls_session *session)
{
	const size_t size = session->out_end - session->out_start;

	prefork_transport_set_output(session->connection, size > 0 ? size : session->is_blocked);
}

static void drop(struct pfi_tls_session *session)
{
	free(session->out);
	session->out = NULL;
	session->out_start = session->out_end = session->out_capacity = 0;
	session->is_blocked = false;
}

static int send_out(struct pfi_tls_session *session)
{
	while (session->out_start < session->out_end) {
		const struct iovec piece = { session->out + session->out_start, session->out_end - session->out_start };
		const ptrdiff_t n = prefork_socket_send(session->connection, &piece, 1);

		if (n < 0)
			return (int)n;
		session->out_start += (size_t)n;
	}
	return 0;
}

int pfi_tls_session_flush(struct pfi_tls_session *session)
{
	int r = session->kernel_sends ? pfi_tls_kernel_flush(session) : send_out(session);

	session->is_blocked = r == -EAGAIN;
	if (r != -EAGAIN)
		drop(session);
	if (r == 0 && session->ends_output) {
		session->ends_output = false;
		r = prefork_socket_end_output(session->connection);
	}
	pfi_tls_session_note_output(session);
	return r;
}

/* Not after a fatal error (SSL_get_error(3)), and not within a handshake. */
void pfi_tls_session_notify_close(struct pfi_tls_session *session)
{
	if (session->is_failed || !session->is_established || (SSL_get_shutdown(session->ssl) & SSL_SENT_SHUTDOWN))
		return;
	ERR_clear_error();
	(void)SSL_shutdown(session->ssl);
	ERR_clear_error();
}
