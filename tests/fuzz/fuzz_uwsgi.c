/*
 * A uwsgi packet: the first byte of the input is the size of the pieces, the rest is what the proxy
 * sends. The verdict does not depend on the pieces, and what was accepted keeps the promises of the
 * header.
 */
#include "http/uwsgi_packet.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct pfi_limits limits = { .line_max = 200, .field_max = 100, .fields_max = 8, .head_max = 4096,
	                                  .body_max = 1000 };

static void demand(bool promise)
{
	if (!promise)
		abort();
}

/* In memory of exactly its size. */
static enum pfi_verdict feed(struct pfi_uwsgi_packet *packet, const uint8_t *data, size_t size)
{
	char *const bytes = malloc(size + (size == 0));

	demand(bytes != NULL);
	memcpy(bytes, data, size);
	const enum pfi_verdict verdict = pfi_uwsgi_packet_feed(packet, bytes, size);

	free(bytes);
	demand((verdict == PFI_MORE) == (pfi_uwsgi_packet_wanted(packet) > 0));
	demand((verdict == PFI_BAD) == (packet->http_error.detail != NULL));
	return verdict;
}

static size_t read_on(struct pfi_uwsgi_packet *packet, const uint8_t *data, size_t size, size_t step)
{
	size_t length = 0;

	while (feed(packet, data, length) == PFI_MORE && length < size) {
		length += step > 0 ? step : pfi_uwsgi_packet_wanted(packet);
		length = length < size ? length : size;
	}
	return length;
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
	pfi_uwsgi_packet_start(&whole, variables[0], &limits);
	const enum pfi_verdict verdict = feed(&whole, data, size);

	pfi_uwsgi_packet_start(&pieces, variables[1], &limits);
	(void)read_on(&pieces, data, size, step);
	pfi_uwsgi_packet_start(&exact, variables[2], &limits);
	const size_t length = read_on(&exact, data, size, 0);

	demand(pieces.verdict == verdict && exact.verdict == verdict);
	demand(pieces.http_error.detail == whole.http_error.detail &&
	       exact.http_error.detail == whole.http_error.detail);
	if (verdict != PFI_DONE)
		return 0;
	demand(length == whole.length && exact.variables_count == whole.variables_count);
	check_accepted(&whole, (const char *)data);
	return 0;
}
