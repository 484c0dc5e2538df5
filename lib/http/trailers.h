/*
 * trailers -- the fields behind a chunked body (RFC 9112 7.1.2), for those who
 * ask for them. They are kept apart from the header fields, as RFC 9110 6.5.1
 * demands.
 *
 * Pure. The chunk parser has checked every byte, and bounds how many there are.
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

/** One more byte of a field line. 0 or -ENOMEM. */
int pfi_trailers_add(struct pfi_trailers *trailers, char byte);

/** The last line is there. Fields about the content (Content-Type) and controls (Range) are dropped, and names
 *  with an underscore unless `underscores`. */
void pfi_trailers_end(struct pfi_trailers *trailers, bool underscores);

/** Field `index` and its name, both ended by NUL; NULL behind the last. */
const char *pfi_trailers_at(const struct pfi_trailers *trailers, size_t index, const char **ret_name);

void pfi_trailers_clear(struct pfi_trailers *trailers);

#endif
