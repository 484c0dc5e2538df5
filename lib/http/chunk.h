/*
 * chunk -- the parser of the chunked transfer coding (RFC 9112 7.1), from the first chunk size to
 * the empty line after the trailer.
 *
 * Pure: it reads bytes, and returns where data is among them. One table parses the framing, a byte
 * at a time, so that the verdict does not depend on where the input is split. The limits of a head
 * apply to the framing, so that a client cannot send framing without end.
 *
 * Trailer fields have the rules of header fields. The caller keeps them, by pfi_chunk_in_trailer().
 */
#ifndef HTTP_CHUNK_H
#define HTTP_CHUNK_H

#include "http/limits.h"
#include "http/verdict.h"

#include <stdbool.h>
#include <stddef.h>

struct pfi_chunk {
	const struct pfi_limits *limits; /* borrowed */
	uint64_t left;                   /* bytes of data of this chunk that are not parsed yet */
	uint64_t body;                   /* sum of the chunk sizes so far */
	uint32_t framing_length;         /* bytes of extensions and trailers so far */
	uint32_t line_length;
	uint32_t fields_count;
	uint8_t state;
	uint8_t name_length;
	char name[32]; /* of the current trailer field: forbidden names are shorter */
	struct pfi_http_error http_error; /* at BAD */
};

void pfi_chunk_start(struct pfi_chunk *chunk, const struct pfi_limits *limits);

/**
 * Continue, up to the end of the next piece of data. `ret_used` bytes were parsed, of which
 * `ret_data` are data (`at` is an offset in `bytes`; length 0: none). Returns MORE after a piece
 * of data, even if bytes are left: call again with these. At DONE the bytes after the body are
 * not parsed.
 */
enum pfi_verdict pfi_chunk_feed(struct pfi_chunk *chunk, const char *bytes, size_t length,
                                size_t *ret_used, struct pfi_span *ret_data);

/** The number of data bytes that follow without framing between them. */
uint64_t pfi_chunk_contiguous(const struct pfi_chunk *chunk);

/** Whether the last parsed byte belongs to a line of a trailer field. */
bool pfi_chunk_in_trailer(const struct pfi_chunk *chunk);

/** The caller has read `length` bytes of data itself, at most pfi_chunk_contiguous(). */
void pfi_chunk_skip(struct pfi_chunk *chunk, uint64_t length);

#endif
