/* The parser of the chunked coding: a table of states and character kinds for the framing; data is skipped as a
 * whole. */
#include "http/chunk.h"

#include "http/fields.h"

#include <string.h>

/* The classes of bytes that the grammar distinguishes. */
enum kind {
	KIND_BAD, /* controls, delete */
	KIND_HEX,
	KIND_TOKEN, /* the rest of the token characters */
	KIND_BLANK,
	KIND_COLON,
	KIND_SEMICOLON,
	KIND_EQUALS,
	KIND_QUOTE,
	KIND_BACKSLASH,
	KIND_OTHER, /* printable, but no token; and obs-text */
	KIND_CR,
	KIND_LF,
	KIND_COUNT,
};

/* The position of the next byte in the grammar. Cells of the table that are not set are BAD. */
enum chunk_state {
	STATE_BAD,
	STATE_SIZE_FIRST,
	STATE_SIZE,
	STATE_BEFORE_SEMICOLON, /* blanks after a size or an extension: only another extension may follow */
	STATE_BEFORE_NAME,
	STATE_NAME,
	STATE_AFTER_NAME,
	STATE_BEFORE_VALUE,
	STATE_VALUE,
	STATE_QUOTED,
	STATE_QUOTED_PAIR,
	STATE_AFTER_QUOTED,
	STATE_SIZE_LF,
	STATE_DATA, /* not stepped through */
	STATE_DATA_CR,
	STATE_DATA_LF,
	STATE_FIELD, /* first byte of a trailer line, or of the empty line */
	STATE_FIELD_NAME,
	STATE_FIELD_VALUE,
	STATE_FIELD_LF,
	STATE_END_LF,
	STATE_DONE,
	STATE_COUNT,
};

#define TOKENS(next) [KIND_HEX] = STATE_##next, [KIND_TOKEN] = STATE_##next
#define ON(kind, next) [KIND_##kind] = STATE_##next
/* Bytes of a field value or a quoted string that have no meaning of their own. */
#define PLAIN(next)                                                                                \
	TOKENS(next), ON(BLANK, next), ON(COLON, next), ON(SEMICOLON, next), ON(EQUALS, next),     \
		ON(OTHER, next)

static const uint8_t next_state[STATE_COUNT][KIND_COUNT] = {
	[STATE_SIZE_FIRST] = { ON(HEX, SIZE) },
	[STATE_SIZE] = { ON(HEX, SIZE), ON(BLANK, BEFORE_SEMICOLON), ON(SEMICOLON, BEFORE_NAME),
	                 ON(CR, SIZE_LF) },
	[STATE_BEFORE_SEMICOLON] = { ON(BLANK, BEFORE_SEMICOLON), ON(SEMICOLON, BEFORE_NAME) },
	[STATE_BEFORE_NAME] = { ON(BLANK, BEFORE_NAME), TOKENS(NAME) },
	[STATE_NAME] = { TOKENS(NAME), ON(BLANK, AFTER_NAME), ON(EQUALS, BEFORE_VALUE),
	                 ON(SEMICOLON, BEFORE_NAME), ON(CR, SIZE_LF) },
	[STATE_AFTER_NAME] = { ON(BLANK, AFTER_NAME), ON(EQUALS, BEFORE_VALUE),
	                       ON(SEMICOLON, BEFORE_NAME) },
	[STATE_BEFORE_VALUE] = { ON(BLANK, BEFORE_VALUE), TOKENS(VALUE), ON(QUOTE, QUOTED) },
	[STATE_VALUE] = { TOKENS(VALUE), ON(BLANK, BEFORE_SEMICOLON), ON(SEMICOLON, BEFORE_NAME),
	                  ON(CR, SIZE_LF) },
	[STATE_QUOTED] = { PLAIN(QUOTED), ON(BACKSLASH, QUOTED_PAIR), ON(QUOTE, AFTER_QUOTED) },
	[STATE_QUOTED_PAIR] = { PLAIN(QUOTED), ON(BACKSLASH, QUOTED), ON(QUOTE, QUOTED) },
	[STATE_AFTER_QUOTED] = { ON(BLANK, BEFORE_SEMICOLON), ON(SEMICOLON, BEFORE_NAME),
	                         ON(CR, SIZE_LF) },
	[STATE_SIZE_LF] = { ON(LF, DATA) }, /* or FIELD if the size is 0 */
	[STATE_DATA_CR] = { ON(CR, DATA_LF) },
	[STATE_DATA_LF] = { ON(LF, SIZE_FIRST) },
	[STATE_FIELD] = { TOKENS(FIELD_NAME), ON(CR, END_LF) },
	[STATE_FIELD_NAME] = { TOKENS(FIELD_NAME), ON(COLON, FIELD_VALUE) },
	[STATE_FIELD_VALUE] = { PLAIN(FIELD_VALUE), ON(QUOTE, FIELD_VALUE),
	                        ON(BACKSLASH, FIELD_VALUE), ON(CR, FIELD_LF) },
	[STATE_FIELD_LF] = { ON(LF, FIELD) },
	[STATE_END_LF] = { ON(LF, DONE) },
};

