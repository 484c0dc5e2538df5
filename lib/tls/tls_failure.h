/*
 * tls_failure -- log lines about handshakes that fail: at most one per second and worker, with the number of those that
 * were left out.
 */
#ifndef TLS_TLS_FAILURE_H
#define TLS_TLS_FAILURE_H

struct pfi_tls_session;
struct pfi_tls_worker;
struct prefork_connection;

void pfi_tls_failure_log(struct pfi_tls_worker *tls, struct prefork_connection *connection, const char *why);

/* The handshake of this session has failed in OpenSSL, whose error queue has the reason. */
void pfi_tls_failure_explain(struct pfi_tls_session *session);

#endif
