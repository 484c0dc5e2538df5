/* Writes the request in a uwsgi packet as a head of HTTP/1, and compares its target with PATH_INFO and QUERY_STRING. */
#include "http/uwsgi_head.h"

#include "http/fields.h"

#include <stdlib.h>
#include <string.h>

enum { PREFIX_LENGTH = sizeof "HTTP_" - 1 };

static void add(struct pfi_out *out, const char *bytes, struct pfi_span span)
{
	(void)pfi_out_add(out, bytes + span.at, span.length);
}

static struct pfi_span value_of(const struct pfi_uwsgi_packet *packet, enum pfi_uwsgi_id id)
{
	const struct pfi_uwsgi_variable *const variable = pfi_uwsgi_variable(packet, id);

	return variable != NULL ? variable->value : (struct pfi_span){ 0, 0 };
}

static bool is(const char *bytes, struct pfi_span span, const char *text)
{
	return span.length == strlen(text) && memcmp(bytes + span.at, text, span.length) == 0;
}

static bool has_field(const struct pfi_uwsgi_packet *packet, enum pfi_field_id id)
{
	return (packet->seen_fields & UINT64_C(1) << id) != 0;
}

/* Without Host, HTTP/1.1 would be refused; a proxy may serve HTTP/2 and later. */
static bool is_old(const struct pfi_uwsgi_packet *packet, const char *bytes)
{
	return is(bytes, value_of(packet, PFI_UWSGI_SERVER_PROTOCOL), "HTTP/1.0") || !has_field(packet, PFI_FIELD_HOST);
}

static bool is_left_out(const struct pfi_uwsgi_packet *packet, const char *bytes, const struct pfi_uwsgi_variable *field)
{
	switch (field->field) {
	case PFI_FIELD_CONTENT_LENGTH:
	case PFI_FIELD_EXPECT:
		return true;
	case PFI_FIELD_CONTENT_TYPE:
		return value_of(packet, PFI_UWSGI_CONTENT_TYPE).length > 0;
	case PFI_FIELD_OTHER:
		return is(bytes, field->name, "HTTP_PROXY");
	default:
		return (pfi_field_rules(field->field) & PFI_FIELD_HOP) != 0;
	}
}

/* USER_AGENT -> User-Agent */
static void add_name(struct pfi_out *out, const char *bytes, struct pfi_span name)
{
	bool begins = true;

	for (uint32_t i = PREFIX_LENGTH; i < name.length; i++) {
		const char c = bytes[name.at + i];
		const char small = c >= 'A' && c <= 'Z' && !begins ? (char)(c | 0x20) : c;

		(void)pfi_out_add(out, c == '_' ? "-" : &small, 1);
		begins = c == '_';
	}
}

static void add_field(struct pfi_out *out, const char *bytes, const struct pfi_uwsgi_variable *field)
{
	add_name(out, bytes, field->name);
	(void)PFI_OUT_LITERAL(out, ": ");
	add(out, bytes, field->value);
	(void)PFI_OUT_LITERAL(out, "\r\n");
}

