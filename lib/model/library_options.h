/*
 * model/library_options.h -- the library's own rows of the settings table.
 *
 * A new setting is one row in options.c; everything else is made from it.
 */
#ifndef PFI_MODEL_LIBRARY_OPTIONS_H
#define PFI_MODEL_LIBRARY_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#include <prefork/settings.h>

extern const struct prefork_option pfi_options[];
extern const size_t pfi_options_count;

/* What the rows say together: 0, or PREFORK_ECONFIG with an error message. */
int pfi_options_check(const struct prefork_settings *settings);

/* The most workers that can ever run beside each other, surge not counted:
 * `workers_max`, or where that is 0 twice `workers`, at least four more. */
int64_t pfi_settings_workers_max(const struct prefork_settings *settings);

/* How many threads a worker may have beside its first: `threads`, and room for one
 * where that is 0. */
unsigned pfi_settings_threads(const struct prefork_settings *settings);

#endif
