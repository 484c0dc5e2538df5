/* Chooses the parser of a request body: a count for Content-Length, chunk.c for the chunked coding. */
#include "http/body.h"

enum pfi_verdict pfi_body_start(struct pfi_body *body, const struct pfi_framing *framing,
                                const struct pfi_limits *limits)
{
	body->kind = framing->body;
	body->left = framing->length;
	body->done = framing->body == PFI_BODY_NONE;
	if (framing->body == PFI_BODY_CHUNKED)
		pfi_chunk_start(&body->chunk, limits);
	return body->done ? PFI_DONE : PFI_MORE;
}

static enum pfi_verdict feed_length(struct pfi_body *body, size_t length, size_t *ret_used,
                                    struct pfi_span *ret_data)
{
	size_t piece = length < UINT32_MAX ? length : UINT32_MAX;

	if (piece > body->left)
		piece = (size_t)body->left;
	*ret_used = piece;
	*ret_data = (struct pfi_span){ 0, (uint32_t)piece };
	return pfi_body_skip(body, piece);
}

enum pfi_verdict pfi_body_feed(struct pfi_body *body, const char *bytes, size_t length,
                               size_t *ret_used, struct pfi_span *ret_data)
{
	enum pfi_verdict verdict;

	*ret_used = 0;
	*ret_data = (struct pfi_span){ 0, 0 };
	if (body->done)
		return PFI_DONE;
	if (body->kind == PFI_BODY_LENGTH)
		return feed_length(body, length, ret_used, ret_data);
	verdict = pfi_chunk_feed(&body->chunk, bytes, length, ret_used, ret_data);
	body->done = verdict == PFI_DONE;
	return verdict;
}

enum pfi_verdict pfi_body_skip(struct pfi_body *body, uint64_t length)
{
	if (body->kind == PFI_BODY_LENGTH) {
		body->left -= length;
		body->done = body->left == 0;
	} else if (body->kind == PFI_BODY_CHUNKED) {
		pfi_chunk_skip(&body->chunk, length);
	}
	return body->done ? PFI_DONE : PFI_MORE;
}
