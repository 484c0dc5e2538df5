/*
 * trust -- which peers are proxies of ours, and what they say about the scheme
 * their client used.
 *
 * Anybody can send X-Forwarded-Proto: only of a trusted peer it means something.
 * Pure: a peer comes as the text of its address.
 */
#ifndef HTTP_FORWARDED_H
#define HTTP_FORWARDED_H

#include "http/head.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PFI_FORWARDED_FIELDS_MAX = 8 };

/* An IPv4 network is one of IPv6 here: ::ffff:10.0.0.0/104. */
struct pfi_network {
	uint8_t bytes[16];
	uint8_t bits;
};

/* A field, and its value when the client spoke TLS. Both borrowed. */
struct pfi_secure_field {
	const char *name;
	size_t name_length;
	const char *value;
	size_t value_length;
	enum pfi_field_id id;
};

struct pfi_forwarded {
	struct pfi_network *networks; /* own */
	size_t network_count;
	bool all_peers;
	struct pfi_secure_field fields[PFI_FORWARDED_FIELDS_MAX];
	size_t field_count;
	uint64_t known;  /* a bit per enum pfi_field_id among the fields */
	bool has_others; /* some field is none of those: all of a head must be looked at */
};

enum pfi_scheme {
	PFI_SCHEME_PLAIN,
	PFI_SCHEME_SECURE,
	PFI_SCHEME_CONTRADICTORY, /* one field says so, the other so */
};

/** Add "10.0.0.1", "10.0.0.0/8", "fd00::/8", or "*". -EINVAL with an error message, or -ENOMEM. */
int pfi_forwarded_add_peer(struct pfi_forwarded *forwarded, const char *text);

/** Add "NAME=VALUE"; the text is borrowed. -EINVAL with an error message. */
int pfi_forwarded_add_field(struct pfi_forwarded *forwarded, const char *text);

/** Whether the peer is trusted; "", a unix socket, always is: who may open it was decided elsewhere. */
bool pfi_forwarded_is_trusted(const struct pfi_forwarded *forwarded, const char *peer);

/** Whether a head has a field that pfi_forwarded_scheme() would look at. */
static inline bool pfi_forwarded_concerns(const struct pfi_forwarded *forwarded, const struct pfi_head *head)
{
	return (head->seen & forwarded->known) != 0 || forwarded->has_others;
}

/** What the fields of a trusted peer say. */
enum pfi_scheme pfi_forwarded_scheme(const struct pfi_forwarded *forwarded, const struct pfi_head *head, const char *bytes);

void pfi_forwarded_clear(struct pfi_forwarded *forwarded);

#endif
