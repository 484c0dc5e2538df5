/*
 * error_page -- an error response of the library, and what the application changes in it.
 *
 * It is on the stack of the function that responds; body and fields of the application are copied.
 */
#ifndef HTTP_ERROR_PAGE_H
#define HTTP_ERROR_PAGE_H

#include "http/response_head.h"
#include "http/verdict.h"

#include <prefork/http.h>

struct prefork_error_page {
	struct pfi_http_error http_error;
	char *body; /* of the application: Content-Type, NUL, bytes; NULL: the library's page */
	size_t type_length;
	size_t body_length;
	struct pfi_out fields; /* of the application, as they are sent */
	bool has_retry_after;
};

/** The complete response: in the buffer of `out` if it fits, else in new memory that `out` then points at and the
 *  caller frees. 0, -ENOSPC or -ENOMEM. */
int pfi_error_page_response(const struct prefork_error_page *page, struct pfi_out *out, const char *date, bool to_head);

void pfi_error_page_clear(struct prefork_error_page *page);

#endif
