/*
 * access_text -- bytes from outside as they may stand in a log: on one line, and
 * steering no terminal. Pure.
 */
#ifndef HTTP_ACCESS_TEXT_H
#define HTTP_ACCESS_TEXT_H

#include "base/text.h"

/** As in a line of words: a quote becomes \", the rest as pfi_text_add_escaped(). */
void pfi_access_add_plain(struct pfi_text *line, const char *bytes, size_t length);

/** As a string of JSON with its quotes, `null` for NULL. A byte that is no UTF-8 becomes the
 *  four characters \xHH: what is read back then says what it was. */
void pfi_access_add_json(struct pfi_text *line, const char *bytes, size_t length);

#endif
