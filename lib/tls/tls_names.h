/*
 * tls_names -- which certificate serves a server name: the names in the certificates, and a lookup among them.
 *
 * A name "*.example.org" matches one label (RFC 9525, section 6.3). If two certificates have the same name, the first
 * one is used.
 */
#ifndef TLS_TLS_NAMES_H
#define TLS_TLS_NAMES_H

#include <openssl/x509.h>

#include <stddef.h>

enum { PFI_TLS_NAME_MAX = 255 };

struct pfi_tls_names {
	struct pfi_tls_name *list; /* in the order of the certificates */
	size_t count, capacity;
	const struct pfi_tls_name **sorted; /* by name, then by certificate: pfi_tls_names_sort() */
};

/* Add the names of a certificate: DNS names of subjectAltName, or else the common name. `index` is above those of earlier
 * calls. 0 or -ENOMEM. */
int pfi_tls_names_add(struct pfi_tls_names *names, X509 *certificate, size_t index);

/* Once all are added, and before the functions below. 0 or -ENOMEM. */
int pfi_tls_names_sort(struct pfi_tls_names *names);

/* The index that was given to the certificate with this name, which is in lower case; `otherwise`: there is none. */
size_t pfi_tls_names_find(const struct pfi_tls_names *names, const char *name, size_t otherwise);

/* The certificate before `index` that has the same names, and is the first with one of them; `index`: there is none. */
size_t pfi_tls_names_pair(const struct pfi_tls_names *names, size_t index);

void pfi_tls_names_free(struct pfi_tls_names *names);

/* The server name in the extension server_name (RFC 6066, section 3), in lower case and without a dot at its end. The
 * length, 0: none, or it is not valid. */
size_t pfi_tls_names_read(const unsigned char *extension, size_t size, char ret[PFI_TLS_NAME_MAX + 1]);

#endif
