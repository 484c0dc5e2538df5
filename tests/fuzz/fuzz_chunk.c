/*
 * A chunked body, cut where the first byte of the input says: the same data
 * and the same verdict as in one piece, and nothing that a reader who is
 * stricter than we would read differently.
 */
#include "http/chunk.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct pfi_limits limits = { .line_max = 200, .field_max = 100, .fields_max = 8, .head_max = 300,
	                                  .body_max = 1000 };

struct outcome {
	enum pfi_verdict verdict;
	uint16_t status;
	size_t used;
	size_t length;
	char data[4096];
};

static void demand(bool promise)
{
	if (!promise)
		abort();
}

/* One piece, in memory of exactly its size. */
static size_t feed(struct pfi_chunk *chunk, struct outcome *outcome, const uint8_t *data, size_t size)
{
	char *const bytes = malloc(size + (size == 0));
	struct pfi_span span;
	size_t used;

	demand(bytes != NULL);
	memcpy(bytes, data, size);
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
		outcome->used = 0; /* where it noticed depends on the cuts */
}

/* What was accepted ends with an empty line, and no line feed in it stands alone, except in data. */
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
