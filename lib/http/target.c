/* Splits a request target into path, query and host, and checks the syntax of hosts. */
#include "http/target.h"

#include <string.h>

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* "[...]": the address is not parsed, but only bytes of an address are accepted. Returns 0 if it is invalid. */
static size_t literal_length(const char *text, size_t length)
{
	size_t colons = 0;

	for (size_t i = 1; i < length; i++) {
		const char c = text[i];
		if (c == ']')
			return colons >= 2 ? i + 1 : 0;
		colons += c == ':';
		if (!is_hex(c) && c != ':' && c != '.')
			return 0;
	}
	return 0;
}

/* A reg-name (RFC 3986); false: a percent sign is not followed by two hex digits. */
static bool skip_name(const char *text, size_t length, size_t *ret_length)
{
	size_t i = 0;

	for (; i < length && pfi_char_is(text[i], PFI_CHAR_HOST); i++)
		if (text[i] == '%' && (length - i < 3 || !is_hex(text[i + 1]) || !is_hex(text[i + 2])))
			return false;
	*ret_length = i;
	return true;
}

static bool port_valid(const char *text, size_t length)
{
	unsigned port = 0;

	for (size_t i = 0; i < length; i++) {
		if (!pfi_char_is(text[i], PFI_CHAR_DIGIT))
			return false;
		port = port * 10 + (unsigned)(text[i] - '0');
		if (port > 65535)
			return false;
	}
	return true;
}

bool pfi_host_valid(const char *text, size_t length)
{
	size_t host = 0;

	if (length > 0 && text[0] == '[') {
		host = literal_length(text, length);
		if (host == 0)
			return false;
	} else if (!skip_name(text, length, &host)) {
		return false;
	}
	if (host == length)
		return true;
	return host > 0 && text[host] == ':' && port_valid(text + host + 1, length - host - 1);
}

static void split_query(struct pfi_head *head, const char *bytes, struct pfi_span rest)
{
	const char *const mark = rest.length > 0 ? memchr(bytes + rest.at, '?', rest.length) : NULL;

	head->path = rest;
	head->has_query = mark != NULL;
	if (mark == NULL)
		return;
	head->path.length = (uint32_t)(mark - bytes) - rest.at;
	head->query.at = head->path.at + head->path.length + 1;
	head->query.length = rest.length - head->path.length - 1;
}

/* http and https only. User information before the host is refused (RFC 9110 4.2.4), and so is an empty host. */
static bool split_absolute(struct pfi_head *head, const char *bytes)
{
	static const char *const schemes[] = { "http://", "https://" };
	const char *const text = bytes + head->target.at;
	const uint32_t length = head->target.length;

	for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
		const uint32_t scheme = (uint32_t)strlen(schemes[i]);
		uint32_t end = scheme;
		if (length < scheme || !pfi_text_is(text, scheme, schemes[i], scheme))
			continue;
		while (end < length && text[end] != '/' && text[end] != '?')
			end++;
		head->form = PFI_TARGET_ABSOLUTE;
		head->authority = (struct pfi_span){ head->target.at + scheme, end - scheme };
		split_query(head, bytes, (struct pfi_span){ head->target.at + end, length - end });
		return end > scheme && text[scheme] != ':' && pfi_host_valid(text + scheme, end - scheme);
	}
	return false;
}

/* The target of CONNECT is host:port. */
static bool split_authority(struct pfi_head *head, const char *bytes)
{
	const char *const text = bytes + head->target.at;
	const uint32_t length = head->target.length;

	head->form = PFI_TARGET_AUTHORITY;
	head->authority = head->target;
	return pfi_host_valid(text, length) && text[0] != ':' &&
	       pfi_char_is(text[length - 1], PFI_CHAR_DIGIT) && memchr(text, ':', length) != NULL &&
	       (text[0] != '[' || memchr(text, ']', length - 1) != NULL);
}

/* CONNECT and OPTIONS have seven letters. */
static bool method_is(const struct pfi_head *head, const char *bytes, const char *upper, const char *lower)
{
	const char *const method = bytes + head->method.at;

	return head->method.length == 7 &&
	       (head->limits->fold_method ? pfi_text_is(method, 7, lower, 7) : memcmp(method, upper, 7) == 0);
}

bool pfi_target_split(struct pfi_head *head, const char *bytes)
{
	const char *const text = bytes + head->target.at;

	if (method_is(head, bytes, "CONNECT", "connect"))
		return split_authority(head, bytes);
	if (text[0] == '/') {
		head->form = PFI_TARGET_ORIGIN;
		split_query(head, bytes, head->target);
		return true;
	}
	if (text[0] == '*' && head->target.length == 1) {
		head->form = PFI_TARGET_ASTERISK;
		head->path = head->target;
		return method_is(head, bytes, "OPTIONS", "options");
	}
	return split_absolute(head, bytes);
}
