/*
 * access_text -- bytes from outside as they may stand in a log: on one line, and
 * steering no terminal. Pure.
 */
#ifndef HTTP_ACCESS_TEXT_H
#define HTTP_ACCESS_TEXT_H

#include "base/text.h"

/** As in a line of words: a quote becomes \", the rest as pfi_text_add_escaped(). */
void pfi_access_add_plain(struct pfi_text *line, const char *bytes, size_t length);

/** The same of at most `max` bytes, the three dots at the end of a text that is longer included; nothing where
 *  `max` is below 3. Never ends inside a character or an escape. Returns whether it is whole. */
bool pfi_access_add_plain_most(struct pfi_text *line, const char *bytes, size_t length, size_t max);

/** As a string of JSON with its quotes, `null` for NULL. A byte that is no UTF-8 becomes the
 *  four characters \xHH: what is read back then says what it was. */
void pfi_access_add_json(struct pfi_text *line, const char *bytes, size_t length);

/** The same with at most `max` bytes between the quotes. */
bool pfi_access_add_json_most(struct pfi_text *line, const char *bytes, size_t length, size_t max);

#endif
