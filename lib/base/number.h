/*
 * base/number.h -- numbers with units, from text and back.
 *
 * Parsers look at the whole text: no leading or trailing blanks, no rest. They
 * answer 0, -EINVAL (not such a number) or -ERANGE (it does not fit), and write
 * `ret` only on success. For any thread.
 */
#ifndef PFI_BASE_NUMBER_H
#define PFI_BASE_NUMBER_H

#include <stdint.h>

#include "base/text.h"

/* "0", "-12", "4096". */
int pfi_parse_whole(const char *text, int64_t *ret);

/* Milliseconds: a whole or decimal number and ms, s, m, h or d; none: seconds.
 * -ERANGE also for what is finer than a millisecond. */
int pfi_parse_duration(const char *text, int64_t *ret_ms);

/* Bytes: a whole number and k, m or g (either case; 1024 each); none: bytes. */
int pfi_parse_size(const char *text, int64_t *ret_bytes);

/* An octal number, with or without 0 or 0o before it. */
int pfi_parse_octal(const char *text, int64_t *ret);

/* yes, on, true, 1: 1; no, off, false, 0: 0; in any case of letters. */
int pfi_parse_bool(const char *text, int64_t *ret);

/* The shortest exact form that the parser above reads back. */
void pfi_text_add_duration(struct pfi_text *text, int64_t ms);
void pfi_text_add_size(struct pfi_text *text, int64_t bytes);

#endif
