/*
 * body -- a request body, whichever way it is framed.
 *
 * Pure. One object for both framings, so that those who read a body need not
 * know which one it is.
 */
#ifndef HTTP_BODY_H
#define HTTP_BODY_H

#include "http/chunk.h"
#include "http/framing.h"

struct pfi_body {
	uint8_t kind; /* enum pfi_body_kind */
	bool done;
	uint64_t left; /* of PFI_BODY_LENGTH */
	struct pfi_chunk chunk;
};

/** DONE when there is no body, MORE otherwise. *Borrows* the limits. */
enum pfi_verdict pfi_body_start(struct pfi_body *body, const struct pfi_framing *framing,
                                const struct pfi_limits *limits);

/** As pfi_chunk_feed(). */
enum pfi_verdict pfi_body_feed(struct pfi_body *body, const char *bytes, size_t length,
                               size_t *ret_used, struct pfi_span *ret_data);

/** How many bytes that come next are surely data, so that they may be read
 *  straight to where they are wanted, and pfi_body_skip() told. */
static inline uint64_t pfi_body_ahead(const struct pfi_body *body)
{
	return body->done ? 0 : body->kind == PFI_BODY_LENGTH ? body->left : pfi_chunk_ahead(&body->chunk);
}

/** `length` bytes of data, at most pfi_body_ahead(), were read elsewhere. */
enum pfi_verdict pfi_body_skip(struct pfi_body *body, uint64_t length);

#endif
