/*
 * tls_ends -- a connection with the transport of TLS on one side of a socket pair, and a client of OpenSSL on the other:
 * for fuzzers.
 *
 * Each side sends the bytes of one stream, and the other one receives a beginning of it, whatever happens.
 */
#ifndef TESTS_TLS_ENDS_H
#define TESTS_TLS_ENDS_H

#include "worker/connection.h"
#include "worker/spawn_context.h"
#include "worker/worker.h"

#include <openssl/ssl.h>

#include <stdbool.h>
#include <stddef.h>

enum { TLS_ENDS_UNIT = 16, TLS_ENDS_STREAM_MAX = 1 << 20 };

struct tls_ends {
	struct prefork_worker worker;
	struct prefork_connection connection;
	struct pfi_spawn_context context;
	int far_end;
	SSL *client;
	bool established, over;   /* of the server */
	size_t written, received; /* by the client, by the server  */
	size_t sent, read;        /* by the server, by the client  */
};

/* Create the contexts, with a certificate that has signed itself; `ciphers`: of both, NULL: as usual. Once. */
void tls_ends_prepare(const char *ciphers);

/* A client with at most this version (0: any), which has sent its hello to memory; `alpn`: it offers http/1.1. */
void tls_ends_open(struct tls_ends *ends, int version_max, bool alpn);
void tls_ends_close(struct tls_ends *ends);

/* The next `size` bytes of a stream, from byte `from` on. */
void tls_ends_fill(char *bytes, size_t size, size_t from);

/* The server continues its handshake, or receives at most `size` bytes. */
void tls_ends_receive(struct tls_ends *ends, size_t size);

/* The server sends so many bytes, in two pieces. */
void tls_ends_send(struct tls_ends *ends, size_t size);

/* What the server has sent goes to the client. */
void tls_ends_pump_back(struct tls_ends *ends);

#endif
