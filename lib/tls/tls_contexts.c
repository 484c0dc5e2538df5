/* Makes the contexts of OpenSSL from records, and selects one by the server name of the client. */
#include "tls/tls_contexts.h"

#include "tls/tls_error.h"
#include "tls/tls_pairs.h"

#include <prefork/error.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	SESSION_S = 2 * 3600, /* lifetime of a ticket */
	OCSP_SKEW_S = 300,
};

/* Forward secrecy, authenticated encryption, and nothing that is slow to the server's cost alone (DHE). */
static const char usual_ciphers[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
				    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
				    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

/* Callbacks of OpenSSL. */

static bool hash_identity(const struct pfi_tls_contexts *contexts, const char *name, size_t size, unsigned char *ret)
{
	unsigned char bytes[PFI_TLS_IDENTITY_SIZE + PFI_TLS_NAME_MAX];

	memcpy(bytes, contexts->identity, PFI_TLS_IDENTITY_SIZE);
	memcpy(bytes + PFI_TLS_IDENTITY_SIZE, name, size);
	return EVP_Digest(bytes, PFI_TLS_IDENTITY_SIZE + size, ret, NULL, EVP_sha256(), NULL) == 1;
}

/* Before OpenSSL decrypts a ticket: the callback for server names comes later. */
static int on_client_hello(SSL *ssl, int *alert, void *user)
{
	const struct pfi_tls_contexts *const contexts = user;
	unsigned char identity[PFI_TLS_IDENTITY_SIZE];
	char name[PFI_TLS_NAME_MAX + 1] = "";
	const unsigned char *extension;
	size_t size = 0;

	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &extension, &size) == 1)
		size = pfi_tls_names_read(extension, size, name);
	else
		size = 0;

	SSL_CTX *const context = contexts->list[size > 0 ? pfi_tls_names_find(&contexts->names, name, 0) : 0].context;

	if (SSL_get_SSL_CTX(ssl) != context && SSL_set_SSL_CTX(ssl, context) == NULL)
		goto fail;
	if (hash_identity(contexts, name, size, identity) && SSL_set_session_id_context(ssl, identity, sizeof identity) == 1)
		return SSL_CLIENT_HELLO_SUCCESS;
fail:
	*alert = SSL_AD_INTERNAL_ERROR;
	return SSL_CLIENT_HELLO_ERROR;
}

/* Acknowledges the name, so that SSL_get_servername(3) returns it. */
static int on_server_name(SSL *ssl, int *alert, void *user)
{
	(void)ssl, (void)alert, (void)user;
	return SSL_TLSEXT_ERR_OK;
}

/* RFC 7301, section 3.2: without a protocol that both have, the handshake fails. */
static int on_alpn(SSL *ssl, const unsigned char **ret, unsigned char *ret_size, const unsigned char *offered,
		   unsigned size, void *user)
{
	const struct pfi_tls_contexts *const contexts = user;

	(void)ssl;
	for (size_t own = 0; own < contexts->alpn_size; own += 1u + contexts->alpn[own]) {
		for (unsigned at = 0; at < size; at += 1u + offered[at]) {
			if (offered[at] == contexts->alpn[own] && size - at > offered[at] &&
			    memcmp(offered + at, contexts->alpn + own, 1u + offered[at]) == 0) {
				*ret = offered + at + 1;
				*ret_size = offered[at];
				return SSL_TLSEXT_ERR_OK;
			}
		}
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* The certificate that OpenSSL has selected for the connection; NULL: none of these. */
static const struct pfi_tls_certificate *find_selected(const struct pfi_tls_contexts *contexts, const SSL *ssl)
{
	const X509 *const x509 = SSL_get_certificate(ssl);

	for (size_t i = 0; i < contexts->count; i++) {
		if (contexts->list[i].x509 == x509)
			return &contexts->list[i];
	}
	return NULL;
}

/* A response that is out of date would make clients refuse the certificate: without one they ask the authority. */
static int on_status(SSL *ssl, void *user)
{
	const struct pfi_tls_certificate *const certificate = find_selected(user, ssl);

	if (certificate == NULL || certificate->ocsp == NULL ||
	    (certificate->ocsp_until != 0 && certificate->ocsp_until < time(NULL)))
		return SSL_TLSEXT_ERR_NOACK;

	unsigned char *const copy = OPENSSL_memdup(certificate->ocsp, certificate->ocsp_size);

	if (copy == NULL || SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)certificate->ocsp_size) != 1)
		return SSL_TLSEXT_ERR_NOACK;
	return SSL_TLSEXT_ERR_OK; /* OpenSSL frees the copy */
}

