/* The parser of a uwsgi packet. It fills the same structures as the parsers of HTTP, and applies the same rules. */
#include "http/uwsgi_packet.h"

#include "http/fields.h"
#include "http/framing.h"
#include "http/target.h"
#include "http/uwsgi_value.h"

#include <string.h>

enum { START_LENGTH = 4, PREFIX_LENGTH = sizeof "HTTP_" - 1 };

static enum pfi_verdict refuse(struct pfi_uwsgi_packet *packet, uint16_t status, const char *problem)
{
	packet->http_error = (struct pfi_http_error){ status, problem };
	return PFI_BAD;
}

void pfi_uwsgi_packet_start(struct pfi_uwsgi_packet *packet, struct pfi_uwsgi_variable *variables,
                            const struct pfi_limits *limits)
{
	*packet = (struct pfi_uwsgi_packet){ .limits = limits, .variables = variables,
		                             .wanted = START_LENGTH };
}

static uint32_t read_u16(const char *bytes)
{
	return (uint8_t)bytes[0] | (uint32_t)(uint8_t)bytes[1] << 8;
}

/* Read a length and as many bytes as it says, all before `end`. */
static bool next_span(const char *bytes, uint32_t end, uint32_t *at, struct pfi_span *ret)
{
	if (end - *at < 2)
		return false;
	const uint32_t length = read_u16(bytes + *at);

	if (length > end - *at - 2)
		return false;
	*ret = (struct pfi_span){ *at + 2, length };
	*at += 2 + length;
	return true;
}

static bool is_field(const char *name, size_t length)
{
	return length >= PREFIX_LENGTH && memcmp(name, "HTTP_", PREFIX_LENGTH) == 0;
}

/* The proxy makes HTTP_* of a token: capitals for small letters, underscores for hyphens. Any other
 * name could stand for the same field as another variable, or for none that HTTP allows. */
static bool field_name_valid(const char *name, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (!pfi_char_is(name[i], PFI_CHAR_TOKEN) || (name[i] >= 'a' && name[i] <= 'z') ||
		    name[i] == '-')
			return false;
	return length > 0;
}

/* RFC 3875 4.1: letters, digits and underscores. "wsgi.input" and its like are not the proxy's. */
static bool name_valid(const char *name, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		const char c = name[i];
		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
		      pfi_char_is(c, PFI_CHAR_DIGIT)))
			return false;
	}
	return length > 0;
}

/* CONTENT_LENGTH -> content-length. Longer names than those in the table are none of them. */
static enum pfi_field_id find_field(const char *name, size_t length)
{
	char hyphens[32];

	if (length > sizeof hyphens)
		return PFI_FIELD_OTHER;
	for (size_t i = 0; i < length; i++)
		hyphens[i] = name[i] == '_' ? '-' : name[i];
	return pfi_field_find(hyphens, length);
}

/* nginx before 1.23 sends a variable for each line of a field that came several times. Only a field
 * that HTTP allows once must be there once. */
static enum pfi_verdict add_field(struct pfi_uwsgi_packet *packet, const char *bytes,
                                  struct pfi_uwsgi_variable *variable)
{
	const struct pfi_span value = variable->value;
	const char *const name = bytes + variable->name.at + PREFIX_LENGTH;
	const uint32_t length = variable->name.length - PREFIX_LENGTH;

	if (!field_name_valid(name, length))
		return refuse(packet, 400, "a variable HTTP_* has a name that no header field gets");
	if (length + value.length > packet->limits->field_max || length > PFI_NAME_MAX)
		return refuse(packet, 431, "a header field is too long");
	if (++packet->fields_count > packet->limits->fields_max)
		return refuse(packet, 431, "too many header fields");
	if (!pfi_value_valid(bytes + value.at, value.length))
		return refuse(packet, 400, "a control character in a header value");
	const enum pfi_field_id id = find_field(name, length);
	const uint64_t bit = UINT64_C(1) << id;

