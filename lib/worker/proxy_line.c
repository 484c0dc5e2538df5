/* Section 2.1: one line of text, the only part of the protocol that does not begin with its length. */
#include "worker/proxy_internal.h"

#include <arpa/inet.h>
#include <string.h>

enum { FIELDS_MAX = 4, ADDRESS_TEXT_MAX = 45 };

/* A field of the line: bytes of one set, and the byte after it. */
struct field {
	const char *set;
	uint8_t max; /* bytes of a valid field, at most */
	uint8_t min; /* ... at least                    */
	char end;    /* the byte after it               */
	const char *problem;
};

#define DIGITS "0123456789"
#define PORT(name, end_byte) \
	{ DIGITS, 5, 1, end_byte, "the " name " port is not a number from 0 to 65535" }
/* "0.0.0.0" and "::" are the shortest addresses. HAProxy writes an IPv4 address among IPv6 ones as
 * inet_ntop(3) does, with dots: at most 45 bytes. */
#define IPV4(name) \
	{ DIGITS ".", 15, 7, ' ', "the " name " address is not an IPv4 address" }
#define IPV6(name) \
	{ DIGITS "abcdefABCDEF:.", ADDRESS_TEXT_MAX, 2, ' ', "the " name " address is not an IPv6 address" }

struct form {
	const char *start;
	uint8_t start_length;
	uint8_t family; /* AF_UNSPEC: UNKNOWN */
	struct field fields[FIELDS_MAX];
};

static const struct form forms[] = {
	{ "PROXY TCP4 ", 11, AF_INET,
	  { IPV4("source"), IPV4("destination"), PORT("source", ' '), PORT("destination", '\r') } },
	{ "PROXY TCP6 ", 11, AF_INET6,
	  { IPV6("source"), IPV6("destination"), PORT("source", ' '), PORT("destination", '\r') } },
	{ "PROXY UNKNOWN", 13, AF_UNSPEC, { { .set = NULL } } },
};

enum { FORMS = sizeof forms / sizeof forms[0] };

/* The smallest number of bytes that a line has from its field `from` on: each field in its shortest form
 * with the byte after it, and the LF. */
static size_t min_from(const struct form *form, size_t from)
{
	size_t min = form->family == AF_UNSPEC ? 2 : 1;

	for (size_t i = from; i < FIELDS_MAX && form->fields[i].set != NULL; i++)
		min += form->fields[i].min + 1u;
	return min;
}

/* The form that the line begins with. NULL: none so far, and at least `*ret_min` bytes are missing; with 0
 * there is no such form. */
static const struct form *find_form(const char *bytes, size_t length, size_t *ret_min)
{
	*ret_min = 0;
	for (size_t i = 0; i < FORMS; i++) {
		const struct form *const form = &forms[i];
		const size_t shared = length < form->start_length ? length : form->start_length;

		if (memcmp(bytes, form->start, shared) != 0)
			continue;
		if (shared == form->start_length)
			return form;
		const size_t min = form->start_length - shared + min_from(form, 0);
		if (*ret_min == 0 || min < *ret_min)
			*ret_min = min;
	}
	return NULL;
}

/* No leading zeros, "to avoid any possible confusion with octal numbers". inet_pton(3) refuses them
 * in addresses. */
static bool port_parse(const char *text, size_t length, in_port_t *ret_port)
{
	unsigned port = 0;

	if (length == 0 || (text[0] == '0' && length > 1))
		return false;
	for (size_t i = 0; i < length; i++)
		port = port * 10 + (unsigned)(text[i] - '0');
	*ret_port = htons((uint16_t)port);
	return port <= 65535;
}

static bool address_parse(const char *text, size_t length, uint8_t family, struct pfi_proxy_address *address)
{
	char copy[ADDRESS_TEXT_MAX + 1];

	memcpy(copy, text, length);
	copy[length] = '\0';
	if (family == AF_INET) {
		address->socket.in = (struct sockaddr_in){ .sin_family = AF_INET };
		address->size = sizeof address->socket.in;
		return inet_pton(AF_INET, copy, &address->socket.in.sin_addr) == 1;
	}
	address->socket.in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6 };
	address->size = sizeof address->socket.in6;
	return inet_pton(AF_INET6, copy, &address->socket.in6.sin6_addr) == 1;
}

