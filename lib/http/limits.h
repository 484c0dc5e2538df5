/*
 * limits -- how much of a request is read before it is refused.
 */
#ifndef HTTP_LIMITS_H
#define HTTP_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

/* Field names with an underscore look like those with a hyphen once they are
 * CGI names: Content_Length would stand where Content-Length is expected. */
enum pfi_underscores {
	PFI_UNDERSCORES_DROP,
	PFI_UNDERSCORES_REFUSE,
	PFI_UNDERSCORES_KEEP,
};

enum { PFI_NAME_MAX = 8192 }; /* of a header field, whatever its line may have -> 431 */

struct pfi_limits {
	uint32_t line_max;   /* request line, without its CRLF          -> 414 */
	uint32_t field_max;  /* one field line, with its CRLF           -> 431 */
	uint32_t fields_max; /* field lines in a head, or in a trailer  -> 431 */
	uint32_t head_max;   /* a head, or all framing between chunks   -> 431 */
	uint64_t body_max;   /* UINT64_MAX: no limit                    -> 413 */
	enum pfi_underscores underscores;
	bool any_method;     /* any token is one, not only 3 to 20 bytes without small letters and '#' -> 501 */
	bool fold_method;    /* small letters in one are made capital                                         */
};

#define PFI_LIMITS_DEFAULT                                                                         \
	{                                                                                          \
		.line_max = 4094, .field_max = 8190, .fields_max = 100, .head_max = 65536,         \
		.body_max = UINT64_MAX, .underscores = PFI_UNDERSCORES_DROP                        \
	}

#endif
