/*
 * response_head -- writes a response head, and decides the framing of the body.
 *
 * Pure: it appends to the caller's buffer and allocates nothing. A name or value that could end a line
 * early (response splitting) is refused, never changed.
 */
#ifndef HTTP_RESPONSE_HEAD_H
#define HTTP_RESPONSE_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A buffer of the caller. */
struct pfi_out {
	char *bytes;
	size_t length;
	size_t size;
};

static inline bool pfi_out_fits(const struct pfi_out *out, size_t length)
{
	return out->size - out->length >= length;
}

/** Append all, or return -ENOSPC and append nothing. */
int pfi_out_add(struct pfi_out *out, const char *bytes, size_t length);

#define PFI_OUT_LITERAL(out, literal) pfi_out_add(out, literal, sizeof(literal) - 1)

/** The status line. `reason` NULL: the registered one. -EINVAL: the status is not 100 to 999, or the reason has
 *  control characters. */
int pfi_response_line(struct pfi_out *out, int status, const char *reason);

/** One field. -EINVAL: the name is not a token, or the value has control characters. */
int pfi_response_field(struct pfi_out *out, const char *name, size_t name_length,
                       const char *value, size_t value_length);

/** The same for a name with an id (pfi_field_find()), which is a token. */
int pfi_response_known_field(struct pfi_out *out, const char *name, size_t name_length,
                             const char *value, size_t value_length);

/** The field Content-Length. */
int pfi_response_length(struct pfi_out *out, uint64_t length);

/** The field Date, from a text of PFI_DATE_LENGTH bytes. */
int pfi_response_date(struct pfi_out *out, const char *date);

/* Where the body of a response ends (RFC 9112 6.3). */
enum pfi_response_body {
	PFI_RESPONSE_NONE,    /* no body: HEAD, 1xx, 204, 304 */
	PFI_RESPONSE_LENGTH,  /* after Content-Length bytes */
	PFI_RESPONSE_CHUNKED, /* after the last chunk */
	PFI_RESPONSE_CLOSE,   /* at the end of the connection: HTTP/1.0 */
};

enum pfi_response_body pfi_response_body(int status, bool to_head, uint8_t minor, bool has_length);

enum { PFI_CHUNK_PREFIX_MAX = 18 };

/** Writes "<hex>\r\n" to `text`; returns its length. */
size_t pfi_chunk_prefix(char *text, uint64_t length);

/** Writes a number to `text`, which has 20 bytes; returns its length. */
size_t pfi_decimal(char *text, uint64_t number);

/** The HTML page of an error. `detail` is plain text, which is escaped, or NULL. -ENOSPC: it does not fit. */
int pfi_error_html(struct pfi_out *page, int status, const char *detail);

/** A complete error response with Connection: close: head, and page unless `to_head`. `detail` is plain text, which is
 *  escaped, or NULL. -ENOSPC: it does not fit; 1024 bytes are enough for a detail below 80 bytes. */
int pfi_error_response(struct pfi_out *out, int status, const char *detail, const char *date, bool to_head);

#endif
