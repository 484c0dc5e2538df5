/*
 * binds -- the setting bind as a whole: is each address one, and each only once?
 */
#ifndef LISTENER_BINDS_H
#define LISTENER_BINDS_H

#include <stddef.h>

struct prefork_settings;

/* Looks at words alone: opens nothing and asks no name server. 0, or
 * PREFORK_ECONFIG with an error message that says which item of which place is wrong. */
int pfi_binds_check(const struct prefork_settings *settings);

/* Whether one could listen there, for --check-config: asks name servers, and opens nothing that
 * anybody could notice. Descriptors (fd://3) are those of the start, and left to it.
 * As pfi_listener_try(). */
int pfi_binds_try(const struct prefork_settings *settings);

#endif
