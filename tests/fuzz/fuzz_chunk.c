/*
 * Input: the size of the pieces, less 1, in a byte, and a chunked body. Data and verdict do not depend on
 * the size of the pieces.
 */
#include "http/chunk.h"

#include "fuzz.h"

static const struct pfi_limits limits = { .line_max = 200, .field_max = 100, .fields_max = 8, .head_max = 300,
	                                  .body_max = 1000 };

struct outcome {
	enum pfi_verdict verdict;
	uint16_t status;
	size_t used;
	size_t length;
	char data[4096];
};

/* Feeds one piece. */
static size_t feed(struct pfi_chunk *chunk, struct outcome *outcome, const uint8_t *data, size_t size)
{
	char *const bytes = copy_exactly(data, size);
	struct pfi_span span;
	size_t used;

	outcome->verdict = pfi_chunk_feed(chunk, bytes, size, &used, &span);
	demand(used <= size && span.at <= used && span.length <= used - span.at);
	demand(outcome->verdict == PFI_BAD || used > 0 || size == 0);
	memcpy(outcome->data + outcome->length, bytes + span.at, span.length);
	outcome->length += span.length;
	free(bytes);
	return used;
}

static void run(struct outcome *outcome, const uint8_t *data, size_t size, size_t step)
{
	struct pfi_chunk chunk;

	memset(outcome, 0, sizeof *outcome);
	pfi_chunk_start(&chunk, &limits);
	while (outcome->verdict == PFI_MORE && outcome->used < size) {
		const size_t left = size - outcome->used;
		outcome->used += feed(&chunk, outcome, data + outcome->used, left < step ? left : step);
	}
	outcome->status = chunk.http_error.status;
	if (outcome->verdict == PFI_BAD)
		outcome->used = 0; /* depends on the pieces */
}

/* An accepted body ends with an empty line and obeys the limit. */
static void check_accepted(const struct outcome *outcome, const uint8_t *data)
{
	demand(outcome->used >= 5 && memcmp(data + outcome->used - 4, "\r\n\r\n", 4) == 0);
	demand(outcome->length <= limits.body_max);
}

static struct outcome whole, cut;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > 4096)
		return 0;
	const size_t step = (size_t)data[0] + 1;

	run(&whole, data + 1, size - 1, size);
	run(&cut, data + 1, size - 1, step);
	demand(cut.verdict == whole.verdict && cut.status == whole.status && cut.used == whole.used &&
	       cut.length == whole.length && memcmp(cut.data, whole.data, whole.length) == 0);
	if (whole.verdict == PFI_DONE)
		check_accepted(&whole, data + 1);
	return 0;
}
