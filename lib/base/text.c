/* Builds text in a buffer of fixed size, and escapes bytes that could move the cursor or begin a line. */
#include "base/text.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

void pfi_text_init(struct pfi_text *text, char *bytes, size_t size)
{
	*text = (struct pfi_text){ .bytes = bytes, .size = size };
	bytes[0] = '\0';
}

void pfi_text_add_bytes(struct pfi_text *text, const char *bytes, size_t count)
{
	const size_t capacity = text->size - 1 - text->length;

	if (count > capacity) {
		text->cut = true;
		count = capacity;
	}
	if (count > 0)
		memcpy(text->bytes + text->length, bytes, count);
	text->length += count;
	text->bytes[text->length] = '\0';
}

void pfi_text_add(struct pfi_text *text, const char *more)
{
	pfi_text_add_bytes(text, more, strlen(more));
}

void pfi_text_add_char(struct pfi_text *text, char c)
{
	pfi_text_add_bytes(text, &c, 1);
}

void pfi_text_vformat(struct pfi_text *text, const char *format, va_list arguments)
{
	const size_t capacity = text->size - text->length;
	const int wanted = vsnprintf(text->bytes + text->length, capacity, format, arguments);

	if (wanted < 0) {
		text->bytes[text->length] = '\0';
		text->cut = true;
	} else if ((size_t)wanted >= capacity) {
		text->length = text->size - 1;
		text->cut = true;
	} else {
		text->length += (size_t)wanted;
	}
}

void pfi_text_format(struct pfi_text *text, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	pfi_text_vformat(text, format, arguments);
	va_end(arguments);
}

/* By the first byte of a UTF-8 character: its length, and the range of its second byte, which excludes overlong forms,
 * surrogates, and code points above U+10FFFF (RFC 3629, section 4). */
static const struct {
	unsigned char first, last, second_first, second_last, length;
} forms[] = {
	{ 0x00, 0x7f, 0x00, 0xff, 1 }, { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
	{ 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
	{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
};

size_t pfi_utf8_length(const char *bytes, size_t count)
{
	const unsigned char *const b = (const unsigned char *)bytes;

	for (size_t i = 0; count > 0 && i < sizeof forms / sizeof forms[0]; i++) {
		if (b[0] < forms[i].first || b[0] > forms[i].last)
			continue;
		if (forms[i].length == 1)
			return 1;
		if (count < forms[i].length || b[1] < forms[i].second_first ||
		    b[1] > forms[i].second_last)
			return 0;
		for (size_t k = 2; k < forms[i].length; k++)
			if ((b[k] & 0xc0) != 0x80)
				return 0;
		return forms[i].length;
	}
	return 0;
}

/* Whether this character moves the cursor, starts a line, or changes the direction of text. */
static bool is_control(const unsigned char *c, size_t length)
{
	if (length == 1)
		return c[0] < 0x20 || c[0] == 0x7f;
	if (length == 2)
		return c[0] == 0xc2 && c[1] < 0xa0; /* C1: U+009B (CSI) starts an escape sequence */
	/* U+2028 and U+2029 end a line; U+202A to U+202E and U+2066 to U+2069 change the direction. */
	return length == 3 && c[0] == 0xe2 &&
	       ((c[1] == 0x80 && c[2] >= 0xa8 && c[2] <= 0xae) || (c[1] == 0x81 && c[2] >= 0xa6 && c[2] <= 0xa9));
}

static void add_hex(struct pfi_text *text, const char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		switch (bytes[i]) {
		case '\n':
			pfi_text_add(text, "\\n");
			break;
		case '\r':
			pfi_text_add(text, "\\r");
			break;
		case '\t':
			pfi_text_add(text, "\\t");
			break;
		default:
			pfi_text_format(text, "\\x%02x", (unsigned)(unsigned char)bytes[i]);
		}
	}
}

static void add_printable(struct pfi_text *text, const char *bytes, size_t count, bool double_backslashes)
{
	size_t at = 0;

	while (at < count && !text->cut) {
		size_t n = pfi_utf8_length(bytes + at, count - at);

		if (n == 1 && bytes[at] == '\\' && double_backslashes) {
			pfi_text_add(text, "\\\\");
		} else if (n == 0 || is_control((const unsigned char *)bytes + at, n)) {
			n += n == 0;
			add_hex(text, bytes + at, n);
		} else {
			pfi_text_add_bytes(text, bytes + at, n);
		}
		at += n;
	}
}

void pfi_text_add_escaped(struct pfi_text *text, const char *bytes, size_t count)
{
	add_printable(text, bytes, count, true);
}

void pfi_text_add_line(struct pfi_text *text, const char *bytes, size_t count)
{
	add_printable(text, bytes, count, false);
}

void pfi_text_add_quoted(struct pfi_text *text, const char *value)
{
	enum { QUOTED_MAX = 60 };
	const size_t length = strlen(value);

	pfi_text_add_char(text, '\'');
	pfi_text_add_escaped(text, value, length > QUOTED_MAX ? QUOTED_MAX : length);
	pfi_text_add(text, length > QUOTED_MAX ? "...'" : "'");
}
