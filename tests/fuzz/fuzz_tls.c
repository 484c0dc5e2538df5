/*
 * Input: a conversation of a client of OpenSSL with the transport of TLS, over a socket pair; and what happens to the
 * client's bytes on the way: they arrive in pieces, are changed, or others are put between them.
 *
 *     first byte      1: TLS 1.2; 2: ALPN is offered
 *     then, for each step, a byte and its argument:
 *     0 N   the client writes up to 1024 bytes         1 N   so many of its encrypted bytes arrive
 *     2 N   one of these is changed                    3 N   N bytes of the input are put before them
 *     4 N   the server continues, and receives         5 N   the server sends, and the client reads
 *     6 .   the client closes, with close_notify       7 .   the server shuts down its output
 *
 * Whatever happens: each side receives a beginning of what the other one has sent, and nothing else.
 */
#include "tls/tls_session.h"
#include "tls/tls_worker.h"
#include "worker/connection.h"
#include "worker/worker.h"

#include "fuzz.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { STEPS_MAX = 300, STREAM_MAX = 1 << 20, UNIT = 16 };

static struct pfi_tls_worker tls = { .lock = PTHREAD_MUTEX_INITIALIZER, .tickets.lock = PTHREAD_MUTEX_INITIALIZER };
static SSL_CTX *client_context;

struct conversation {
	struct prefork_worker worker;
	struct prefork_connection connection;
	struct pfi_spawn_context context;
	int far_end;
	SSL *client;
	bool established, over, changed;
	size_t written, received; /* by the client, by the server  */
	size_t sent, read;        /* by the server, by the client  */
};

/* Byte `at` of a stream. */
static char byte_at(size_t at)
{
	return (char)(at * 31 + at / 251);
}

static void fill(char *bytes, size_t size, size_t from)
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
static void create_contexts(void)
{
	static const char *const protocols[] = { "http/1.1", NULL };
	const struct pfi_tls_settings values = { .certfile = "test", .alpn_protocols = { protocols, 1 } };
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
}

