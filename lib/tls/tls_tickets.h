/*
 * tls_tickets -- the keys that session tickets are encrypted with, shared by all workers of a server.
 *
 * Without them a client could resume its session only in the worker that has issued the ticket. The newest key is not
 * used yet: it is distributed one rotation ahead, so that when it becomes the key of new tickets, every worker can
 * already decrypt these. The older keys only decrypt.
 *
 *     0  the next one    1  encrypts new tickets    2 ... decrypt old ones
 *
 * Threads: pfi_tls_tickets_set() in one thread, the callback in any.
 */
#ifndef TLS_TLS_TICKETS_H
#define TLS_TLS_TICKETS_H

#include "tls/tls_records.h"

#include <openssl/ssl.h>

#include <pthread.h>

/* Results of the callback of SSL_CTX_set_tlsext_ticket_key_evp_cb(3). */
enum { PFI_TLS_TICKET_ERROR = -1, PFI_TLS_TICKET_NONE, PFI_TLS_TICKET_USE, PFI_TLS_TICKET_RENEW };

enum { PFI_TLS_TICKET_KEYS_MAX = 8, PFI_TLS_TICKET_SECRET = 32 };

struct pfi_tls_ticket_key {
	unsigned char name[16];
	unsigned char aes[PFI_TLS_TICKET_SECRET];
	unsigned char hmac[PFI_TLS_TICKET_SECRET];
};

struct pfi_tls_ticket_keys {
	struct pfi_tls_ticket_key list[PFI_TLS_TICKET_KEYS_MAX];
	size_t count;
};

struct pfi_tls_tickets {
	pthread_mutex_t lock;
	struct pfi_tls_ticket_keys keys;
};

/* Add a random key; the oldest is dropped if there are too many. The first call adds two. 0 or a negative errno with an
 * error message. */
int pfi_tls_ticket_keys_rotate(struct pfi_tls_ticket_keys *keys);

/* As records; and from records: false if there are not at least two, and `keys` is unchanged. */
int pfi_tls_ticket_keys_write(const struct pfi_tls_ticket_keys *keys, struct pfi_tls_records *records);
bool pfi_tls_ticket_keys_read(struct pfi_tls_ticket_keys *keys, const struct pfi_tls_records *records);

void pfi_tls_tickets_set(struct pfi_tls_tickets *tickets, const struct pfi_tls_ticket_keys *keys);

/* The steps of SSL_CTX_set_tlsext_ticket_key_evp_cb(3), for a callback that knows the keys. */
int pfi_tls_tickets_use(struct pfi_tls_tickets *tickets, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
			EVP_MAC_CTX *mac, int is_new);

#endif
