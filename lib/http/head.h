/*
 * head -- the request line and the header fields, as they come off the wire.
 *
 * Pure: it reads the caller's buffer, keeps offsets into it and copies nothing.
 * The buffer may grow and move between two calls, as long as what was shown
 * stays in front. Every byte is looked at once, wherever the input is cut; the
 * verdict does not depend on the cuts. A violation is told at the first byte
 * that cannot be right, not when the head is complete.
 *
 * What a head means for the body that follows is decided in framing.
 */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

#include "http/fields.h"
#include "http/limits.h"
#include "http/verdict.h"

struct pfi_field {
	struct pfi_span name;
	struct pfi_span value; /* without the blanks around it */
	uint8_t id;            /* enum pfi_field_id */
	bool underscore;
};

enum pfi_target_form {
	PFI_TARGET_ORIGIN,    /* /path?query            */
	PFI_TARGET_ABSOLUTE,  /* http://host/path?query */
	PFI_TARGET_AUTHORITY, /* host:port, for CONNECT */
	PFI_TARGET_ASTERISK,  /* *, for OPTIONS         */
};

struct pfi_head {
	const struct pfi_limits *limits; /* borrowed */
	struct pfi_field *fields;        /* borrowed: room for limits->fields_max */
	uint32_t at;                     /* how far it has read; at DONE, how long the head is */
	uint32_t line_at;
	uint32_t part_at;
	uint8_t state;
	uint8_t minor; /* of HTTP/1.minor */
	uint8_t form;  /* enum pfi_target_form */
	bool method_is_small; /* it has small letters */
	bool method_is_odd;   /* or a number sign     */
	struct pfi_span method;
	struct pfi_span target;
	struct pfi_span authority; /* of an absolute or authority form */
	struct pfi_span path;      /* not decoded; empty in "http://host" */
	struct pfi_span query;     /* what follows the first '?' */
	bool has_query;
	uint32_t fields_count;
	uint32_t underscores_count;
	uint64_t seen;                   /* a bit per enum pfi_field_id */
	uint64_t repeated;               /* those that came twice */
	uint16_t first[PFI_FIELD_COUNT]; /* index of the first one; valid where `seen` has the bit */
	struct pfi_http_error http_error;      /* at BAD */
};

#define PFI_FIELD_BIT(id) (UINT64_C(1) << (id))

/** Begin a head at offset 0 of the buffer. *Borrows* limits and fields. */
void pfi_head_start(struct pfi_head *head, struct pfi_field *fields, const struct pfi_limits *limits);

/** Read on. `bytes` is the whole buffer, from the first byte of the head. */
enum pfi_verdict pfi_head_feed(struct pfi_head *head, const char *bytes, size_t length);

/** The first field of a known name, NULL when there is none. */
static inline const struct pfi_field *pfi_head_field(const struct pfi_head *head, enum pfi_field_id id)
{
	return head->seen & PFI_FIELD_BIT(id) ? &head->fields[head->first[id]] : NULL;
}

/** Forget the fields whose name has an underscore. */
void pfi_head_drop_underscores(struct pfi_head *head);

#endif