static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int is_new)
{
	const struct pfi_tls_contexts *const contexts = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

	/* A client of TLS 1.3 uses a ticket once (RFC 8446, C.4): it needs another one each time. */
	const int r = pfi_tls_tickets_use(contexts->tickets, name, iv, cipher, mac, is_new);

	return r == PFI_TLS_TICKET_USE && !is_new && SSL_version(ssl) >= TLS1_3_VERSION ? PFI_TLS_TICKET_RENEW : r;
}

/* A key with a passphrase: there is no terminal to ask for it. */
static int on_passphrase(char *bytes, int size, int is_new, void *user)
{
	(void)bytes, (void)size, (void)is_new;
	*(bool *)user = true;
	return -1;
}

/* Parts of a context. */

static BIO *open_record(const struct pfi_tls_record *record)
{
	return BIO_new_mem_buf(record->bytes, record->size <= INT_MAX ? (int)record->size : INT_MAX);
}

/* PEM_read_bio_X509(3) ends with an error at the end, too. */
static bool is_end_of_pem(void)
{
	const unsigned long code = ERR_peek_last_error();

	return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

static int use_chain(struct pfi_tls_contexts *contexts, struct pfi_tls_certificate *to, const struct pfi_tls_record *record,
		     const char *path)
{
	SSL_CTX *const context = to->context;
	BIO *const bio = open_record(record);
	X509 *certificate = bio != NULL ? PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL) : NULL;
	bool is_used = certificate != NULL && SSL_CTX_use_certificate(context, certificate) == 1;
	int r = 0;

	if (is_used)
		r = pfi_tls_names_add(&contexts->names, certificate, contexts->count - 1);
	to->x509 = certificate;
	X509_free(certificate);
	while (is_used && r == 0 && (certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		is_used = SSL_CTX_add0_chain_cert(context, certificate) == 1;
		if (!is_used)
			X509_free(certificate);
	}
	BIO_free(bio);
	if (is_used && r == 0 && is_end_of_pem()) {
		ERR_clear_error();
		return 0;
	}
	return r < 0 ? r : pfi_tls_fail(PREFORK_ECONFIG, "certificate %s: not a chain of certificates in PEM", path);
}

static int use_key(SSL_CTX *context, const struct pfi_tls_record *record, const char *path)
{
	bool has_passphrase = false;
	BIO *const bio = open_record(record);
	EVP_PKEY *const key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, on_passphrase, &has_passphrase) : NULL;
	const bool is_used = key != NULL && SSL_CTX_use_PrivateKey(context, key) == 1 && SSL_CTX_check_private_key(context) == 1;

	EVP_PKEY_free(key);
	BIO_free(bio);
	if (is_used)
		return 0;
	ERR_clear_error(); /* what OpenSSL has tried is no help */
	if (has_passphrase)
		return prefork_fail(PREFORK_ECONFIG, "certificate %s: its private key has a passphrase: remove it (openssl pkey)", path);
	return prefork_fail(PREFORK_ECONFIG, key == NULL ? "certificate %s: its private key is not there, or not in PEM" :
							   "certificate %s: the private key is that of another certificate", path);
}

static time_t time_of(const ASN1_GENERALIZEDTIME *when)
{
	struct tm parts;

	return when != NULL && ASN1_TIME_to_tm(when, &parts) == 1 ? timegm(&parts) : 0;
}

