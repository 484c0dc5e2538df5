/*
 * limits -- the limits of a request, and the status of the error response beyond each.
 */
#ifndef HTTP_LIMITS_H
#define HTTP_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

/* In CGI names an underscore and a hyphen are the same, so Content_Length could be taken for Content-Length. */
enum pfi_underscores {
	PFI_UNDERSCORES_DROP,
	PFI_UNDERSCORES_REFUSE,
	PFI_UNDERSCORES_KEEP,
};

enum { PFI_NAME_MAX = 8192 }; /* bytes of a header name, whatever field_max is -> 431 */

struct pfi_limits {
	uint32_t line_max;   /* request line, without its CRLF          -> 414 */
	uint32_t field_max;  /* one field line, with its CRLF           -> 431 */
	uint32_t fields_max; /* field lines in a head, or in a trailer  -> 431 */
	uint32_t head_max;   /* a head, or all framing between chunks   -> 431 */
	uint64_t body_max;   /* UINT64_MAX: no limit                    -> 413 */
	enum pfi_underscores underscores;
	bool any_method;     /* any token, not only 3 to 20 bytes without lower case letters and '#' -> 501 */
	bool fold_method;    /* convert methods to upper case */
};

#define PFI_LIMITS_DEFAULT                                                                         \
	{                                                                                          \
		.line_max = 4094, .field_max = 8190, .fields_max = 100, .head_max = 65536,         \
		.body_max = UINT64_MAX, .underscores = PFI_UNDERSCORES_DROP                        \
	}

#endif
