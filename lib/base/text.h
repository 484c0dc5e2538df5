/*
 * base/text.h -- text in a buffer of fixed size, and what may be shown of a
 * text that came from outside.
 *
 * A builder borrows its buffer, always keeps it ended by a NUL, and remembers
 * when something did not fit: check `cut` once, at the end. No allocation, no
 * locks: for any thread.
 */
#ifndef PFI_BASE_TEXT_H
#define PFI_BASE_TEXT_H

#include <stdbool.h>
#include <stdarg.h>
#include <stddef.h>

#include <prefork/export.h>

struct pfi_text {
	char *bytes;
	size_t size;   /* of the buffer                 */
	size_t length; /* without the NUL: below `size` */
	bool cut;      /* something did not fit         */
};

/* Starts empty in `bytes`, which holds `size` > 0 bytes. */
void pfi_text_init(struct pfi_text *text, char *bytes, size_t size);

void pfi_text_add(struct pfi_text *text, const char *more);
void pfi_text_add_bytes(struct pfi_text *text, const char *bytes, size_t count);
void pfi_text_add_char(struct pfi_text *text, char c);
void pfi_text_format(struct pfi_text *text, const char *format, ...) PREFORK_PRINTF(2, 3);
void pfi_text_vformat(struct pfi_text *text, const char *format, va_list arguments) PREFORK_PRINTF(2, 0);

/* Adds bytes from outside so that they stay on one line and steer no terminal:
 * control characters, DEL, backslashes and bytes that are not part of valid
 * UTF-8 become \n, \t, \\ or \x1b; C1 controls and line separators in UTF-8 too. */
void pfi_text_add_escaped(struct pfi_text *text, const char *bytes, size_t count);

/* The same, but backslashes stay single: for error messages, parts of which may be
 * escaped already. */
void pfi_text_add_line(struct pfi_text *text, const char *bytes, size_t count);

/* 'like this', escaped, and after 60 bytes with dots: for error error messages. */
void pfi_text_add_quoted(struct pfi_text *text, const char *value);

/* How many bytes at `bytes` form one valid UTF-8 character; 0: none does. */
size_t pfi_utf8_length(const char *bytes, size_t count);

#endif
