/*
 * Input: the accepted versions and the size of the pieces in a byte, and a PROXY header. Verdict and values do
 * not depend on the pieces, and a reader that reads as many bytes as are wanted stops at the end of a valid header.
 */
#include "worker/proxy_header.h"

#include "split.h"

static enum pfi_verdict feed(void *header, const char *bytes, size_t size)
{
	return pfi_proxy_header_feed(header, bytes, size);
}

static size_t wanted(const void *header)
{
	return pfi_proxy_header_wanted(header);
}

static bool has_error(const void *header)
{
	return ((const struct pfi_proxy_header *)header)->problem != NULL;
}

static struct split_parser start(struct pfi_proxy_header *header, unsigned versions)
{
	pfi_proxy_header_start(header, versions);
	return (struct split_parser){ header, feed, wanted, has_error };
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
	const struct split_parser parsers[] = { start(&whole, versions), start(&pieces, versions), start(&exact, versions) };
	const enum pfi_verdict verdict = split_feed(&parsers[0], data, size);
	(void)split_read(&parsers[1], data, size, step);
	const size_t length = split_read(&parsers[2], data, size, 0);

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
