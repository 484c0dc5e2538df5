/*
 * error_page -- an answer of the library's own, and what the host wants it to say.
 *
 * It lives on the stack of the function that answers; what the host gives is copied.
 */
#ifndef HTTP_ERROR_PAGE_H
#define HTTP_ERROR_PAGE_H

#include "http/response_head.h"
#include "http/verdict.h"

#include <prefork/http.h>

struct prefork_error_page {
	struct pfi_http_error http_error;
	char *body; /* the host's: its type, a NUL, its bytes; NULL: it has said nothing */
	size_t type_length;
	size_t body_length;
	struct pfi_out fields; /* the host's, as they are sent */
	bool has_retry_after;
};

/** The whole response: in `out` if it fits there, else in memory of its own, which `out` then points at and the
 *  caller frees. 0, -ENOSPC or -ENOMEM. */
int pfi_error_page_response(const struct prefork_error_page *page, struct pfi_out *out, const char *date, bool to_head);

void pfi_error_page_clear(struct prefork_error_page *page);

#endif