static const char *const problems[STATE_COUNT] = {
	[STATE_SIZE_FIRST] = "a chunk without a size",
	[STATE_SIZE] = "a chunk size that is not a number",
	[STATE_SIZE_LF] = "a chunk size that does not end with CRLF",
	[STATE_DATA_CR] = "a chunk longer than its size",
	[STATE_DATA_LF] = "a chunk longer than its size",
	[STATE_FIELD] = "a trailer line without a name",
	[STATE_FIELD_NAME] = "a trailer line without a name and a colon",
	[STATE_FIELD_VALUE] = "a control character in a trailer value",
	[STATE_FIELD_LF] = "a carriage return without a line feed",
	[STATE_END_LF] = "a carriage return without a line feed",
};

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	const char lower = (char)(c | 0x20);
	return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static enum kind kind_of(char c)
{
	switch (c) {
	case '\r':
		return KIND_CR;
	case '\n':
		return KIND_LF;
	case ' ':
	case '\t':
		return KIND_BLANK;
	case ':':
		return KIND_COLON;
	case ';':
		return KIND_SEMICOLON;
	case '=':
		return KIND_EQUALS;
	case '"':
		return KIND_QUOTE;
	case '\\':
		return KIND_BACKSLASH;
	default:
		break;
	}
	if (hex_value(c) >= 0)
		return KIND_HEX;
	if (pfi_char_is(c, PFI_CHAR_TOKEN))
		return KIND_TOKEN;
	return pfi_char_is(c, PFI_CHAR_TEXT) ? KIND_OTHER : KIND_BAD;
}

static enum pfi_verdict refuse(struct pfi_chunk *chunk, uint16_t status, const char *problem)
{
	chunk->http_error = (struct pfi_http_error){ status, problem };
	chunk->state = STATE_BAD;
	return PFI_BAD;
}

void pfi_chunk_start(struct pfi_chunk *chunk, const struct pfi_limits *limits)
{
	*chunk = (struct pfi_chunk){ .limits = limits, .state = STATE_SIZE_FIRST };
}

/* Extensions and trailers are counted: without a limit, one-byte chunks with long extensions, or endless trailers, cost
 * the server without limit (CVE-2024-22019, CVE-2023-39326). Plain size lines are not counted: they cost the client
 * more than the server. */
static enum pfi_verdict count(struct pfi_chunk *chunk, enum chunk_state state)
{
	const bool trailer = state >= STATE_FIELD;
	const bool size = state <= STATE_SIZE || state == STATE_SIZE_LF || state == STATE_DATA_CR ||
	                  state == STATE_DATA_LF;

	if (++chunk->line_length > chunk->limits->field_max)
		return refuse(chunk, trailer ? 431 : 400, "a line between chunks is too long");
	if (!size && ++chunk->framing_length > chunk->limits->head_max)
		return refuse(chunk, trailer ? 431 : 400, "too much between the chunks");
	return PFI_DONE;
}

static enum pfi_verdict add_digit(struct pfi_chunk *chunk, char c)
{
	if (chunk->left >> 60 != 0)
		return refuse(chunk, 400, "a chunk size above 64 bits");
	chunk->left = chunk->left << 4 | (uint64_t)hex_value(c);
	return PFI_DONE;
}

