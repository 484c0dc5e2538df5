/*
 * base/number.h -- numbers with units, parsed and formatted.
 *
 * A parser reads the whole text: blanks or any other rest are an error. It returns 0, -EINVAL if the text has another
 * form, or -ERANGE if the number does not fit, and stores the result only on success. Threads: any.
 */
#ifndef PFI_BASE_NUMBER_H
#define PFI_BASE_NUMBER_H

#include <stdint.h>

#include "base/text.h"

/* "0", "-12", "4096". */
int pfi_parse_whole(const char *text, int64_t *ret);

/* A whole or decimal number and ms, s, m, h or d; without a unit, seconds. -ERANGE also if it is not a whole number of
 * milliseconds. */
int pfi_parse_duration(const char *text, int64_t *ret_ms);

/* A whole number and k, m or g (powers of 1024, upper or lower case); without a unit, bytes. */
int pfi_parse_size(const char *text, int64_t *ret_bytes);

/* An octal number, with or without the prefix 0 or 0o. */
int pfi_parse_octal(const char *text, int64_t *ret);

/* yes, on, true, 1: 1; no, off, false, 0: 0; in upper or lower case. */
int pfi_parse_bool(const char *text, int64_t *ret);

/* Append the shortest text that the parser reads as this number. */
void pfi_text_add_duration(struct pfi_text *text, int64_t ms);
void pfi_text_add_size(struct pfi_text *text, int64_t bytes);

#endif
