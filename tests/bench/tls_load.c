/*
 * tls_load -- HTTPS requests without a pause, on one thread: PORT MODE COUNT.
 *
 *     full     a connection with a full handshake for each request
 *     resumed  a connection that resumes the session of the one before
 *     kept     all requests on one connection
 *
 * It prints how many sessions were resumed. The cipher suite is TLS_AES_128_GCM_SHA256 of TLS 1.3.
 */
#include <openssl/ssl.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char last[] = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
static const char next[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
static SSL_SESSION *session;

static void fail(const char *what)
{
	(void)fprintf(stderr, "tls_load: %s failed\n", what);
	exit(1);
}

static int on_session(SSL *ssl, SSL_SESSION *fresh)
{
	(void)ssl;
	SSL_SESSION_free(session);
	session = fresh;
	return 1;
}

static SSL *open_connection(SSL_CTX *context, int port, int resumes)
{
	const struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
					     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	SSL *const ssl = SSL_new(context);

	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
		fail("connect");
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	(void)SSL_set_fd(ssl, fd);
	(void)SSL_set_tlsext_host_name(ssl, "localhost");
	if (resumes && session != NULL)
		(void)SSL_set_session(ssl, session);
	if (SSL_connect(ssl) != 1)
		fail("handshake");
	return ssl;
}

static void close_connection(SSL *ssl)
{
	const int fd = SSL_get_fd(ssl);

	(void)SSL_shutdown(ssl);
	SSL_free(ssl);
	(void)close(fd);
}

/* One request; until the end of the connection, or the end of the head and a body of a few bytes. */
static void request(SSL *ssl, const char *text, int to_end)
{
	char bytes[4096];
	int n;

	if (SSL_write(ssl, text, (int)strlen(text)) <= 0)
		fail("write");
	do {
		n = SSL_read(ssl, bytes, sizeof bytes);
		if (n <= 0 && !to_end)
			fail("read");
	} while (n > 0 && to_end);
}

int main(int argc, char **argv)
{
	SSL_CTX *const context = SSL_CTX_new(TLS_client_method());
	const int port = argc == 4 ? atoi(argv[1]) : 0, count = argc == 4 ? atoi(argv[3]) : 0;
	const int kept = argc == 4 && strcmp(argv[2], "kept") == 0, resumes = argc == 4 && strcmp(argv[2], "resumed") == 0;
	int resumed = 0;
	SSL *ssl = NULL;

	if (count == 0 || SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") != 1)
		fail("start");
	(void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(context, on_session);
	for (int i = 0; i < count; i++) {
		if (ssl == NULL)
			ssl = open_connection(context, port, resumes);
		resumed += i > 0 && SSL_session_reused(ssl);
		request(ssl, kept ? next : last, !kept);
		if (kept)
			continue;
		close_connection(ssl);
		ssl = NULL;
	}
	if (ssl != NULL)
		close_connection(ssl);
	(void)printf("%d of %d resumed\n", resumed, count - 1);
	return 0;
}
