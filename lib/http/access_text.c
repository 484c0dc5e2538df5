/* Escapes text for the access log, in quotes and in JSON, and shortens it at a character boundary. */
#include "http/access_text.h"

#include <stdint.h>

/* Nearly all bytes are plain, in long runs: copy these at once. */
static size_t plain_length(const char *bytes, size_t length)
{
	size_t n = 0;

	while (n < length && bytes[n] >= ' ' && bytes[n] < 0x7f && bytes[n] != '"' && bytes[n] != '\\')
		n++;
	return n;
}

void pfi_access_add_plain(struct pfi_text *line, const char *bytes, size_t length)
{
	size_t at = 0;

	while (at < length) {
		const size_t plain = plain_length(bytes + at, length - at);
		size_t end;

		pfi_text_add_bytes(line, bytes + at, plain);
		at += plain;
		for (end = at; end < length && bytes[end] != '"' && plain_length(bytes + end, 1) == 0;)
			end++;
		pfi_text_add_escaped(line, bytes + at, end - at);
		for (at = end; at < length && bytes[at] == '"'; at++)
			pfi_text_add_bytes(line, "\\\"", 2);
	}
}

/* The character in `length` bytes of valid UTF-8. */
static uint32_t decode(const char *bytes, size_t length)
{
	static const unsigned char first_bits[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	uint32_t character = (unsigned char)bytes[0] & first_bits[length];

	for (size_t i = 1; i < length; i++)
		character = character << 6 | ((unsigned char)bytes[i] & 0x3f);
	return character;
}

/* Control characters, line ends, and characters that change the direction of text. */
static bool is_control(uint32_t character)
{
	return character < 0x20 || (character >= 0x7f && character < 0xa0) ||
	       (character >= 0x2028 && character <= 0x202e) || (character >= 0x2066 && character <= 0x2069);
}

/* The bytes between the quotes. */
static void add_json_bytes(struct pfi_text *line, const char *bytes, size_t length)
{
	size_t at = 0;

	while (at < length && !line->cut) {
		const size_t plain = plain_length(bytes + at, length - at);

		pfi_text_add_bytes(line, bytes + at, plain);
		at += plain;
		if (at == length)
			break;
		const size_t n = pfi_utf8_length(bytes + at, length - at);
		const uint32_t character = n > 0 ? decode(bytes + at, n) : 0;

		if (n == 0)
			pfi_text_format(line, "\\\\x%02x", (unsigned)(unsigned char)bytes[at]);
		else if (is_control(character))
			pfi_text_format(line, "\\u%04x", (unsigned)character);
		else if (n == 1) /* a quote or a backslash */
			pfi_text_format(line, "\\%c", bytes[at]);
		else
			pfi_text_add_bytes(line, bytes + at, n);
		at += n > 0 ? n : 1;
	}
}

void pfi_access_add_json(struct pfi_text *line, const char *bytes, size_t length)
{
	if (bytes == NULL) {
		pfi_text_add(line, "null");
		return;
	}
	pfi_text_add_char(line, '"');
	add_json_bytes(line, bytes, length);
	pfi_text_add_char(line, '"');
}

/* Character by character, so that the text can end after any of them. */
static bool add_most(struct pfi_text *line, const char *bytes, size_t length, size_t max,
                     void (*add)(struct pfi_text *line, const char *bytes, size_t length))
{
	static const char dots[] = "...";
	const size_t begin = line->length;
	size_t end = begin; /* the end of the text if dots follow */

	for (size_t at = 0, n; at < length && !line->cut; at += n) {
		n = pfi_utf8_length(bytes + at, length - at);
		n += n == 0;
		add(line, bytes + at, n);
		const size_t now = line->length - begin;
		if (line->cut || now > max) {
			line->cut = false; /* as it was when this text began */
			line->length = end;
			pfi_text_add(line, max < sizeof dots - 1 ? "" : dots);
			return false;
		}
		if (now + sizeof dots - 1 <= max)
			end = line->length;
	}
	return true;
}

bool pfi_access_add_plain_most(struct pfi_text *line, const char *bytes, size_t length, size_t max)
{
	return add_most(line, bytes, length, max, pfi_access_add_plain);
}

bool pfi_access_add_json_most(struct pfi_text *line, const char *bytes, size_t length, size_t max)
{
	pfi_text_add_char(line, '"');
	const bool whole = add_most(line, bytes, length, max, add_json_bytes);
	pfi_text_add_char(line, '"');
	return whole;
}
