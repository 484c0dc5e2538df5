/*
 * Input: the size of the pieces, less 1, in a byte, and a uwsgi packet. The verdict does not depend on the
 * pieces, and an accepted packet keeps the promises of uwsgi_packet.h and uwsgi_head.h: its head is one request, and
 * the parsers of HTTP find the same body.
 */
#include "http/framing.h"
#include "http/uwsgi_head.h"

#include "split.h"

static const struct pfi_limits limits = { .line_max = 200, .field_max = 100, .fields_max = 8, .head_max = 4096,
	                                  .body_max = 1000 };

static enum pfi_verdict feed(void *packet, const char *bytes, size_t size)
{
	return pfi_uwsgi_packet_feed(packet, bytes, size);
}

static size_t wanted(const void *packet)
{
	return pfi_uwsgi_packet_wanted(packet);
}

static bool has_error(const void *packet)
{
	return ((const struct pfi_uwsgi_packet *)packet)->http_error.detail != NULL;
}

static struct split_parser start(struct pfi_uwsgi_packet *packet, struct pfi_uwsgi_variable *variables)
{
	pfi_uwsgi_packet_start(packet, variables, &limits);
	return (struct split_parser){ packet, feed, wanted, has_error };
}

static void check_accepted(const struct pfi_uwsgi_packet *packet, const char *bytes)
{
	uint32_t at = 4, fields = 0;

	for (uint32_t i = 0; i < packet->variables_count; i++) {
		const struct pfi_uwsgi_variable *const variable = &packet->variables[i];
		demand(variable->name.at == at + 2 && variable->name.length > 0);
		demand(variable->value.at == at + 4 + variable->name.length);
		at = variable->value.at + variable->value.length;
		demand(memchr(bytes + variable->value.at, '\0', variable->value.length) == NULL);
		fields += variable->id == PFI_UWSGI_FIELD;
		demand(variable->id <= PFI_UWSGI_FIELD || packet->known[variable->id] == i + 1);
	}
	demand(at == packet->length && fields == packet->fields_count && fields <= limits.fields_max);
	demand(packet->body_length <= limits.body_max);
	demand(pfi_uwsgi_variable(packet, PFI_UWSGI_REQUEST_METHOD) != NULL &&
	       pfi_uwsgi_variable(packet, PFI_UWSGI_REQUEST_URI) != NULL &&
	       pfi_uwsgi_variable(packet, PFI_UWSGI_QUERY_STRING) != NULL);
}

/* The limits of head count Content-Type and Content-Length, too, and the version. */
static void check_head(const struct pfi_uwsgi_packet *packet, const char *bytes)
{
	static struct pfi_field fields[16];
	static const struct pfi_limits wide = { .line_max = 300, .field_max = 200, .fields_max = 16, .head_max = 8192,
		                                .body_max = 1000 };
	static char text[8192], path[3 * 8192];
	struct pfi_out out = { text, 0, packet->length }, path_out = { path, 0, sizeof path };
	struct pfi_framing framing;
	struct pfi_head head;

	demand(packet->length <= sizeof text);
	pfi_uwsgi_head_write(packet, bytes, &out);
	pfi_head_start(&head, fields, &wide);
	const enum pfi_verdict verdict = pfi_head_feed(&head, text, out.length);
	demand(verdict != PFI_MORE);
	if (verdict == PFI_BAD)
		return; /* CONNECT with a path, for example */
	demand(head.at == out.length);
	demand(pfi_framing_decide(&framing, &head, text) == PFI_DONE);
	demand(framing.length == packet->body_length && framing.body != PFI_BODY_CHUNKED && !framing.expects_continue);
	if (pfi_uwsgi_is_rewritten(packet, bytes)) {
		pfi_uwsgi_path_write(packet, bytes, &path_out);
		demand(path_out.length > 0 && path[0] == '/');
	}
	const struct pfi_uwsgi_client client = pfi_uwsgi_client_read(packet, bytes);
	demand(client.port <= 65535 && memchr(client.address, '\0', sizeof client.address) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct pfi_uwsgi_variable variables[3][PFI_UWSGI_VARIABLES_MAX];
	struct pfi_uwsgi_packet whole, pieces, exact;

	if (size < 1)
		return 0;
	const size_t step = (size_t)data[0] + 1;

	data++;
	size--;
	const struct split_parser parsers[] = { start(&whole, variables[0]), start(&pieces, variables[1]),
		                                start(&exact, variables[2]) };
	const enum pfi_verdict verdict = split_feed(&parsers[0], data, size);
	(void)split_read(&parsers[1], data, size, step);
	const size_t length = split_read(&parsers[2], data, size, 0);

	demand(pieces.verdict == verdict && exact.verdict == verdict);
	demand(pieces.http_error.detail == whole.http_error.detail &&
	       exact.http_error.detail == whole.http_error.detail);
	if (verdict != PFI_DONE)
		return 0;
	demand(length == whole.length && exact.variables_count == whole.variables_count);
	check_accepted(&whole, (const char *)data);
	check_head(&whole, (const char *)data);
	return 0;
}
