/*
 * stream -- runs the parsers in the order in which a server uses them, on a stream of bytes that
 * arrives in pieces.
 *
 * The fuzzers use it, too, so it has no assertions.
 */
#ifndef TESTS_HTTP_STREAM_H
#define TESTS_HTTP_STREAM_H

#include "http/body.h"
#include "http/framing.h"
#include "http/head.h"

struct stream {
	struct pfi_limits limits;
	struct pfi_field fields[128];
	struct pfi_head head;
	struct pfi_framing framing;
	struct pfi_body body;
	bool in_body;
	size_t at;              /* offset of the current request, or of the rest of its body */
	unsigned requests;      /* number of complete requests */
	uint64_t body_length;   /* data bytes of all bodies */
	uint64_t body_sum;      /* checksum of them, and of all names and values */
	struct pfi_http_error http_error;
};

void stream_start(struct stream *stream, const struct pfi_limits *limits);

/* `bytes` is the whole stream so far. DONE: between two requests; MORE: inside a request. After the last request of a
 * connection the rest is not parsed. */
enum pfi_verdict stream_feed(struct stream *stream, const char *bytes, size_t length);

#endif