static bool field_parse(struct pfi_proxy_header *header, const struct form *form, size_t index,
                        const char *text, size_t length)
{
	struct pfi_proxy_address *const address = index % 2 == 0 ? &header->source : &header->destination;
	in_port_t *const port = form->family == AF_INET ? &address->socket.in.sin_port :
	                                                  &address->socket.in6.sin6_port;

	return index < 2 ? address_parse(text, length, form->family, address) :
	                   port_parse(text, length, port);
}

static bool is_in(const char *set, char c)
{
	return c != '\0' && strchr(set, c) != NULL;
}

/* Reads the field at `*at` and the byte after it. */
static enum pfi_verdict read_field(struct pfi_proxy_header *header, const struct form *form, size_t index,
                                   const char *bytes, size_t length, size_t *at)
{
	const struct field *const field = &form->fields[index];
	const char *const text = bytes + *at;
	const size_t left = length - *at;
	size_t n = 0;

	while (n < left && n < field->max && is_in(field->set, text[n]))
		n++;
	if (n == left) {
		const size_t rest = n < field->min ? field->min - n : 0;
		header->wanted = (uint16_t)(rest + 1 + min_from(form, index + 1));
		return PFI_MORE;
	}
	if (text[n] != field->end || !field_parse(header, form, index, text, n))
		return pfi_proxy_refuse(header, field->problem);
	*at += n + 1;
	return PFI_DONE;
}

/* After "PROXY UNKNOWN", everything up to the CRLF is ignored. It must still be printable text: a line feed
 * alone would end the line for a more lenient receiver. */
static enum pfi_verdict skip_unknown(struct pfi_proxy_header *header, const char *bytes, size_t length,
                                     size_t *at)
{
	size_t i = *at;

	if (i < length && bytes[i] != ' ' && bytes[i] != '\r')
		return pfi_proxy_refuse(header, "the protocol is not TCP4, TCP6 or UNKNOWN");
	while (i < length && bytes[i] >= 0x20 && bytes[i] < 0x7f)
		i++;
	if (i == length) {
		header->wanted = 2;
		return PFI_MORE;
	}
	if (bytes[i] != '\r')
		return pfi_proxy_refuse(header, "the line has a byte that is not printable ASCII");
	*at = i + 1;
	return PFI_DONE;
}

static enum pfi_verdict read_fields(struct pfi_proxy_header *header, const struct form *form,
                                    const char *bytes, size_t length)
{
	size_t at = form->start_length;
	enum pfi_verdict verdict = PFI_DONE;

	if (form->family == AF_UNSPEC)
		verdict = skip_unknown(header, bytes, length, &at);
	for (size_t i = 0; i < FIELDS_MAX && form->fields[i].set != NULL && verdict == PFI_DONE; i++)
		verdict = read_field(header, form, i, bytes, length, &at);
	if (verdict != PFI_DONE)
		return verdict;
	if (at == length) {
		header->wanted = 1;
		return PFI_MORE;
	}
	if (bytes[at] != '\n')
		return pfi_proxy_refuse(header, "the line does not end with CRLF");
	header->length = (uint16_t)(at + 1);
	return PFI_DONE;
}

enum pfi_verdict pfi_proxy_line_read(struct pfi_proxy_header *header, const char *bytes, size_t length)
{
	const size_t shown = length < PFI_PROXY_LINE_MAX ? length : PFI_PROXY_LINE_MAX;
	size_t min = 0;
	const struct form *const form = find_form(bytes, shown, &min);

	if (form == NULL && min == 0)
		return pfi_proxy_refuse(header, "the protocol is not TCP4, TCP6 or UNKNOWN");
	header->wanted = (uint16_t)min;
	const enum pfi_verdict verdict =
		form != NULL ? read_fields(header, form, bytes, shown) : PFI_MORE;

	if (verdict != PFI_MORE)
		return verdict;
	/* Without a bound, a sender could make the receiver buffer any amount (CVE-2021-23351). */
	if (shown == PFI_PROXY_LINE_MAX)
		return pfi_proxy_refuse(header, "the line has more than 107 bytes");
	if (header->wanted > PFI_PROXY_LINE_MAX - shown)
		header->wanted = (uint16_t)(PFI_PROXY_LINE_MAX - shown);
	return PFI_MORE;
}
