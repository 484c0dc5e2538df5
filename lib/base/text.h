/*
 * base/text.h -- text in a buffer of fixed size, and untrusted text made printable.
 *
 * A text borrows its buffer and is always terminated by a NUL. If something does not fit, the text is truncated and
 * `cut` is set, which the caller checks once at the end. No allocation. Threads: any.
 */
#ifndef PFI_BASE_TEXT_H
#define PFI_BASE_TEXT_H

#include <stdbool.h>
#include <stdarg.h>
#include <stddef.h>

#include <prefork/export.h>

struct pfi_text {
	char *bytes;
	size_t size;   /* of the buffer                         */
	size_t length; /* without the NUL, less than `size`     */
	bool cut;      /* it was truncated                      */
};

/* Make an empty text in the buffer `bytes` of `size` > 0 bytes. */
void pfi_text_init(struct pfi_text *text, char *bytes, size_t size);

void pfi_text_add(struct pfi_text *text, const char *more);
void pfi_text_add_bytes(struct pfi_text *text, const char *bytes, size_t count);
void pfi_text_add_char(struct pfi_text *text, char c);
void pfi_text_format(struct pfi_text *text, const char *format, ...) PREFORK_PRINTF(2, 3);
void pfi_text_vformat(struct pfi_text *text, const char *format, va_list arguments) PREFORK_PRINTF(2, 0);

/* Append untrusted bytes on one line, without anything that a terminal interprets: control characters (also C1 and line
 * separators in UTF-8), DEL, backslashes, and bytes that are not valid UTF-8 become \n, \t, \\ or \x1b. */
void pfi_text_add_escaped(struct pfi_text *text, const char *bytes, size_t count);

/* The same without escaping backslashes: for error messages, parts of which are escaped already. */
void pfi_text_add_line(struct pfi_text *text, const char *bytes, size_t count);

/* Append 'value', escaped, and truncated with "..." after 60 bytes: for error messages. */
void pfi_text_add_quoted(struct pfi_text *text, const char *value);

/* The length of the valid UTF-8 character at `bytes`; 0 if there is none. */
size_t pfi_utf8_length(const char *bytes, size_t count);

#endif
