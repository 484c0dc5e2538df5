/*
 * head -- the parser of the request line and the header fields.
 *
 * Pure: it reads the caller's buffer, keeps offsets into it and copies nothing. The buffer may grow
 * and move between two calls, as long as the bytes parsed so far stay at its beginning. Every byte is
 * parsed once, and the verdict does not depend on where the input is split. A violation is reported
 * at its first byte, not when the head is complete.
 *
 * framing decides what a head means for the body.
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
	bool underscore; /* the name has one, and no setting permits it so far */
};

enum pfi_target_form {
	PFI_TARGET_ORIGIN,    /* /path?query            */
	PFI_TARGET_ABSOLUTE,  /* http://host/path?query */
	PFI_TARGET_AUTHORITY, /* host:port, for CONNECT */
	PFI_TARGET_ASTERISK,  /* *, for OPTIONS         */
};

struct pfi_head {
	const struct pfi_limits *limits; /* borrowed */
	struct pfi_field *fields;        /* borrowed: limits->fields_max of them */
	uint32_t at;                     /* bytes parsed; at DONE the length of the head */
	uint32_t line_at;                /* where the current line begins */
	uint32_t part_at;                /* where the current name, value or word of the request line begins */
	uint8_t state;                   /* of the parser (head.c) */
	uint8_t minor; /* of HTTP/1.minor */
	uint8_t form;  /* enum pfi_target_form */
	bool method_is_small; /* it has lower case letters */
	bool method_is_odd;   /* it has '#' */
	struct pfi_span method;
	struct pfi_span target;
	struct pfi_span authority; /* of an absolute or authority form */
	struct pfi_span path;      /* not decoded; empty in "http://host" */
	struct pfi_span query;     /* after the first '?' */
	bool has_query;
	uint32_t fields_count;
	uint32_t underscores_count;
	uint64_t seen;                   /* a bit per enum pfi_field_id */
	uint64_t repeated;               /* fields that occur more than once */
	uint16_t first[PFI_FIELD_COUNT]; /* index of the first one; valid where `seen` has the bit */
	struct pfi_http_error http_error; /* at BAD */
};

#define PFI_FIELD_BIT(id) (UINT64_C(1) << (id))

/** Begin a head at offset 0 of the buffer. *Borrows* limits and fields. */
void pfi_head_start(struct pfi_head *head, struct pfi_field *fields, const struct pfi_limits *limits);

/** Continue. `bytes` is the whole buffer, from the first byte of the head. */
enum pfi_verdict pfi_head_feed(struct pfi_head *head, const char *bytes, size_t length);

/** The first field of a known name; NULL: there is none. */
static inline const struct pfi_field *pfi_head_field(const struct pfi_head *head, enum pfi_field_id id)
{
	return head->seen & PFI_FIELD_BIT(id) ? &head->fields[head->first[id]] : NULL;
}

/** Remove the fields whose name has an underscore. */
void pfi_head_drop_underscores(struct pfi_head *head);

#endif