void pfi_uwsgi_head_write(const struct pfi_uwsgi_packet *packet, const char *bytes, struct pfi_out *out)
{
	const struct pfi_span type = value_of(packet, PFI_UWSGI_CONTENT_TYPE);

	add(out, bytes, value_of(packet, PFI_UWSGI_REQUEST_METHOD));
	(void)PFI_OUT_LITERAL(out, " ");
	add(out, bytes, value_of(packet, PFI_UWSGI_REQUEST_URI));
	(void)pfi_out_add(out, is_old(packet, bytes) ? " HTTP/1.0\r\n" : " HTTP/1.1\r\n", 11);
	for (uint32_t i = 0; i < packet->variables_count; i++) {
		const struct pfi_uwsgi_variable *const variable = &packet->variables[i];

		if (variable->id == PFI_UWSGI_FIELD && !is_left_out(packet, bytes, variable))
			add_field(out, bytes, variable);
	}
	if (type.length > 0) {
		(void)PFI_OUT_LITERAL(out, "Content-Type: ");
		add(out, bytes, type);
		(void)PFI_OUT_LITERAL(out, "\r\n");
	}
	if (packet->has_body_length)
		(void)pfi_response_length(out, packet->body_length);
	(void)PFI_OUT_LITERAL(out, "\r\n");
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte at `*at` of a path, decoded. Invalid escapes stay as they are. */
static char next_byte(const char *path, size_t length, size_t *at)
{
	const int high = path[*at] == '%' && length - *at > 2 ? hex(path[*at + 1]) : -1;
	const int low = high >= 0 ? hex(path[*at + 2]) : -1;

	if (low < 0)
		return path[(*at)++];
	*at += 3;
	return (char)(high * 16 + low);
}

static bool is_decoded(const char *path, size_t length, const char *decoded, size_t decoded_length)
{
	size_t at = 0, k = 0;

	while (at < length && k < decoded_length)
		if (next_byte(path, length, &at) != decoded[k++])
			return false;
	return at == length && k == decoded_length;
}

bool pfi_uwsgi_is_rewritten(const struct pfi_uwsgi_packet *packet, const char *bytes)
{
	const struct pfi_span uri = value_of(packet, PFI_UWSGI_REQUEST_URI);
	const struct pfi_span query = value_of(packet, PFI_UWSGI_QUERY_STRING);
	const struct pfi_span path = value_of(packet, PFI_UWSGI_PATH_INFO);
	const char *const mark = memchr(bytes + uri.at, '?', uri.length);
	const uint32_t uri_path = mark != NULL ? (uint32_t)(mark - bytes) - uri.at : uri.length;
	const uint32_t uri_query = mark != NULL ? uri.length - uri_path - 1 : 0;

	if (bytes[uri.at] != '/')
		return false;
	if (query.length != uri_query || (query.length > 0 && memcmp(bytes + query.at, mark + 1, query.length) != 0))
		return true;
	return pfi_uwsgi_variable(packet, PFI_UWSGI_PATH_INFO) != NULL &&
	       !is_decoded(bytes + uri.at, uri_path, bytes + path.at, path.length);
}

/* RFC 3986 pchar without "%", and the slash. */
static bool is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("/-._~!$&'()*+,;=:@", c) != NULL);
}

void pfi_uwsgi_path_write(const struct pfi_uwsgi_packet *packet, const char *bytes, struct pfi_out *out)
{
	static const char digits[] = "0123456789ABCDEF";
	const struct pfi_span path = value_of(packet, PFI_UWSGI_PATH_INFO);

	for (uint32_t i = 0; i < path.length; i++) {
		const char c = bytes[path.at + i];
		const char escape[] = { '%', digits[(unsigned char)c >> 4], digits[c & 15] };

		(void)pfi_out_add(out, is_plain(c) ? &c : escape, is_plain(c) ? 1 : 3);
	}
	if (path.length == 0)
		(void)PFI_OUT_LITERAL(out, "/");
}

struct pfi_uwsgi_client pfi_uwsgi_client_read(const struct pfi_uwsgi_packet *packet, const char *bytes)
{
	const struct pfi_span address = value_of(packet, PFI_UWSGI_REMOTE_ADDR);
	const struct pfi_span port = value_of(packet, PFI_UWSGI_REMOTE_PORT);
	const struct pfi_span https = value_of(packet, PFI_UWSGI_HTTPS);
	struct pfi_uwsgi_client client = {
		.is_known = address.length > 0,
		.is_secure = is(bytes, value_of(packet, PFI_UWSGI_REQUEST_SCHEME), "https") ||
		             pfi_text_is(bytes + https.at, https.length, "on", 2) || is(bytes, https, "1"),
	};

	if (address.length < sizeof client.address && !is(bytes, address, "unix:"))
		memcpy(client.address, bytes + address.at, address.length);
	for (uint32_t i = 0; i < port.length; i++) /* checked: up to 65535 */
		client.port = client.port * 10 + (unsigned)(bytes[port.at + i] - '0');
	return client;
}
