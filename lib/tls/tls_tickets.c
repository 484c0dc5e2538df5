/* Rotates the ticket keys, and encrypts and decrypts tickets with them: AES-256 in CBC mode, then HMAC with SHA-256, as
 * in RFC 5077, section 4. */
#include "tls/tls_tickets.h"

#include <prefork/error.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <errno.h>
#include <string.h>

enum { NEXT, CURRENT }; /* indexes in the list */

static int add_one(struct pfi_tls_ticket_keys *keys)
{
	struct pfi_tls_ticket_key fresh;

	if (RAND_priv_bytes((unsigned char *)&fresh, sizeof fresh) != 1)
		return prefork_fail(-EIO, "OpenSSL has no random numbers for a ticket key");
	if (keys->count == PFI_TLS_TICKET_KEYS_MAX)
		keys->count--;
	memmove(&keys->list[1], &keys->list[0], keys->count * sizeof keys->list[0]);
	keys->list[0] = fresh;
	keys->count++;
	OPENSSL_cleanse(&fresh, sizeof fresh);
	return 0;
}

int pfi_tls_ticket_keys_rotate(struct pfi_tls_ticket_keys *keys)
{
	const int r = keys->count == 0 ? add_one(keys) : 0;

	return r == 0 ? add_one(keys) : r;
}

int pfi_tls_ticket_keys_write(const struct pfi_tls_ticket_keys *keys, struct pfi_tls_records *records)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < keys->count; i++)
		r = pfi_tls_records_add(records, PFI_TLS_RECORD_TICKET_KEY, &keys->list[i], sizeof keys->list[i]);
	return r;
}

bool pfi_tls_ticket_keys_read(struct pfi_tls_ticket_keys *keys, const struct pfi_tls_records *records)
{
	struct pfi_tls_ticket_keys found = { .count = 0 };
	struct pfi_tls_record record = { .records = records };

	while (pfi_tls_record_next(&record) && found.count < PFI_TLS_TICKET_KEYS_MAX) {
		if (record.type == PFI_TLS_RECORD_TICKET_KEY && record.size == sizeof found.list[0])
			memcpy(&found.list[found.count++], record.bytes, record.size);
	}
	if (found.count > CURRENT)
		*keys = found;
	OPENSSL_cleanse(&found.list, sizeof found.list);
	return found.count > CURRENT;
}

void pfi_tls_tickets_set(struct pfi_tls_tickets *tickets, const struct pfi_tls_ticket_keys *keys)
{
	(void)pthread_mutex_lock(&tickets->lock);
	tickets->keys = *keys;
	(void)pthread_mutex_unlock(&tickets->lock);
}

/* The key for a new ticket, or the one that has this name, and its index; -1: there is none. */
static int find(struct pfi_tls_tickets *tickets, const unsigned char *name, struct pfi_tls_ticket_key *ret)
{
	int index = -1;

	(void)pthread_mutex_lock(&tickets->lock);
	if (name == NULL && tickets->keys.count > CURRENT)
		index = CURRENT;
	for (size_t i = 0; name != NULL && index < 0 && i < tickets->keys.count; i++) {
		if (memcmp(tickets->keys.list[i].name, name, sizeof ret->name) == 0)
			index = (int)i;
	}
	if (index >= 0)
		*ret = tickets->keys.list[index];
	(void)pthread_mutex_unlock(&tickets->lock);
	return index;
}

static bool set_mac_key(EVP_MAC_CTX *mac, struct pfi_tls_ticket_key *key)
{
	char digest[] = "SHA256";
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->hmac, sizeof key->hmac),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_MAC_CTX_set_params(mac, params) == 1;
}

static bool set_keys(struct pfi_tls_ticket_key *key, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
		     EVP_MAC_CTX *mac, bool is_new)
{
	if (is_new) {
		if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1)
			return false;
		memcpy(name, key->name, sizeof key->name);
	}
	return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->aes, iv, is_new) == 1 && set_mac_key(mac, key);
}

int pfi_tls_tickets_use(struct pfi_tls_tickets *tickets, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
			EVP_MAC_CTX *mac, int is_new)
{
	struct pfi_tls_ticket_key key;
	const int index = find(tickets, is_new ? NULL : name, &key);

	if (index < 0)
		return is_new ? PFI_TLS_TICKET_ERROR : PFI_TLS_TICKET_NONE;

	const bool is_set = set_keys(&key, name, iv, cipher, mac, is_new);

	OPENSSL_cleanse(&key, sizeof key);
	if (!is_set)
		return PFI_TLS_TICKET_ERROR;
	return is_new || index <= CURRENT ? PFI_TLS_TICKET_USE : PFI_TLS_TICKET_RENEW;
}
