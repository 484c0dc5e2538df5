/* Describes a TLS connection and the certificate of its client. */
#include "tls/tls_variables.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* False: no memory, or too many. A text that does not exist is left out. */
static bool add(struct pfi_tls_variables *variables, const char *name, const char *text)
{
	if (text == NULL)
		return true;
	if (variables->count == PFI_TLS_VARIABLES_MAX)
		return false;

	char *const copy = strdup(text);
	if (copy == NULL)
		return false;
	variables->list[variables->count].name = name;
	variables->list[variables->count++].text = copy;
	return true;
}

/* What was written to `bio`, which is empty afterwards. */
static bool add_written(struct pfi_tls_variables *variables, const char *name, BIO *bio)
{
	char *bytes = NULL;
	const long size = BIO_get_mem_data(bio, &bytes);
	char *const text = size >= 0 ? strndup(bytes != NULL ? bytes : "", (size_t)size) : NULL;
	const bool is_added = text != NULL && add(variables, name, text);

	free(text);
	(void)BIO_reset(bio);
	return is_added;
}

static bool is_text(const unsigned char *text, size_t size)
{
	size_t i = 0;

	while (i < size && text[i] >= 0x20 && text[i] != 0x7f)
		i++;
	return i == size;
}

/* In UTF-8, whatever the certificate has. A NUL would cut the name for programs that read it as a C string
 * (CVE-2009-2408): a name with that or another control character is left out. */
static bool add_common_name(struct pfi_tls_variables *variables, const char *name, const X509_NAME *subject)
{
	const int at = X509_NAME_get_index_by_NID((X509_NAME *)(uintptr_t)subject, NID_commonName, -1);
	unsigned char *text = NULL;
	const int size = at < 0 ? -1 : ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
	const bool is_added = size < 0 || !is_text(text, (size_t)size) || add(variables, name, (const char *)text);

	OPENSSL_free(text);
	return is_added;
}

static bool add_name(struct pfi_tls_variables *variables, const char *name, const char *common, const X509_NAME *subject, BIO *bio)
{
	(void)X509_NAME_print_ex(bio, subject, 0, XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB);
	return add_written(variables, name, bio) && add_common_name(variables, common, subject);
}

static bool add_serial(struct pfi_tls_variables *variables, const X509 *certificate, BIO *bio)
{
	(void)i2a_ASN1_INTEGER(bio, X509_get0_serialNumber(certificate));
	return add_written(variables, "SSL_CLIENT_M_SERIAL", bio);
}

static bool add_times(struct pfi_tls_variables *variables, const X509 *certificate, BIO *bio)
{
	(void)ASN1_TIME_print(bio, X509_get0_notBefore(certificate));
	if (!add_written(variables, "SSL_CLIENT_V_START", bio))
		return false;
	(void)ASN1_TIME_print(bio, X509_get0_notAfter(certificate));
	return add_written(variables, "SSL_CLIENT_V_END", bio);
}

static bool add_client(struct pfi_tls_variables *variables, SSL *ssl, X509 *certificate)
{
	const long verified = SSL_get_verify_result(ssl);
	BIO *const bio = BIO_new(BIO_s_mem());
	char version[24], result[256];
	bool complete = bio != NULL;

	(void)snprintf(version, sizeof version, "%ld", X509_get_version(certificate) + 1);
	(void)snprintf(result, sizeof result, verified == X509_V_OK ? "SUCCESS" : "FAILED:%s",
		       X509_verify_cert_error_string(verified));
	complete = complete && add(variables, "SSL_CLIENT_VERIFY", result) && add(variables, "SSL_CLIENT_M_VERSION", version) &&
		   add_serial(variables, certificate, bio) &&
		   add_name(variables, "SSL_CLIENT_S_DN", "SSL_CLIENT_S_DN_CN", X509_get_subject_name(certificate), bio) &&
		   add_name(variables, "SSL_CLIENT_I_DN", "SSL_CLIENT_I_DN_CN", X509_get_issuer_name(certificate), bio) &&
		   add_times(variables, certificate, bio) && PEM_write_bio_X509(bio, certificate) == 1 &&
		   add_written(variables, "SSL_CLIENT_CERT", bio);
	BIO_free(bio);
	return complete;
}

/* The server name that the client asked for; NULL: none, or one with control characters, which no host name has. */
static const char *server_name(const SSL *ssl)
{
	const char *const name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

	return name != NULL && is_text((const unsigned char *)name, strlen(name)) ? name : NULL;
}

static bool fill(struct pfi_tls_variables *variables, SSL *ssl)
{
	X509 *const certificate = SSL_get0_peer_certificate(ssl);

	if (!add(variables, "HTTPS", "on") || !add(variables, "SSL_PROTOCOL", SSL_get_version(ssl)) ||
	    !add(variables, "SSL_CIPHER", SSL_get_cipher_name(ssl)) ||
	    !add(variables, "SSL_TLS_SNI", server_name(ssl)) ||
	    !add(variables, "SSL_SESSION_RESUMED", SSL_session_reused(ssl) ? "Resumed" : "Initial"))
		return false;
	return certificate != NULL ? add_client(variables, ssl, certificate) : add(variables, "SSL_CLIENT_VERIFY", "NONE");
}

struct pfi_tls_variables *pfi_tls_variables_create(SSL *ssl)
{
	struct pfi_tls_variables *const variables = calloc(1, sizeof *variables);

	ERR_clear_error();
	if (variables == NULL || fill(variables, ssl))
		return variables;
	pfi_tls_variables_destroy(variables);
	ERR_clear_error();
	return NULL;
}

void pfi_tls_variables_destroy(struct pfi_tls_variables *variables)
{
	if (variables == NULL)
		return;
	for (size_t i = 0; i < variables->count; i++)
		free(variables->list[i].text);
	free(variables);
}
