/*
 * response -- the bytes of a response head, and the framing of its body.
 *
 * Pure: it appends to a buffer of the caller's and allocates nothing. A name or
 * value that could end a line early is refused, never repaired.
 */
#ifndef HTTP_RESPONSE_HEAD_H
#define HTTP_RESPONSE_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Room of the caller's, filled from the front. */
struct pfi_out {
	char *bytes;
	size_t length;
	size_t size;
};

static inline bool pfi_out_fits(const struct pfi_out *out, size_t length)
{
	return out->size - out->length >= length;
}

/** Append, or answer -ENOSPC and append nothing. */
int pfi_out_add(struct pfi_out *out, const char *bytes, size_t length);

#define PFI_OUT_LITERAL(out, literal) pfi_out_add(out, literal, sizeof(literal) - 1)

/** The status line. Without a `reason` (NULL) the registered one is taken.
 *  -EINVAL for a status outside 100..999 or a reason with controls in it. */
int pfi_response_line(struct pfi_out *out, int status, const char *reason);

/** One field. -EINVAL when the name is no token or the value has a control in it. */
int pfi_response_field(struct pfi_out *out, const char *name, size_t name_length,
                       const char *value, size_t value_length);

/** The same for a name that pfi_field_find() knows, so that it is a token. */
int pfi_response_known_field(struct pfi_out *out, const char *name, size_t name_length,
                             const char *value, size_t value_length);

/** "Content-Length: <length>" as a field. */
int pfi_response_length(struct pfi_out *out, uint64_t length);

/** "Date: ..." of a PFI_DATE_LENGTH text. */
int pfi_response_date(struct pfi_out *out, const char *date);

/* How the client will know where the body ends. */
enum pfi_response_body {
	PFI_RESPONSE_NONE,    /* with its head: HEAD, 1xx, 204, 304 */
	PFI_RESPONSE_LENGTH,  /* the application said how long      */
	PFI_RESPONSE_CHUNKED,
	PFI_RESPONSE_CLOSE,   /* HTTP/1.0: with the connection      */
};

enum pfi_response_body pfi_response_body(int status, bool to_head, uint8_t minor, bool has_length);

enum { PFI_CHUNK_PREFIX_MAX = 18 };

/** Writes "<hex>\r\n" at `text`; returns how many bytes. */
size_t pfi_chunk_prefix(char *text, uint64_t length);

/** Writes a number at `text`, of 20 bytes; returns how many were used. */
size_t pfi_decimal(char *text, uint64_t number);

/** The page for a status: `detail` is plain text and is escaped; it may be NULL. -ENOSPC when it does not fit. */
int pfi_error_html(struct pfi_out *page, int status, const char *detail);

/** A whole reply to what was refused: head, and a page unless `to_head`. It closes the
 *  connection. `detail` is plain text and is escaped; it may be NULL. -ENOSPC when
 *  it does not fit: 1024 bytes are enough for every detail below 80 bytes. */
int pfi_error_response(struct pfi_out *out, int status, const char *detail, const char *date, bool to_head);

#endif