static int use_ocsp(struct pfi_tls_certificate *certificate, const struct pfi_tls_record *record, const char *path)
{
	const unsigned char *at = (const unsigned char *)record->bytes;
	OCSP_RESPONSE *const response = d2i_OCSP_RESPONSE(NULL, &at, (long)record->size);
	OCSP_BASICRESP *const basic = response != NULL ? OCSP_response_get1_basic(response) : NULL;
	OCSP_SINGLERESP *const single = basic != NULL ? OCSP_resp_get0(basic, 0) : NULL;
	ASN1_GENERALIZEDTIME *until = NULL;
	int r = 0;

	if (single == NULL || OCSP_response_status(response) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
		r = pfi_tls_fail(PREFORK_ECONFIG, "certificate %s: its OCSP response is not one, or not in DER", path);
	else
		(void)OCSP_single_get0_status(single, NULL, NULL, NULL, &until);
	if (r == 0) {
		certificate->ocsp_until = until != NULL ? time_of(until) + OCSP_SKEW_S : 0;
		certificate->ocsp = OPENSSL_memdup(record->bytes, record->size);
		certificate->ocsp_size = record->size;
		r = certificate->ocsp == NULL ? -ENOMEM : 0;
	}
	OCSP_BASICRESP_free(basic);
	OCSP_RESPONSE_free(response);
	return r;
}

/* Names that begin with TLS_ are cipher suites of TLS 1.3. */
static int use_ciphers(SSL_CTX *context, const char *ciphers)
{
	char suites[1024] = "", list[2048] = "";

	if (ciphers == NULL)
		return SSL_CTX_set_cipher_list(context, usual_ciphers) == 1 ? 0 : pfi_tls_fail(PREFORK_ECONFIG, "ciphers");
	for (const char *at = ciphers; *at != '\0'; at += strspn(at, ":")) {
		const size_t size = strcspn(at, ":");
		char *const to = strncmp(at, "TLS_", 4) == 0 ? suites : list;
		const size_t capacity = to == suites ? sizeof suites : sizeof list, used = strlen(to);

		if (used + size + 2 > capacity)
			return prefork_fail(PREFORK_ECONFIG, "ciphers: the list is too long");
		(void)snprintf(to + used, capacity - used, "%s%.*s", used > 0 ? ":" : "", (int)size, at);
		at += size;
	}
	if (suites[0] != '\0' && SSL_CTX_set_ciphersuites(context, suites) != 1)
		return pfi_tls_fail(PREFORK_ECONFIG, "ciphers: \"%s\"", suites);
	if (SSL_CTX_set_cipher_list(context, list[0] != '\0' ? list : usual_ciphers) != 1)
		return pfi_tls_fail(PREFORK_ECONFIG, "ciphers: \"%s\"", list);
	return 0;
}

static void use_callbacks(struct pfi_tls_contexts *contexts, SSL_CTX *context)
{
	(void)SSL_CTX_set_app_data(context, contexts);
	SSL_CTX_set_client_hello_cb(context, on_client_hello, contexts);
	(void)SSL_CTX_set_tlsext_servername_callback(context, on_server_name);
	(void)SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket);
	(void)SSL_CTX_set_tlsext_status_cb(context, on_status);
	(void)SSL_CTX_set_tlsext_status_arg(context, contexts);
	if (contexts->alpn_size > 0)
		SSL_CTX_set_alpn_select_cb(context, on_alpn, contexts);
}

/* Session cache off: a worker could resume only its own sessions from it. */
static SSL_CTX *create_context(const struct pfi_tls_settings *values)
{
	static const int versions[] = { [PFI_TLS_1_2] = TLS1_2_VERSION, [PFI_TLS_1_3] = TLS1_3_VERSION };
	SSL_CTX *const context = SSL_CTX_new(TLS_server_method());

	if (context == NULL)
		return NULL;
	(void)SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
					   SSL_OP_PRIORITIZE_CHACHA);
	if (values->suppress_ragged_eofs)
		(void)SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
	(void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	(void)SSL_CTX_set_timeout(context, SESSION_S);
	if (SSL_CTX_set_min_proto_version(context, versions[values->ssl_version]) == 1)
		return context;
	SSL_CTX_free(context);
	return NULL;
}

