/*
 * verdict -- types that the parsers of this module share.
 *
 * After MORE a parser has consumed all of its input, and continues where it stopped. After BAD it
 * returns BAD for any input.
 */
#ifndef HTTP_VERDICT_H
#define HTTP_VERDICT_H

#include "base/parser.h"

#include <stdint.h>

/* Bytes of a buffer, by offset: the buffer may move while a request is being received. */
struct pfi_span {
	uint32_t at;
	uint32_t length;
};

/* An error response: its status, and a short text for its page. */
struct pfi_http_error {
	uint16_t status;
	const char *detail; /* static; NULL: none */
};

#endif
