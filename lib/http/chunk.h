/*
 * chunk -- the chunked transfer coding, from the first size to the empty line
 * behind the trailer.
 *
 * Pure: it is shown bytes and points at the data among them. Whatever lies
 * between the data is held to RFC 9112 7.1 by one table, a byte at a time, so
 * that no cut of the input can change a verdict, and is bounded by the limits
 * of a head, so that nobody can send framing without end.
 *
 * Trailer fields are checked by the rules of header fields; who wants them keeps
 * the bytes that pfi_chunk_in_trailer() is about.
 */
#ifndef HTTP_CHUNK_H
#define HTTP_CHUNK_H

#include "http/limits.h"
#include "http/verdict.h"

#include <stdbool.h>
#include <stddef.h>

struct pfi_chunk {
	const struct pfi_limits *limits; /* borrowed */
	uint64_t left;                   /* data of this chunk that is still to come */
	uint64_t body;                   /* data promised so far, this chunk included */
	uint32_t framing_length;         /* extensions and trailers so far */
	uint32_t line_length;
	uint32_t fields_count;
	uint8_t state;
	uint8_t name_length;
	char name[32]; /* of the trailer field being read: the forbidden ones are shorter */
	struct pfi_http_error http_error; /* at BAD */
};

void pfi_chunk_start(struct pfi_chunk *chunk, const struct pfi_limits *limits);

/**
 * Read on, up to the end of the next piece of data. `ret_used` bytes were read,
 * of which `ret_data` are data (its `at` counts from `bytes`; its length is 0
 * when there is none). Answers MORE with bytes left over after a piece of data:
 * call again with those. DONE leaves what follows the body unread.
 */
enum pfi_verdict pfi_chunk_feed(struct pfi_chunk *chunk, const char *bytes, size_t length,
                                size_t *ret_used, struct pfi_span *ret_data);

/** How many bytes that come next are data for sure. */
uint64_t pfi_chunk_ahead(const struct pfi_chunk *chunk);

/** Whether the byte that was read last belongs to a line of a trailer field. */
bool pfi_chunk_in_trailer(const struct pfi_chunk *chunk);

/** `length` of them, at most pfi_chunk_ahead(), were read elsewhere. */
void pfi_chunk_skip(struct pfi_chunk *chunk, uint64_t length);

#endif