	if ((packet->seen_fields & bit) != 0 && (pfi_field_rules(id) & PFI_FIELD_ONCE) != 0)
		return refuse(packet, 400, "a header field that may come once is there twice");
	if (id == PFI_FIELD_HOST && !pfi_host_valid(bytes + value.at, value.length))
		return refuse(packet, 400, "HTTP_HOST is not a host");
	packet->seen_fields |= bit;
	variable->id = PFI_UWSGI_FIELD;
	variable->field = (uint8_t)id;
	return PFI_DONE;
}

/* Quadratic in the number of variables of the proxy's configuration. Those that a client can add are
 * HTTP_*, and are not compared. */
static bool is_repeated(const struct pfi_uwsgi_packet *packet, const char *bytes, struct pfi_span name)
{
	for (uint32_t i = 0; i < packet->variables_count; i++) {
		const struct pfi_uwsgi_variable *const other = &packet->variables[i];
		if (other->id == PFI_UWSGI_OTHER && other->name.length == name.length &&
		    memcmp(bytes + other->name.at, bytes + name.at, name.length) == 0)
			return true;
	}
	return false;
}

/* A variable that is there twice (REMOTE_ADDR by two uwsgi_param lines) is ambiguous: some servers
 * use the first value, some the last. */
static enum pfi_verdict add_variable(struct pfi_uwsgi_packet *packet, const char *bytes,
                                     struct pfi_uwsgi_variable *variable)
{
	const struct pfi_span name = variable->name, value = variable->value;

	if (!name_valid(bytes + name.at, name.length))
		return refuse(packet, 400, "a variable name is not letters, digits and underscores");
	const enum pfi_uwsgi_id id = pfi_uwsgi_find(bytes + name.at, name.length);

	if (packet->known[id] != 0 || (id == PFI_UWSGI_OTHER && is_repeated(packet, bytes, name)))
		return refuse(packet, 400, "a variable is there twice");
	variable->id = (uint8_t)id;
	if (!pfi_uwsgi_value_check(id, bytes + value.at, value.length, packet->limits, &packet->http_error))
		return PFI_BAD;
	if (id != PFI_UWSGI_OTHER)
		packet->known[id] = (uint16_t)(packet->variables_count + 1);
	return PFI_DONE;
}

static enum pfi_verdict read_variables(struct pfi_uwsgi_packet *packet, const char *bytes)
{
	uint32_t at = START_LENGTH;

	while (at < packet->length) {
		struct pfi_uwsgi_variable variable = { .id = PFI_UWSGI_OTHER };

		if (packet->variables_count == PFI_UWSGI_VARIABLES_MAX)
			return refuse(packet, 431, "too many variables");
		if (!next_span(bytes, packet->length, &at, &variable.name) ||
		    !next_span(bytes, packet->length, &at, &variable.value))
			return refuse(packet, 400, "a variable does not end inside the packet");
		if ((is_field(bytes + variable.name.at, variable.name.length) ?
		             add_field(packet, bytes, &variable) :
		             add_variable(packet, bytes, &variable)) == PFI_BAD)
			return PFI_BAD;
		packet->variables[packet->variables_count++] = variable;
	}
	return PFI_DONE;
}

/* nginx sends an empty CONTENT_LENGTH if there is no body, and also if it does not pass the body on
 * (uwsgi_pass_request_body off); HTTP_CONTENT_LENGTH is what the client sent. If both are numbers, they
 * must be equal. HTTP_TRANSFER_ENCODING is ignored: nginx has decoded the chunks. */
static enum pfi_verdict decide_body(struct pfi_uwsgi_packet *packet, const char *bytes)
{
	const struct pfi_uwsgi_variable *const length = pfi_uwsgi_variable(packet, PFI_UWSGI_CONTENT_LENGTH);
	uint64_t of_field = 0;

