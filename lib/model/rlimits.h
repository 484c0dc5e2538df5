/*
 * model/rlimits.h -- the settings rlimit_*: the resource limits of workers (setrlimit(2)).
 *
 * A value is "LIMIT", the soft and the hard limit, or "SOFT:HARD"; each is a number or "unlimited". A setting without a
 * value leaves the limit as the arbiter has it. Pure.
 */
#ifndef PFI_MODEL_RLIMITS_H
#define PFI_MODEL_RLIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

struct pfi_library_settings;
struct prefork_settings;

/* What getrlimit(2) takes. */
#ifdef __GLIBC__
typedef __rlimit_resource_t pfi_resource;
#else
typedef int pfi_resource;
#endif

/* One row per setting. A new one is a row in rlimits.c, and a row and a member in library_options. */
struct pfi_rlimit_row {
	const char *name;
	pfi_resource resource; /* RLIMIT_NOFILE and so on                         */
	bool is_size;  /* in bytes, with k, m and g; false: a plain number    */
	size_t offset; /* of the text in struct pfi_library_settings, or NULL */
};
enum { PFI_RLIMIT_COUNT = 6 };
extern const struct pfi_rlimit_row pfi_rlimit_rows[PFI_RLIMIT_COUNT];

/* 0, -EINVAL: the text has another form, -ERANGE: a number does not fit, -EDOM: the soft limit is above the hard limit. */
int pfi_rlimit_parse(const char *text, bool is_size, struct rlimit *ret);

/* The text of the setting of this row, or NULL. `values` are those of `settings`. *ret_place is where
 * it was set. */
const char *pfi_rlimit_text(const struct prefork_settings *settings, const struct pfi_library_settings *values,
			    const struct pfi_rlimit_row *row, const char **ret_place);

/* 0, or PREFORK_ECONFIG with an error message: a text has another form. */
int pfi_rlimits_check(const struct prefork_settings *settings, const struct pfi_library_settings *values);

#endif
