/*
 * Input: records of TLS 1.2 that a client sends after its handshake. The cipher is a null cipher (NULL-SHA), whose key for
 * the checksum the fuzzer knows: so every record, whatever is in it, reaches what comes behind decryption.
 *
 *     for each step, a byte and its argument:
 *     0 N   a record with N * 16 + 1 bytes of application data   1 N   one without data, N % 4 times
 *     2 N   the next N / 5 bytes of the input, as a record of type 20 + N % 5: a message of TLS
 *     3 N   of the last record, only the first half arrives at first; N % 2: the rest never does
 *     4 N   the server receives N * 16 + 1 bytes                 5 N   the server sends N * 256, and the client reads
 *     6 N   N % 2: a record with a wrong checksum; or the socket ends
 *     7 .   the server shuts down its output
 *
 * Whatever happens: each side receives a beginning of what the other one has sent, and nothing else.
 */
#include "tls/tls_worker.h"

#include "fuzz.h"
#include "tls_ends.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>

#include <stdio.h>
#include <sys/socket.h>

enum { STEPS_MAX = 300, CHECKSUM = 20, HEAD = 5, RECORD_MAX = TLS_ENDS_UNIT * 256, SECRET_MAX = 48, RANDOM = 32 };

struct conversation {
	struct tls_ends ends;
	unsigned char key[CHECKSUM]; /* of the client's checksums */
	uint64_t sequence;
	bool halves, loses;          /* the next record arrives in two parts, or the second one never does */
};

/* The first part of the key block is the key of the client (RFC 5246, section 6.3). */
static void derive_key(struct conversation *it)
{
	unsigned char secret[SECRET_MAX], seed[13 + 2 * RANDOM] = "key expansion";
	EVP_KDF *const kdf = EVP_KDF_fetch(NULL, "TLS1-PRF", NULL);
	EVP_KDF_CTX *const context = EVP_KDF_CTX_new(kdf);
	const size_t size = SSL_SESSION_get_master_key(SSL_get_session(it->ends.client), secret, sizeof secret);

	(void)SSL_get_server_random(it->ends.client, seed + 13, RANDOM);
	(void)SSL_get_client_random(it->ends.client, seed + 13 + RANDOM, RANDOM);
	const OSSL_PARAM parameters[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char[]){ "SHA256" }, 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, secret, size),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, seed, sizeof seed), OSSL_PARAM_construct_end(),
	};

	demand(EVP_KDF_derive(context, it->key, sizeof it->key, parameters) == 1);
	EVP_KDF_CTX_free(context);
	EVP_KDF_free(kdf);
	it->sequence = 1; /* Finished was 0 */
}

static void put(unsigned char *to, uint64_t number, size_t size)
{
	for (size_t i = 0; i < size; i++)
		to[i] = (unsigned char)(number >> 8 * (size - 1 - i));
}

/* RFC 5246, section 6.2.3.1. `damage` is added to the checksum. */
static void send_record(struct conversation *it, uint8_t type, const void *bytes, size_t size, unsigned char damage)
{
	unsigned char record[HEAD + RECORD_MAX + CHECKSUM], text[8 + HEAD + RECORD_MAX];
	const size_t total = HEAD + size + CHECKSUM, first = it->halves ? total / 2 : total;

	put(text, it->sequence++, 8);
	text[8] = record[0] = type;
	put(text + 9, TLS1_2_VERSION, 2);
	put(record + 1, TLS1_2_VERSION, 2);
	put(text + 11, size, 2);
	put(record + 3, size + CHECKSUM, 2);
	if (size > 0)
		memcpy(text + 13, bytes, size), memcpy(record + HEAD, bytes, size);
	demand(HMAC(EVP_sha1(), it->key, sizeof it->key, text, 13 + size, record + HEAD + size, NULL) != NULL);
	record[total - 1] = (unsigned char)(record[total - 1] + damage);
	(void)!send(it->ends.far_end, record, first, MSG_NOSIGNAL);
	if (first < total) {
		tls_ends_receive(&it->ends, TLS_ENDS_UNIT);
		if (!it->loses)
			(void)!send(it->ends.far_end, record + first, total - first, MSG_NOSIGNAL);
	}
	it->halves = false;
}

static void send_data(struct conversation *it, size_t size, unsigned char damage)
{
	char bytes[RECORD_MAX];

	if (it->ends.written > TLS_ENDS_STREAM_MAX)
		return;
	tls_ends_fill(bytes, size, it->ends.written);
	it->ends.written += damage == 0 ? size : 0;
	send_record(it, SSL3_RT_APPLICATION_DATA, bytes, size, damage);
}

static size_t step(struct conversation *it, const uint8_t *data, size_t size)
{
	const uint8_t argument = data[1];
	size_t more = 0;

	switch (data[0] % 8) {
	case 0:
		send_data(it, TLS_ENDS_UNIT * (size_t)argument + 1, 0);
		break;
	case 1:
		for (int i = 0; i < argument % 4; i++)
			send_data(it, 0, 0);
		break;
	case 2:
		more = argument / 5u < size - 2 ? argument / 5u : size - 2;
		if (argument % 5 != 3) /* 23 would be application data */
			send_record(it, (uint8_t)(SSL3_RT_CHANGE_CIPHER_SPEC + argument % 5), data + 2, more, 0);
		break;
	case 3:
		it->halves = true;
		it->loses = argument % 2 == 1;
		break;
	case 4:
		tls_ends_receive(&it->ends, TLS_ENDS_UNIT * (size_t)argument + 1);
		break;
	case 5:
		tls_ends_send(&it->ends, 256 * (size_t)argument);
		break;
	case 6:
		if (argument % 2 == 1)
			send_data(it, argument, 1);
		else
			(void)shutdown(it->ends.far_end, SHUT_WR);
		break;
	default:
		if (it->ends.established && !it->ends.over)
			(void)pfi_tls_transport.end_output(&it->ends.connection);
		it->ends.over = true;
	}
	return 2 + more;
}

/* What the client has written in its handshake arrives. */
static void pump(struct tls_ends *ends)
{
	char bytes[4096];
	int n;

	while ((n = BIO_read(SSL_get_wbio(ends->client), bytes, sizeof bytes)) > 0)
		demand(send(ends->far_end, bytes, (size_t)n, MSG_NOSIGNAL) == n);
}

static void do_handshake(struct conversation *it)
{
	while (!it->ends.established) {
		pump(&it->ends);
		tls_ends_receive(&it->ends, 1);
		demand(!it->ends.over);
		tls_ends_pump_back(&it->ends);
	}
	while (!SSL_is_init_finished(it->ends.client)) { /* the end of the server's handshake is sent with its first receive */
		tls_ends_receive(&it->ends, 1);
		tls_ends_pump_back(&it->ends);
	}
	derive_key(it);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool is_prepared;
	struct conversation it = { .sequence = 0 };

	if (!is_prepared)
		tls_ends_prepare("ECDHE-ECDSA-NULL-SHA:@SECLEVEL=0");
	is_prepared = true;
	tls_ends_open(&it.ends, TLS1_2_VERSION, false);
	do_handshake(&it);
	for (int i = 0; i < STEPS_MAX && size >= 2; i++) {
		const size_t used = step(&it, data, size);

		data += used;
		size -= used;
	}
	tls_ends_close(&it.ends);
	return 0;
}
