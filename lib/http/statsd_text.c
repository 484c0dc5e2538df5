/* Writes metrics as lines, and sends them when a datagram is full. */
#include "http/statsd_text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int pfi_statsd_words_init(struct pfi_statsd_words *words, const char *prefix, const char *name, const char *tags)
{
	size_t length = prefix != NULL ? strlen(prefix) : 0;

	while (length > 0 && prefix[length - 1] == '.')
		length--;
	const int prefix_length = snprintf(words->prefix, sizeof words->prefix, "%.*s%s%s.", (int)length,
	                                   prefix != NULL ? prefix : "", length > 0 ? "." : "", name);
	const int tags_length = snprintf(words->tags, sizeof words->tags, "%s%s", tags != NULL ? "|#" : "",
	                                 tags != NULL ? tags : "");

	if (prefix_length >= (int)sizeof words->prefix || tags_length >= (int)sizeof words->tags)
		return -EINVAL;
	words->prefix_length = (size_t)prefix_length;
	words->tags_length = (size_t)tags_length;
	return 0;
}

void pfi_statsd_flush(struct pfi_statsd_batch *batch)
{
	if (batch->length > 0)
		batch->send(batch->user, batch->bytes, batch->length);
	batch->length = 0;
}

static void append(struct pfi_statsd_batch *batch, const char *bytes, size_t size)
{
	memcpy(batch->bytes + batch->length, bytes, size);
	batch->length += size;
}

/* Begin a line of which `rest` bytes follow. The words and what this file adds always fit into an empty datagram. */
static void begin(struct pfi_statsd_batch *batch, size_t rest)
{
	const struct pfi_statsd_words *const words = batch->words;

	if (batch->length + words->prefix_length + rest + words->tags_length + 1 > batch->max)
		pfi_statsd_flush(batch);
	if (batch->length > 0)
		batch->bytes[batch->length++] = '\n';
	append(batch, words->prefix, words->prefix_length);
}

static void end(struct pfi_statsd_batch *batch)
{
	append(batch, batch->words->tags, batch->words->tags_length);
}

void pfi_statsd_add(struct pfi_statsd_batch *batch, const char *name, uint64_t value, const char *type)
{
	char line[128];
	const int length = snprintf(line, sizeof line, "%s:%llu|%s", name, (unsigned long long)value, type);

	begin(batch, (size_t)length);
	append(batch, line, (size_t)length);
	end(batch);
}

/* "12.345", at the end of `text`. */
static const char *milliseconds(uint32_t us, char text[16])
{
	char *at = text + 16;

	for (int digits = 0; digits < 5 || us > 0; digits++) {
		if (digits == 3) {
			*--at = '.';
			continue;
		}
		*--at = (char)('0' + us % 10);
		us /= 10;
	}
	return at;
}

void pfi_statsd_add_durations(struct pfi_statsd_batch *batch, const struct pfi_statsd_record *records, size_t count)
{
	static const char name[] = "request.duration:", type[] = "|ms";
	char text[16];

	for (size_t i = 0; i < count; i++) {
		const char *const number = milliseconds(records[i].took_us, text);
		const size_t length = (size_t)(text + sizeof text - number);

		begin(batch, sizeof name - 1 + length + sizeof type - 1);
		append(batch, name, sizeof name - 1);
		append(batch, number, length);
		append(batch, type, sizeof type - 1);
		end(batch);
	}
}