static enum pfi_verdict end_size(struct pfi_chunk *chunk)
{
	chunk->line_length = 0;
	if (chunk->left == 0) {
		chunk->state = STATE_FIELD;
		return PFI_DONE;
	}
	if (chunk->left > chunk->limits->body_max - chunk->body)
		return refuse(chunk, 413, "the body is too large");
	chunk->body += chunk->left;
	return PFI_DONE;
}

static enum pfi_verdict add_name(struct pfi_chunk *chunk, char c, enum chunk_state from)
{
	if (from == STATE_FIELD) {
		chunk->name_length = 0;
		if (chunk->fields_count++ >= chunk->limits->fields_max)
			return refuse(chunk, 431, "too many trailer fields");
	}
	if (chunk->name_length < sizeof chunk->name)
		chunk->name[chunk->name_length] = c;
	if (chunk->name_length <= sizeof chunk->name)
		chunk->name_length++;
	return PFI_DONE;
}

static enum pfi_verdict end_name(struct pfi_chunk *chunk)
{
	const size_t length = chunk->name_length;

	if (length <= sizeof chunk->name &&
	    (pfi_field_rules(pfi_field_find(chunk->name, length)) & PFI_FIELD_NO_TRAILER))
		return refuse(chunk, 400, "a field that is not allowed in a trailer");
	return PFI_DONE;
}

/* One byte of framing: the table has the next state; this function carries out the rest. */
static enum pfi_verdict step(struct pfi_chunk *chunk, char c)
{
	const enum chunk_state from = (enum chunk_state)chunk->state;
	const enum chunk_state to = (enum chunk_state)next_state[from][kind_of(c)];

	if (to == STATE_BAD)
		return refuse(chunk, 400,
		              problems[from] != NULL ? problems[from] : "a malformed chunk extension");
	if (count(chunk, from) == PFI_BAD)
		return PFI_BAD;
	chunk->state = (uint8_t)to;
	if (to == STATE_SIZE)
		return add_digit(chunk, c);
	if (from == STATE_SIZE_LF)
		return end_size(chunk);
	if (to == STATE_FIELD_NAME)
		return add_name(chunk, c, from);
	if (from == STATE_FIELD_NAME)
		return end_name(chunk);
	if (to == STATE_FIELD || to == STATE_SIZE_FIRST)
		chunk->line_length = 0;
	return PFI_DONE;
}

uint64_t pfi_chunk_contiguous(const struct pfi_chunk *chunk)
{
	return chunk->state == STATE_DATA ? chunk->left : 0;
}

bool pfi_chunk_in_trailer(const struct pfi_chunk *chunk)
{
	switch (chunk->state) {
	case STATE_FIELD_NAME:
	case STATE_FIELD_VALUE:
	case STATE_FIELD_LF:
		return true;
	case STATE_FIELD: /* after the line of a trailer field, or after the last chunk size */
		return chunk->fields_count > 0;
	default:
		return false;
	}
}

void pfi_chunk_skip(struct pfi_chunk *chunk, uint64_t length)
{
	chunk->left -= length;
	if (chunk->left == 0)
		chunk->state = STATE_DATA_CR;
}

enum pfi_verdict pfi_chunk_feed(struct pfi_chunk *chunk, const char *bytes, size_t length,
                                size_t *ret_used, struct pfi_span *ret_data)
{
	size_t i = 0;

	*ret_used = 0;
	*ret_data = (struct pfi_span){ 0, 0 };
	if (chunk->state == STATE_BAD)
		return PFI_BAD;
	while (i < length && chunk->state != STATE_DONE && chunk->state != STATE_DATA)
		if (step(chunk, bytes[i++]) == PFI_BAD)
			return PFI_BAD;
	if (chunk->state == STATE_DATA && i < length) {
		size_t piece = length - i < UINT32_MAX ? length - i : UINT32_MAX;
		if (piece > chunk->left)
			piece = (size_t)chunk->left;
		*ret_data = (struct pfi_span){ (uint32_t)i, (uint32_t)piece };
		pfi_chunk_skip(chunk, piece);
		i += piece;
	}
	*ret_used = i;
	return chunk->state == STATE_DONE ? PFI_DONE : PFI_MORE;
}
