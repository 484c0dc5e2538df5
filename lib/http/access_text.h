/*
 * access_text -- escapes bytes from outside for a log: one line, and no control sequences. Pure.
 */
#ifndef HTTP_ACCESS_TEXT_H
#define HTTP_ACCESS_TEXT_H

#include "base/text.h"

/** For a line of text: a quote becomes \", the rest as pfi_text_add_escaped(). */
void pfi_access_add_plain(struct pfi_text *line, const char *bytes, size_t length);

/** The same, but at most `max` bytes, including the three dots that end a shortened text; nothing if `max` is
 *  below 3. Never ends inside a character or an escape. Returns whether the text is complete. */
bool pfi_access_add_plain_most(struct pfi_text *line, const char *bytes, size_t length, size_t max);

/** As a JSON string with its quotes; `null` for NULL. A byte that is not UTF-8 becomes the four characters \xHH, so
 *  that its value can be read back. */
void pfi_access_add_json(struct pfi_text *line, const char *bytes, size_t length);

/** The same with at most `max` bytes between the quotes. */
bool pfi_access_add_json_most(struct pfi_text *line, const char *bytes, size_t length, size_t max);

#endif
