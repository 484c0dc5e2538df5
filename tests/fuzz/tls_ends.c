/* A connection with the transport of TLS, and a client of OpenSSL. */
#include "tls_ends.h"

#include "tls/tls_session.h"
#include "tls/tls_worker.h"

#include "fuzz.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static struct pfi_tls_worker tls = { .lock = PTHREAD_MUTEX_INITIALIZER, .tickets.lock = PTHREAD_MUTEX_INITIALIZER };
static SSL_CTX *client_context;

/* Byte `at` of a stream. */
static char byte_at(size_t at)
{
	return (char)(at * 31 + at / 251);
}

void tls_ends_fill(char *bytes, size_t size, size_t from)
{
	for (size_t i = 0; i < size; i++)
		bytes[i] = byte_at(from + i);
}

static void compare(const char *bytes, size_t size, size_t from)
{
	for (size_t i = 0; i < size; i++)
		demand(bytes[i] == byte_at(from + i));
}

static void add_pem(struct pfi_tls_records *records, enum pfi_tls_record_type type, BIO *bio)
{
	char *bytes;
	const long size = BIO_get_mem_data(bio, &bytes);

	demand(pfi_tls_records_add(records, type, bytes, (size_t)size) == 0);
	(void)BIO_reset(bio);
}

/* A certificate that it has signed itself. */
void tls_ends_prepare(const char *ciphers)
{
	static const char *const protocols[] = { "http/1.1", NULL };
	const struct pfi_tls_settings values = { .certfile = "test", .ciphers = ciphers, .alpn_protocols = { protocols, 1 } };
	struct pfi_tls_records records = { 0 };
	EVP_PKEY *const key = EVP_EC_gen("P-256");
	X509 *const certificate = X509_new();
	BIO *const bio = BIO_new(BIO_s_mem());
	struct pfi_tls_ticket_keys keys = { .count = 0 };

	demand(key != NULL && certificate != NULL && bio != NULL && X509_set_pubkey(certificate, key) == 1);
	(void)X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
	(void)X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
	(void)X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
	demand(X509_sign(certificate, key, EVP_sha256()) > 0);
	demand(pfi_tls_records_add(&records, PFI_TLS_RECORD_PAIR, "test", 4) == 0);
	demand(PEM_write_bio_X509(bio, certificate) == 1);
	add_pem(&records, PFI_TLS_RECORD_CERTIFICATE, bio);
	demand(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1);
	add_pem(&records, PFI_TLS_RECORD_KEY, bio);
	demand(pfi_tls_ticket_keys_rotate(&keys) == 0);
	pfi_tls_tickets_set(&tls.tickets, &keys);
	demand(pfi_tls_contexts_create(&values, &records, &tls.tickets, &tls.contexts) == 0);
	pfi_tls_records_clear(&records);
	BIO_free(bio);
	X509_free(certificate);
	EVP_PKEY_free(key);
	tls.method = pfi_tls_session_method();
	client_context = SSL_CTX_new(TLS_client_method());
	demand(tls.method != NULL && client_context != NULL);
	demand(ciphers == NULL || SSL_CTX_set_cipher_list(client_context, ciphers) == 1);
}

void tls_ends_open(struct tls_ends *ends, int version_max, bool alpn)
{
	int fds[2];

	demand(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
	ends->context = (struct pfi_spawn_context){ .pool = "fuzz", .program = "fuzz" };
	ends->worker.context = &ends->context;
	ends->worker.transport = pfi_tls_transport;
	ends->worker.transport_given = &pfi_tls_transport;
	ends->worker.transport_user = &tls;
	ends->connection.worker = &ends->worker;
	ends->connection.transport = &pfi_tls_transport;
	ends->connection.fd = fds[0];
	ends->far_end = fds[1];
	tls.worker = &ends->worker;
	ends->client = SSL_new(client_context);
	demand(ends->client != NULL);
	SSL_set_bio(ends->client, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	SSL_set_connect_state(ends->client);
	(void)SSL_set_tlsext_host_name(ends->client, "test");
	if (version_max != 0)
		(void)SSL_set_max_proto_version(ends->client, version_max);
	if (alpn)
		(void)SSL_set_alpn_protos(ends->client, (const unsigned char *)"\x8http/1.1", 9);
	(void)SSL_do_handshake(ends->client);
}

void tls_ends_close(struct tls_ends *ends)
{
	pfi_tls_transport.close(&ends->connection);
	SSL_free(ends->client);
	ERR_clear_error();
	(void)close(ends->connection.fd);
	(void)close(ends->far_end);
}

void tls_ends_pump_back(struct tls_ends *ends)
{
	char bytes[8192];
	ssize_t n;

	while ((n = recv(ends->far_end, bytes, sizeof bytes, 0)) > 0)
		(void)BIO_write(SSL_get_rbio(ends->client), bytes, (int)n);
	if (!SSL_is_init_finished(ends->client))
		(void)SSL_do_handshake(ends->client);
	while (SSL_is_init_finished(ends->client) && (n = SSL_read(ends->client, bytes, sizeof bytes)) > 0) {
		compare(bytes, (size_t)n, ends->read);
		ends->read += (size_t)n;
		demand(ends->read <= ends->sent);
	}
	ERR_clear_error();
}

void tls_ends_receive(struct tls_ends *ends, size_t size)
{
	char bytes[TLS_ENDS_UNIT * 256];

	if (ends->over)
		return;
	if (!ends->established) {
		const enum prefork_next next = pfi_tls_transport.establish(&ends->connection);

		ends->established = next == PREFORK_AGAIN;
		ends->over = next == PREFORK_CLOSE;
		return;
	}
	const ptrdiff_t n = pfi_tls_transport.receive(&ends->connection, bytes, size < sizeof bytes ? size : sizeof bytes);
	if (n > 0) {
		compare(bytes, (size_t)n, ends->received);
		ends->received += (size_t)n;
		demand(ends->received <= ends->written);
	}
	ends->over = n == 0 || (n < 0 && n != -EAGAIN);
}

void tls_ends_send(struct tls_ends *ends, size_t size)
{
	static char bytes[256 * 256];
	const struct iovec pieces[] = { { bytes, size / 3 }, { bytes + size / 3, size - size / 3 } };

	if (ends->established && !ends->over && ends->sent < TLS_ENDS_STREAM_MAX && size > 0 && size <= sizeof bytes) {
		tls_ends_fill(bytes, size, ends->sent);
		const ptrdiff_t n = pfi_tls_transport.send(&ends->connection, pieces, 2);
		demand(n <= (ptrdiff_t)size);
		ends->sent += n > 0 ? (size_t)n : 0;
	}
	tls_ends_pump_back(ends);
}
