/*
 * stream -- what the parsers, in the order in which a server uses them, make
 * of a stream of bytes that comes in pieces.
 *
 * Also the driver of the fuzzers, so it takes no part in assertions.
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
	size_t at;              /* where in the bytes the request or the rest of its body begins */
	unsigned requests;      /* complete ones */
	uint64_t body_length;   /* data bytes of all bodies */
	uint64_t body_sum;      /* and a sum over them, and over all names and values */
	struct pfi_http_error http_error;
};

void stream_start(struct stream *stream, const struct pfi_limits *limits);

/* `bytes` is the whole stream so far. DONE: nothing is begun; MORE: inside a request. After the
 * last request of a connection the rest is not read. */
enum pfi_verdict stream_feed(struct stream *stream, const char *bytes, size_t length);

#endif
