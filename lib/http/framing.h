/*
 * framing -- the one decision: where does the body of this request end, and
 * what becomes of the connection?
 *
 * RFC 9112 6.3 lets a server choose in some of the cases in which two readings
 * are possible. This one never chooses: it refuses.
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
	bool upgrade; /* asked for in the right way: Connection names it */
	bool asks_close;
	bool asks_keep_alive;
	bool foreign_coding;
	uint64_t length; /* of PFI_BODY_LENGTH, above 0 */
	struct pfi_http_error http_error;
};

/** Decide on a head that is DONE. Answers DONE or BAD. When the target has a
 *  host of its own, the Host field is made to say the same (RFC 9112 3.2.2). */
enum pfi_verdict pfi_framing_decide(struct pfi_framing *framing, struct pfi_head *head,
                                    const char *bytes);

/** A Content-Length: digits only. -1 when it is not one; UINT64_MAX in
 *  ret_length when it is too large for any machine. */
int pfi_length_parse(const char *text, size_t length, uint64_t *ret_length);

/** Walk a comma separated list: the next element, without blanks, from
 *  *position on; false at the end. Elements may be empty. */
bool pfi_list_next(const char *text, size_t length, size_t *position, struct pfi_span *ret_element);

#endif
