/* Decodes the user name of "Authorization: Basic" (base64, RFC 4648). */
#include "http/basic.h"

#include "http/fields.h"

#include <stdint.h>
#include <string.h>

/* 0 to 63, or -1. */
static int sextet(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

size_t pfi_basic_user(const char *value, size_t length, char *user, size_t size)
{
	static const char scheme[] = "basic ";
	uint32_t bits = 0;
	unsigned held = 0;
	size_t used = 0, at = sizeof scheme - 1;

	if (length <= at || !pfi_text_is(value, at, scheme, at))
		return 0;
	while (at < length && value[at] == ' ')
		at++;
	for (; at < length && value[at] != '='; at++) {
		const int six = sextet(value[at]);

		if (six < 0)
			return 0;
		bits = bits << 6 | (uint32_t)six;
		held += 6;
		if (held < 8)
			continue;
		held -= 8;
		const char c = (char)(bits >> held & 0xff);
		if (c == ':' || used == size)
			return used;
		user[used++] = c;
	}
	return 0; /* without a colon it is not user:password */
}
