/*
 * tls_rows -- the settings of TLS: the rows, and the struct that holds their values. Without OpenSSL, so that the
 * documentation can be made without it.
 */
#ifndef TLS_TLS_ROWS_H
#define TLS_TLS_ROWS_H

#include <prefork/settings.h>

#include <stdbool.h>
#include <stdint.h>

/* The words of cert_reqs are gunicorn's numbers, then ours, in this order. */
enum pfi_tls_verify { PFI_TLS_VERIFY_NONE, PFI_TLS_VERIFY_OPTIONAL, PFI_TLS_VERIFY_REQUIRED, PFI_TLS_VERIFY_COUNT };

enum pfi_tls_least { PFI_TLS_1_2, PFI_TLS_1_3 };

/* One member per row, named after it. A string is NULL where it was given as empty, or not at all. */
struct pfi_tls_settings {
	const char *certfile;
	const char *keyfile; /* NULL: the key is in certfile */
	const char *ca_certs;
	uint32_t cert_reqs; /* modulo PFI_TLS_VERIFY_COUNT: enum pfi_tls_verify */
	const char *ciphers;
	enum pfi_tls_least ssl_version;
	const char *certificates;
	const char *ocsp_file;
	struct prefork_list alpn_protocols;
	bool ktls;
	bool suppress_ragged_eofs;
	bool do_handshake_on_connect;
};

extern const struct prefork_module pfi_tls_module;

/* The values of these settings; NULL, with an error message: prefork_tls_add_options() was not called for them. */
static inline const struct pfi_tls_settings *pfi_tls_settings(const struct prefork_settings *settings)
{
	return prefork_settings_values(settings, &pfi_tls_module);
}

/* Whether these settings ask for TLS. */
static inline bool pfi_tls_is_on(const struct pfi_tls_settings *values)
{
	return values->certfile != NULL || values->certificates != NULL;
}

/* Add the rows alone, without the check of their values. Errors as prefork_settings_add_module(). */
int pfi_tls_rows_add(struct prefork_settings *settings);

#endif
