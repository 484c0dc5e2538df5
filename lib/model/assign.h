/*
 * model/assign.h -- text to the value of a row, and back.
 */
#ifndef PFI_MODEL_ASSIGN_H
#define PFI_MODEL_ASSIGN_H

#include "base/text.h"
#include "model/settings.h"

/* Parse and check `text` for row `index`, and store the value unless one of higher origin is stored. Among values of
 * the same origin the last one wins; those of a LIST are collected, if the origin is at most PREFORK_FROM_COMMAND_LINE.
 * `place` is for messages: "--workers", "app.ini:12".
 * -ENOMEM; -EINVAL, with an error message that begins with the place. */
int pfi_settings_assign(struct prefork_settings *settings, size_t index, const char *text,
			enum prefork_origin origin, const char *place);

/* The same for a LIST, whose value of this origin, if it has one, is continued for every origin. -EINVAL also for other
 * rows. */
int pfi_settings_append(struct prefork_settings *settings, size_t index, const char *text,
			enum prefork_origin origin, const char *place);

/* Whether `text` is a word of a CHOICE row. */
bool pfi_settings_is_choice(const struct prefork_settings *settings, size_t index, const char *text);

/* Reset the row to its default. */
int pfi_settings_assign_default(struct prefork_settings *settings, size_t index);

/* Append the value in the form that pfi_settings_assign() parses; of a LIST, item `item`. */
void pfi_text_add_value(struct pfi_text *text, const struct prefork_settings *settings, size_t index,
			size_t item);

/* Append a description of the valid values: "a whole number from 1 to 9". */
void pfi_text_add_expected(struct pfi_text *text, const struct prefork_settings *settings, size_t index);

#endif
