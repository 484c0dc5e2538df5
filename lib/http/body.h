/*
 * body -- the parser of a request body: one interface for Content-Length and for chunks. Pure.
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

/** The number of data bytes that follow without framing between them: the caller may read them from
 *  the socket into its own buffer, and then call pfi_body_skip(). */
static inline uint64_t pfi_body_contiguous(const struct pfi_body *body)
{
	return body->done ? 0 : body->kind == PFI_BODY_LENGTH ? body->left : pfi_chunk_contiguous(&body->chunk);
}

/** The caller has read `length` bytes of data itself, at most pfi_body_contiguous(). */
enum pfi_verdict pfi_body_skip(struct pfi_body *body, uint64_t length);

#endif
