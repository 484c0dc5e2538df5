/*
 * split -- input in pieces, for a parser that gets all bytes so far and says how many more it wants.
 */
#ifndef TESTS_FUZZ_SPLIT_H
#define TESTS_FUZZ_SPLIT_H

#include "base/parser.h"

#include "fuzz.h"

struct split_parser {
	void *state;
	enum pfi_verdict (*feed)(void *state, const char *bytes, size_t size);
	size_t (*wanted)(const void *state);
	bool (*has_error)(const void *state);
};

/* Feeds `size` bytes. MORE means that more bytes are wanted, BAD that there is an error message. */
static inline enum pfi_verdict split_feed(const struct split_parser *parser, const uint8_t *data, size_t size)
{
	char *const bytes = copy_exactly(data, size);
	const enum pfi_verdict verdict = parser->feed(parser->state, bytes, size);

	free(bytes);
	demand((verdict == PFI_MORE) == (parser->wanted(parser->state) > 0));
	demand((verdict == PFI_BAD) == parser->has_error(parser->state));
	return verdict;
}

/* Feeds `step` more bytes at a time, or with 0 as many as are wanted. Returns how many were read. */
static inline size_t split_read(const struct split_parser *parser, const uint8_t *data, size_t size, size_t step)
{
	size_t length = 0;

	while (split_feed(parser, data, length) == PFI_MORE && length < size) {
		length += step > 0 ? step : parser->wanted(parser->state);
		length = length < size ? length : size;
	}
	return length;
}

#endif
