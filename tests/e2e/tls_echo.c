/*
 * A server for test_tls_peers.py with two services that are not HTTP: "echo" with the files of the settings, and
 * "own", on the address in OWN_BIND, with a context (SSL_CTX) that this program has made itself. A third one, on the
 * address in PLAIN_BIND, is without TLS.
 */
#include <prefork/prefork.h>
#include <prefork/tls.h>

#include <openssl/ssl.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { LARGE = 15 * 65536 + 60000 }; /* in pieces that the transport takes as a whole */

/* The server speaks first. */
static enum prefork_next accepted(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	(void)worker;
	return prefork_connection_write(connection, user, 6);
}

/* More than the socket takes at once, and then a wait for what the client says to that. */
static enum prefork_next send_large(struct prefork_connection *connection)
{
	static char bytes[LARGE];
	const int size = 4096;
	size_t sent = 0;

	(void)setsockopt(prefork_connection_fd(connection), SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	while (sent < LARGE) {
		const struct iovec piece = { bytes + sent, LARGE - sent };
		const ptrdiff_t n = prefork_connection_send(connection, &piece, 1);

		if (n < 0 && (n != -EAGAIN || prefork_connection_wait(connection, PREFORK_WAIT_WRITABLE, 0) < 0))
			return PREFORK_CLOSE;
		sent += n > 0 ? (size_t)n : 0;
	}
	(void)fputs("All is taken, now wait for input\n", stderr);
	return prefork_connection_wait(connection, PREFORK_WAIT_READABLE, 0) < 0 ? PREFORK_CLOSE : PREFORK_AGAIN;
}

/* The end of input is answered with the end of output, and "L" with LARGE bytes. */
static enum prefork_next ready(struct prefork_worker *worker, struct prefork_connection *connection, void *user)
{
	char bytes[1000];
	const ptrdiff_t n = prefork_connection_read(connection, bytes, sizeof bytes);

	(void)worker, (void)user;
	if (n == 1 && bytes[0] == 'L')
		return send_large(connection);
	if (n > 0)
		return prefork_connection_write(connection, bytes, (size_t)n);
	if (n == 0)
		prefork_connection_end_output(connection);
	return n == -EAGAIN ? PREFORK_WAIT_READABLE : PREFORK_CLOSE;
}

static const struct prefork_service service = { .struct_size = sizeof service, .accepted = accepted, .ready = ready };

static int select_echo(SSL *ssl, const unsigned char **ret, unsigned char *ret_size, const unsigned char *offered,
		       unsigned size, void *user)
{
	static const unsigned char mine[] = "\4echo";

	(void)ssl, (void)user;
	return SSL_select_next_proto((unsigned char **)(void *)ret, ret_size, mine, sizeof mine - 1, offered, size) ==
			       OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

static char hello_files[] = "files\n", hello_own[] = "own..\n", hello_plain[] = "plain\n";

static SSL_CTX *create_context(void)
{
	SSL_CTX *const context = SSL_CTX_new(TLS_server_method());

	SSL_CTX_set_alpn_select_cb(context, select_echo, NULL);
	if (SSL_CTX_use_certificate_file(context, getenv("OWN_CERTIFICATE"), SSL_FILETYPE_PEM) == 1 &&
	    SSL_CTX_use_PrivateKey_file(context, getenv("OWN_KEY"), SSL_FILETYPE_PEM) == 1)
		return context;
	SSL_CTX_free(context);
	return NULL;
}

static int add_plain(struct prefork_arbiter *arbiter)
{
	struct prefork_pool *plain = NULL;
	int r = prefork_arbiter_add_pool(arbiter, "plain", NULL, &service, hello_plain, &plain);

	if (r == 0)
		r = prefork_pool_set(plain, "bind", getenv("PLAIN_BIND"));
	if (r == 0)
		r = prefork_pool_set(plain, "certfile", "");
	return r == 0 ? prefork_pool_set(plain, "keyfile", "") : r;
}

static int add_pools(struct prefork_arbiter *arbiter, struct prefork_tls *tls, SSL_CTX *context)
{
	struct prefork_pool *own = NULL;
	int r = prefork_arbiter_add_service(arbiter, "echo", &service, hello_files);

	if (r == 0)
		r = prefork_arbiter_add_pool(arbiter, "own", NULL, &service, hello_own, &own);
	if (r == 0)
		r = prefork_pool_set(own, "bind", getenv("OWN_BIND"));
	if (r == 0)
		r = prefork_tls_use_context(tls, "own", context);
	if (r == 0 && prefork_tls_use_context(tls, "own", context) != -EEXIST)
		r = -EPROTO;
	return r == 0 ? add_plain(arbiter) : r;
}

int main(int argc, char **argv)
{
	struct prefork_settings *settings = NULL;
	struct prefork_arbiter *arbiter = NULL;
	struct prefork_tls *tls = NULL;
	SSL_CTX *const context = create_context();
	int r = context != NULL ? prefork_settings_create(&settings) : -EINVAL;

	if (r == 0 && (r = prefork_tls_add_options(settings)) == 0 &&
	    (r = prefork_settings_set_default(settings, "alpn_protocols", "")) == 0 &&
	    (r = prefork_settings_parse(settings, argc, argv)) == 0 &&
	    (r = prefork_arbiter_create(settings, &arbiter)) == 0 && (r = prefork_tls_attach(arbiter, &tls)) == 0 &&
	    (r = add_pools(arbiter, tls, context)) == 0)
		r = prefork_arbiter_run(arbiter);
	if (r < 0)
		fprintf(stderr, "tls_echo: %s\n", prefork_error());
	SSL_CTX_free(context);
	prefork_arbiter_destroy(arbiter);
	prefork_settings_destroy(settings);
	return prefork_exit_status(r);
}
