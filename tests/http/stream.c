#include "stream.h"

#include <string.h>

void stream_start(struct stream *stream, const struct pfi_limits *limits)
{
	memset(stream, 0, sizeof *stream);
	stream->limits = *limits;
	pfi_head_start(&stream->head, stream->fields, &stream->limits);
}

static void sum(struct stream *stream, const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		stream->body_sum = stream->body_sum * 31 + (unsigned char)bytes[i] + 1;
}

static enum pfi_verdict feed_head(struct stream *stream, const char *bytes, size_t length)
{
	const char *const from = bytes + stream->at;
	enum pfi_verdict verdict = pfi_head_feed(&stream->head, from, length - stream->at);

	if (verdict == PFI_BAD)
		stream->http_error = stream->head.http_error;
	if (verdict != PFI_DONE)
		return verdict;
	if (stream->limits.underscores == PFI_UNDERSCORES_DROP)
		pfi_head_drop_underscores(&stream->head);
	verdict = pfi_framing_decide(&stream->framing, &stream->head, from);
	if (verdict == PFI_BAD) {
		stream->http_error = stream->framing.http_error;
		return verdict;
	}
	sum(stream, from + stream->head.path.at, stream->head.path.length);
	sum(stream, from + stream->head.query.at, stream->head.query.length);
	for (uint32_t i = 0; i < stream->head.fields_count; i++) {
		const struct pfi_field *const field = &stream->fields[i];
		sum(stream, from + field->name.at, field->name.length);
		sum(stream, from + field->value.at, field->value.length);
	}
	(void)pfi_body_start(&stream->body, &stream->framing, &stream->limits);
	stream->in_body = true;
	stream->at += stream->head.at;
	return PFI_DONE;
}

static enum pfi_verdict feed_body(struct stream *stream, const char *bytes, size_t length)
{
	enum pfi_verdict verdict = stream->body.done ? PFI_DONE : PFI_MORE;

	while (verdict == PFI_MORE && stream->at < length) {
		struct pfi_span data;
		size_t used = 0;
		verdict = pfi_body_feed(&stream->body, bytes + stream->at, length - stream->at, &used, &data);
		sum(stream, bytes + stream->at + data.at, data.length);
		stream->body_length += data.length;
		stream->at += used;
	}
	if (verdict == PFI_BAD)
		stream->http_error = stream->body.chunk.http_error;
	if (verdict != PFI_DONE)
		return verdict;
	stream->requests++;
	stream->in_body = false;
	pfi_head_start(&stream->head, stream->fields, &stream->limits);
	return PFI_DONE;
}

enum pfi_verdict stream_feed(struct stream *stream, const char *bytes, size_t length)
{
	for (;;) {
		enum pfi_verdict verdict = PFI_DONE;
		if (!stream->in_body) {
			if (stream->requests > 0 && !stream->framing.keep_alive)
				return PFI_DONE;
			if (stream->at == length)
				return PFI_DONE;
			verdict = feed_head(stream, bytes, length);
		}
		if (verdict == PFI_DONE)
			verdict = feed_body(stream, bytes, length);
		if (verdict != PFI_DONE)
			return verdict;
	}
}
