/*
 * verdict -- what every parser of this room answers.
 *
 * A parser that says MORE has taken note of all it was shown and goes on where
 * it stopped; one that says BAD keeps saying so, whatever it is fed.
 */
#ifndef HTTP_VERDICT_H
#define HTTP_VERDICT_H

#include "base/parser.h"

#include <stdint.h>

/* Bytes of a buffer that may move while a request is being collected. */
struct pfi_span {
	uint32_t at;
	uint32_t length;
};

/* What to answer when something is refused, and an error message for the log. */
struct pfi_http_error {
	uint16_t status;
	const char *detail; /* static */
};

#endif
