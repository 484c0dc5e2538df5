/* Explains and logs handshakes that fail. */
#include "tls/tls_failure.h"

#include "tls/tls_error.h"
#include "tls/tls_log.h"
#include "tls/tls_session.h"
#include "tls/tls_worker.h"

#include <prefork/service.h>

#include <openssl/err.h>
#include <openssl/x509.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static uint64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* INFO: it is the client that the reason lies with, and anyone can be one. */
void pfi_tls_failure_log(struct pfi_tls_worker *tls, struct prefork_connection *connection, const char *why)
{
	const struct prefork_log_pair peer = PREFORK_TEXT("peer", prefork_connection_peer(connection, NULL));
	uint32_t left_out = 0;
	char more[64] = "";

	if (!pfi_log_limit_pass(&tls->failures, now_ms(), &left_out))
		return;
	if (left_out > 0)
		(void)snprintf(more, sizeof more, " (and %" PRIu32 " more, not logged)", left_out);
	pfi_tls_log(tls->worker, PREFORK_LOG_INFO, "tls_handshake_failed", &peer, "TLS handshake failed: %s%s", why, more);
}

/* A client that connects and closes without a byte, such as a health check, is no failure. */
void pfi_tls_failure_explain(struct pfi_tls_session *session)
{
	const long verified = SSL_get_verify_result(session->ssl);
	const unsigned long code = ERR_peek_error();
	const char *why = pfi_tls_reason();

	if (!session->has_received && (session->is_at_end || session->error < 0))
		return;
	if (session->error < 0)
		why = strerror(-session->error);
	else if (ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED && verified != X509_V_OK)
		why = X509_verify_cert_error_string(verified);
	else if (ERR_GET_REASON(code) == SSL_R_HTTP_REQUEST)
		why = "the client sent HTTP without TLS";
	else if (session->is_at_end)
		why = "the client has closed the connection";
	pfi_tls_failure_log(session->worker, session->connection, *why != '\0' ? why : "unknown reason");
}
