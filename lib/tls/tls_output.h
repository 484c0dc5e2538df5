/*
 * tls_output -- the bytes between OpenSSL and the socket: `out` of a session.
 */
#ifndef TLS_TLS_OUTPUT_H
#define TLS_TLS_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

struct pfi_tls_session;

/* Put bytes into `out`. False: session->error is set. With `lock` held, or before the session is established. */
bool pfi_tls_output_append(struct pfi_tls_session *session, const void *bytes, size_t size);

#endif
