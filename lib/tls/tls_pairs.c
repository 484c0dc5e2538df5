/* Joins certificates for the same names whose keys are of different types. */
#include "tls/tls_pairs.h"

#include "tls/tls_contexts.h"

#include <openssl/err.h>

/* A context holds one certificate per type of key, each with its own chain. False: it has one of this type already. */
static bool add_to(SSL_CTX *to, SSL_CTX *from)
{
	STACK_OF(X509) *chain = NULL;
	const int replaces = 0;

	(void)SSL_CTX_get0_chain_certs(from, &chain);
	const bool is_added = SSL_CTX_use_cert_and_key(to, SSL_CTX_get0_certificate(from), SSL_CTX_get0_privatekey(from), chain,
						       replaces) == 1;

	ERR_clear_error();
	return is_added;
}

void pfi_tls_pairs_join(struct pfi_tls_contexts *contexts)
{
	for (size_t i = 1; i < contexts->count; i++) {
		struct pfi_tls_certificate *const certificate = &contexts->list[i];
		const size_t first = pfi_tls_names_pair(&contexts->names, i);
		SSL_CTX *const context = contexts->list[first].context;

		if (first == i || !add_to(context, certificate->context) || SSL_CTX_up_ref(context) != 1)
			continue;
		SSL_CTX_free(certificate->context);
		certificate->context = context;
	}
}
