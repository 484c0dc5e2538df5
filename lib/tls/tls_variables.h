/*
 * tls_variables -- what an application may want to learn about a TLS connection, as name and text; names are those of
 * Apache's mod_ssl.
 */
#ifndef TLS_TLS_VARIABLES_H
#define TLS_TLS_VARIABLES_H

#include <openssl/ssl.h>

#include <stddef.h>

enum { PFI_TLS_VARIABLES_MAX = 24 };

struct pfi_tls_variables {
	struct {
		const char *name; /* static */
		char *text;       /* owned  */
	} list[PFI_TLS_VARIABLES_MAX];
	size_t count;
};

/* *New*; NULL: no memory. */
struct pfi_tls_variables *pfi_tls_variables_create(SSL *ssl);
void pfi_tls_variables_destroy(struct pfi_tls_variables *variables);

#endif
