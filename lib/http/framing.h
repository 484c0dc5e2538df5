/*
 * framing -- decides where the body of a request ends, and whether the connection is kept.
 *
 * In some cases of RFC 9112 6.3 two readings are possible, and a server may choose one. Two servers
 * that choose differently are request smuggling, so this one refuses the request.
 */
#ifndef HTTP_FRAMING_H
#define HTTP_FRAMING_H

#include "http/head.h"

enum pfi_body_kind {
	PFI_BODY_NONE,
	PFI_BODY_LENGTH,
	PFI_BODY_CHUNKED,
};

struct pfi_framing {
	uint8_t body; /* enum pfi_body_kind */
	bool keep_alive;
	bool expects_continue;
	bool upgrade;         /* requested, and named by Connection */
	bool asks_close;      /* Connection: close */
	bool asks_keep_alive; /* Connection: keep-alive, which HTTP/1.0 needs */
	bool foreign_coding;  /* Transfer-Encoding names a coding other than chunked: 501 */
	uint64_t length; /* of PFI_BODY_LENGTH, above 0 */
	struct pfi_http_error http_error;
};

/** Decide on a head that is DONE. Returns DONE or BAD. If the target is absolute, its host replaces the value of
 *  the Host field (RFC 9112 3.2.2). */
enum pfi_verdict pfi_framing_decide(struct pfi_framing *framing, struct pfi_head *head,
                                    const char *bytes);

/** Parse a Content-Length: digits only. 0; -1: it is not a number. A number above INT64_MAX returns UINT64_MAX in
 *  `ret_length`. */
int pfi_length_parse(const char *text, size_t length, uint64_t *ret_length);

/** Returns the next element of a comma separated list, without blanks, from `*position` on; false at the end.
 *  Elements may be empty. */
bool pfi_list_next(const char *text, size_t length, size_t *position, struct pfi_span *ret_element);

#endif
