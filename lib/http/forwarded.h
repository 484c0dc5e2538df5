/*
 * forwarded -- which peers are trusted proxies (setting forwarded_allow_ips), and which scheme they
 * report for their clients (setting secure_scheme_headers). Header names with an underscore are decided about here, too,
 * since trusted proxies may send some (setting forwarder_headers).
 *
 * Any client can send X-Forwarded-Proto: it is ignored unless the peer is trusted.
 * Pure: a peer is the text of its address.
 */
#ifndef HTTP_FORWARDED_H
#define HTTP_FORWARDED_H

#include "base/networks.h"
#include "http/head.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PFI_FORWARDED_FIELDS_MAX = 8 };

struct prefork_list;

/* A field, and the value that it has if the client uses TLS. Both borrowed. */
struct pfi_secure_field {
	const char *name;
	size_t name_length;
	const char *value;
	size_t value_length;
	enum pfi_field_id id;
};

struct pfi_forwarded {
	struct pfi_networks peers;
	struct pfi_secure_field fields[PFI_FORWARDED_FIELDS_MAX];
	size_t field_count;
	uint64_t known;  /* a bit per enum pfi_field_id among the fields */
	bool has_others; /* a field has no id, so all fields of a head must be compared by name */
	const struct prefork_list *names; /* setting forwarder_headers; borrowed, NULL: none */
};

enum pfi_scheme {
	PFI_SCHEME_UNREPORTED, /* there is no such field */
	PFI_SCHEME_PLAIN,
	PFI_SCHEME_SECURE,
	PFI_SCHEME_CONTRADICTORY, /* two fields report different schemes */
};

/** Add "10.0.0.1", "10.0.0.0/8", "fd00::/8", or "*". -EINVAL with an error message, or -ENOMEM. */
int pfi_forwarded_add_peer(struct pfi_forwarded *forwarded, const char *text);

/** Add "NAME=VALUE"; the text is borrowed. -EINVAL with an error message. */
int pfi_forwarded_add_field(struct pfi_forwarded *forwarded, const char *text);

/** Whether the peer is trusted. A unix socket ("") always is: its file permissions decide which programs connect. */
bool pfi_forwarded_is_trusted(const struct pfi_forwarded *forwarded, const char *peer);

/** Whether a head may have a field that pfi_forwarded_scheme() reads. */
static inline bool pfi_forwarded_concerns(const struct pfi_forwarded *forwarded, const struct pfi_head *head)
{
	return (head->seen & forwarded->known) != 0 || forwarded->has_others;
}

/** The scheme that the fields of a trusted peer report. */
enum pfi_scheme pfi_forwarded_scheme(const struct pfi_forwarded *forwarded, const struct pfi_head *head, const char *bytes);

/** Decide about the fields whose names have an underscore. Those in the setting forwarder_headers are kept if the peer is
 *  trusted, and never otherwise; the others are kept, dropped or refused as `mode` says. False: one is refused. */
bool pfi_forwarded_settle_underscores(const struct pfi_forwarded *forwarded, struct pfi_head *head, const char *bytes,
                                      enum pfi_underscores mode, bool is_trusted);

void pfi_forwarded_clear(struct pfi_forwarded *forwarded);

#endif
