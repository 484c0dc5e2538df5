/*
 * trailers -- the trailer fields of a chunked body (RFC 9112 7.1.2). They are not merged into the
 * header fields (RFC 9110 6.5.1).
 *
 * Pure. The chunk parser has checked every byte, and limits their number.
 */
#ifndef HTTP_TRAILERS_H
#define HTTP_TRAILERS_H

#include <stdbool.h>
#include <stddef.h>

struct pfi_trailers {
	char *bytes; /* field lines; after pfi_trailers_end() name, NUL, value, NUL, and so on */
	size_t size;
	size_t length;
	size_t count;
};

/** Add a byte of a field line. 0 or -ENOMEM. */
int pfi_trailers_add(struct pfi_trailers *trailers, char byte);

/** The trailer is complete. Drop fields about the content (Content-Type), controls (Range), and names with an
 *  underscore unless `underscores`. */
void pfi_trailers_end(struct pfi_trailers *trailers, bool underscores);

/** The value of field `index`, and its name, both with a NUL; NULL after the last. */
const char *pfi_trailers_at(const struct pfi_trailers *trailers, size_t index, const char **ret_name);

void pfi_trailers_clear(struct pfi_trailers *trailers);

#endif
