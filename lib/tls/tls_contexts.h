/*
 * tls_contexts -- the contexts of OpenSSL (SSL_CTX) that serve a pool: one for each certificate.
 *
 * Certificates for the same names with keys of several types share a context (tls_pairs.h).
 *
 * The arbiter makes them before it forks, so that a wrong file stops the start or the reload, and workers inherit them.
 * A worker makes new ones when the arbiter sends it changed files (tls_records.h). Each connection holds a reference to
 * those that were in force when it began.
 *
 * Resumption never crosses server names or rules for clients' certificates: the session id context of a connection is
 * a hash of its server name, ca_certs and cert_reqs, and is set before OpenSSL decides about a ticket (CVE-2025-23419
 * of nginx is what happens otherwise).
 *
 * Threads: immutable, except for the count of references.
 */
#ifndef TLS_TLS_CONTEXTS_H
#define TLS_TLS_CONTEXTS_H

#include "tls/tls_names.h"
#include "tls/tls_records.h"
#include "tls/tls_rows.h"
#include "tls/tls_tickets.h"

#include <openssl/ssl.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

enum { PFI_TLS_IDENTITY_SIZE = 32 }; /* SHA-256; SSL_MAX_SID_CTX_LENGTH is the same */

struct pfi_tls_certificate {
	SSL_CTX *context; /* a reference */
	X509 *x509;       /* of the context */
	unsigned char *ocsp;
	size_t ocsp_size;
	time_t ocsp_until; /* nextUpdate; 0: it has none */
};

struct pfi_tls_contexts {
	atomic_uint references;
	struct pfi_tls_certificate *list; /* the first one serves other names */
	size_t count;
	struct pfi_tls_names names;
	unsigned char *alpn; /* each name after its length; NULL: no ALPN */
	size_t alpn_size;
	unsigned char identity[PFI_TLS_IDENTITY_SIZE];
	struct pfi_tls_tickets *tickets; /* borrowed */
	bool is_application; /* the context is one of the application, which has set it up */
};

/* Make *new* contexts. 0; PREFORK_ECONFIG with an error message that names the setting and the file; or -ENOMEM. */
int pfi_tls_contexts_create(const struct pfi_tls_settings *values, const struct pfi_tls_records *records,
			    struct pfi_tls_tickets *tickets, struct pfi_tls_contexts **ret);

/* *New* contexts that consist of one of the application, of which they take a reference. NULL: no memory. */
struct pfi_tls_contexts *pfi_tls_contexts_wrap(SSL_CTX *context);

struct pfi_tls_contexts *pfi_tls_contexts_ref(struct pfi_tls_contexts *contexts);

/* NULL is fine. */
void pfi_tls_contexts_unref(struct pfi_tls_contexts *contexts);

#endif
