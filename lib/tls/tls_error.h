/*
 * tls_error -- error messages that end with the reason of OpenSSL.
 */
#ifndef TLS_TLS_ERROR_H
#define TLS_TLS_ERROR_H

#include <prefork/export.h>

/* As prefork_fail(), with ": " and the first reason in OpenSSL's error queue of this thread appended. Clears the queue. */
int pfi_tls_fail(int error, const char *format, ...) PREFORK_PRINTF(2, 3);

/* That reason; "" if the queue is empty. Clears the queue. */
const char *pfi_tls_reason(void);

#endif
