/*
 * Input: the size of the pieces, less 1, in a byte, and a uwsgi packet. The verdict does not depend on the
 * pieces, and an accepted packet keeps the promises of uwsgi_packet.h.
 */
#include "http/uwsgi_packet.h"

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
	return 0;
}