static int add_certificate(struct pfi_tls_contexts *contexts, const struct pfi_tls_settings *values)
{
	struct pfi_tls_certificate *const certificate = &contexts->list[contexts->count];

	certificate->context = create_context(values);
	if (certificate->context == NULL)
		return pfi_tls_fail(-ENOMEM, "cannot create a TLS context");
	contexts->count++;
	use_callbacks(contexts, certificate->context);
	return use_ciphers(certificate->context, values->ciphers);
}

/* For all contexts: the certificates of authorities. */
static int use_authorities(struct pfi_tls_contexts *contexts, const struct pfi_tls_record *record, const char *path)
{
	X509_STORE *const store = X509_STORE_new();
	BIO *const bio = open_record(record);
	X509 *authority;
	int r = 0, found = 0;

	while (store != NULL && bio != NULL && (authority = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		(void)X509_STORE_add_cert(store, authority);
		for (size_t i = 0; i < contexts->count; i++)
			(void)SSL_CTX_add_client_CA(contexts->list[i].context, authority);
		X509_free(authority);
		found++;
	}
	if (found == 0 || !is_end_of_pem())
		r = pfi_tls_fail(PREFORK_ECONFIG, "ca_certs: %s is not a list of certificates in PEM", path);
	ERR_clear_error();
	for (size_t i = 0; r == 0 && i < contexts->count; i++)
		SSL_CTX_set1_cert_store(contexts->list[i].context, store);
	X509_STORE_free(store);
	BIO_free(bio);
	return r;
}

/* All at once. */

static int read_records(struct pfi_tls_contexts *contexts, const struct pfi_tls_settings *values,
			const struct pfi_tls_records *records)
{
	struct pfi_tls_record record = { .records = records };
	char path[PATH_MAX] = "";
	int r = 0;

	while (r == 0 && pfi_tls_record_next(&record)) {
		struct pfi_tls_certificate *const last = contexts->count > 0 ? &contexts->list[contexts->count - 1] : NULL;

		if (record.type == PFI_TLS_RECORD_PAIR) {
			(void)snprintf(path, sizeof path, "%.*s", (int)record.size, record.bytes);
			r = add_certificate(contexts, values);
		} else if (record.type == PFI_TLS_RECORD_CERTIFICATE && last != NULL) {
			r = use_chain(contexts, last, &record, path);
		} else if (record.type == PFI_TLS_RECORD_KEY && last != NULL) {
			r = use_key(last->context, &record, path);
		} else if (record.type == PFI_TLS_RECORD_OCSP && last != NULL) {
			r = use_ocsp(last, &record, path);
		} else if (record.type == PFI_TLS_RECORD_AUTHORITIES && last != NULL) {
			r = use_authorities(contexts, &record, values->ca_certs != NULL ? values->ca_certs : "");
		}
	}
	return r;
}

static size_t count_certificates(const struct pfi_tls_records *records)
{
	struct pfi_tls_record record = { .records = records };
	size_t count = 0;

	while (pfi_tls_record_next(&record))
		count += record.type == PFI_TLS_RECORD_PAIR;
	return count;
}

static int read_alpn(struct pfi_tls_contexts *contexts, const struct prefork_list *protocols)
{
	size_t size = 0;

	for (size_t i = 0; i < protocols->count; i++) {
		if (strlen(protocols->items[i]) > UCHAR_MAX)
			return prefork_fail(PREFORK_ECONFIG, "alpn_protocols: a name has more than 255 bytes");
		size += 1 + strlen(protocols->items[i]);
	}
	contexts->alpn = size > 0 ? malloc(size) : NULL;
	if (size > 0 && contexts->alpn == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < protocols->count; i++) {
		const size_t length = strlen(protocols->items[i]);

		contexts->alpn[contexts->alpn_size] = (unsigned char)length;
		memcpy(contexts->alpn + contexts->alpn_size + 1, protocols->items[i], length);
		contexts->alpn_size += 1 + length;
	}
	return 0;
}

static void verify_clients(struct pfi_tls_contexts *contexts, const struct pfi_tls_settings *values)
{
	static const int modes[] = {
		[PFI_TLS_VERIFY_NONE] = SSL_VERIFY_NONE,
		[PFI_TLS_VERIFY_OPTIONAL] = SSL_VERIFY_PEER,
		[PFI_TLS_VERIFY_REQUIRED] = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
	};

	for (size_t i = 0; i < contexts->count; i++)
		SSL_CTX_set_verify(contexts->list[i].context, modes[values->cert_reqs % PFI_TLS_VERIFY_COUNT], NULL);
}

/* Of what decides whether a client's certificate is accepted. */
static bool set_identity(struct pfi_tls_contexts *contexts, const struct pfi_tls_settings *values,
			 const struct pfi_tls_records *records)
{
	struct pfi_tls_record record = { .records = records };
	const unsigned char verify = (unsigned char)(values->cert_reqs % PFI_TLS_VERIFY_COUNT);
	EVP_MD_CTX *const digest = EVP_MD_CTX_new();
	bool is_set = digest != NULL && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1 &&
		      EVP_DigestUpdate(digest, &verify, 1) == 1;

	while (is_set && pfi_tls_record_next(&record)) {
		if (record.type == PFI_TLS_RECORD_AUTHORITIES)
			is_set = EVP_DigestUpdate(digest, record.bytes, record.size) == 1;
	}
	is_set = is_set && EVP_DigestFinal_ex(digest, contexts->identity, NULL) == 1;
	EVP_MD_CTX_free(digest);
	return is_set;
}

static struct pfi_tls_contexts *allocate(size_t count)
{
	struct pfi_tls_contexts *const contexts = calloc(1, sizeof *contexts);

	if (contexts == NULL)
		return NULL;
	atomic_init(&contexts->references, 1);
	contexts->list = calloc(count + 1, sizeof *contexts->list);
	if (contexts->list != NULL)
		return contexts;
	free(contexts);
	return NULL;
}

int pfi_tls_contexts_create(const struct pfi_tls_settings *values, const struct pfi_tls_records *records,
			    struct pfi_tls_tickets *tickets, struct pfi_tls_contexts **ret)
{
	struct pfi_tls_contexts *const contexts = allocate(count_certificates(records));
	int r = contexts == NULL ? -ENOMEM : 0;

	if (r == 0) {
		contexts->tickets = tickets;
		r = read_alpn(contexts, &values->alpn_protocols);
	}
	if (r == 0)
		r = read_records(contexts, values, records);
	if (r == 0 && contexts->count == 0)
		r = prefork_fail(PREFORK_ECONFIG, "certfile: there is no certificate");
	if (r == 0 && !set_identity(contexts, values, records))
		r = pfi_tls_fail(-ENOMEM, "cannot compute a SHA-256");
	if (r == 0)
		r = pfi_tls_names_sort(&contexts->names);
	if (r == -ENOMEM)
		(void)pfi_tls_fail(r, "no memory for TLS contexts");
	if (r < 0) {
		pfi_tls_contexts_unref(contexts);
		return r;
	}
	verify_clients(contexts, values);
	pfi_tls_pairs_join(contexts);
	*ret = contexts;
	return 0;
}

struct pfi_tls_contexts *pfi_tls_contexts_wrap(SSL_CTX *context)
{
	struct pfi_tls_contexts *const contexts = allocate(1);

	if (contexts == NULL || SSL_CTX_up_ref(context) != 1) {
		pfi_tls_contexts_unref(contexts);
		return NULL;
	}
	contexts->list[0].context = context;
	contexts->count = 1;
	contexts->is_application = true;
	return contexts;
}

struct pfi_tls_contexts *pfi_tls_contexts_ref(struct pfi_tls_contexts *contexts)
{
	(void)atomic_fetch_add_explicit(&contexts->references, 1, memory_order_relaxed);
	return contexts;
}

void pfi_tls_contexts_unref(struct pfi_tls_contexts *contexts)
{
	if (contexts == NULL || atomic_fetch_sub_explicit(&contexts->references, 1, memory_order_acq_rel) > 1)
		return;
	for (size_t i = 0; i < contexts->count; i++) {
		SSL_CTX_free(contexts->list[i].context);
		OPENSSL_free(contexts->list[i].ocsp);
	}
	pfi_tls_names_free(&contexts->names);
	free(contexts->alpn);
	free(contexts->list);
	free(contexts);
}
