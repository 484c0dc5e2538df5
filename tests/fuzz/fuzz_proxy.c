/*
 * A PROXY header: the first byte of the input is the accepted versions and the size of the pieces,
 * the rest is what the proxy sends. The verdict and what is read do not depend on the pieces, and
 * reading what is wanted never goes beyond a header that turns out valid.
 */
#include "worker/proxy_header.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool promise)
{
	if (!promise)
		abort();
}

/* In memory of exactly its size. */
static enum pfi_verdict feed(struct pfi_proxy_header *header, const uint8_t *data, size_t size)
{
	char *const bytes = malloc(size + (size == 0));

	demand(bytes != NULL);
	memcpy(bytes, data, size);
	const enum pfi_verdict verdict = pfi_proxy_header_feed(header, bytes, size);

	free(bytes);
	demand((verdict == PFI_MORE) == (pfi_proxy_header_wanted(header) > 0));
	demand((verdict == PFI_BAD) == (header->problem != NULL));
	return verdict;
}

/* `step` bytes at a time; 0: what is wanted. Returns how many were read. */
static size_t read_on(struct pfi_proxy_header *header, const uint8_t *data, size_t size, size_t step)
{
	size_t length = 0;

	while (feed(header, data, length) == PFI_MORE && length < size) {
		length += step > 0 ? step : pfi_proxy_header_wanted(header);
		length = length < size ? length : size;
	}
	return length;
}

static bool same_address(const struct pfi_proxy_address *a, const struct pfi_proxy_address *b)
{
	return a->size == b->size && memcmp(&a->socket, &b->socket, a->size) == 0;
}

static void check_inside(const struct pfi_proxy_header *header, struct pfi_proxy_value value)
{
	demand(value.at == 0 ? value.length == 0 :
	                       value.at >= 16 && value.at + value.length <= header->length);
}

static void check_accepted(const struct pfi_proxy_header *header, const uint8_t *data)
{
	const struct pfi_proxy_ssl *const ssl = &header->ssl;
	struct pfi_proxy_value value;
	uint16_t at = 0;
	uint8_t type;

	demand(header->version == 1 ? header->length <= PFI_PROXY_LINE_MAX && header->tlvs.at == 0 &&
	                                      data[header->length - 1] == '\n' :
	                              header->length <= PFI_PROXY_HEADER_MAX && header->length >= 16);
	demand((header->source.size == 0) == (header->destination.size == 0));
	demand(header->source.size <= sizeof header->source.socket);
	demand(!header->local || header->source.size == 0);
	const struct pfi_proxy_value values[] = { header->alpn, header->authority, header->unique_id,
		                                  header->netns, ssl->version, ssl->cn, ssl->cipher,
		                                  ssl->sig_alg, ssl->key_alg, ssl->group,
		                                  ssl->sig_scheme, ssl->certificate, header->tlvs };
	for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
		check_inside(header, values[i]);
	while (pfi_proxy_tlv_next(header, (const char *)data, &at, &type, &value))
		check_inside(header, value);
	demand(at == header->tlvs.at + header->tlvs.length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pfi_proxy_header whole, pieces, exact;

	if (size < 1)
		return 0;
	const unsigned versions = (data[0] & PFI_PROXY_AUTO) != 0 ? data[0] & PFI_PROXY_AUTO : PFI_PROXY_AUTO;
	const size_t step = (size_t)(data[0] >> 2) + 1;

	data++;
	size--;
	pfi_proxy_header_start(&whole, versions);
	const enum pfi_verdict verdict = feed(&whole, data, size);

	pfi_proxy_header_start(&pieces, versions);
	(void)read_on(&pieces, data, size, step);
	pfi_proxy_header_start(&exact, versions);
	const size_t length = read_on(&exact, data, size, 0);

	demand(pieces.verdict == verdict && exact.verdict == verdict);
	demand(length <= PFI_PROXY_HEADER_MAX);
	if (verdict == PFI_BAD)
		demand(pieces.problem == whole.problem && exact.problem == whole.problem);
	if (verdict != PFI_DONE)
		return 0;
	demand(length == whole.length && pieces.length == whole.length && exact.length == whole.length);
	demand(same_address(&exact.source, &whole.source) && same_address(&pieces.source, &whole.source));
	check_accepted(&whole, data);
	return 0;
}