	if (length == NULL || length->value.length == 0)
		return PFI_DONE;
	/* It is a number: pfi_uwsgi_value_check(). */
	(void)pfi_length_parse(bytes + length->value.at, length->value.length, &packet->body_length);
	packet->has_body_length = true;
	if ((packet->seen_fields & UINT64_C(1) << PFI_FIELD_CONTENT_LENGTH) == 0)
		return PFI_DONE;
	for (uint32_t i = 0; i < packet->variables_count; i++) {
		const struct pfi_uwsgi_variable *const field = &packet->variables[i];
		if (field->id == PFI_UWSGI_FIELD && field->field == PFI_FIELD_CONTENT_LENGTH &&
		    (pfi_length_parse(bytes + field->value.at, field->value.length, &of_field) < 0 ||
		     of_field != packet->body_length))
			return refuse(packet, 400, "CONTENT_LENGTH and HTTP_CONTENT_LENGTH differ");
	}
	return PFI_DONE;
}

/* Rules that concern more than one variable, or an absent one. */
static enum pfi_verdict check_whole(struct pfi_uwsgi_packet *packet, const char *bytes)
{
	const struct pfi_uwsgi_variable *const method = pfi_uwsgi_variable(packet, PFI_UWSGI_REQUEST_METHOD);
	const struct pfi_uwsgi_variable *const uri = pfi_uwsgi_variable(packet, PFI_UWSGI_REQUEST_URI);

	if (method == NULL)
		return refuse(packet, 400, "REQUEST_METHOD is missing: does the proxy send uwsgi_params?");
	if (uri == NULL)
		return refuse(packet, 400, "REQUEST_URI is missing: does the proxy send uwsgi_params?");
	if (pfi_uwsgi_variable(packet, PFI_UWSGI_QUERY_STRING) == NULL)
		return refuse(packet, 400, "QUERY_STRING is missing: does the proxy send uwsgi_params?");
	/* The line that they were: "METHOD URI HTTP/1.1". */
	if (method->value.length + uri->value.length + sizeof "  HTTP/1.1" - 1 > packet->limits->line_max)
		return refuse(packet, 414, "the request line is too long");
	if (bytes[uri->value.at] == '*' &&
	    (method->value.length != 7 || memcmp(bytes + method->value.at, "OPTIONS", 7) != 0))
		return refuse(packet, 400, "REQUEST_URI is *, and the method is not OPTIONS");
	return decide_body(packet, bytes);
}

static enum pfi_verdict read_start(struct pfi_uwsgi_packet *packet, const char *bytes)
{
	const uint32_t size = read_u16(bytes + 1);

	if (bytes[0] != 0)
		return refuse(packet, 400, "modifier1 is not 0: not a request of the uwsgi protocol");
	if (bytes[3] != 0)
		return refuse(packet, 400, "modifier2 is not 0");
	if (size > packet->limits->head_max)
		return refuse(packet, 431, "the variables are too large");
	packet->length = START_LENGTH + size;
	return PFI_DONE;
}

static enum pfi_verdict read_packet(struct pfi_uwsgi_packet *packet, const char *bytes, size_t length)
{
	if (length > 0 && bytes[0] != 0)
		return refuse(packet, 400, "modifier1 is not 0: not a request of the uwsgi protocol");
	if (length < START_LENGTH) {
		packet->wanted = (uint32_t)(START_LENGTH - length);
		return PFI_MORE;
	}
	if (read_start(packet, bytes) == PFI_BAD)
		return PFI_BAD;
	if (length < packet->length) {
		packet->wanted = (uint32_t)(packet->length - length);
		return PFI_MORE;
	}
	return read_variables(packet, bytes) == PFI_BAD ? PFI_BAD : check_whole(packet, bytes);
}

/* Variables are read once, when all of them are there: a packet has its length in front. */
enum pfi_verdict pfi_uwsgi_packet_feed(struct pfi_uwsgi_packet *packet, const char *bytes, size_t length)
{
	if (packet->verdict != PFI_MORE)
		return (enum pfi_verdict)packet->verdict;
	const enum pfi_verdict verdict = read_packet(packet, bytes, length);

	packet->verdict = (uint8_t)verdict;
	if (verdict != PFI_MORE)
		packet->wanted = 0;
	return verdict;
}
