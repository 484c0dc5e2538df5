/*
 * tls_pairs -- certificates for the same names with keys of several types, such as RSA and ECDSA: they share a context,
 * and OpenSSL selects one of them by the signature algorithms of the client.
 */
#ifndef TLS_TLS_PAIRS_H
#define TLS_TLS_PAIRS_H

struct pfi_tls_contexts;

/* Join such certificates. Of two with keys of one type, the first one is used. After the names were sorted. */
void pfi_tls_pairs_join(struct pfi_tls_contexts *contexts);

#endif
