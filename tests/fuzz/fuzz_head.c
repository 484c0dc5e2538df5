/*
 * Input: the size of the pieces, less 1, and of the first piece, in a byte each, and a stream of requests. The
 * verdict does not depend on the pieces, and no offset points outside of the input.
 */
#include "../http/stream.h"

#include "fuzz.h"

/* Small limits, so that short inputs reach them. */
static const struct pfi_limits limits = { .line_max = 200, .field_max = 100, .fields_max = 8, .head_max = 600,
	                                  .body_max = 300, .underscores = PFI_UNDERSCORES_DROP };

static void demand_inside(struct pfi_span span, size_t length)
{
	demand(span.at <= length && span.length <= length - span.at);
}

static void check_offsets(const struct stream *stream, size_t length)
{
	const size_t size = length - stream->at;

	if (stream->in_body)
		return;
	demand(stream->at <= length && stream->head.at <= size);
	demand_inside(stream->head.method, size);
	demand_inside(stream->head.target, size);
	demand_inside(stream->head.path, size);
	demand_inside(stream->head.query, size);
	demand_inside(stream->head.authority, size);
	demand(stream->head.fields_count <= limits.fields_max);
	for (uint32_t i = 0; i < stream->head.fields_count; i++) {
		demand_inside(stream->fields[i].name, size);
		demand_inside(stream->fields[i].value, size);
	}
}

static enum pfi_verdict feed(struct stream *stream, const uint8_t *data, size_t size)
{
	char *const bytes = copy_exactly(data, size);
	const enum pfi_verdict verdict = stream_feed(stream, bytes, size);

	check_offsets(stream, size);
	free(bytes);
	return verdict;
}

static struct stream whole, cut;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2 || size > 4096)
		return 0;
	const size_t step = (size_t)data[0] + 1;
	const size_t first = data[1];
	data += 2;
	size -= 2;

	stream_start(&whole, &limits);
	const enum pfi_verdict expected = feed(&whole, data, size);
	enum pfi_verdict verdict = PFI_DONE;
	stream_start(&cut, &limits);
	for (size_t end = first < size ? first : size; verdict != PFI_BAD; end = end + step < size ? end + step : size) {
		verdict = feed(&cut, data, end);
		if (end == size)
			break;
	}
	demand(verdict == expected && cut.requests == whole.requests && cut.body_sum == whole.body_sum &&
	       cut.body_length == whole.body_length && cut.http_error.status == whole.http_error.status);
	demand((verdict == PFI_BAD) == (whole.http_error.status != 0));
	return 0;
}
