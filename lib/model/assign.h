/*
 * model/assign.h -- one text becomes the value of one row, or an error message.
 */
#ifndef PFI_MODEL_ASSIGN_H
#define PFI_MODEL_ASSIGN_H

#include "base/text.h"
#include "model/settings.h"

/* Checks `text` against row `index` and stores it, unless a higher place has
 * spoken already: higher replaces lower, and within one place the last wins,
 * while a LIST collects. `place` is for messages: "--workers", "app.ini:12".
 * -ENOMEM; -EINVAL, with an error message that begins with the place. */
int pfi_settings_assign(struct prefork_settings *settings, size_t index, const char *text,
			enum prefork_origin origin, const char *place);

/* As above, from the default of the row. */
int pfi_settings_assign_default(struct prefork_settings *settings, size_t index);

/* The value as it would be typed; of a LIST, item `item`. */
void pfi_text_add_value(struct pfi_text *text, const struct prefork_settings *settings, size_t index,
			size_t item);

/* What the row takes, for error messages and the manual: "a whole number from 1 to 9". */
void pfi_text_add_expected(struct pfi_text *text, const struct prefork_settings *settings, size_t index);

#endif
