#include "http/access_text.h"

#include <stdint.h>

/* Nearly all bytes are, and nearly all of those come in long runs. */
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

/* Controls, line ends, and what turns the direction of text. */
static bool steers(uint32_t character)
{
	return character < 0x20 || (character >= 0x7f && character < 0xa0) ||
	       (character >= 0x2028 && character <= 0x202e) || (character >= 0x2066 && character <= 0x2069);
}

void pfi_access_add_json(struct pfi_text *line, const char *bytes, size_t length)
{
	size_t at = 0;

	if (bytes == NULL) {
		pfi_text_add(line, "null");
		return;
	}
	pfi_text_add_char(line, '"');
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
		else if (steers(character))
			pfi_text_format(line, "\\u%04x", (unsigned)character);
		else if (n == 1) /* a quote or a backslash */
			pfi_text_format(line, "\\%c", bytes[at]);
		else
			pfi_text_add_bytes(line, bytes + at, n);
		at += n > 0 ? n : 1;
	}
	pfi_text_add_char(line, '"');
}