static void begin(struct conversation *it, uint8_t mode)
{
	int ends[2];

	demand(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
	it->context = (struct pfi_spawn_context){ .pool = "fuzz", .program = "fuzz" };
	it->worker.context = &it->context;
	it->worker.transport = pfi_tls_transport;
	it->worker.transport_given = &pfi_tls_transport;
	it->worker.transport_user = &tls;
	it->connection.worker = &it->worker;
	it->connection.transport = &pfi_tls_transport;
	it->connection.fd = ends[0];
	it->far_end = ends[1];
	tls.worker = &it->worker;
	it->client = SSL_new(client_context);
	demand(it->client != NULL);
	SSL_set_bio(it->client, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	SSL_set_connect_state(it->client);
	(void)SSL_set_tlsext_host_name(it->client, "test");
	if (mode & 1)
		(void)SSL_set_max_proto_version(it->client, TLS1_2_VERSION);
	if (mode & 2)
		(void)SSL_set_alpn_protos(it->client, (const unsigned char *)"\x8http/1.1", 9);
	(void)SSL_do_handshake(it->client);
}

static void end(struct conversation *it)
{
	pfi_tls_transport.close(&it->connection);
	SSL_free(it->client);
	ERR_clear_error();
	(void)close(it->connection.fd);
	(void)close(it->far_end);
}

/* What the server has sent goes to the client. */
static void pump_back(struct conversation *it)
{
	char bytes[8192];
	ssize_t n;

	while ((n = recv(it->far_end, bytes, sizeof bytes, 0)) > 0)
		(void)BIO_write(SSL_get_rbio(it->client), bytes, (int)n);
	if (!SSL_is_init_finished(it->client))
		(void)SSL_do_handshake(it->client);
	while (SSL_is_init_finished(it->client) && (n = SSL_read(it->client, bytes, sizeof bytes)) > 0) {
		compare(bytes, (size_t)n, it->read);
		it->read += (size_t)n;
		demand(it->read <= it->sent);
	}
	ERR_clear_error();
}

static void client_writes(struct conversation *it, uint8_t argument)
{
	char bytes[UNIT * 256];
	const size_t size = UNIT * (size_t)argument + 1;

	if (!SSL_is_init_finished(it->client) || it->written > STREAM_MAX)
		return;
	fill(bytes, size, it->written);
	if (SSL_write(it->client, bytes, (int)size) == (int)size)
		it->written += size;
	ERR_clear_error();
}

static void arrive(struct conversation *it, size_t size, size_t change)
{
	char bytes[4096];
	const int n = BIO_read(SSL_get_wbio(it->client), bytes, (int)(size < sizeof bytes ? size : sizeof bytes));

	if (n <= 0)
		return;
	if (change < (size_t)n) {
		bytes[change] ^= 0x20;
		it->changed = true;
	}
	(void)!send(it->far_end, bytes, (size_t)n, MSG_NOSIGNAL);
}

static void server_continues(struct conversation *it, uint8_t argument)
{
	char bytes[UNIT * 256];

	if (it->over)
		return;
	if (!it->established) {
		const enum prefork_next next = pfi_tls_transport.establish(&it->connection);

		it->established = next == PREFORK_AGAIN;
		it->over = next == PREFORK_CLOSE;
		demand(it->changed || !it->over);
		return;
	}
	const ptrdiff_t n = pfi_tls_transport.receive(&it->connection, bytes, UNIT * (size_t)argument + 1);
	if (n > 0) {
		compare(bytes, (size_t)n, it->received);
		it->received += (size_t)n;
		demand(it->received <= it->written);
	}
	it->over = n == 0 || (n < 0 && n != -EAGAIN);
}

static void server_sends(struct conversation *it, uint8_t argument)
{
	static char bytes[256 * 256];
	const size_t size = 256 * (size_t)argument;
	const struct iovec pieces[] = { { bytes, size / 3 }, { bytes + size / 3, size - size / 3 } };

	if (it->established && !it->over && it->sent < STREAM_MAX && size > 0) {
		fill(bytes, size, it->sent);
		const ptrdiff_t n = pfi_tls_transport.send(&it->connection, pieces, 2);
		demand(n <= (ptrdiff_t)size);
		it->sent += n > 0 ? (size_t)n : 0;
	}
	pump_back(it);
}

static size_t step(struct conversation *it, const uint8_t *data, size_t size)
{
	const uint8_t argument = data[1];
	size_t more = 0;

	switch (data[0] % 8) {
	case 0:
		client_writes(it, argument);
		break;
	case 1:
		arrive(it, UNIT * (size_t)argument + 1, SIZE_MAX);
		break;
	case 2:
		arrive(it, (size_t)argument + 1, argument / 2);
		break;
	case 3:
		more = argument < size - 2 ? argument : size - 2;
		it->changed = it->changed || more > 0;
		(void)!send(it->far_end, data + 2, more, MSG_NOSIGNAL);
		break;
	case 4:
		server_continues(it, argument);
		break;
	case 5:
		server_sends(it, argument);
		break;
	case 6:
		it->changed = it->changed || !it->established; /* it ends the handshake */
		(void)SSL_shutdown(it->client);
		ERR_clear_error();
		break;
	default:
		if (it->established && !it->over)
			(void)pfi_tls_transport.end_output(&it->connection);
		it->over = true;
	}
	return 2 + more;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conversation it = { 0 };

	if (tls.contexts == NULL)
		create_contexts();
	if (size < 1)
		return 0;
	begin(&it, data[0]);
	data++, size--;
	for (int i = 0; i < STEPS_MAX && size >= 2; i++) {
		const size_t used = step(&it, data, size);

		data += used;
		size -= used;
	}
	end(&it);
	return 0;
}
